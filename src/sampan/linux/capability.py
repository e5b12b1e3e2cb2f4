"""Capabilities: their names and numbers, and the five sets of the calling thread (capabilities(7)).

Which capabilities a container gets is not known here.
"""

from __future__ import annotations

import ctypes
import errno
import struct
from collections.abc import Iterable
from functools import cache
from typing import NamedTuple

from sampan.errors import InvalidArgument
from sampan.linux.libc import syscall
from sampan.linux.process import prctl

NAMES: tuple[str, ...] = (
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_DAC_READ_SEARCH",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SETPCAP",
    "CAP_LINUX_IMMUTABLE",
    "CAP_NET_BIND_SERVICE",
    "CAP_NET_BROADCAST",
    "CAP_NET_ADMIN",
    "CAP_NET_RAW",
    "CAP_IPC_LOCK",
    "CAP_IPC_OWNER",
    "CAP_SYS_MODULE",
    "CAP_SYS_RAWIO",
    "CAP_SYS_CHROOT",
    "CAP_SYS_PTRACE",
    "CAP_SYS_PACCT",
    "CAP_SYS_ADMIN",
    "CAP_SYS_BOOT",
    "CAP_SYS_NICE",
    "CAP_SYS_RESOURCE",
    "CAP_SYS_TIME",
    "CAP_SYS_TTY_CONFIG",
    "CAP_MKNOD",
    "CAP_LEASE",
    "CAP_AUDIT_WRITE",
    "CAP_AUDIT_CONTROL",
    "CAP_SETFCAP",
    "CAP_MAC_OVERRIDE",
    "CAP_MAC_ADMIN",
    "CAP_SYSLOG",
    "CAP_WAKE_ALARM",
    "CAP_BLOCK_SUSPEND",
    "CAP_AUDIT_READ",
    "CAP_PERFMON",
    "CAP_BPF",
    "CAP_CHECKPOINT_RESTORE",
)
_NUMBERS = {name: number for number, name in enumerate(NAMES)}
_VERSION_3 = 0x20080522
_HEADER = struct.Struct("=Ii")
_DATA = struct.Struct("=6I")
_LOW = 0xFFFFFFFF
_MOST = 64
_PR_CAPBSET_READ = 23
_PR_CAPBSET_DROP = 24
_PR_CAP_AMBIENT = 47
_AMBIENT_IS_SET, _AMBIENT_RAISE, _AMBIENT_LOWER, _AMBIENT_CLEAR_ALL = range(1, 5)


class CapabilitySets(NamedTuple):
    """Three of a thread's sets as bit masks."""

    effective: int
    permitted: int
    inheritable: int


def mask_of(names: Iterable[str]) -> int:
    """The bit mask of capability names such as "CAP_CHOWN"; InvalidArgument naming the one that does not exist."""
    mask = 0
    for name in names:
        number = _NUMBERS.get(name)
        if number is None:
            raise InvalidArgument(f"unknown capability {name!r}", remedy="capabilities(7) lists the names")
        mask |= 1 << number
    return mask


def names_of(mask: int) -> tuple[str, ...]:
    """The names of a bit mask in the kernel's order; "CAP_41" and so on for what has no name here."""
    return tuple(
        NAMES[number] if number < len(NAMES) else f"CAP_{number}"
        for number in range(mask.bit_length())
        if mask >> number & 1
    )


@cache
def last_capability() -> int:
    """The number of the last capability that the running kernel knows, which it is asked for once."""
    return next(number for number in range(_MOST) if _in_bounding(number + 1) is None)


def get_capabilities() -> CapabilitySets:
    """capget(2) of the calling thread."""
    buffer = ctypes.create_string_buffer(_DATA.size)
    syscall("capget", _HEADER.pack(_VERSION_3, 0), buffer)
    low_e, low_p, low_i, high_e, high_p, high_i = _DATA.unpack(buffer.raw)
    return CapabilitySets(low_e | high_e << 32, low_p | high_p << 32, low_i | high_i << 32)


def set_capabilities(effective: int, permitted: int, inheritable: int) -> None:
    """capset(2) of the calling thread; PermissionError when a bit is not to be had."""
    data = _DATA.pack(
        effective & _LOW, permitted & _LOW, inheritable & _LOW, effective >> 32, permitted >> 32, inheritable >> 32
    )
    syscall("capset", _HEADER.pack(_VERSION_3, 0), data)


def get_bounding() -> int:
    """The bounding set."""
    mask = 0
    for number in range(_MOST):
        there = _in_bounding(number)
        if there is None:
            break
        mask |= there << number
    return mask


def drop_bounding(keep_mask: int, of: int = -1) -> None:
    """Drop from the bounding set all that is not in `keep_mask`, whatever the kernel knows (PR_CAPBSET_DROP).

    `of` is what is known to be in it.
    """
    too_many = of & ~keep_mask
    for number in range(_MOST):
        if not too_many >> number & 1:
            continue
        try:
            prctl(_PR_CAPBSET_DROP, number)
        except OSError as error:
            if error.errno == errno.EINVAL:  # past the kernel's last one
                return
            raise


def get_ambient() -> int:
    """The ambient set."""
    mask = 0
    for number in range(_MOST):
        try:
            mask |= prctl(_PR_CAP_AMBIENT, _AMBIENT_IS_SET, number) << number
        except OSError as error:
            if error.errno != errno.EINVAL:
                raise
            break
    return mask


def raise_ambient(mask: int) -> None:
    """Add to the ambient set; each bit must be permitted and inheritable (PermissionError)."""
    for number in range(mask.bit_length()):
        if mask >> number & 1:
            prctl(_PR_CAP_AMBIENT, _AMBIENT_RAISE, number)


def clear_ambient() -> None:
    """Empty the ambient set."""
    prctl(_PR_CAP_AMBIENT, _AMBIENT_CLEAR_ALL)


def _in_bounding(number: int) -> int | None:
    """Whether the capability is in the bounding set; None when the kernel does not know it."""
    try:
        return prctl(_PR_CAPBSET_READ, number)
    except OSError as error:
        if error.errno == errno.EINVAL:
            return None
        raise
