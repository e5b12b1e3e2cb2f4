"""Mounts: the new system calls (detached mounts as descriptors), the old ones, and the table of what is mounted.

See mount(2), fsopen(2), fsconfig(2), fsmount(2), open_tree(2), move_mount(2), mount_setattr(2), pivot_root(2) and
proc_pid_mountinfo(5). What is mounted where is decided elsewhere; overlays are in `overlay`, and attaching with
attributes on kernels without mount_setattr in `attach`.
"""

from __future__ import annotations

import enum
import errno
import os
import struct
from collections.abc import Iterable
from typing import NamedTuple

from sampan.linux.libc import c_string, check, libc, syscall

AT_FDCWD = -100
_AT_SYMLINK_NOFOLLOW = 0x100
_AT_NO_AUTOMOUNT = 0x800
_AT_EMPTY_PATH = 0x1000
_AT_RECURSIVE = 0x8000
_OPEN_TREE_CLONE = 1
_MOVE_MOUNT_F_EMPTY_PATH = 0x04
_MOVE_MOUNT_T_EMPTY_PATH = 0x40
_FSOPEN_CLOEXEC = 1
_FSMOUNT_CLOEXEC = 1
_FSPICK_CLOEXEC = 1
_FSPICK_EMPTY_PATH = 8
_SET_FLAG, _SET_STRING, _SET_BINARY, _SET_PATH, _SET_PATH_EMPTY, _SET_FD, _CREATE, _RECONFIGURE = range(8)
_MOUNT_ATTR = struct.Struct("=4Q")


class MountFlag(enum.IntFlag):
    """MS_* of mount(2)."""

    NONE = 0
    RDONLY = 1
    NOSUID = 2
    NODEV = 4
    NOEXEC = 8
    SYNCHRONOUS = 16
    REMOUNT = 32
    MANDLOCK = 64
    DIRSYNC = 128
    NOSYMFOLLOW = 256
    NOATIME = 1024
    NODIRATIME = 2048
    BIND = 4096
    MOVE = 8192
    REC = 16384
    SILENT = 32768
    POSIXACL = 1 << 16
    UNBINDABLE = 1 << 17
    PRIVATE = 1 << 18
    SLAVE = 1 << 19
    SHARED = 1 << 20
    RELATIME = 1 << 21
    I_VERSION = 1 << 23
    STRICTATIME = 1 << 24
    LAZYTIME = 1 << 25


class MountAttr(enum.IntFlag):
    """MOUNT_ATTR_* of fsmount(2) and mount_setattr(2)."""

    NONE = 0
    RDONLY = 0x1
    NOSUID = 0x2
    NODEV = 0x4
    NOEXEC = 0x8
    RELATIME = 0x0
    NOATIME = 0x10
    STRICTATIME = 0x20
    ATIME = 0x70  # the mask of all of them, to be cleared before one is set
    NODIRATIME = 0x80
    IDMAP = 0x100000
    NOSYMFOLLOW = 0x200000


# Plain numbers, for these are added up in a child before it executes, and enum.IntFlag is ten times slower.
_ATTRIBUTES = tuple(
    (int(flag), int(attribute))
    for flag, attribute in (
        (MountFlag.RDONLY, MountAttr.RDONLY),
        (MountFlag.NOSUID, MountAttr.NOSUID),
        (MountFlag.NODEV, MountAttr.NODEV),
        (MountFlag.NOEXEC, MountAttr.NOEXEC),
        (MountFlag.NOATIME, MountAttr.NOATIME),
        (MountFlag.STRICTATIME, MountAttr.STRICTATIME),
        (MountFlag.NODIRATIME, MountAttr.NODIRATIME),
        (MountFlag.NOSYMFOLLOW, MountAttr.NOSYMFOLLOW),
    )
)
_ATIME = int(MountAttr.ATIME)
_IDMAP = int(MountAttr.IDMAP)
ATIMES = int(MountFlag.NOATIME | MountFlag.RELATIME | MountFlag.STRICTATIME)


class UmountFlag(enum.IntFlag):
    """MNT_* and UMOUNT_* of umount2(2)."""

    NONE = 0
    FORCE = 1
    DETACH = 2
    EXPIRE = 4
    NOFOLLOW = 8


class Propagation(enum.IntEnum):
    """The propagation types as mount_setattr(2) takes them, one at a time."""

    KEEP = 0
    UNBINDABLE = 1 << 17
    PRIVATE = 1 << 18
    SLAVE = 1 << 19
    SHARED = 1 << 20


class MountInfo(NamedTuple):
    """A line of /proc/PID/mountinfo, unescaped; `shared`, `master` and `propagate_from` are peer group ids or 0."""

    id: int
    parent: int
    device: str
    root: str
    target: str
    options: str
    shared: int
    master: int
    propagate_from: int
    unbindable: bool
    fstype: str
    source: str
    super_options: str


def attributes_of(flags: int) -> tuple[int, int]:
    """The MOUNT_ATTR_* bits (to set, to clear first) that mean the same as these MS_* flags; others are left out."""
    flags = int(flags)
    bits = 0
    for flag, attribute in _ATTRIBUTES:
        if flags & flag:
            bits |= attribute
    return bits, _ATIME if flags & ATIMES else 0


def mount(source: str, target: str, fstype: str = "", flags: int = 0, data: str | bytes = "") -> None:
    """mount(2)."""
    result = libc.mount(c_string(source), c_string(target), c_string(fstype), int(flags), c_string(data))
    check(result, "mount", target)


def umount(target: str, flags: int = 0) -> None:
    """umount2(2)."""
    check(libc.umount2(c_string(target), int(flags)), "umount", target)


def pivot_root(new_root: str, put_old: str) -> None:
    """pivot_root(2)."""
    syscall("pivot_root", c_string(new_root), c_string(put_old), about=new_root)


def open_tree(
    dirfd: int, path: str | bytes, *, clone: bool = False, recursive: bool = False, follow: bool = True
) -> int:
    """open_tree(2): an O_PATH descriptor of a mount, or with `clone` of a detached bind of it.

    An empty `path` means `dirfd` itself. Always close-on-exec; automounts are not triggered.
    """
    flags = os.O_CLOEXEC | _AT_NO_AUTOMOUNT | (_OPEN_TREE_CLONE if clone else 0) | (_AT_RECURSIVE if recursive else 0)
    flags |= (0 if path else _AT_EMPTY_PATH) | (0 if follow else _AT_SYMLINK_NOFOLLOW)
    return syscall("open_tree", dirfd, c_string(path), flags, about=path or dirfd)


def move_mount(from_fd: int, to: int | tuple[int, str]) -> None:
    """move_mount(2): attach the mount of `from_fd` on a descriptor, or on (dirfd, path).

    A symbolic link at the end of the path is not followed.
    """
    if isinstance(to, int):
        to_fd, path, flags = to, "", _MOVE_MOUNT_F_EMPTY_PATH | _MOVE_MOUNT_T_EMPTY_PATH
    else:
        to_fd, path, flags = *to, _MOVE_MOUNT_F_EMPTY_PATH
    syscall("move_mount", from_fd, b"", to_fd, c_string(path), flags, about=path or to_fd)


def mount_setattr(
    fd: int,
    path: str = "",
    *,
    set: int = 0,
    clear: int = 0,
    propagation: int = 0,
    userns_fd: int = -1,
    recursive: bool = False,
) -> None:
    """mount_setattr(2): change a mount's MOUNT_ATTR_* bits, its propagation, or with `userns_fd` its id mapping.

    An empty `path` means `fd` itself. Id mappings can only be given to a detached mount that has none.
    """
    bits, off = int(set), int(clear)
    if userns_fd >= 0:
        bits |= _IDMAP
    if (bits | off) & _ATIME:
        off |= _ATIME  # the kernel demands all of them: these are values, not bits
    arguments = _MOUNT_ATTR.pack(bits, off, propagation, max(userns_fd, 0))
    flags = (0 if path else _AT_EMPTY_PATH) | (_AT_RECURSIVE if recursive else 0)
    syscall("mount_setattr", fd, c_string(path), flags, arguments, _MOUNT_ATTR.size, about=path or fd)


def fsopen(fstype: str) -> int:
    """fsopen(2): a context for a new file system of this type."""
    return syscall("fsopen", c_string(fstype), _FSOPEN_CLOEXEC, about=fstype)


def fspick(dirfd: int, path: str = "") -> int:
    """fspick(2): a context for changing a mounted file system; an empty `path` means `dirfd` itself."""
    flags = _FSPICK_CLOEXEC | (0 if path else _FSPICK_EMPTY_PATH)
    return syscall("fspick", dirfd, c_string(path), flags, about=path or dirfd)


def fsconfig_set_flag(fs_fd: int, key: str) -> None:
    """fsconfig(2) FSCONFIG_SET_FLAG: an option without a value."""
    _fsconfig(fs_fd, _SET_FLAG, key, None, 0)


def fsconfig_set_string(fs_fd: int, key: str, value: str | bytes) -> None:
    """fsconfig(2) FSCONFIG_SET_STRING: an option with a value of at most 255 bytes."""
    _fsconfig(fs_fd, _SET_STRING, key, c_string(value), 0)


def fsconfig_set_fd(fs_fd: int, key: str, value: int) -> None:
    """fsconfig(2) FSCONFIG_SET_FD: an option whose value is a descriptor."""
    _fsconfig(fs_fd, _SET_FD, key, None, value)


def fsconfig_create(fs_fd: int) -> None:
    """fsconfig(2) FSCONFIG_CMD_CREATE: make the file system."""
    _fsconfig(fs_fd, _CREATE, "", None, 0)


def fsconfig_reconfigure(fs_fd: int) -> None:
    """fsconfig(2) FSCONFIG_CMD_RECONFIGURE: apply the options to the file system that fspick chose."""
    _fsconfig(fs_fd, _RECONFIGURE, "", None, 0)


def fsmount(fs_fd: int, attributes: int = 0) -> int:
    """fsmount(2): a descriptor of a detached mount of the file system that was made, with MOUNT_ATTR_* bits."""
    try:
        return syscall("fsmount", fs_fd, _FSMOUNT_CLOEXEC, int(attributes))
    except OSError as error:
        raise _explained(error, fs_fd) from None


def make_filesystem(fstype: str, options: Iterable[tuple[str, str | None]] = (), attributes: int = 0) -> int:
    """Make a file system and return a descriptor of its detached mount; an option's None makes it a flag.

    The source is the option "source". Errors carry the kernel's own message where it gives one.
    """
    fs_fd = create_filesystem(fstype, options)
    try:
        return fsmount(fs_fd, attributes)
    finally:
        os.close(fs_fd)


def create_filesystem(fstype: str, options: Iterable[tuple[str, str | None]] = ()) -> int:
    """The first half of `make_filesystem`: a context of a file system that has no mount yet, for `fsmount`, once."""
    fs_fd = fsopen(fstype)
    try:
        for key, value in options:
            if value is None:
                fsconfig_set_flag(fs_fd, key)
            else:
                fsconfig_set_string(fs_fd, key, value)
        fsconfig_create(fs_fd)
    except BaseException:
        os.close(fs_fd)
        raise
    return fs_fd


def mountinfo(pid: int | str = "self") -> list[MountInfo]:
    """Every mount of a process's mount namespace that it can reach, in the kernel's order (proc_pid_mountinfo(5))."""
    with open(f"/proc/{pid}/mountinfo", "rb") as file:
        return parse_mountinfo(file.read())


def parse_mountinfo(content: bytes) -> list[MountInfo]:
    """The lines of a mountinfo file that was read already."""
    return [_parse(line) for line in content.splitlines()]


def _parse(line: bytes) -> MountInfo:
    fields, _, rest = line.partition(b" - ")
    number, parent, device, root, target, options, *tags = fields.split(b" ")
    fstype, source, super_options = [*rest.split(b" ", 2), b"", b""][:3]
    groups = dict(tag.partition(b":")[::2] for tag in tags)
    return MountInfo(
        int(number),
        int(parent),
        device.decode(),
        _unescape(root),
        _unescape(target),
        options.decode(),
        int(groups.get(b"shared", 0)),
        int(groups.get(b"master", 0)),
        int(groups.get(b"propagate_from", 0)),
        b"unbindable" in groups,
        _unescape(fstype),
        _unescape(source),
        _unescape(super_options),
    )


def _unescape(field: bytes) -> str:
    r"""Undo the kernel's \040 for blanks, tabs, newlines, backslashes and hashes."""
    if b"\\" not in field:
        return os.fsdecode(field)
    head, *pieces = field.split(b"\\")
    for piece in pieces:
        octal = piece[:3]
        plain = len(octal) == 3 and octal.isdigit() and max(octal) < 56
        head += bytes([int(octal, 8)]) + piece[3:] if plain else b"\\" + piece
    return os.fsdecode(head)


def _fsconfig(fs_fd: int, command: int, key: str, value: bytes | None, aux: int) -> None:
    name = c_string(key) if key else None
    try:
        syscall("fsconfig", fs_fd, command, name, value, aux)
    except OSError as error:
        error.filename = f"{key}={os.fsdecode(value)}" if value is not None else key or "create"
        raise _explained(error, fs_fd) from None


def _explained(error: OSError, fs_fd: int) -> OSError:
    """The error with what the kernel wrote into the context (fsopen(2))."""
    message = read_messages(fs_fd)
    if not message:
        return error
    return OSError(error.errno, f"{error.strerror} ({message})", error.filename)


def read_messages(fs_fd: int) -> str:
    """Take the kernel's pending messages from a file system context, joined by "; "."""
    messages: list[str] = []
    while len(messages) < 16:
        try:
            messages.append(os.read(fs_fd, 4096).decode(errors="replace").strip()[2:])
        except OSError as error:
            if error.errno != errno.ENODATA:
                messages.append(f"messages unreadable: {error.strerror}")
            break
    return "; ".join(messages)
