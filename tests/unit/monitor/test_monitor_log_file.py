from __future__ import annotations

import errno
import gzip
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sampan.monitor.log_file import LogFile
from sampan.monitor.loop import Loop


@pytest.fixture
def troubles() -> list[str]:
    return []


@pytest.fixture
def open_file(tmp_path: Path, troubles: list[str]) -> Callable[..., LogFile]:
    def make(**options: Any) -> LogFile:
        settings = {"max_size_bytes": 100, "max_files": 3, "compress": False} | options
        return LogFile(Loop(), str(tmp_path / "log"), on_trouble=troubles.append, **settings)

    return make


def lines(first: int, count: int) -> bytes:
    return b"".join(b"%09d\n" % number for number in range(first, first + count))


def contents(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in directory.iterdir()}


def test_it_rotates_before_the_line_that_comes_when_it_is_full(
    tmp_path: Path, open_file: Callable[..., LogFile]
) -> None:
    file = open_file(max_size_bytes=95)
    file.append(lines(0, 10))  # 100 bytes: the line that reached the limit is still whole
    assert contents(tmp_path) == {"log": lines(0, 10)}
    file.append(lines(10, 1))
    file.close()
    assert contents(tmp_path) == {"log": lines(10, 1), "log.1": lines(0, 10)}


def test_one_write_may_fill_several_files_and_the_oldest_is_dropped(
    tmp_path: Path, open_file: Callable[..., LogFile]
) -> None:
    file = open_file()
    file.append(lines(0, 45))
    file.close()
    assert contents(tmp_path) == {"log": lines(40, 5), "log.1": lines(30, 10), "log.2": lines(20, 10)}


def test_with_one_file_it_begins_anew_and_a_reader_keeps_what_it_has_open(
    tmp_path: Path, open_file: Callable[..., LogFile]
) -> None:
    file = open_file(max_files=1)
    file.append(lines(0, 10))
    with open(tmp_path / "log", "rb") as reader:
        file.append(lines(10, 1))
        assert reader.read() == lines(0, 10)
    file.close()
    assert contents(tmp_path) == {"log": lines(10, 1)}


@pytest.mark.parametrize("options", [{"max_size_bytes": 0}, {"max_size_bytes": -1}, {"max_files": 0}])
def test_no_limit_means_no_rotation(tmp_path: Path, open_file: Callable[..., LogFile], options: dict[str, int]) -> None:
    file = open_file(**options)
    file.append(lines(0, 50))
    file.append(lines(50, 50))
    file.close()
    assert contents(tmp_path) == {"log": lines(0, 100)}


def test_a_line_longer_than_the_limit_stays_whole(tmp_path: Path, open_file: Callable[..., LogFile]) -> None:
    file = open_file(max_size_bytes=5)
    file.append(b"a" * 50 + b"\nb\n")
    file.close()
    assert contents(tmp_path) == {"log.1": b"a" * 50 + b"\n", "log": b"b\n"}


def test_an_existing_log_is_gone_on_with(tmp_path: Path, open_file: Callable[..., LogFile]) -> None:
    (tmp_path / "log").write_bytes(lines(0, 9))
    file = open_file()
    file.append(lines(9, 2))
    file.close()
    assert contents(tmp_path) == {"log.1": lines(0, 10), "log": lines(10, 1)}


def test_rotated_files_are_compressed_beside_the_writer(tmp_path: Path, open_file: Callable[..., LogFile]) -> None:
    file = open_file(compress=True)
    for first in range(0, 40, 10):
        file.append(lines(first, 10))
    file.close()
    assert sorted(contents(tmp_path)) == ["log", "log.1.gz", "log.2.gz"]
    assert gzip.decompress((tmp_path / "log.1.gz").read_bytes()) == lines(20, 10)
    assert gzip.decompress((tmp_path / "log.2.gz").read_bytes()) == lines(10, 10)


def test_a_compression_that_was_cut_off_loses_nothing(tmp_path: Path, open_file: Callable[..., LogFile]) -> None:
    (tmp_path / "log.gz.new").write_bytes(b"half")
    (tmp_path / "log.1").write_bytes(lines(0, 10))
    (tmp_path / "log.2.gz").write_bytes(b"older")
    file = open_file(compress=True)
    file.append(lines(10, 10))
    file.append(lines(20, 1))
    file.close()
    found = contents(tmp_path)
    assert sorted(found) == ["log", "log.1.gz", "log.2"]
    assert found["log.2"] == lines(0, 10)


def test_a_full_disk_loses_lines_but_never_a_part_of_one(
    tmp_path: Path, open_file: Callable[..., LogFile], troubles: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    file = open_file()
    file.append(lines(0, 1))
    real = os.write
    room = [14]

    def nearly_full(descriptor: int, content: bytes) -> int:
        if not room[0]:
            raise OSError(errno.ENOSPC, "No space left on device")
        written = real(descriptor, content[: room[0]])
        room[0] -= written
        return written

    monkeypatch.setattr(os, "write", nearly_full)
    file.append(lines(1, 3))
    monkeypatch.undo()
    file.append(lines(4, 1))
    file.close()
    assert contents(tmp_path) == {"log": lines(0, 1) + lines(4, 1)}
    assert len(troubles) == 1
    assert "No space left on device" in troubles[0]


def test_a_log_that_someone_removed_is_begun_anew(tmp_path: Path, open_file: Callable[..., LogFile]) -> None:
    file = open_file()
    file.append(lines(0, 10))
    (tmp_path / "log").unlink()
    file.append(lines(10, 1))
    file.close()
    assert contents(tmp_path) == {"log": lines(10, 1)}
