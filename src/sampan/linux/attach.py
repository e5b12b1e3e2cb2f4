"""Attaching a detached mount with attributes, on kernels with mount_setattr(2) (Linux 5.12) and without.

The new call changes a mount before anyone can reach it. Without it the mount is attached first and then remounted,
always through descriptors, so that what others do to the paths meanwhile changes nothing.
"""

from __future__ import annotations

import errno
import os
from typing import NamedTuple

from sampan.linux.mount import (
    ATIMES,
    MountFlag,
    MountInfo,
    attributes_of,
    mount,
    mount_setattr,
    mountinfo,
    move_mount,
)
from sampan.linux.openat import Resolve, openat2

_ST_RELATIME = 4096
_ST_NOSYMFOLLOW = 8192
_SAME_BITS = 1 | 2 | 4 | 8 | 1024 | 2048  # of statvfs(3) and mount(2): ro, nosuid, nodev, noexec, noatime, nodiratime


def attach_mount(
    fd: int,
    to: int | tuple[int, str],
    *,
    flags: int = 0,
    clear: int = 0,
    recursive_flags: int = 0,
    recursive_clear: int = 0,
    propagation: int = 0,
) -> None:
    """Attach the detached mount of `fd` on a descriptor or on (dirfd, path), with its attributes given as MS_* flags.

    `flags` and `clear` are for the mount itself, the recursive ones for all below it too; `propagation` is one of
    Propagation, possibly with MountFlag.REC. Id mappings need mount_setattr(2) itself.
    """
    own = _Change(flags, clear, 0 if propagation & MountFlag.REC else propagation, recursive=False)
    whole = _Change(
        recursive_flags,
        recursive_clear,
        propagation & ~MountFlag.REC if propagation & MountFlag.REC else 0,
        recursive=True,
    )
    wanted = [change for change in (own, whole) if change.flags or change.clear or change.propagation]
    try:
        for change in wanted:
            _set_attributes(fd, change)
    except OSError as error:
        if error.errno != errno.ENOSYS:
            raise
        move_mount(fd, to)
        for change in wanted:
            _remount(fd, change)
    else:
        move_mount(fd, to)


class _Change(NamedTuple):
    flags: int
    clear: int
    propagation: int
    recursive: bool


def _set_attributes(fd: int, change: _Change) -> None:
    bits, off = attributes_of(change.flags)
    cleared, also_off = attributes_of(change.clear)
    mount_setattr(
        fd, set=bits, clear=cleared | off | also_off, propagation=change.propagation, recursive=change.recursive
    )


def _remount(fd: int, change: _Change) -> None:
    """Do with mount(2) what mount_setattr would, on an attached mount and, when recursive, on those below it."""
    _remount_one(fd, change)
    if not change.recursive:
        return
    for path, number in _below(fd):
        child = openat2(fd, path, os.O_PATH, 0, Resolve.IN_ROOT | Resolve.NO_SYMLINKS | Resolve.NO_MAGICLINKS)
        try:
            if _mount_id(child) != number:
                raise OSError(errno.EAGAIN, "the mount was covered or moved meanwhile", path)
            _remount_one(child, change)
        finally:
            os.close(child)


def _remount_one(fd: int, change: _Change) -> None:
    target = f"/proc/self/fd/{fd}"
    if change.flags | change.clear:
        present = os.fstatvfs(fd).f_flag
        flags = present & _SAME_BITS
        if present & _ST_NOSYMFOLLOW:
            flags |= MountFlag.NOSYMFOLLOW
        if not present & (_ST_RELATIME | MountFlag.NOATIME):
            flags |= MountFlag.STRICTATIME  # or the kernel would make it relatime
        if (change.flags | change.clear) & ATIMES:
            flags &= ~ATIMES
        flags = (flags & ~change.clear) | change.flags
        if not flags & ATIMES:
            flags |= MountFlag.RELATIME  # or the kernel would keep whatever there was
        mount("", target, "", MountFlag.REMOUNT | MountFlag.BIND | flags)
    if change.propagation:
        mount("", target, "", change.propagation)


def _below(fd: int) -> list[tuple[str, int]]:
    """The mounts below that of `fd`, in the kernel's order: their paths relative to it, and their ids."""
    table = mountinfo()
    by_id = {entry.id: entry for entry in table}
    top = by_id[_mount_id(fd)]
    return [(os.path.relpath(entry.target, top.target), entry.id) for entry in table if _is_below(entry, top, by_id)]


def _is_below(entry: MountInfo, top: MountInfo, by_id: dict[int, MountInfo]) -> bool:
    seen: MountInfo | None = by_id.get(entry.parent) if entry.id != top.id else None
    while seen is not None and seen.id not in {top.id, seen.parent}:
        seen = by_id.get(seen.parent)
    return seen is not None and seen.id == top.id


def _mount_id(fd: int) -> int:
    with open(f"/proc/self/fdinfo/{fd}") as file:
        for line in file:
            name, _, value = line.partition(":")
            if name == "mnt_id":
                return int(value)
    raise OSError(errno.EBADF, "no mount id", str(fd))
