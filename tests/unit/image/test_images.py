"""Images by name: finding, tagging and removing by Docker's rules."""

from __future__ import annotations

import os
import sqlite3
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.unit.image.conftest import Containers, MakeArchive

from sampan.errors import Conflict, InvalidArgument, NotFound, SystemFailure
from sampan.image.images import Images
from sampan.image.names import ImageNames
from sampan.image.records import Base, Image, ImageRecords, Origin, chain_ids, transaction
from sampan.image.root_records import Root
from sampan.oci.image_spec import ContainerDefaults, ImageConfig, RootFs, encode
from sampan.oci.reference import parse_reference

CONTAINER = "c" * 64


@dataclass
class House:
    """An image store with images made to order."""

    images: Images
    containers: Containers
    archive: MakeArchive

    def layer(self, name: str) -> str:
        return self.images.layers.add_chunks([self.archive((name, name.encode()))]).diff_id

    def make(self, *names: str, layers: tuple[str, ...] = (), label: str = "", parent: str = "") -> Image:
        """An image with these layers and names."""
        diff_ids = tuple(self.layer(name) for name in layers)
        config = ImageConfig(config=ContainerDefaults(labels={"is": label}), rootfs=RootFs(diff_ids=diff_ids))
        image = self.images.record(encode(config), parent=parent)
        for name in names:
            self.images.point(parse_reference(name).with_default_tag(), image.id)
        return image

    def names(self, image: Image) -> list[str]:
        return [one.familiar for one in self.images.names.of(image.id)]


@pytest.fixture
def house(images: Images, containers: Containers, archive: MakeArchive) -> House:
    return House(images, containers, archive)


DIGEST = "sha256:" + "d" * 64


# finding


@pytest.mark.parametrize(
    "reference", ["app", "app:latest", "docker.io/library/app", "index.docker.io/library/app:latest", "library/app"]
)
def test_an_image_is_found_however_its_name_is_written(house: House, reference: str) -> None:
    image = house.make("app")
    assert house.images.get(reference).id == image.id


def test_an_image_is_found_by_id_short_id_and_digest(house: House) -> None:
    image = house.make("app", f"registry.example/app@{DIGEST}")
    digits = image.id.removeprefix("sha256:")
    for reference in (
        image.id,
        digits,
        digits[:12],
        digits[:3],
        f"sha256:{digits[:7]}",
        f"registry.example/app@{DIGEST}",
    ):
        assert house.images.get(reference).id == image.id


def test_a_tag_beside_a_digest_does_not_matter(house: House) -> None:
    image = house.make(f"app@{DIGEST}")
    assert house.images.get(f"app:anything@{DIGEST}").id == image.id


def test_a_name_wins_over_the_beginning_of_an_id(house: House) -> None:
    other = house.make(label="other")
    named = house.make(other.id.removeprefix("sha256:")[:4], label="named")
    assert house.images.get(other.id.removeprefix("sha256:")[:4]).id == named.id


def test_the_beginning_of_two_ids_is_none(house: House) -> None:
    made = [house.make(label=str(number)).id.removeprefix("sha256:") for number in range(40)]
    first = next(digits[0] for digits in made if [other[0] for other in made].count(digits[0]) > 1)
    with pytest.raises(NotFound, match=f"No such image: {first}:latest"):
        house.images.get(first)


@pytest.mark.parametrize(
    ("reference", "shown"),
    [("nowhere", "nowhere:latest"), ("a/b:c", "a/b:c"), ("docker.io/library/x", "x:latest"), ("f" * 64, "f" * 64)],
)
def test_a_missing_image_is_said_in_docker_s_words(house: House, reference: str, shown: str) -> None:
    with pytest.raises(NotFound, match=f"^No such image: {shown}$"):
        house.images.get(reference)


@pytest.mark.parametrize("reference", ["", "UPPER", "a b", "x:", "x@sha256:12"])
def test_what_is_no_reference_is_refused(house: House, reference: str) -> None:
    with pytest.raises(InvalidArgument):
        house.images.get(reference)


def test_a_builtin_image_comes_to_be_when_it_is_asked_for(house: House) -> None:
    made: list[Image] = []

    def make() -> Image:
        image = house.images.records.add(encode(ImageConfig(rootfs=RootFs())), size=0, base=Base.HOST)
        made.append(image)
        return image

    images = Images(
        house.images.records,
        house.images.names,
        house.images.roots,
        house.images.layers,
        house.containers,
        {"host:latest": make},
    )
    assert images.find("host") is None
    assert images.get("host").base is Base.HOST
    assert images.get("host:latest").id == made[0].id
    assert len(made) == 1
    own = house.make("host", label="a user's own")
    assert images.get("host").id == own.id


# tagging


def test_a_tag_moves_and_the_image_before_stays_without(house: House) -> None:
    first, second = house.make("app", label="1"), house.make("other", label="2")
    reference, image_id, before = house.images.tag("other", "app")
    assert (reference.familiar, image_id, before) == ("app:latest", second.id, first.id)
    assert house.names(first) == []
    assert house.names(second) == ["app:latest", "other:latest"]
    assert house.images.records.get(second.id).tagged_s is not None


@pytest.mark.parametrize(
    ("target", "words"),
    [(f"app@{DIGEST}", "digest reference"), ("sha256", "ambiguous"), ("f" * 64, "hexadecimal"), ("Bad", "lowercase")],
)
def test_a_tag_that_docker_refuses_is_refused(house: House, target: str, words: str) -> None:
    house.make("app")
    with pytest.raises(InvalidArgument, match=words):
        house.images.tag("app", target)


# removing


def test_one_of_two_names_is_only_untagged(house: House) -> None:
    image = house.make("app", "app:2", layers=("a",))
    assert house.images.remove("app").done == (("untagged", "app:latest"),)
    assert house.names(image) == ["app:2"]
    assert house.images.layers.list() == list(image.diff_ids)


def test_the_last_name_takes_the_image_and_its_layers_topmost_first(house: House) -> None:
    image = house.make("app", layers=("a", "b"))
    chains = chain_ids(image.diff_ids)
    removal = house.images.remove("app")
    assert removal.done == (
        ("untagged", "app:latest"),
        ("deleted", image.id),
        ("deleted", chains[1]),
        ("deleted", chains[0]),
    )
    assert removal.freed_bytes == 2
    assert house.images.layers.list() == []
    assert not house.images.records.has(image.id)
    for path in removal.rubbish:
        house.images.layers.dispose(path)
    assert os.listdir(house.images.layers.path) == []


def test_a_layer_that_another_image_has_stays(house: House) -> None:
    house.make("app", layers=("a", "b"))
    other = house.make("other", layers=("a",))
    house.images.remove("app")
    assert house.images.layers.list() == list(other.diff_ids)


def test_a_layer_that_a_container_stands_on_stays(house: House) -> None:
    image = house.make("app", layers=("a",))
    house.images.roots.add(Root(CONTAINER, image.id, Base.NOTHING, image.diff_ids))
    removal = house.images.remove("app", force=True)
    assert ("deleted", image.id) in removal.done
    assert house.images.layers.list() == list(image.diff_ids)


def test_a_layer_that_is_held_stays(house: House) -> None:
    image = house.make("app", layers=("a",))
    with house.images.layers.hold(image.diff_ids):
        house.images.remove("app")
        assert house.images.layers.list() == list(image.diff_ids)
        assert house.images.release_layers(image.diff_ids).rubbish == ()
    assert len(house.images.release_layers(image.diff_ids).rubbish) == 1
    assert house.images.layers.list() == []


def test_the_digests_of_a_repository_go_with_its_last_tag(house: House) -> None:
    image = house.make("app", f"app@{DIGEST}", "other")
    assert house.images.remove("app").done == (("untagged", "app:latest"), ("untagged", f"app@{DIGEST}"))
    assert house.names(image) == ["other:latest"]


def test_an_id_takes_all_names_of_one_repository(house: House) -> None:
    image = house.make("app", f"app@{DIGEST}")
    done = house.images.remove(image.id[:15]).done
    assert done == (("untagged", "app:latest"), ("untagged", f"app@{DIGEST}"), ("deleted", image.id))


def test_an_id_with_names_in_two_repositories_must_be_forced(house: House) -> None:
    image = house.make("app", "other")
    short = image.id.removeprefix("sha256:")[:12]
    with pytest.raises(
        Conflict,
        match=rf"^conflict: unable to delete {short} \(must be forced\) - image is referenced in multiple repos",
    ):
        house.images.remove(image.id)
    assert house.names(image) == ["app:latest", "other:latest"]
    assert house.images.remove(image.id, force=True).done[-1] == ("deleted", image.id)


def test_a_container_of_the_last_name_is_in_the_way(house: House) -> None:
    image = house.make("app")
    house.containers.stands[image.id] = CONTAINER
    short = image.id.removeprefix("sha256:")[:12]
    with pytest.raises(
        Conflict,
        match=rf'^conflict: unable to remove repository reference "app" \(must force\) - container {CONTAINER[:12]} '
        rf"is using its referenced image {short}$",
    ):
        house.images.remove("app")
    assert house.names(image) == ["app:latest"]
    assert house.images.remove("app", force=True).done[-1] == ("deleted", image.id)


def test_a_stopped_container_of_an_id_must_be_forced(house: House) -> None:
    image = house.make()
    house.containers.stands[image.id] = CONTAINER
    with pytest.raises(
        Conflict, match=rf"must be forced\) - image is being used by stopped container {CONTAINER[:12]}"
    ):
        house.images.remove(image.id)
    house.images.remove(image.id, force=True)
    assert house.images.records.all() == []


def test_a_running_container_keeps_the_image_even_from_force(house: House) -> None:
    image = house.make("app")
    house.containers.runs[image.id] = CONTAINER
    with pytest.raises(
        Conflict, match=rf"cannot be forced\) - image is being used by running container {CONTAINER[:12]}"
    ):
        house.images.remove(image.id, force=True)
    assert house.names(image) == ["app:latest"]
    assert house.images.remove("app", force=True).done == (("untagged", "app:latest"),)
    assert house.images.records.has(image.id)


def test_an_image_with_children_stays(house: House) -> None:
    parent = house.make("base", label="parent")
    house.make("child", label="child", parent=parent.id)
    with pytest.raises(Conflict, match="dependent child images"):
        house.images.remove(parent.id, force=True)
    assert house.images.remove("base").done == (("untagged", "base:latest"),)
    assert house.images.records.has(parent.id)


def test_a_nameless_parent_goes_with_its_last_child_unless_it_is_not_to_be_pruned(house: House) -> None:
    grandparent = house.make("kept", label="1")
    parent = house.make(label="2", parent=grandparent.id)
    for prune in (False, True):
        child = house.make("child", label="3", parent=parent.id)
        done = house.images.remove("child", prune=prune).done
        assert done[:2] == (("untagged", "child:latest"), ("deleted", child.id))
        assert house.images.records.has(parent.id) is not prune
    assert house.images.records.has(grandparent.id)


def test_removing_what_is_not_there_is_not_found(house: House) -> None:
    with pytest.raises(NotFound, match="No such image: app:latest"):
        house.images.remove("app")


def test_a_failed_removal_changes_nothing(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    image = house.make("app", f"app@{DIGEST}", layers=("a",))

    def fail(self: ImageRecords, image_id: str) -> None:
        raise sqlite3.OperationalError("disk I/O error")

    monkeypatch.setattr(ImageRecords, "remove", fail)
    with pytest.raises(sqlite3.OperationalError):
        house.images.remove("app")
    assert house.names(image) == ["app:latest", f"app@{DIGEST}"]
    assert house.images.layers.list() == list(image.diff_ids)


# records


def test_an_image_cannot_be_recorded_without_its_layers(house: House) -> None:
    config = encode(ImageConfig(rootfs=RootFs(diff_ids=(DIGEST,))))
    with pytest.raises(SystemFailure, match="lacks a layer"):
        house.images.record(config)
    assert house.images.records.all() == []


def test_the_config_is_kept_byte_for_byte(house: House) -> None:
    config = b'{ "rootfs": {"type":"layers","diff_ids":[]}, "unknown": 1 }'
    image = house.images.record(config)
    assert house.images.records.config_document(image.id) == config
    assert house.images.record(config) == image
    assert len(house.images.records.all()) == 1


def test_the_size_is_that_of_the_layers_files(house: House) -> None:
    assert house.make(layers=("four", "seven77")).size == 11


def test_after_a_crash_lost_images_and_layers_are_gone(house: House) -> None:
    whole = house.make("whole", layers=("a",))
    lost = house.make("lost", layers=("b",))
    root = house.make("root", layers=("d",))
    house.images.roots.add(Root(CONTAINER, root.id, Base.NOTHING, root.diff_ids))
    house.images.records.remove(root.id)
    house.images.layers.remove(lost.diff_ids[0])
    orphan = house.layer("c")
    removal = house.images.recover()
    assert removal.image_ids == (lost.id,)
    assert len(removal.rubbish) == 1
    assert sorted(house.images.layers.list()) == sorted([*whole.diff_ids, *root.diff_ids])
    assert orphan not in house.images.layers.list()
    assert house.images.find("lost") is None
    assert house.images.get("whole").id == whole.id


def test_chain_ids_are_those_of_the_specification() -> None:
    """Checked against sha256sum: the chain of two layers is the digest of their ids with a space between."""
    one, two = "sha256:" + "1" * 64, "sha256:" + "2" * 64
    assert chain_ids([]) == []
    assert chain_ids([one]) == [one]
    assert chain_ids([one, two]) == [one, "sha256:9932074217c35353d2e03a3f5a86549f7c67bfeb0ba53e23d69f4d4c8f7958f5"]


def test_where_a_layer_came_from_is_known_as_long_as_it_is_here(house: House) -> None:
    image = house.make("app", layers=("a",))
    origin = Origin(DIGEST, 5, "application/vnd.oci.image.layer.v1.tar+gzip", "registry.example/app")
    house.images.records.add_origin(image.diff_ids[0], origin)
    house.images.records.add_origin(image.diff_ids[0], origin)
    assert house.images.records.origins(image.diff_ids[0]) == [origin]
    assert house.images.records.layer_of(DIGEST) == image.diff_ids[0]
    house.images.remove("app")
    assert house.images.records.layer_of(DIGEST) is None


def test_a_transaction_inside_of_another_is_a_part_of_it() -> None:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    connection.execute("CREATE TABLE t (x)")
    with pytest.raises(KeyError), transaction(connection):
        with transaction(connection):
            connection.execute("INSERT INTO t VALUES (1)")
        raise KeyError
    assert connection.execute("SELECT COUNT(*) FROM t").fetchone() == (0,)
    connection.close()


def test_records_outlive_their_connection(tmp_path: Path) -> None:
    path = str(tmp_path / "db")
    for _ in range(2):
        connection = sqlite3.connect(path, isolation_level=None)
        records, names = ImageRecords(connection), ImageNames(connection)
        image = records.add(b'{"rootfs":{"type":"layers"}}', size=3, documents=[DIGEST])
        names.point(parse_reference("app:1"), image.id)
        assert names.all() == {image.id: [parse_reference("app:1")]}
        assert names.tags_of("docker.io/library/app") == [("1", image.id)]
        assert records.documents_used() == {DIGEST}
        connection.close()
