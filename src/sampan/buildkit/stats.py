"""What fsutil's protocol says of one file (Stat), with Go's bits of its mode, and the same as an archive's entry."""

from __future__ import annotations

import stat
from enum import IntFlag

from sampan.buildkit.proto.session_pb2 import Stat
from sampan.image.tar_entry import Entry, Kind


class FileKind(IntFlag):
    """What a file is, in the bits of Go's os.FileMode; a regular file has none of them."""

    DIRECTORY = 1 << 31
    SYMLINK = 1 << 27
    DEVICE = 1 << 26
    FIFO = 1 << 25
    SOCKET = 1 << 24
    CHARACTER = 1 << 21  # of devices
    IRREGULAR = 1 << 19
    ANY = DIRECTORY | SYMLINK | DEVICE | FIFO | SOCKET | IRREGULAR


LENT = {1 << 23: stat.S_ISUID, 1 << 22: stat.S_ISGID, 1 << 20: stat.S_ISVTX}  # Go's bits, and the kernel's


def has_content(one: Stat) -> bool:
    """Whether it is a file that has its own content."""
    return not one.mode & FileKind.ANY and not one.linkname


def is_hard_link(one: Stat) -> bool:
    """Whether it is another name of a file before it."""
    return not one.mode & FileKind.ANY and bool(one.linkname)


def mode_of(one: Stat) -> int:
    """The kernel's bits of permission."""
    return int(one.mode & 0o777) | sum(bit for lent, bit in LENT.items() if one.mode & lent)


def file_entry(one: Stat) -> Entry:
    """A regular file."""
    return Entry(
        one.path,
        Kind.FILE,
        mode_of(one),
        size=one.size,
        payload=one.size,
        mtime_ns=one.modTime,
        xattrs=dict(one.xattrs),
    )


def other_entry(one: Stat) -> Entry | None:
    """A directory, a symbolic link or a named pipe; sockets and devices are no files to build from."""
    name, mode, mtime_ns = one.path, mode_of(one), one.modTime
    if one.mode & FileKind.DIRECTORY:
        return Entry(name, Kind.DIRECTORY, mode, mtime_ns=mtime_ns, xattrs=dict(one.xattrs))
    if one.mode & FileKind.SYMLINK:
        return Entry(name, Kind.SYMLINK, 0o777, link=one.linkname, mtime_ns=mtime_ns)
    if one.mode & FileKind.FIFO:
        return Entry(name, Kind.FIFO, mode, mtime_ns=mtime_ns)
    return None
