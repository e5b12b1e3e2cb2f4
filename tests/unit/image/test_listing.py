"""Which images are listed, pruned, and what they take of the disk."""

from __future__ import annotations

import pytest
from tests.unit.image.conftest import Containers, MakeArchive

from sampan.errors import NotFound
from sampan.image.images import Images, Removal
from sampan.image.listing import ImageFilter, created_s, disk_usage, matches, prune, select, shown_references
from sampan.image.records import Image
from sampan.oci.image_spec import ContainerDefaults, ImageConfig, RootFs, encode
from sampan.oci.reference import parse_reference


class Maker:
    """Makes images, each a second younger than the one before."""

    def __init__(self, images: Images, archive: MakeArchive) -> None:
        self.images = images
        self.archive = archive
        self.count = 0

    def __call__(
        self, *names: str, labels: dict[str, str] | None = None, layers: tuple[str, ...] = (), parent: str = ""
    ) -> Image:
        self.count += 1
        diff_ids = tuple(self.images.layers.add_chunks([self.archive((one, one.encode()))]).diff_id for one in layers)
        config = ImageConfig(
            created=f"2026-01-01T00:00:{self.count:02}.123456789Z",
            config=ContainerDefaults(labels=labels),
            rootfs=RootFs(diff_ids=diff_ids),
        )
        image = self.images.record(encode(config), parent=parent)
        for name in names:
            self.images.point(parse_reference(name).with_default_tag(), image.id)
        return self.images.records.get(image.id)


@pytest.fixture
def make(images: Images, archive: MakeArchive) -> Maker:
    return Maker(images, archive)


def ids(found: list[Image]) -> list[str]:
    return [image.id for image in found]


def test_images_are_listed_newest_first(images: Images, make: Maker) -> None:
    made = [make(f"app:{number}").id for number in range(4)]
    assert ids(select(images, ImageFilter())) == made[::-1]


def test_images_are_chosen_by_label_name_and_date(images: Images, make: Maker) -> None:
    one = make("app:1", labels={"team": "a", "x": ""})
    two = make("registry.example/app:2", labels={"team": "b"})
    three = make("tools/app")
    for wanted, found in (
        (ImageFilter(labels=("team",)), [two, one]),
        (ImageFilter(labels=("team=a",)), [one]),
        (ImageFilter(labels=("team=a", "team=b")), []),
        (ImageFilter(not_labels=("team=a",)), [three, two]),
        (ImageFilter(references=("app",)), [one]),
        (ImageFilter(references=("app:*", "*/app:2")), [two, one]),
        (ImageFilter(before=two.id), [one]),
        (ImageFilter(since=two.id), [three]),
        (ImageFilter(until_s=created_s(three)), [two, one]),
    ):
        assert ids(select(images, wanted)) == ids(found), wanted
    with pytest.raises(NotFound):
        select(images, ImageFilter(before="sha256:" + "0" * 64))


def test_an_image_without_a_name_that_is_a_parent_is_left_out_unless_all_are_asked_for(
    images: Images, make: Maker
) -> None:
    step = make()
    built = make("built", parent=step.id)
    lone = make()
    named_parent = make("base")
    child = make("above", parent=named_parent.id)
    shown = ids(select(images, ImageFilter(intermediate=False)))
    assert shown == [child.id, named_parent.id, lone.id, built.id]
    assert ids(select(images, ImageFilter())) == [*shown, step.id]


def test_an_image_is_dangling_without_a_name_and_without_a_child(images: Images, make: Maker) -> None:
    parent = make()
    child = make("child", parent=parent.id)
    lonely = make()
    assert ids(select(images, ImageFilter(dangling=True))) == [lonely.id]
    assert ids(select(images, ImageFilter(dangling=False))) == [child.id, parent.id]


@pytest.mark.parametrize(
    ("pattern", "fits"),
    [
        ("debian", True),
        ("deb*", True),
        ("debian:1?", True),
        ("debian:[0-9]*", True),
        ("debian:[^0-9]*", False),
        ("*", True),
        ("*/*", False),
        ("docker.io/library/debian", False),
        ("d.bian", False),
    ],
)
def test_patterns_fit_names_as_people_write_them(pattern: str, fits: bool) -> None:  # noqa: FBT001
    assert matches(parse_reference("debian:12"), pattern) is fits


def test_only_the_names_that_fit_are_shown(images: Images, make: Maker) -> None:
    references = images.names.of(make("app:1", "app:2", "other").id)
    assert [one.familiar for one in shown_references(references, ("app",))] == ["app:1", "app:2"]
    assert shown_references(references, ()) == references


@pytest.mark.parametrize("created", ["", "yesterday", "2026-13-01T00:00:00Z"])
def test_a_date_that_is_none_is_the_epoch(images: Images, created: str) -> None:
    assert created_s(images.record(encode(ImageConfig(created=created, rootfs=RootFs())))) == 0


def pruned(images: Images, wanted: ImageFilter, *, unused: bool) -> Removal:
    return sum(prune(images, wanted, unused=unused), Removal())


def test_a_prune_takes_images_without_names_children_first(images: Images, make: Maker) -> None:
    parent = make(layers=("a",))
    child = make(layers=("a", "b"), parent=parent.id)
    named = make("kept", layers=("c",))
    removal = pruned(images, ImageFilter(), unused=False)
    assert removal.image_ids == (child.id, parent.id)
    assert removal.freed_bytes == 2
    assert ids(images.records.all()) == [named.id]
    assert pruned(images, ImageFilter(), unused=False).done == ()


def test_a_prune_of_all_spares_what_containers_use(images: Images, make: Maker, containers: Containers) -> None:
    used, stopped, unused = make("used"), make("stopped", "stopped:2"), make("unused", "unused:2")
    containers.runs[used.id] = containers.stands[stopped.id] = "c" * 64
    removal = pruned(images, ImageFilter(), unused=True)
    assert removal.done == (
        ("untagged", "unused:2"),
        ("untagged", "unused:latest"),
        ("deleted", unused.id),
    )
    assert images.find("stopped") == stopped.id


def test_a_prune_spares_what_came_or_was_taken_while_it_went_on(
    images: Images, make: Maker, containers: Containers
) -> None:
    taken = make("taken")
    gone = make("gone")
    steps = prune(images, ImageFilter(), unused=True)
    assert next(steps).image_ids == (gone.id,)
    came = make("came")
    containers.stands[taken.id] = "c" * 64
    assert list(steps) == []
    assert {image.id for image in images.records.all()} == {taken.id, came.id}


def test_a_prune_goes_by_its_filter(images: Images, make: Maker) -> None:
    kept, gone = make(labels={"keep": "1"}), make()
    assert pruned(images, ImageFilter(not_labels=("keep",)), unused=False).image_ids == (gone.id,)
    assert ids(images.records.all()) == [kept.id]


def test_shared_layers_are_counted_once(images: Images, make: Maker) -> None:
    one, two = make("one", layers=("aa", "b")), make("two", layers=("aa", "cccc"))
    usage = disk_usage(images)
    assert usage.layers == 2 + 1 + 4
    assert {(each.image.id, each.size, each.shared) for each in usage.images} == {(one.id, 3, 2), (two.id, 6, 2)}


def test_an_image_shares_nothing_with_the_steps_that_led_to_it(images: Images, make: Maker) -> None:
    step = make(layers=("aa",))
    image = make("image", layers=("aa", "b"), parent=step.id)
    usage = disk_usage(images)
    assert usage.layers == 2 + 1
    assert [(each.image.id, each.size, each.shared) for each in usage.images] == [(image.id, 3, 0)]
