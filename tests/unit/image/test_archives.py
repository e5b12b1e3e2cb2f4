"""Image archives: what is saved is loaded again, others' archives too, and damaged ones are refused."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import shutil
import subprocess
import tarfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from tests.unit.image.conftest import make_archive

from sampan.errors import InvalidArgument, NotFound, SystemFailure
from sampan.image.archive_read import Incoming, read_archive
from sampan.image.archive_write import layers_of, plan_save, write_archive
from sampan.image.images import Images
from sampan.image.layers import LayerStore
from sampan.image.records import Base, Image
from sampan.image.tar_entry import Entry, Kind
from sampan.oci.image_spec import ContainerDefaults, History, ImageConfig, RootFs, encode
from sampan.oci.reference import parse_reference

LAYER_ONE = make_archive(("etc/one", b"1" * 3000))
LAYER_TWO = make_archive(("etc/two", b"2"), ("etc/.wh.one", b""))


def digest(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


def make(images: Images, *names: str, layers: tuple[bytes, ...] = (LAYER_ONE, LAYER_TWO), label: str = "") -> Image:
    diff_ids = tuple(images.layers.add_chunks([layer]).diff_id for layer in layers)
    config = ImageConfig(
        architecture="amd64",
        os="linux",
        config=ContainerDefaults(labels={"is": label}),
        rootfs=RootFs(diff_ids=diff_ids),
    )
    image = images.record(encode(config))
    for name in names:
        images.point(parse_reference(name).with_default_tag(), image.id)
    return image


def save(images: Images, *names: str, without: tuple[str, ...] = ()) -> bytes:
    return b"".join(write_archive(plan_save(images, names), images.layers, layers_of(images, without)))


@dataclass
class Elsewhere:
    """Another machine's layers."""

    layers: LayerStore

    def load(self, data: bytes) -> list[Incoming]:
        with self.layers.hold() as hold:
            return read_archive(io.BytesIO(data).read, self.layers, hold)


@pytest.fixture
def elsewhere(tmp_path: Path) -> Elsewhere:
    layers = LayerStore(str(tmp_path / "elsewhere"), durable=False)
    layers.prepare()
    return Elsewhere(layers)


def documents(data: bytes) -> dict[str, Any]:
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        found = {}
        for member in tar:
            file = tar.extractfile(member)
            if file is not None and member.name.endswith(".json"):
                found[member.name] = json.load(file)
        return found


def test_what_is_saved_is_loaded_elsewhere_the_same(images: Images, elsewhere: Elsewhere) -> None:
    image = make(images, "app:1", "registry.example:5000/other")
    data = save(images, "app:1", "registry.example:5000/other")
    (loaded,) = elsewhere.load(data)
    assert digest(loaded.config) == image.id
    assert [one.familiar for one in loaded.references] == ["app:1", "registry.example:5000/other:latest"]
    for diff_id, layer in zip(image.diff_ids, (LAYER_ONE, LAYER_TWO), strict=True):
        assert b"".join(elsewhere.layers.archive(diff_id)) == layer


def test_the_same_images_give_the_same_archive(images: Images) -> None:
    make(images, "app")
    assert save(images, "app") == save(images, "app")


def test_the_archive_is_docker_s_and_oci_s_at_once(images: Images) -> None:
    image = make(images, "app:1", "app:2")
    found = documents(save(images, "app"))
    hex_of = [one.removeprefix("sha256:") for one in (image.id, *image.diff_ids)]
    assert found["manifest.json"] == [
        {
            "Config": f"blobs/sha256/{hex_of[0]}",
            "RepoTags": ["app:1", "app:2"],
            "Layers": [f"blobs/sha256/{hex_of[1]}", f"blobs/sha256/{hex_of[2]}"],
        }
    ]
    assert [one["annotations"]["io.containerd.image.name"] for one in found["index.json"]["manifests"]] == [
        "docker.io/library/app:1",
        "docker.io/library/app:2",
    ]


def test_layers_that_images_share_are_in_the_archive_once(images: Images) -> None:
    make(images, "app", label="1")
    make(images, "other", layers=(LAYER_ONE,), label="2")
    data = save(images, "app", "other")
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        names = tar.getnames()
    assert len(names) == len(set(names))
    assert sum("blobs/sha256/" in name for name in names) == 2 + 2 + 2  # layers, configs, manifests


def test_a_parent_that_goes_along_is_told_and_believed_when_it_can_be_one(images: Images, elsewhere: Elsewhere) -> None:
    def image(steps: int, parent: str = "") -> Image:
        history = tuple(History(created_by=f"step {number}") for number in range(steps))
        return images.record(encode(ImageConfig(rootfs=RootFs(), history=history)), parent=parent)

    parent = image(1)
    child, stranger = image(2, parent.id), image(3, parent.id)
    data = save(images, *(one.id for one in (stranger, child, parent)))
    assert [one.parent for one in elsewhere.load(data)] == ["", parent.id, ""]
    (alone,) = elsewhere.load(save(images, child.id))
    assert alone.parent == ""


def test_an_id_is_saved_without_names(images: Images, elsewhere: Elsewhere) -> None:
    image = make(images, "app")
    (loaded,) = elsewhere.load(save(images, image.id[:20]))
    assert loaded.references == ()


def test_images_without_layers_are_saved_and_loaded(images: Images, elsewhere: Elsewhere) -> None:
    image = make(images, "scratch", layers=())
    (loaded,) = elsewhere.load(save(images, "scratch"))
    assert digest(loaded.config) == image.id


def test_several_images_come_in_one_archive(images: Images, elsewhere: Elsewhere) -> None:
    made = [make(images, f"app:{number}", label=str(number)).id for number in range(3)]
    loaded = elsewhere.load(save(images, "app:0", "app:2"))
    assert [digest(one.config) for one in loaded] == [made[0], made[2]]


def test_a_thin_archive_leaves_out_what_the_other_side_has(images: Images, elsewhere: Elsewhere) -> None:
    make(images, "base", layers=(LAYER_ONE,), label="base")
    app = make(images, "app")
    thin = save(images, "app", without=("base",))
    assert len(thin) < len(save(images, "app")) - 2000
    with pytest.raises(InvalidArgument, match=f"layer {app.diff_ids[0]} .* neither in the archive nor here"):
        elsewhere.load(thin)
    elsewhere.load(save(images, "base"))
    (loaded,) = elsewhere.load(thin)
    assert digest(loaded.config) == app.id


def test_a_layer_that_is_here_is_not_unpacked_again(images: Images, elsewhere: Elsewhere) -> None:
    image = make(images, "app")
    data = save(images, "app")
    elsewhere.load(data)
    inodes = [os.stat(elsewhere.layers.diff(one)).st_ino for one in image.diff_ids]
    seen: list[str] = []
    with elsewhere.layers.hold() as hold:
        read_archive(io.BytesIO(data).read, elsewhere.layers, hold, progress=lambda name, _d, _s: seen.append(name))
    assert seen == []
    assert [os.stat(elsewhere.layers.diff(one)).st_ino for one in image.diff_ids] == inodes


def test_progress_is_told_by_layer(images: Images, elsewhere: Elsewhere) -> None:
    image = make(images, "app", layers=(LAYER_ONE,))
    seen: list[tuple[str, int, int]] = []
    with elsewhere.layers.hold() as hold:
        data = io.BytesIO(save(images, "app"))
        read_archive(lambda _: data.read(700), elsewhere.layers, hold, progress=lambda *one: seen.append(one))
    assert seen[-1] == ("blobs/" + image.diff_ids[0].replace(":", "/"), len(LAYER_ONE), len(LAYER_ONE))
    assert [done for _, done, _ in seen] == sorted(done for _, done, _ in seen)


@pytest.mark.parametrize("pack", [gzip.compress, bytes])
def test_the_whole_archive_may_be_compressed(images: Images, elsewhere: Elsewhere, pack: Any) -> None:
    image = make(images, "app")
    (loaded,) = elsewhere.load(pack(save(images, "app")))
    assert digest(loaded.config) == image.id


def config_for(*layers: bytes) -> bytes:
    return encode(ImageConfig(architecture="amd64", os="linux", rootfs=RootFs(diff_ids=tuple(map(digest, layers)))))


def old_docker_archive(*, tags: list[str] | None = None) -> bytes:
    """As Docker wrote them before 25: a directory a layer, a repeated one as a symbolic link."""
    config = config_for(LAYER_ONE, LAYER_TWO, LAYER_ONE)
    name = digest(config).removeprefix("sha256:")
    manifest = [{"Config": f"{name}.json", "RepoTags": tags, "Layers": ["a/layer.tar", "b/layer.tar", "c/layer.tar"]}]
    return make_archive(
        ("a/VERSION", b"1.0"),
        ("a/json", b'{"id":"a"}'),
        ("a/layer.tar", LAYER_ONE),
        ("b/layer.tar", LAYER_TWO),
        Entry(b"c/layer.tar", Kind.SYMLINK, link=b"../a/layer.tar"),
        (f"{name}.json", config),
        ("manifest.json", json.dumps(manifest).encode()),
        ("repositories", b'{"app":{"1":"c"}}'),
    )


def test_docker_s_old_archives_are_loaded(elsewhere: Elsewhere) -> None:
    (loaded,) = elsewhere.load(old_docker_archive(tags=["app:1"]))
    assert loaded == Incoming(config_for(LAYER_ONE, LAYER_TWO, LAYER_ONE), (parse_reference("app:1"),))
    assert sorted(elsewhere.layers.list()) == sorted({digest(LAYER_ONE), digest(LAYER_TWO)})


def layout(*, platform: dict[str, str] | None = None, name: str = "app:1", nested: bool = False) -> bytes:
    """An OCI image layout as others write it: compressed layers, index.json last."""
    config, layer = config_for(LAYER_ONE), gzip.compress(LAYER_ONE, mtime=0)
    manifest = json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": digest(config), "size": 1},
            "layers": [
                {
                    "mediaType": "application/vnd.oci.image.layer.v1.tar+gzip",
                    "digest": digest(layer),
                    "size": len(layer),
                }
            ],
        }
    ).encode()
    one: dict[str, Any] = {
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "digest": digest(manifest),
        "size": len(manifest),
        "annotations": {"org.opencontainers.image.ref.name": name},
    }
    if platform:
        one["platform"] = platform
    other = {**one, "digest": digest(b"none"), "platform": {"os": "linux", "architecture": "s390x"}}
    listed = [other, one] if platform else [one]
    blobs = {digest(blob): blob for blob in (config, layer, manifest)}
    if nested:
        inner = json.dumps({"schemaVersion": 2, "manifests": listed}).encode()
        blobs[digest(inner)] = inner
        listed = [{**one, "digest": digest(inner), "mediaType": "application/vnd.oci.image.index.v1+json"}]
        listed[0].pop("platform", None)
    return make_archive(
        *[("blobs/" + key.replace(":", "/"), blob) for key, blob in blobs.items()],
        ("oci-layout", b'{"imageLayoutVersion":"1.0.0"}'),
        ("index.json", json.dumps({"schemaVersion": 2, "manifests": listed}).encode()),
    )


@pytest.mark.parametrize("nested", [True, False])
@pytest.mark.parametrize("platform", [None, {"os": "linux", "architecture": "arm64", "variant": "v8"}])
def test_an_oci_layout_is_loaded(elsewhere: Elsewhere, platform: dict[str, str] | None, nested: bool) -> None:  # noqa: FBT001
    data = layout(platform=platform, nested=nested)
    with elsewhere.layers.hold() as hold:
        (loaded,) = read_archive(io.BytesIO(data).read, elsewhere.layers, hold, platform=("linux", "arm64", ""))
    assert loaded == Incoming(config_for(LAYER_ONE), (parse_reference("app:1"),))


def test_an_image_of_another_system_is_refused(elsewhere: Elsewhere) -> None:
    config = b'{"os": "windows", "rootfs": {"diff_ids": []}}'
    with pytest.raises(InvalidArgument, match="cannot load windows image on linux"):
        elsewhere.load(make_archive(("c.json", config), ("manifest.json", b'[{"Config": "c.json"}]')))


def test_a_platform_that_an_index_lacks_is_not_found(elsewhere: Elsewhere) -> None:
    data = layout(platform={"os": "linux", "architecture": "arm64"}, nested=True)
    with elsewhere.layers.hold() as hold, pytest.raises(NotFound, match="no matching manifest for linux/riscv64"):
        read_archive(io.BytesIO(data).read, elsewhere.layers, hold, platform=("linux", "riscv64", ""))


def test_a_digest_in_a_layout_is_a_name_when_it_is_right(elsewhere: Elsewhere) -> None:
    """Else an archive could say of any image that it is the one that somebody asks for by its digest."""
    (loaded,) = elsewhere.load(layout(name=f"app:1@{digest(b'another')}"))
    assert loaded.references == ()
    with tarfile.open(fileobj=io.BytesIO(layout())) as tar, tar.extractfile("index.json") or io.BytesIO() as file:
        right = json.load(file)["manifests"][0]["digest"]
    (loaded,) = elsewhere.load(layout(name=f"app:1@{right}"))
    assert [str(one.digest) for one in loaded.references] == [right]


def test_a_tag_alone_in_a_layout_is_no_name(elsewhere: Elsewhere) -> None:
    (loaded,) = elsewhere.load(layout(name="latest"))
    assert loaded.references == ()


def changed(data: bytes, change: dict[str, bytes | None]) -> bytes:
    """The archive with files replaced, or left out."""
    kept: list[Entry | tuple[str, bytes]] = []
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        for member in tar:
            file = tar.extractfile(member)
            content = file.read() if file else b""
            if member.isdir() or change.get(member.name, content) is None:
                continue
            kept.append((member.name, change.get(member.name) or content))
    return make_archive(*kept)


def blob(image: Image, number: int) -> str:
    return "blobs/" + image.diff_ids[number].replace(":", "/")


def test_damaged_archives_are_refused_in_words(images: Images, elsewhere: Elsewhere) -> None:
    image = make(images, "app")
    data = save(images, "app")
    config = "blobs/" + image.id.replace(":", "/")
    manifest = json.dumps([{"Config": config, "RepoTags": None, "Layers": [blob(image, 1), blob(image, 0)]}]).encode()
    short = json.dumps([{"Config": config, "RepoTags": None, "Layers": [blob(image, 0)]}]).encode()
    names = [f"app@{image.id}"]
    pinned = json.dumps([{"Config": config, "RepoTags": names, "Layers": [blob(image, 0), blob(image, 1)]}]).encode()
    cases: list[tuple[dict[str, bytes | None], str]] = [
        ({"manifest.json": None, "index.json": None}, "no image"),
        ({"manifest.json": b"[]"}, "lists no image"),
        ({"manifest.json": b'{"a":1}'}, "manifest.json of the archive"),
        ({"manifest.json": manifest}, "wants layer"),
        ({"manifest.json": pinned}, "cannot import digest reference"),
        ({"manifest.json": short}, "names 2 layers and the archive 1"),
        ({config: None}, "lacks blobs/sha256"),
        ({config: b'{"rootfs":{"type":"layers"}}'}, "not what its name says"),
        ({blob(image, 0): LAYER_TWO}, "instead of"),
        ({blob(image, 0): LAYER_ONE[:-1500]}, "cut off"),
        ({blob(image, 0): None}, "neither in the archive nor here"),
        ({"manifest.json": None, "index.json": b'{"schemaVersion":2,"manifests":[]}'}, "lists no image"),
    ]
    for change, words in cases:
        fresh = Elsewhere(replace(elsewhere.layers, path=f"{elsewhere.layers.path}-{words}"))
        fresh.layers.prepare()
        with pytest.raises(InvalidArgument, match=words):
            fresh.load(changed(data, change))


def test_an_archive_cut_off_anywhere_is_refused(images: Images, elsewhere: Elsewhere) -> None:
    make(images, "app")
    data = save(images, "app")
    for cut in range(0, len(data) - 2000, 1777):
        with pytest.raises(InvalidArgument):
            elsewhere.load(data[:cut])


def test_rubbish_beside_the_images_is_passed_over(images: Images, elsewhere: Elsewhere) -> None:
    make(images, "app")
    with tarfile.open(fileobj=io.BytesIO(save(images, "app"))) as tar:
        files = [(member.name, tar.extractfile(member)) for member in tar if member.isfile()]
        kept = [(name, file.read()) for name, file in files if file]
    rubbish = [("notes", b"hello"), ("broken.tar", LAYER_ONE[:1000]), ("big", bytes(3_000_000)), ("a.gz", b"\x1f\x8bx")]
    assert len(elsewhere.load(make_archive(*rubbish, *kept))) == 1


def test_an_image_of_this_machine_is_not_taken_along(images: Images) -> None:
    image = images.record(encode(ImageConfig(rootfs=RootFs())), base=Base.HOST)
    images.point(parse_reference("host:latest"), image.id)
    with pytest.raises(InvalidArgument, match="image host:latest stands on this machine itself"):
        plan_save(images, ["host"])


def test_what_is_not_there_is_not_saved(images: Images) -> None:
    with pytest.raises(NotFound, match=r"No such image: nowhere$"):
        plan_save(images, ["nowhere"])


def test_a_damaged_layer_is_noticed_while_it_is_saved(images: Images) -> None:
    image = make(images, "app")
    file = Path(images.layers.diff(image.diff_ids[0])) / "etc/one"
    file.write_bytes(b"3" * 3000)
    with pytest.raises(SystemFailure, match="no longer as it was"):
        save(images, "app")


@pytest.mark.skipif(shutil.which("skopeo") is None, reason="needs skopeo")
@pytest.mark.parametrize("form", ["docker-archive", "oci-archive"])
def test_skopeo_reads_ours_and_we_read_skopeo_s(
    images: Images, elsewhere: Elsewhere, tmp_path: Path, form: str
) -> None:
    image = make(images, "app:1")
    ours, theirs = tmp_path / "ours.tar", tmp_path / "theirs.tar"
    ours.write_bytes(save(images, "app:1"))
    policy = tmp_path / "policy.json"
    policy.write_text('{"default":[{"type":"insecureAcceptAnything"}]}')
    command = ["skopeo", f"--policy={policy}", "copy", "-q", f"docker-archive:{ours}", f"{form}:{theirs}:app:1"]
    subprocess.run(command, check=True)
    (loaded,) = elsewhere.load(theirs.read_bytes())
    assert digest(loaded.config) == image.id
    assert sorted(elsewhere.layers.list()) == sorted(image.diff_ids)
    again = ["skopeo", f"--policy={policy}", "copy", "-q", f"oci-archive:{ours}", f"docker-archive:{theirs}-2:app:1"]
    subprocess.run(again, check=True)
