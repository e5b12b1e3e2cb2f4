"""`--storage-opt size=`: a container writes so much and no more, where the file system has project quotas."""

from __future__ import annotations

import errno
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.project_quota import quota_disk, write
from tests.unit.image.conftest import make_archive

from sampan.errors import InvalidArgument, NotImplementedHere
from sampan.image.host import HostImage
from sampan.image.host_mask import HostMask
from sampan.image.layers import LayerStore
from sampan.image.records import ImageRecords
from sampan.image.root_records import RootRecords
from sampan.image.root_size import check_quota, size_of
from sampan.image.rootfs import Roots
from sampan.linux.overlay import mount_overlay
from sampan.linux.quota import block_limit, project_of
from sampan.oci.image_spec import ImageConfig, RootFs, encode


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    with quota_disk(tmp_path) as path:
        yield path


def limit(fd: int, path: str) -> tuple[int, int]:
    """The project of a directory, and its limit on the file system of `fd`."""
    opened = os.open(path, os.O_RDONLY)
    try:
        return project_of(opened), block_limit(fd, project_of(opened))
    finally:
        os.close(opened)


def test_where_there_are_no_project_quotas_the_refusal_says_so_and_where() -> None:
    with pytest.raises(NotImplementedHere, match="needs project quotas, which the file system of /proc does not have"):
        check_quota("/proc")


def test_a_container_writes_as_much_as_it_may_and_no_more(disk: Path, connection: sqlite3.Connection) -> None:
    layers = LayerStore(str(disk / "layers"), durable=False)
    layers.prepare()
    records = ImageRecords(connection)
    host = HostImage(HostMask(()))
    roots = Roots(records, RootRecords(connection), layers, str(disk / "containers"), host)
    lower = layers.add_chunks([make_archive(("lower/file", b"x" * 1_000_000))]).diff_id
    image = records.add(encode(ImageConfig(rootfs=RootFs(diff_ids=(lower,)))), size=0)
    fd = os.open(disk, os.O_RDONLY)
    found = {}
    for name, options in (("a", {"size": "20m"}), ("b", {"size": "100m"}), ("c", {})):
        plan = roots.prepare(image.id, name * 64, options)
        assert plan.overlay is not None
        merged = mount_overlay(plan.overlay.lowers, plan.overlay.upper, plan.overlay.work, plan.overlay.options)
        root = Path(f"/proc/self/fd/{merged}")
        with (root / "lower/file").open("r+b") as file:  # copied up by way of the work directory
            file.write(b"changed")
        (root / "lower/file").rename(root / "lower/renamed")
        codes = [write(root / f"file{number}", 15_000_000) for number in range(2)]
        found[name] = (
            limit(fd, plan.overlay.upper)[1],
            limit(fd, plan.overlay.upper) == limit(fd, plan.overlay.work),
            codes,
        )
        os.close(merged)
    assert found["a"][:2] == (20 << 20, True)
    assert found["a"][2][0] == 0
    assert found["a"][2][1] in {errno.EDQUOT, errno.ENOSPC}
    assert found["b"] == (100 << 20, True, [0, 0])
    assert found["c"] == (0, True, [0, 0])
    number, _ = limit(fd, roots.upper("a" * 64))
    assert number != limit(fd, roots.upper("b" * 64))[0]
    roots.release("a" * 64)
    assert block_limit(fd, number) == 0
    again = roots.prepare(image.id, "a" * 64, {"size": "30m"})
    assert again.overlay is not None
    assert limit(fd, again.overlay.upper) == (number, 30 << 20)
    os.close(fd)


@pytest.mark.parametrize(
    ("text", "size"),
    [("10G", 10 << 30), ("500m", 500 << 20), ("1.5k", 1536), ("7", 7), ("2GiB", 2 << 30), ("3MB", 3 << 20)],
)
def test_sizes_are_docker_s(text: str, size: int) -> None:
    assert size_of({"size": text}) == size


@pytest.mark.parametrize("text", ["", "0", "x", "10q", "-1", "1e3"])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(InvalidArgument, match="invalid size"):
        size_of({"size": text})
