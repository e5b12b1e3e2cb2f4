"""An image store whose process is killed at any instant is whole again when it is opened."""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import time
import traceback
import warnings
from pathlib import Path

import pytest
from tests.unit.image.conftest import make_archive

from sampan.image.archive_read import read_archive
from sampan.image.archive_write import plan_save, write_archive
from sampan.image.commit import CommitRequest, child_config, commit_layer
from sampan.image.content import ContentStore
from sampan.image.host import HostImage
from sampan.image.host_mask import HostMask
from sampan.image.images import Images
from sampan.image.layers import LayerStore
from sampan.image.listing import ImageFilter, prune
from sampan.image.names import ImageNames
from sampan.image.pieces import ChunkReader
from sampan.image.records import ImageRecords
from sampan.image.root_records import RootRecords
from sampan.image.rootfs import Roots
from sampan.oci.image_spec import ContainerDefaults, ImageConfig, RootFs, encode
from sampan.oci.reference import parse_reference

KILLS = 60


class NoContainers:
    def running(self, image_id: str) -> str | None:  # noqa: ARG002
        return None

    def stopped(self, image_id: str) -> str | None:  # noqa: ARG002
        return None


def open_store(path: Path) -> tuple[Images, Roots, sqlite3.Connection]:
    """Open the store as a daemon does at its start."""
    connection = sqlite3.connect(path / "db", isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")
    layers = LayerStore(str(path / "layers"), durable=False)
    layers.prepare()
    ContentStore(str(path / "content")).prepare()
    records, roots = ImageRecords(connection), RootRecords(connection)
    images = Images(records, ImageNames(connection), roots, layers, NoContainers())
    for rubbish in images.recover().rubbish:
        layers.dispose(rubbish)
    return images, Roots(records, roots, layers, str(path / "containers"), HostImage(HostMask(()))), connection


class Worker:
    """Loads, commits, tags, untags, removes and prunes without end."""

    def __init__(self, path: Path, seed: int) -> None:
        self.images, self.roots, _ = open_store(path)
        self.chance = random.Random(seed)
        self.number = seed * 100_000

    def run(self) -> None:
        acts = (self.build, self.build, self.reload, self.commit, self.remove, self.prune)
        while True:
            self.number += 1
            self.name = f"app:{self.chance.randrange(6)}"
            act = self.chance.choice(acts)
            if act in {self.build, self.prune} or self.images.find(self.name):
                act()

    def point(self, config: bytes, parent: str = "") -> None:
        self.images.point(parse_reference(self.name), self.images.record(config, parent=parent).id)

    def archive(self) -> bytes:
        size = self.chance.randrange
        return make_archive(*[(f"d{size(5)}/f{size(8)}", self.chance.randbytes(size(60_000))) for _ in range(9)])

    def build(self) -> None:
        with self.images.layers.hold() as hold:
            made = tuple(self.images.layers.add_chunks([self.archive()], hold).diff_id for _ in range(2))
            self.point(encode(ImageConfig(created=str(self.number), rootfs=RootFs(diff_ids=made))))

    def reload(self) -> None:
        archive = list(write_archive(plan_save(self.images, [self.name]), self.images.layers))
        with self.images.layers.hold() as hold:
            for incoming in read_archive(ChunkReader(iter(archive)).read, self.images.layers, hold):
                self.name = f"app:{self.chance.randrange(6)}"
                self.point(incoming.config)

    def commit(self) -> None:
        image = self.images.get(self.name)
        container = f"{self.number:064x}"
        self.roots.prepare(image.id, container)
        (Path(self.roots.upper(container)) / "new").write_bytes(self.chance.randbytes(30_000))
        with self.images.layers.hold(image.diff_ids) as hold:
            layer = commit_layer(self.roots.committable(container), self.images.layers, hold)
            request = CommitRequest(ContainerDefaults())
            self.point(child_config(image.config, layer, request, str(self.number)), image.id)
        self.roots.release(container)

    def remove(self) -> None:
        for rubbish in self.images.remove(self.name, force=True).rubbish:
            self.images.layers.dispose(rubbish)

    def prune(self) -> None:
        for removal in prune(self.images, ImageFilter(), unused=False):
            for rubbish in removal.rubbish:
                self.images.layers.dispose(rubbish)


def check(path: Path) -> tuple[int, int]:
    """Everything listed is whole, and nothing lies about; how many images and layers there are."""
    images, roots, connection = open_store(path)
    try:
        roots.recover([])
        listed = images.records.all()
        wanted = {diff_id for image in listed for diff_id in image.diff_ids}
        for diff_id in wanted:
            for _ in images.layers.archive(diff_id):
                pass  # raises when the digest is another
        assert set(images.layers.list()) == wanted
        assert {name for name in os.listdir(images.layers.path) if not name.startswith("empty")} == {
            diff_id.removeprefix("sha256:") for diff_id in wanted
        }
        assert not os.path.isdir(roots.containers) or os.listdir(roots.containers) == []
        known = {image.id for image in listed}
        assert set(images.names.all()) <= known
        return len(listed), len(wanted)
    finally:
        connection.close()


@pytest.mark.timeout(300)
def test_a_store_survives_being_killed_at_any_instant(tmp_path: Path) -> None:
    chance = random.Random(7)
    seen = []
    for seed in range(KILLS):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            pid = os.fork()
        if pid == 0:
            try:
                Worker(tmp_path, seed).run()
            finally:
                traceback.print_exc()
                os._exit(3)
        time.sleep(chance.uniform(0.02, 0.4))
        os.kill(pid, signal.SIGKILL)
        _, status = os.waitpid(pid, 0)
        assert os.WIFSIGNALED(status), f"it ended by itself, with status {status}"
        seen.append(check(tmp_path))
    assert max(images for images, _ in seen) >= 2, "there never was more than one image, so this shows little"
