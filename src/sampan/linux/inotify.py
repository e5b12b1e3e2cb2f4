"""Being told of changes in directories (inotify(7)).

The events themselves are not taken apart: who is woken looks for itself, as it must after an overflow anyway.
"""

from __future__ import annotations

import contextlib
import enum
import os

from sampan.linux.libc import c_string, check, libc


class Change(enum.IntFlag):
    """Events, as IN_* of inotify(7)."""

    MODIFY = 0x2
    MOVED_TO = 0x80
    CREATE = 0x100
    DELETE_SELF = 0x400


def inotify_init() -> int:
    """inotify_init1(2): a descriptor that is readable when something happened; close-on-exec and non-blocking."""
    return check(libc.inotify_init1(os.O_CLOEXEC | os.O_NONBLOCK), "inotify_init1")


def inotify_add_watch(fd: int, path: str, changes: Change) -> int:
    """inotify_add_watch(2): the watch descriptor."""
    return check(libc.inotify_add_watch(fd, c_string(path), int(changes)), "inotify_add_watch", path)


def drain(fd: int) -> None:
    """Take all events that are there."""
    with contextlib.suppress(BlockingIOError):
        while os.read(fd, 65536):
            pass
