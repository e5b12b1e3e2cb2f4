"""Whole file systems, as the kernel treats them: an ext4 of the test's own on a loop device."""

from __future__ import annotations

import os
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from tests.ext4_disk import ext4_disk

from sampan.build.cache_mounts import CacheMounts
from sampan.image.layers import LayerStore
from sampan.image.tree import remove_tree
from sampan.linux.filesystem import spread_below
from sampan.volume.records import VolumeRecords
from sampan.volume.volumes import Volumes

INODES_PER_GROUP = 2048
DIRECTORIES = 6


@pytest.fixture
def ext4(tmp_path: Path) -> Iterator[Path]:
    """Where an ext4 of eight groups is mounted."""
    layout = ("-b", "1024", "-O", "^flex_bg,^resize_inode", "-N", str(8 * INODES_PER_GROUP))
    with ext4_disk(
        tmp_path, *layout, megabytes=64, mounted_with="loop", lacks="no loop device is to be had here"
    ) as path:
        yield path


def groups_of(paths: list[str]) -> list[int]:
    """In which block group of the disk each of them has its inode."""
    return [(os.stat(path).st_ino - 1) // INODES_PER_GROUP for path in paths]


def make_directories(place: Path) -> list[str]:
    paths = [str(place / f"d{number}") for number in range(DIRECTORIES)]
    for path in paths:
        os.mkdir(path)
    return paths


def test_directories_below_one_that_spreads_are_apart_on_the_disk(ext4: Path) -> None:
    together, apart = ext4 / "together", ext4 / "apart"
    together.mkdir()
    apart.mkdir()
    spread_below(str(apart))
    spread_below(str(apart))
    assert len(set(groups_of(make_directories(together)))) == 1
    assert len(set(groups_of(make_directories(apart)))) > DIRECTORIES // 2


def test_a_file_system_that_knows_no_places_refuses(tmp_path: Path) -> None:
    place = tmp_path / "place"
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "none", str(place)], check=True)
    try:
        with pytest.raises(OSError, match=r"."):
            spread_below(str(place))
        LayerStore(str(place / "layers")).prepare()  # does without
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


def test_layers_that_are_being_made_are_apart_on_the_disk(ext4: Path) -> None:
    store = LayerStore(str(ext4 / "layers"))
    store.prepare()
    assert len(set(groups_of([store.begin() for _ in range(DIRECTORIES)]))) > DIRECTORIES // 2


def test_volumes_are_apart_on_the_disk(ext4: Path) -> None:
    with closing(sqlite3.connect(":memory:", autocommit=True)) as connection:
        volumes = Volumes(VolumeRecords(connection), str(ext4 / "volumes"), remove_tree)
        volumes.recover()
        made = [volumes.create(f"v{number}")[0] for number in range(DIRECTORIES)]
    assert len(set(groups_of([volumes.data(volume.name) for volume in made]))) > DIRECTORIES // 2


def test_caches_of_builds_are_apart_on_the_disk(ext4: Path) -> None:
    with closing(sqlite3.connect(":memory:", autocommit=True)) as connection:
        caches = CacheMounts(connection, str(ext4 / "caches"))
        caches.prepare()
        made = [caches.add(f"c{number}") for number in range(DIRECTORIES)]
    assert len(set(groups_of([lease.path for lease in made]))) > DIRECTORIES // 2
