"""Opening and making files below a directory that others may change meanwhile: openat2(2) and what is built on it.

The `…_in_root` functions never leave the root, whatever races with them: symbolic links, absolute ones too, are
followed as if the root were "/", and magic links are refused. Nothing here joins a path to the root's own.
"""

from __future__ import annotations

import enum
import errno
import os
import stat
import struct

from sampan.linux.libc import NUMBERS, c_string, check, libc

_OPENAT2 = NUMBERS["openat2"]
_OPEN_HOW = struct.Struct("=3Q")
_TRIES = 20_000  # the kernel gives EAGAIN whenever anything on the machine is renamed during a lookup with ".."
_MOST_LINKS = 40  # as many as the kernel follows in one lookup


class Resolve(enum.IntFlag):
    """RESOLVE_* of openat2(2)."""

    NONE = 0
    NO_XDEV = 0x01
    NO_MAGICLINKS = 0x02
    NO_SYMLINKS = 0x04
    BENEATH = 0x08
    IN_ROOT = 0x10
    CACHED = 0x20


_CACHED = int(Resolve.CACHED)
_IN_ROOT = int(Resolve.IN_ROOT | Resolve.NO_MAGICLINKS)
_OWN_ENTRY = int(Resolve.BENEATH | Resolve.NO_MAGICLINKS | Resolve.NO_SYMLINKS)


def openat2(dirfd: int, path: str | bytes, flags: int, mode: int = 0, resolve: int = 0) -> int:
    """openat2(2), always close-on-exec; a lookup that the kernel gives up with EAGAIN is tried again."""
    how = _OPEN_HOW.pack(flags | os.O_CLOEXEC, mode, resolve)
    name = c_string(path)
    tries = 1 if resolve & _CACHED else _TRIES
    while True:
        fd: int = libc.syscall(_OPENAT2, dirfd, name, how, _OPEN_HOW.size)
        if fd >= 0:
            return fd
        tries -= 1
        try:
            check(fd, "openat2", os.fsdecode(name))
        except BlockingIOError:
            if tries <= 0:
                raise


def open_in_root(root_fd: int, path: str | bytes, flags: int, mode: int = 0) -> int:
    """Open `path` with `root_fd` as "/": RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS; an empty path is the root itself."""
    return openat2(root_fd, path or ".", flags, mode, _IN_ROOT)


def make_directories_in_root(root_fd: int, path: str, mode: int = 0o755, uid: int = -1, gid: int = -1) -> int:
    """Open the directory `path` below the root (O_PATH), making what is missing of it with `mode`, `uid` and `gid`.

    Whatever exists keeps its mode and owner. A dangling symbolic link on the way has its target made, in the root.
    Raises NotADirectoryError when something else stands in the way.
    """
    wanted = path
    for _ in range(_MOST_LINKS):
        try:
            return open_in_root(root_fd, wanted, os.O_PATH | os.O_DIRECTORY)
        except FileNotFoundError:
            pass
        wanted = _make_missing(root_fd, wanted, mode, uid, gid)
    raise OSError(errno.ELOOP, "too many symbolic links, or changed by others at each try", path)


def make_file_in_root(root_fd: int, path: str, mode: int = 0o644) -> int:
    """Open what is at `path` below the root (O_PATH), making an empty file, and its directories, when nothing is.

    What exists may be a file of any kind but a directory (IsADirectoryError); it is not touched.
    """
    wanted = path
    for _ in range(_MOST_LINKS):
        try:
            return _refuse_directory(open_in_root(root_fd, wanted, os.O_PATH), path)
        except FileNotFoundError:
            pass
        before, _, name = wanted.rstrip("/").rpartition("/")
        if wanted.endswith("/") or name in {"", ".", ".."}:
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), path)
        parent = make_directories_in_root(root_fd, before)
        try:
            os.close(openat2(parent, name, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_NOFOLLOW, mode, _OWN_ENTRY))
        except FileExistsError:
            wanted = _behind_link(parent, name, before, "") or wanted
        finally:
            os.close(parent)
    raise OSError(errno.ELOOP, "too many symbolic links, or changed by others at each try", path)


def _refuse_directory(fd: int, path: str) -> int:
    if stat.S_ISDIR(os.fstat(fd).st_mode):
        os.close(fd)
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), path)
    return fd


def _make_missing(root_fd: int, path: str, mode: int, uid: int, gid: int) -> str:
    """Make the missing directories of `path` until one is not plain; return the path with which to try again."""
    parts = [part for part in path.split("/") if part not in {"", "."}]
    parent, position = _open_deepest(root_fd, parts)
    try:
        for index in range(position, len(parts)):
            name = parts[index]
            if name == "..":
                child = _open_again(root_fd, "/".join(parts[: index + 1]))
            else:
                child = _make_one(parent, name, mode, uid, gid)
            if child < 0:
                return _behind_link(parent, name, "/".join(parts[:index]), "/".join(parts[index + 1 :])) or path
            os.close(parent)
            parent = child
        return path
    finally:
        os.close(parent)


def _open_deepest(root_fd: int, parts: list[str]) -> tuple[int, int]:
    """Open the longest existing beginning of `parts`; return it and how many parts it has."""
    for count in range(len(parts) - 1, 0, -1):
        try:
            return open_in_root(root_fd, "/".join(parts[:count]), os.O_PATH | os.O_DIRECTORY), count
        except FileNotFoundError:
            continue
    return open_in_root(root_fd, ".", os.O_PATH | os.O_DIRECTORY), 0


def _open_again(root_fd: int, path: str) -> int:
    """Open a directory that was there a moment ago; -1 when others have removed it."""
    try:
        return open_in_root(root_fd, path, os.O_PATH | os.O_DIRECTORY)
    except FileNotFoundError:
        return -1


def _make_one(parent: int, name: str, mode: int, uid: int, gid: int) -> int:
    """Make and open one directory; -1 when there is no directory: a symbolic link, a file, or nothing any more."""
    made = True
    try:
        os.mkdir(name, mode, dir_fd=parent)
    except FileExistsError:
        made = False
    except FileNotFoundError:
        return -1  # the parent itself was removed meanwhile
    try:
        child = openat2(parent, name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, 0, _OWN_ENTRY)
    except OSError as error:
        if error.errno in {errno.ELOOP, errno.ENOTDIR, errno.ENOENT}:
            return -1
        raise
    try:
        if made:
            _own(child, mode, uid, gid)
    except BaseException:
        os.close(child)
        raise
    return child


def _own(fd: int, mode: int, uid: int, gid: int) -> None:
    """Give a directory just made its mode, whatever the umask, and its owner."""
    status = os.fstat(fd)
    if status.st_uid != os.geteuid():
        return  # not ours: another was put in its place meanwhile
    if (uid, gid) != (-1, -1):
        os.fchown(fd, uid, gid)
    exact = mode | (status.st_mode & stat.S_ISGID)
    if stat.S_IMODE(status.st_mode) != exact:
        os.fchmod(fd, exact)


def _behind_link(parent: int, name: str, before: str, after: str) -> str:
    """The path with the symbolic link `name` replaced by its target; empty when it is no link."""
    try:
        target = os.readlink(name, dir_fd=parent)
    except OSError as error:
        if error.errno in {errno.EINVAL, errno.ENOENT}:
            return ""
        raise
    return "/".join(part for part in ("" if target.startswith("/") else before, target, after) if part)
