from __future__ import annotations

import os
import resource
from pathlib import Path

import pytest

from sampan.image.tree import content_size, disk_usage, remove_tree


def test_a_file_with_two_names_is_counted_once_and_directories_only_on_disk(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "one").write_bytes(b"x" * 10_000)
    os.link(tmp_path / "a" / "one", tmp_path / "two")
    os.symlink("nowhere", tmp_path / "link")
    assert content_size(str(tmp_path)) == 10_000 + len("nowhere")
    blocks = sum(os.lstat(path).st_blocks for path in (tmp_path, *(tmp_path / name for name in ("a", "two", "link"))))
    assert disk_usage(str(tmp_path)) == blocks * 512


def test_a_directory_of_many_directories_takes_few_descriptors(tmp_path: Path) -> None:
    for number in range(300):
        (tmp_path / str(number)).mkdir()
        (tmp_path / str(number) / "file").write_bytes(b"1234")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    used = len(os.listdir("/proc/self/fd"))
    resource.setrlimit(resource.RLIMIT_NOFILE, (used + 50, hard))
    try:
        assert content_size(str(tmp_path)) == 1200
        assert disk_usage(str(tmp_path)) > 0
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_a_tree_deeper_than_any_path_is_counted_whole(tmp_path: Path) -> None:
    at = os.open(tmp_path, os.O_DIRECTORY)
    try:
        for _ in range(2000):
            os.mkdir("directory", dir_fd=at)
            below = os.open("directory", os.O_DIRECTORY, dir_fd=at)
            os.close(at)
            at = below
            os.close(os.open("file", os.O_CREAT | os.O_WRONLY, dir_fd=at))
            os.symlink("x", "link", dir_fd=at)
        assert content_size(str(tmp_path)) == 2000
    finally:
        os.close(at)
        remove_tree(str(tmp_path / "directory"))


def test_what_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        content_size(str(tmp_path / "none"))
