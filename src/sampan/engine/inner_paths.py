"""Paths inside a container's tree as Docker's archive calls mean them: what a path names, and where links lead.

Looked up by descriptor, with the tree as "/"; nothing here leaves it, whoever changes it meanwhile.
"""

from __future__ import annotations

import os
import posixpath
import stat
from dataclasses import dataclass

from sampan.errors import InvalidArgument, NotFound
from sampan.linux.openat import open_in_root

_MOST_LINKS = 255
# Bits of Go's fs.FileMode beside the nine permissions (https://pkg.go.dev/io/fs#FileMode).
_GO_KINDS = {
    stat.S_IFDIR: 1 << 31,
    stat.S_IFLNK: 1 << 27,
    stat.S_IFBLK: 1 << 26,
    stat.S_IFIFO: 1 << 25,
    stat.S_IFSOCK: 1 << 24,
    stat.S_IFCHR: 1 << 26 | 1 << 21,
}
_GO_BITS = ((stat.S_ISUID, 1 << 23), (stat.S_ISGID, 1 << 22), (stat.S_ISVTX, 1 << 20))


@dataclass(frozen=True, slots=True)
class PathStat:
    """What is at a path; `mode` as Go has it, `link_target` the end of all links, absolute, for a symbolic link."""

    name: str
    size: int
    mode: int
    mtime_ns: int
    link_target: str = ""


@dataclass(frozen=True, slots=True)
class Place:
    """A path that was found: its directory (or itself, when it is one), open as O_PATH, and the name in it.

    `name` is "" for a directory that is itself open; `base` is what the path's last part is called.
    """

    fd: int
    name: str
    base: str
    stat: PathStat


def find(root: int, path: str, *, container: str) -> Place:
    """Look a path up; a link at its end is not followed unless the path ends in "/" or "/.". `fd` is the caller's.

    Raises NotFound in Docker's words.
    """
    absolute = clean(path)
    trailing = absolute.endswith(("/", "/."))
    base = posixpath.basename(absolute.rstrip("/")) or "/"
    try:
        if trailing:
            return _directory(open_in_root(root, absolute, os.O_PATH | os.O_DIRECTORY), base)
        before, _, name = absolute.rpartition("/")
        parent = open_in_root(root, before, os.O_PATH | os.O_DIRECTORY)
        try:
            status = os.stat(name, dir_fd=parent, follow_symlinks=False)
            if stat.S_ISDIR(status.st_mode):
                flags = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
                return _directory(os.open(name, flags, dir_fd=parent), base)
            target = real_path(root, absolute) if stat.S_ISLNK(status.st_mode) else ""
            return Place(os.dup(parent), name, base, _stat_of(status, base, target))
        finally:
            os.close(parent)
    except (FileNotFoundError, NotADirectoryError):
        raise NotFound(f"Could not find the file {path} in container {container}", remedy="look at the path") from None


def clean(path: str) -> str:
    """The path without "..", doubled slashes and dots, absolute; a slash or a dot at its end stays.

    Raises InvalidArgument for one with a NUL byte.
    """
    if "\0" in path:
        raise InvalidArgument("a path has a NUL byte in it")
    absolute = "/" + posixpath.normpath("/" + path).lstrip("/")
    if absolute == "/":
        return "/." if path.endswith("/.") else "/"
    if path.endswith("/."):
        return f"{absolute}/."
    return f"{absolute}/" if path.endswith("/") else absolute


def _directory(fd: int, base: str) -> Place:
    return Place(fd, "", base, _stat_of(os.fstat(fd), base, ""))


def _stat_of(status: os.stat_result, base: str, target: str) -> PathStat:
    mode = status.st_mode & 0o777 | _GO_KINDS.get(stat.S_IFMT(status.st_mode), 0)
    for bit, go in _GO_BITS:
        if status.st_mode & bit:
            mode |= go
    return PathStat(base, status.st_size, mode, status.st_mtime_ns, target)


def real_path(root: int, path: str) -> str:
    """The path with all symbolic links followed inside the root; what is missing of it stays as it is."""
    parts = [part for part in path.split("/") if part]
    done: list[str] = []
    links = 0
    while parts:
        part = parts.pop(0)
        if part == ".":
            continue
        if part == "..":
            done = done[:-1]
            continue
        target = _link(root, [*done, part])
        if not target:
            done.append(part)
            continue
        links += 1
        if links > _MOST_LINKS:
            raise InvalidArgument(f"too many symbolic links at {path}", remedy="look at where they lead")
        if target.startswith("/"):
            done = []
        parts = [*(piece for piece in target.split("/") if piece), *parts]
    return "/" + "/".join(done)


def _link(root: int, parts: list[str]) -> str:
    """Where a symbolic link leads; "" for what is none."""
    try:
        fd = open_in_root(root, "/".join(parts), os.O_PATH | os.O_NOFOLLOW)
    except OSError:
        return ""
    try:
        if not stat.S_ISLNK(os.fstat(fd).st_mode):
            return ""
        return os.readlink("", dir_fd=fd)
    finally:
        os.close(fd)
