"""Trees and files on disk by descriptor: removing a tree, whatever its depth, counting it, writing a file whole.

Nothing here follows a symbolic link or joins a path to another; what the files mean is not known here.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import suppress

from sampan.errors import SystemFailure
from sampan.linux.filesystem import spread_below

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_MOST_OPEN = 64  # descriptors held on the way down; deeper ones are found again through ".."


def place_apart(directory: str) -> None:
    """Have trees that are made right below `directory` be apart on the disk, where its file system can (ext4).

    There a tree takes ever longer to make next to one that was just removed.
    """
    with suppress(OSError):
        spread_below(directory)


def dress_as(topmost: str, upper: str) -> None:
    """Give the directory `upper` the attributes of the layer below it: a merged root shows those of its upper one."""
    status = os.stat(topmost)
    os.chown(upper, status.st_uid, status.st_gid)
    os.chmod(upper, stat.S_IMODE(status.st_mode))
    os.utime(upper, ns=(status.st_mtime_ns, status.st_mtime_ns))


def remove_tree(name: str | bytes, *, dir_fd: int | None = None) -> None:
    """Remove `name`, a file or a directory with all that is in it; nothing happens when there is none.

    Mounts below are not crossed into: one makes it fail with EBUSY. Depth is limited by the disk alone.
    """
    try:
        os.unlink(name, dir_fd=dir_fd)
        return
    except FileNotFoundError:
        return
    except OSError as error:
        if error.errno not in {errno.EISDIR, errno.EPERM}:
            raise
    top = os.open(name, _DIRECTORY, dir_fd=dir_fd)
    try:
        _empty(top)
    finally:
        os.close(top)
    os.rmdir(name, dir_fd=dir_fd)


def _empty(top: int) -> None:
    """Remove everything below the open directory `top`, going down and up without recursion."""
    device = os.fstat(top).st_dev
    current = os.dup(top)
    names: list[str] = []  # the way down from top to current
    pending = [_clear_files(current)]
    try:
        while True:
            if pending[-1]:
                name = pending[-1].pop()
                child = os.open(name, _DIRECTORY, dir_fd=current)
                os.close(current)
                current = child
                if os.fstat(current).st_dev != device:
                    raise OSError(errno.EBUSY, "a file system is mounted there", name)
                names.append(name)
                pending.append(_clear_files(current))
                continue
            pending.pop()
            if not names:
                return
            parent = os.open("..", _DIRECTORY, dir_fd=current)
            os.close(current)
            current = parent
            os.rmdir(names.pop(), dir_fd=current)
    finally:
        os.close(current)


def _clear_files(directory: int) -> list[str]:
    """Unlink all that is no directory; return the names of the directories."""
    directories = []
    with os.scandir(directory) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                directories.append(entry.name)
            else:
                os.unlink(entry.name, dir_fd=directory)
    return directories


def disk_usage(path: str) -> int:
    """The bytes that the tree at `path` takes on disk, a file with several names counted once."""
    return os.lstat(path).st_blocks * 512 + sum(status.st_blocks * 512 for status in _inodes(path))


def content_size(path: str) -> int:
    """The bytes that the files of the tree at `path` hold, a file with several names counted once; as moby counts."""
    return sum(status.st_size for status in _inodes(path) if not stat.S_ISDIR(status.st_mode))


def _inodes(path: str) -> Iterator[os.stat_result]:
    """Whatever is below `path`, each once. What vanishes meanwhile is left out; raises OSError when `path` is gone."""
    seen: set[tuple[int, int]] = set()
    levels = [_Level(os.open(path, _DIRECTORY))]
    try:
        yield from levels[0].look(seen)
        while levels:
            level = levels[-1]
            if not level.directories:
                levels.pop()
                if levels:
                    levels[-1].come_back(level.descriptor)
                os.close(level.descriptor)
                continue
            try:
                below = _Level(os.open(level.directories.pop(), _DIRECTORY, dir_fd=level.descriptor))
            except OSError:
                continue  # removed or replaced meanwhile
            levels.append(below)
            if len(levels) > _MOST_OPEN:
                levels[-_MOST_OPEN - 1].leave()
            yield from below.look(seen)
    finally:
        for level in levels:
            level.leave()


class _Level:
    """A directory on the way down."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self.directories: list[str] = []  # still to be looked into
        self._identity = os.fstat(descriptor)

    def look(self, seen: set[tuple[int, int]]) -> Iterator[os.stat_result]:
        with os.scandir(self.descriptor) as entries:
            for entry in entries:
                try:
                    status = entry.stat(follow_symlinks=False)
                except FileNotFoundError:
                    continue
                if stat.S_ISDIR(status.st_mode):
                    self.directories.append(entry.name)
                elif status.st_nlink > 1:
                    if (status.st_dev, status.st_ino) in seen:
                        continue
                    seen.add((status.st_dev, status.st_ino))
                yield status

    def leave(self) -> None:
        """Close it for the time being."""
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1

    def come_back(self, below: int) -> None:
        """Open it again from one of its directories; one that was moved away meanwhile is done with."""
        if self.descriptor >= 0:
            return
        self.descriptor = os.open("..", _DIRECTORY, dir_fd=below)
        if not os.path.samestat(os.fstat(self.descriptor), self._identity):
            self.directories.clear()


def umask() -> int:
    """The file mode creation mask of this process, without changing it as umask(2) does."""
    with open("/proc/self/status", "rb") as status:
        for line in status:
            if line.startswith(b"Umask:"):
                return int(line.split()[1], 8)
    return 0o7777


def disk_failure(doing: str, error: OSError) -> SystemFailure:
    """The error for a user when the disk or the kernel refuses: `doing` says what could not be done."""
    is_full = error.errno in {errno.ENOSPC, errno.EDQUOT}
    remedy = "make room where the data root is, for example with `sampan image prune`" if is_full else ""
    return SystemFailure(f"{doing}: {error.strerror}", remedy=remedy)
