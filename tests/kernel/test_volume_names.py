"""Another name for a volume: any that a volume may have, and the one or the other after a crash."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from sampan.image.tree import remove_tree
from sampan.volume.records import VolumeRecords
from sampan.volume.volumes import Volumes

LONGEST = "n" * 255


@pytest.fixture
def volumes(tmp_path: Path) -> Iterator[Volumes]:
    with closing(sqlite3.connect(":memory:", autocommit=True)) as connection:
        found = Volumes(VolumeRecords(connection), str(tmp_path), remove_tree)
        found.create("before")
        Path(found.data("before"), "file").touch()
        yield found


def names(volumes: Volumes) -> list[str]:
    return [volume.name for volume in volumes.all()]


def test_a_volume_can_have_the_longest_name_that_there_is(volumes: Volumes) -> None:
    volumes.rename("before", LONGEST)
    assert names(volumes) == os.listdir(volumes.path) == [LONGEST]


def test_a_rename_that_a_crash_cut_off_has_happened_when_the_folder_has_its_name(
    volumes: Volumes, monkeypatch: pytest.MonkeyPatch
) -> None:
    def crash(*_: object) -> None:
        raise SystemExit

    monkeypatch.setattr(VolumeRecords, "rename", crash)
    with pytest.raises(SystemExit):
        volumes.rename("before", LONGEST)
    monkeypatch.undo()
    volumes.recover()
    assert names(volumes) == os.listdir(volumes.path) == [LONGEST]
    assert Path(volumes.data(LONGEST), "file").exists()


@pytest.mark.parametrize(("mark", "target"), [(".renaming-0123", "before/after"), (".renaming-after", "before")])
def test_a_rename_that_a_crash_cut_off_before_its_folder_had_the_name_has_not_happened(
    volumes: Volumes, mark: str, target: str
) -> None:
    Path(volumes.path, mark).symlink_to(target)
    volumes.recover()
    assert names(volumes) == os.listdir(volumes.path) == ["before"]
