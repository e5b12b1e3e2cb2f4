"""What is where, asked of the system as `os` does, whose import takes longer than a small context takes to pack."""

from __future__ import annotations

import posix
import sys
from _stat import S_ISDIR, S_ISLNK, S_ISREG


def encoded(name: str) -> bytes:
    """A name as the file system has it, like os.fsencode."""
    return name.encode(sys.getfilesystemencoding(), sys.getfilesystemencodeerrors())


def decoded(name: bytes) -> str:
    """A name as text, like os.fsdecode."""
    return name.decode(sys.getfilesystemencoding(), sys.getfilesystemencodeerrors())


def joined(directory: str, name: str) -> str:
    """The path of a name in a directory."""
    return directory + name if directory.endswith("/") else f"{directory}/{name}"


def is_file(path: str) -> bool:
    """Whether a regular file is there, or a link to one."""
    return S_ISREG(_mode(path))


def is_directory(path: str) -> bool:
    """Whether a directory is there, or a link to one."""
    return S_ISDIR(_mode(path))


def exists(path: str) -> bool:
    """Whether anything is there that can be reached."""
    return _mode(path) != 0


def is_link(path: str) -> bool:
    """Whether a symbolic link is there."""
    try:
        return S_ISLNK(posix.lstat(path).st_mode)
    except (OSError, ValueError):
        return False


def _mode(path: str) -> int:
    """The mode of what is there, 0 for nothing; ValueError is for a path with a NUL."""
    try:
        return posix.stat(path).st_mode
    except (OSError, ValueError):
        return 0
