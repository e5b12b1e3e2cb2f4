"""Whole file systems, what of them the os module leaves out: durable data, room and places for it, names exchanged.

Mounting is `mount`.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import struct

from sampan.linux.libc import c_string, syscall

_FICLONE = 0x40049409
_GETFLAGS, _SETFLAGS = 0x80086601, 0x40086602
_TOPDIR = 0x00020000
_AT_FDCWD = -100
_RENAME_EXCHANGE = 2
_KEEP_SIZE = 1  # FALLOC_FL_KEEP_SIZE
# A CDLL, not the PyDLL of `libc`: these calls wait for a disk, and the other threads go on meanwhile.
_libc = ctypes.CDLL(None, use_errno=True)


def make_directory(path: str, mode: int) -> None:
    """mkdir(2) unless there is one, with what is missing above it: one call in most cases, many in os.makedirs."""
    try:
        os.mkdir(path, mode)
    except FileExistsError:
        return
    except FileNotFoundError:
        os.makedirs(path, mode=mode, exist_ok=True)


def syncfs(fd: int) -> None:
    """syncfs(2): wait until everything written to the file system that holds `fd` is on its disk."""
    if _libc.syncfs(fd) < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"syncfs: {os.strerror(number)}")


def reserve(fd: int, size: int) -> None:
    """fallocate(2) with FALLOC_FL_KEEP_SIZE: have room on the disk for the file's first `size` bytes, empty or not."""
    if _libc.fallocate(fd, _KEEP_SIZE, ctypes.c_int64(0), ctypes.c_int64(size)) < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"fallocate: {os.strerror(number)}")


def sync_directory(path: str) -> None:
    """Make the names in the directory `path` durable (fsync(2))."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def exchange(one: str, other: str) -> None:
    """renameat2(2) with RENAME_EXCHANGE: two paths of one file system swap their names, in one step."""
    syscall("renameat2", _AT_FDCWD, c_string(one), _AT_FDCWD, c_string(other), _RENAME_EXCHANGE, about=one)


def clone_file(source: int, target: int) -> None:
    """ioctl_ficlone(2): a file becomes one with another's content, whose blocks they share until either is written.

    OSError (EOPNOTSUPP, EXDEV, EINVAL, …) where the file systems cannot.
    """
    fcntl.ioctl(target, _FICLONE, source)


def spread_below(path: str) -> None:
    """ioctl_iflags(2), FS_TOPDIR_FL: directories made right below this one get places apart on the disk, as unrelated.

    OSError (ENOTTY, EOPNOTSUPP, EINVAL, EPERM) where the file system does not know of it; ext4 does.
    """
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        (flags,) = struct.unpack("i", fcntl.ioctl(fd, _GETFLAGS, bytes(4)))
        if not flags & _TOPDIR:
            fcntl.ioctl(fd, _SETFLAGS, struct.pack("i", flags | _TOPDIR))
    finally:
        os.close(fd)
