"""Filling an empty volume with what an image has at its mount point: all of it or nothing, whatever happens meanwhile.

A whole copy is made beside the volume's content first:

    <name>/filling   a copy that is not whole yet: worthless
    <name>/filled    a whole one, whose entries move into _data one by one, however often this is begun anew
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Callable

from sampan.linux.quota import bound_as, held_to_limits
from sampan.volume.copying import copy_tree

DATA = "_data"
_FILLING = "filling"
_FILLED = "filled"
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def fill(volume: str, source_fd: int, throw_away: Callable[[str], None]) -> bool:
    """Copy the directory `source_fd` into the volume at the path `volume`, unless something is in it already.

    Owner and mode of the directory become the volume's. Returns whether it was filled. `throw_away` removes a path.
    Raises OSError; the volume is as it was then.
    """
    if os.listdir(f"{volume}/{DATA}"):
        return False
    settle(volume, throw_away)
    staging = f"{volume}/{_FILLING}"
    os.mkdir(staging, 0o700)
    try:
        bound_as(staging, f"{volume}/{DATA}")
        with held_to_limits():
            copy_into(source_fd, staging)
    except OSError:
        throw_away(staging)
        raise
    os.rename(staging, f"{volume}/{_FILLED}")
    settle(volume, throw_away)
    return True


def copy_into(source_fd: int, path: str) -> None:
    """Copy the content and attributes of a directory into an empty one."""
    target = os.open(path, _DIRECTORY)
    try:
        copy_tree(source_fd, target)
    finally:
        os.close(target)


def settle(volume: str, throw_away: Callable[[str], None]) -> None:
    """Bring what a crash cut off to its end: a whole copy moves into the volume, half a one is thrown away."""
    throw_away(f"{volume}/{_FILLING}")
    try:
        filled = os.open(f"{volume}/{_FILLED}", _DIRECTORY)
    except FileNotFoundError:
        return
    try:
        data = os.open(f"{volume}/{DATA}", _DIRECTORY)
        try:
            _move(filled, data)
        finally:
            os.close(data)
    finally:
        os.close(filled)
    throw_away(f"{volume}/{_FILLED}")


def _move(filled: int, data: int) -> None:
    status = os.fstat(filled)
    present = set(os.listdir(data))
    for name in os.listdir(filled):
        if name not in present:  # what containers have written meanwhile is theirs
            os.rename(name, name, src_dir_fd=filled, dst_dir_fd=data)
    os.fchown(data, status.st_uid, status.st_gid)
    os.fchmod(data, stat.S_IMODE(status.st_mode))
    for name in os.listxattr(filled):
        with contextlib.suppress(OSError):
            os.setxattr(data, name, os.getxattr(filled, name))
    os.utime(data, ns=(status.st_atime_ns, status.st_mtime_ns))
