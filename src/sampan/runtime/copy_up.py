"""Copying a directory's content into a fresh tmpfs before it is covered by it (the mount option `tmpcopyup`).

Relative to descriptors and never through a symbolic link, since the directory is a container's and may change
meanwhile. Volumes are filled by `sampan.volume`, not here.
"""

from __future__ import annotations

import os
import stat
from contextlib import suppress

_PIECE = 1 << 20
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def copy_up(source_fd: int, target_fd: int) -> None:
    """Copy everything in one directory into another; both may be O_PATH. Other file systems below are left out."""
    source = os.open(".", _DIRECTORY, dir_fd=source_fd)
    try:
        _copy_entries(source, target_fd, os.fstat(source).st_dev)
        _copy_attributes(source, target_fd, ".")
    finally:
        os.close(source)


def _copy_entries(source: int, target: int, device: int) -> None:
    for name in sorted(os.listdir(source)):
        try:
            status = os.stat(name, dir_fd=source, follow_symlinks=False)
        except FileNotFoundError:
            continue  # removed meanwhile
        if status.st_dev == device:
            _copy(source, target, name, status)


def _copy(source: int, target: int, name: str, status: os.stat_result) -> None:
    kind = stat.S_IFMT(status.st_mode)
    if kind == stat.S_IFDIR:
        _copy_directory(source, target, name, status)
    elif kind == stat.S_IFREG:
        _copy_file(source, target, name)
    elif kind == stat.S_IFLNK:
        os.symlink(os.readlink(name, dir_fd=source), name, dir_fd=target)
        os.chown(name, status.st_uid, status.st_gid, dir_fd=target, follow_symlinks=False)
    else:
        os.mknod(name, status.st_mode, status.st_rdev, dir_fd=target)
        os.chown(name, status.st_uid, status.st_gid, dir_fd=target, follow_symlinks=False)
        os.chmod(name, stat.S_IMODE(status.st_mode), dir_fd=target)


def _copy_directory(source: int, target: int, name: str, status: os.stat_result) -> None:
    inner = os.open(name, _DIRECTORY, dir_fd=source)
    try:
        os.mkdir(name, 0o700, dir_fd=target)
        copied = os.open(name, _DIRECTORY, dir_fd=target)
        try:
            _copy_entries(inner, copied, status.st_dev)
        finally:
            os.close(copied)
        _copy_attributes(inner, target, name)
    finally:
        os.close(inner)


def _copy_file(source: int, target: int, name: str) -> None:
    old = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=source)
    try:
        if not stat.S_ISREG(os.fstat(old).st_mode):
            return  # another took its place
        new = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600, dir_fd=target)
        try:
            while os.sendfile(new, old, None, _PIECE):
                pass
        finally:
            os.close(new)
        _copy_attributes(old, target, name)
    finally:
        os.close(old)


def _copy_attributes(source: int, target: int, name: str) -> None:
    """Owner, mode, extended attributes as far as the target takes them, and times."""
    status = os.fstat(source)
    os.chown(name, status.st_uid, status.st_gid, dir_fd=target, follow_symlinks=False)
    os.chmod(name, stat.S_IMODE(status.st_mode), dir_fd=target)
    made = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=target)
    try:
        for attribute in os.listxattr(source):
            with suppress(OSError):
                os.setxattr(made, attribute, os.getxattr(source, attribute))
    finally:
        os.close(made)
    os.utime(name, ns=(status.st_atime_ns, status.st_mtime_ns), dir_fd=target, follow_symlinks=False)
