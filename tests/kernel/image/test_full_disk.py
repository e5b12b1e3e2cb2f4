"""A disk that is full: each act says so, leaves the store as it was, and works once there is room."""

from __future__ import annotations

import io
import os
import random
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.kernel.conftest import PrivateHost
from tests.unit.image.conftest import make_archive

from sampan.errors import SystemFailure
from sampan.image.archive_read import read_archive
from sampan.image.archive_write import plan_save, write_archive
from sampan.image.commit import commit_layer
from sampan.image.content import ContentStore
from sampan.image.images import Images
from sampan.image.layers import LayerStore
from sampan.image.names import ImageNames
from sampan.image.records import ImageRecords
from sampan.image.root_records import RootRecords
from sampan.linux.mount import mount
from sampan.oci.image_spec import ImageConfig, RootFs, encode
from sampan.oci.reference import parse_reference

ROOM = 3_000_000
LARGE = make_archive(*[(f"d/f{number}", random.Random(number).randbytes(200_000)) for number in range(12)])


class NoContainers:
    def running(self, image_id: str) -> str | None:  # noqa: ARG002
        return None

    def stopped(self, image_id: str) -> str | None:  # noqa: ARG002
        return None


def small_disk(path: Path) -> Images:
    """An image store on a file system with little room, most of it taken by a ballast."""
    path.mkdir()
    mount("tmpfs", str(path), "tmpfs", 0, f"size={ROOM + 400_000}")
    (path / "ballast").write_bytes(bytes(1_500_000))
    layers = LayerStore(str(path / "layers"))
    layers.prepare()
    connection = sqlite3.connect(":memory:", isolation_level=None)
    return Images(ImageRecords(connection), ImageNames(connection), RootRecords(connection), layers, NoContainers())


def an_archive(images: Images) -> bytes:
    diff_id = images.layers.add_chunks([LARGE]).diff_id
    image = images.record(encode(ImageConfig(rootfs=RootFs(diff_ids=(diff_id,)))))
    images.point(parse_reference("app:1"), image.id)
    return b"".join(write_archive(plan_save(images, ["app:1"]), images.layers))


def import_it(images: Images, _path: Path) -> None:
    with images.layers.hold() as hold:
        images.layers.add(io.BytesIO(LARGE).read, hold=hold)


def load_it(images: Images, path: Path) -> None:
    with images.layers.hold() as hold, (path.parent / "archive").open("rb") as file:
        read_archive(file.read, images.layers, hold)


def commit_it(images: Images, path: Path) -> None:
    with images.layers.hold() as hold:
        commit_layer(str(path.parent / "upper"), images.layers, hold)


@pytest.mark.parametrize("act", [import_it, load_it, commit_it])
def test_it_is_said_nothing_is_lost_and_it_works_with_room(
    host: PrivateHost, act: Callable[[Images, Path], None]
) -> None:
    def go() -> None:
        elsewhere = Path("elsewhere")
        elsewhere.mkdir()
        store = LayerStore(str(elsewhere / "layers"), durable=False)
        store.prepare()
        other = sqlite3.connect(":memory:", isolation_level=None)
        source = Images(ImageRecords(other), ImageNames(other), RootRecords(other), store, NoContainers())
        Path("archive").write_bytes(an_archive(source))
        os.rename(store.diff(store.list()[0]), "upper")
        path = host.root / "disk"
        images = small_disk(path)
        kept = images.layers.add_chunks([make_archive(("kept", b"k" * 1000))]).diff_id
        with pytest.raises(SystemFailure, match="No space left") as caught:
            act(images, path)
        assert "make room" in caught.value.remedy
        assert images.layers.list() == [kept]
        assert os.listdir(images.layers.path) == [kept.removeprefix("sha256:")]
        assert b"".join(images.layers.archive(kept)) == make_archive(("kept", b"k" * 1000))
        (path / "ballast").unlink()
        act(images, path)
        assert len(images.layers.list()) == 2

    host.run(go)


def test_a_document_that_finds_no_room_leaves_nothing(host: PrivateHost) -> None:
    def go() -> None:
        path = host.root / "disk"
        path.mkdir()
        mount("tmpfs", str(path), "tmpfs", 0, "size=64k")
        content = ContentStore(str(path / "content"))
        content.prepare()
        with pytest.raises(SystemFailure, match="No space left"):
            content.write(bytes(200_000))
        assert content.list() == []
        assert sorted(os.listdir(content.path)) == ["blobs", "partial"]
        digest = content.write(b"small")
        assert content.read(digest) == b"small"
        with content.partial("sha256:" + "0" * 64) as partial:
            with pytest.raises(SystemFailure, match="cannot keep what came"):
                for piece in pieces():
                    partial.write(piece)
            assert partial.size == sum(len(piece) for piece in partial.read())

    host.run(go)


def pieces() -> Iterator[bytes]:
    while True:
        yield bytes(10_000)
