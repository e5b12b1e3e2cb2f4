"""What lies inside a detached mount as a mount of its own: as Linux 6.15 and later have it, and as others need it."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from sampan.linux import mount as linux_mount
from sampan.runtime import filesystems
from sampan.runtime.filesystems import clone_inside


@pytest.fixture(params=["as it is", "as before Linux 6.15"])
def kernel(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """A kernel that clones what is detached, if this one does, or one that clones only what is attached."""
    if request.param == "as it is":
        return
    refused: list[int] = []

    def refuse_first(dirfd: int, path: str, *, clone: bool = False) -> int:
        if not refused:
            refused.append(dirfd)
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        return linux_mount.open_tree(dirfd, path, clone=clone)

    monkeypatch.setattr(filesystems, "open_tree", refuse_first)


@pytest.fixture
def top() -> Iterator[int]:
    """A detached tmpfs with a file, and a directory with another."""
    fd = linux_mount.make_filesystem("tmpfs")
    os.mkdir("directory", dir_fd=fd)
    for name in ("file", "directory/inner"):
        made = os.open(name, os.O_WRONLY | os.O_CREAT, 0o600, dir_fd=fd)
        os.write(made, name.encode())
        os.close(made)
    yield fd
    os.close(fd)


@pytest.mark.usefixtures("kernel")
def test_a_file_and_a_directory_inside_a_detached_mount_become_mounts(top: int) -> None:
    before = Path("/proc/self/mountinfo").read_text()
    file = clone_inside(top, top, "file")
    try:
        with open(f"/proc/self/fd/{file}", encoding="ascii") as opened:
            assert opened.read() == "file"
    finally:
        os.close(file)
    assert Path("/proc/self/mountinfo").read_text() == before


@pytest.mark.usefixtures("kernel")
def test_a_directory_by_its_descriptor_too(top: int) -> None:
    place = os.open("directory", os.O_PATH | os.O_DIRECTORY, dir_fd=top)
    directory = clone_inside(top, place)
    try:
        assert stat.S_ISDIR(os.fstat(directory).st_mode)
        assert os.listdir(f"/proc/self/fd/{directory}") == ["inner"]
    finally:
        os.close(directory)
        os.close(place)


def test_what_fails_otherwise_is_told(top: int) -> None:
    with pytest.raises(FileNotFoundError):
        clone_inside(top, top, "missing")
