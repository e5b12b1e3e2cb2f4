"""`size=` of volumes: so much and no more where there are project quotas, through all that becomes of a volume."""

from __future__ import annotations

import errno
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from tests.project_quota import quota_disk, write

from sampan.errors import NotImplementedHere
from sampan.image.tree import remove_tree
from sampan.linux.quota import block_limit, bound_of, project_of
from sampan.volume.filling import fill
from sampan.volume.records import State, VolumeRecords
from sampan.volume.room import bound_alike
from sampan.volume.snapshots import copy_directory, restore, take
from sampan.volume.volumes import Volumes

MEGABYTE = 1 << 20
FULL = {errno.EDQUOT, errno.ENOSPC}


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    with quota_disk(tmp_path) as path:
        yield path


@pytest.fixture
def volumes(disk: Path) -> Iterator[Volumes]:
    with closing(sqlite3.connect(":memory:", autocommit=True)) as connection:
        yield opened(disk, connection)


def opened(disk: Path, connection: sqlite3.Connection) -> Volumes:
    """The volumes as a daemon finds them."""
    found = Volumes(VolumeRecords(connection), str(disk / "volumes"), remove_tree)
    found.recover()
    return found


def data(volumes: Volumes, name: str) -> Path:
    return Path(volumes.data(name))


def project(path: Path) -> int:
    fd = os.open(path, os.O_RDONLY)
    try:
        return project_of(fd)
    finally:
        os.close(fd)


def limit(place: Path, number: int) -> int:
    fd = os.open(place, os.O_RDONLY)
    try:
        return block_limit(fd, number)
    finally:
        os.close(fd)


def test_a_volume_takes_its_size_and_no_more_whatever_others_take(volumes: Volumes) -> None:
    volumes.create("small", {"size": "10m"})
    volumes.create("other", {"size": "20M"})
    volumes.create("free")
    small = data(volumes, "small")
    (small / "below").mkdir()
    assert write(small / "one", 5_000_000) == 0
    assert write(small / "below/two", 10_000_000) in FULL
    assert write(data(volumes, "other") / "file", 15_000_000) == 0
    assert write(data(volumes, "free") / "file", 30_000_000) == 0
    (small / "one").unlink()
    assert write(small / "three", 4_000_000) == 0
    assert project(small) != project(data(volumes, "other"))
    assert project(data(volumes, "free")) == 0


def test_the_size_holds_after_a_restart_and_a_rename_and_goes_with_the_volume(volumes: Volumes, disk: Path) -> None:
    volumes.create("before", {"size": "10m"})
    number = project(data(volumes, "before"))
    volumes.rename("before", "after")
    again = opened(disk, volumes.records.connection)
    assert again.get("after").options == {"size": "10m"}
    assert write(data(again, "after") / "file", 15_000_000) in FULL
    assert project(data(again, "after")) == number
    again.remove("after")
    assert limit(disk, number) == 0
    again.create("before", {"size": "30m"})
    assert write(data(again, "before") / "file", 25_000_000) == 0


def test_what_the_image_has_counts_once_and_what_does_not_fit_leaves_the_volume_empty(
    volumes: Volumes, disk: Path
) -> None:
    source = disk / "source"
    (source / "below").mkdir(parents=True)
    write(source / "below/file", 7_000_000)
    fd = os.open(source, os.O_RDONLY)
    for name, size in (("fits", "10m"), ("tight", "5m")):
        volumes.create(name, {"size": size})
        directory = volumes.directory(name)
        if name == "fits":
            assert fill(directory, fd, volumes.throw_away)
        else:
            with pytest.raises(OSError, match=r"quota|space"):
                fill(directory, fd, volumes.throw_away)
        assert os.listdir(directory) == ["_data"]
    os.close(fd)
    assert (data(volumes, "fits") / "below/file").stat().st_size == 7_000_000
    assert write(data(volumes, "fits") / "below/more", 2_500_000) == 0
    assert write(data(volumes, "fits") / "below/most", 2_500_000) in FULL
    assert os.listdir(data(volumes, "tight")) == []
    assert write(data(volumes, "tight") / "file", 4_500_000) == 0


def test_snapshots_do_not_count_and_what_is_put_back_has_the_size(volumes: Volumes, disk: Path) -> None:
    volumes.create("kept", {"size": "10m"})
    place, directory = data(volumes, "kept"), volumes.directory("kept")
    assert write(place / "file", 7_000_000) == 0
    for name in ("one", "two"):
        take(directory, name)
    assert write(place / "more", 2_500_000) == 0
    number = project(place)
    restore(directory, "one", volumes.throw_away)
    assert os.listdir(place) == ["file"]
    assert write(place / "more", 2_500_000) == 0
    assert write(place / "most", 2_500_000) in FULL
    assert project(place) != number
    assert limit(disk, number) == 0


def test_a_restore_that_was_cut_off_leaves_no_limit_behind(volumes: Volumes, disk: Path) -> None:
    volumes.create("kept", {"size": "10m"})
    restoring = Path(volumes.directory("kept"), "restoring")
    restoring.mkdir()
    bound_alike(str(restoring), volumes.data("kept"))
    write(restoring / "file", 7_000_000)
    number = project(restoring)
    assert limit(disk, number) == 10 * MEGABYTE
    again = opened(disk, volumes.records.connection)
    assert os.listdir(again.directory("kept")) == ["_data"]
    assert limit(disk, number) == 0
    assert bound_of(again.data("kept")) == 10 * MEGABYTE


def test_a_volume_that_is_being_made_is_never_there_without_its_limit(volumes: Volumes, disk: Path) -> None:
    made, _ = volumes.create("begun", {"size": "10m"}, state=State.FILLING)
    number = project(data(volumes, "begun"))
    (disk / "source/below").mkdir(parents=True)
    copy_directory(str(disk / "source"), volumes.data("begun"))
    assert bound_of(volumes.data("begun")) == 10 * MEGABYTE
    opened(disk, volumes.records.connection)
    assert not os.path.exists(volumes.directory(made.name))
    assert limit(disk, number) == 0
    # a crash between the directory and its name
    os.makedirs(disk / "volumes/early/_data.new")
    volumes.create("early", {"size": "10m"})
    assert os.listdir(volumes.directory("early")) == ["_data"]
    assert bound_of(volumes.data("early")) == 10 * MEGABYTE


def test_a_volume_whose_record_was_lost_is_known_with_its_size(volumes: Volumes, disk: Path) -> None:
    volumes.create("lost", {"size": "10m"})
    write(data(volumes, "lost") / "file", 1_000_000)
    volumes.records.remove("lost")
    assert opened(disk, volumes.records.connection).get("lost").options == {"size": str(10 * MEGABYTE)}


def test_where_there_are_no_quotas_a_size_is_refused_with_the_file_system_and_what_to_do(tmp_path: Path) -> None:
    if _has_quotas(tmp_path):
        pytest.skip("the file system of temporary files has project quotas")
    with closing(sqlite3.connect(":memory:", autocommit=True)) as connection:
        found = opened(tmp_path, connection)
        with pytest.raises(NotImplementedHere, match="quota size requested but no quota support") as refused:
            found.create("sized", {"size": "10m"})
        assert str(tmp_path / "volumes") in str(refused.value)
        assert "prjquota" in refused.value.remedy
        assert os.listdir(tmp_path / "volumes") == []
        assert found.records.get("sized") is None


def _has_quotas(path: Path) -> bool:
    try:
        return limit(path, project(path)) >= 0
    except OSError:
        return False
