"""The kernel's side of FUSE, spoken on /dev/fuse (include/uapi/linux/fuse.h, protocol 7.31): packets, nothing more.

Enough for a file system that is read: what the tree is and what files say is decided elsewhere. There is no C library
between: the connection is a descriptor like any other, the mount a detached one, and both end with their owner, who
leaves no reader waiting (every call on a dead connection fails with ENOTCONN).
"""

from __future__ import annotations

import enum
import errno
import os
import struct
from dataclasses import dataclass

from sampan.linux.mount import fsconfig_create, fsconfig_set_flag, fsconfig_set_string, fsmount, fsopen

ROOT_NODE = 1
_IN = struct.Struct("=IIQQIIIHH")  # struct fuse_in_header
_OUT = struct.Struct("=IiQ")  # struct fuse_out_header
_ATTR = struct.Struct("=6Q10I")
_ENTRY = struct.Struct("=4Q2I")
_ATTR_OUT = struct.Struct("=QII")
_OPEN_OUT = struct.Struct("=QIi")
_READ_IN = struct.Struct("=QQII")
_INIT_IN = struct.Struct("=4I")
_INIT_OUT = struct.Struct("=4I2HIIHHI28x")
_STATFS = struct.Struct("=5Q5I24x")
_DIRENT = struct.Struct("=QQII")

_MAJOR, _MINOR = 7, 31
_MAX_WRITE = 4096
_BUFFER = 16384  # at least FUSE_MIN_READ_BUFFER (8192)
_MAX_BACKGROUND = 64
_FOREVER_S = 1 << 31
_DIRECT_IO, _NO_FLUSH = 1 << 0, 1 << 5  # FOPEN_*
_READ_LOCKOWNER = 1 << 1  # FUSE_READ_LOCKOWNER


class Operation(enum.IntEnum):
    """FUSE_*: the requests that are answered; FORGET and its like want no answer."""

    LOOKUP = 1
    FORGET = 2
    GETATTR = 3
    OPEN = 14
    READ = 15
    STATFS = 17
    RELEASE = 18
    INIT = 26
    OPENDIR = 27
    READDIR = 28
    RELEASEDIR = 29
    INTERRUPT = 36
    DESTROY = 38
    BATCH_FORGET = 42


UNANSWERED = frozenset({Operation.FORGET, Operation.BATCH_FORGET, Operation.INTERRUPT})


@dataclass(frozen=True, slots=True)
class Request:
    """One request. `pid` is the caller's thread in the pid namespace of whoever mounted, 0 when it is not in there."""

    operation: int
    unique: int
    node: int
    pid: int
    body: bytes


@dataclass(frozen=True, slots=True)
class Attributes:
    """What stat(2) says of a node, `size` in bytes; the kernel asks again each time for one that is not `lasting`."""

    node: int
    mode: int
    links: int = 1
    size: int = 0
    lasting: bool = True


def open_connection() -> int:
    """A new connection: /dev/fuse, close-on-exec and not blocking. Raises FileNotFoundError without the module."""
    return os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC | os.O_NONBLOCK)


def mount_connection(connection: int, source: str, attributes: int = 0) -> int:
    """A descriptor of the detached mount that shows the connection's file system to everybody."""
    fs_fd = fsopen("fuse")
    try:
        for key, value in (
            ("source", source),
            ("fd", str(connection)),
            ("rootmode", "40555"),
            ("user_id", "0"),
            ("group_id", "0"),
        ):
            fsconfig_set_string(fs_fd, key, value)
        for flag in ("allow_other", "default_permissions"):
            fsconfig_set_flag(fs_fd, flag)
        fsconfig_create(fs_fd)
        return fsmount(fs_fd, attributes)
    finally:
        os.close(fs_fd)


def receive(connection: int) -> Request | None:
    """The next request; None when none waits. Raises OSError (ENODEV) when the last mount is gone."""
    try:
        packet = os.read(connection, _BUFFER)
    except OSError as error:
        if error.errno in (errno.EAGAIN, errno.EINTR, errno.ENOENT):  # ENOENT: it was interrupted meanwhile
            return None
        raise
    _, operation, unique, node, _, _, pid, _, _ = _IN.unpack_from(packet)
    return Request(operation, unique, node, pid, packet[_IN.size :])


def answer(connection: int, request: Request, content: bytes = b"", *, error: int = 0) -> None:
    """Answer a request, with an errno when there is one; nothing happens when the caller is gone."""
    packet = _OUT.pack(_OUT.size + len(content), -error, request.unique) + content
    try:
        os.write(connection, packet)
    except OSError as failed:
        if failed.errno not in (errno.ENOENT, errno.ENODEV, errno.EPERM):
            raise


def init_answer(request: Request) -> bytes:
    """The answer to INIT: our version, no flag of the kernel's."""
    _, _, max_readahead, _ = _INIT_IN.unpack_from(request.body)
    return _INIT_OUT.pack(
        _MAJOR, _MINOR, max_readahead, 0, _MAX_BACKGROUND, _MAX_BACKGROUND * 3 // 4, _MAX_WRITE, 1, 1, 0, 0
    )


def entry_answer(attributes: Attributes) -> bytes:
    """The answer to LOOKUP: the name is the node's for ever, as nodes are never made or removed."""
    return _ENTRY.pack(attributes.node, 0, _FOREVER_S, _valid_s(attributes), 0, 0) + _attributes(attributes)


def attributes_answer(attributes: Attributes) -> bytes:
    """The answer to GETATTR."""
    return _ATTR_OUT.pack(_valid_s(attributes), 0, 0) + _attributes(attributes)


def open_answer(handle: int) -> bytes:
    """The answer to OPEN and OPENDIR: each read comes to us, whatever the size says."""
    return _OPEN_OUT.pack(handle, _DIRECT_IO | _NO_FLUSH, 0)


def statfs_answer() -> bytes:
    """The answer to STATFS: a file system without blocks."""
    return _STATFS.pack(0, 0, 0, 0, 0, 4096, 255, 4096, 0, 0)


def read_arguments(request: Request) -> tuple[int, int, int]:
    """(handle, offset, size) of READ and READDIR."""
    handle, offset, size, _ = _READ_IN.unpack_from(request.body)
    return handle, offset, size


def is_for_page_cache(request: Request) -> bool:
    """Whether READ is to fill pages that all readers share, for sendfile(2), splice(2) or mmap(2), not read(2)."""
    return not _READ_IN.unpack_from(request.body)[3] & _READ_LOCKOWNER


def handle_of(request: Request) -> int:
    """The handle of RELEASE and RELEASEDIR."""
    return int.from_bytes(request.body[:8], "little")


def name_of(request: Request) -> str:
    """The name of LOOKUP."""
    return os.fsdecode(request.body.rstrip(b"\0"))


def directory_entries(entries: list[tuple[str, Attributes]], offset: int, size: int) -> bytes:
    """The answer to READDIR from the entry with number `offset` on, as many as fit."""
    content = b""
    for number, (name, attributes) in enumerate(entries[offset:], offset + 1):
        encoded = os.fsencode(name)
        entry = _DIRENT.pack(attributes.node, number, len(encoded), attributes.mode >> 12) + encoded
        entry += b"\0" * (-len(entry) % 8)
        if len(content) + len(entry) > size:
            break
        content += entry
    return content


def _valid_s(attributes: Attributes) -> int:
    return _FOREVER_S if attributes.lasting else 0


def _attributes(found: Attributes) -> bytes:
    blocks = -(-found.size // 512)  # all of them: there are no holes
    return _ATTR.pack(found.node, found.size, blocks, 0, 0, 0, 0, 0, 0, found.mode, found.links, 0, 0, 0, 4096, 0)
