"""The C library and raw system calls through ctypes; every other module of this folder stands on it.

It holds the loaded library, the error check, the numbers of system calls that the C library does not wrap, and nothing
with a meaning of its own.
"""

from __future__ import annotations

import ctypes
import errno
import os
from typing import Any

# PyDLL keeps the interpreter's lock across the call: a raw clone3 must return in the child with the lock held, and
# none of the calls made through it blocks.
libc = ctypes.PyDLL(None, use_errno=True)
libc.syscall.restype = ctypes.c_long

# Numbers from 424 on are the same on every architecture (Linux, include/uapi/asm-generic/unistd.h).
_UNIFIED = {
    "pidfd_send_signal": 424,
    "open_tree": 428,
    "move_mount": 429,
    "fsopen": 430,
    "fsconfig": 431,
    "fsmount": 432,
    "fspick": 433,
    "pidfd_open": 434,
    "clone3": 435,
    "close_range": 436,
    "openat2": 437,
    "pidfd_getfd": 438,
    "mount_setattr": 442,
    "quotactl_fd": 443,
    "fchmodat2": 452,
    "statmount": 457,
    "listmount": 458,
}
_BY_MACHINE = {
    "x86_64": {
        "pivot_root": 155,
        "capget": 125,
        "capset": 126,
        "setns": 308,
        "unshare": 272,
        "seccomp": 317,
        "bpf": 321,
        "keyctl": 250,
        "ioprio_set": 251,
        "sched_setattr": 314,
        "sched_getattr": 315,
        "execveat": 322,
        "memfd_create": 319,
        "quotactl": 179,
        "personality": 135,
        "set_mempolicy": 238,
        "setgroups": 116,
        "setresuid": 117,
        "setresgid": 119,
        "prlimit64": 302,
        "ioprio_get": 252,
        "renameat2": 316,
    },
    "aarch64": {
        "pivot_root": 41,
        "capget": 90,
        "capset": 91,
        "setns": 268,
        "unshare": 97,
        "seccomp": 277,
        "bpf": 280,
        "keyctl": 219,
        "ioprio_set": 30,
        "sched_setattr": 274,
        "sched_getattr": 275,
        "execveat": 281,
        "memfd_create": 279,
        "quotactl": 60,
        "personality": 92,
        "set_mempolicy": 237,
        "setgroups": 159,
        "setresuid": 147,
        "setresgid": 149,
        "prlimit64": 261,
        "ioprio_get": 31,
        "renameat2": 276,
    },
}
_LOWEST_INT, _HIGHEST_INT = -(1 << 31), (1 << 31) - 1
MACHINE = os.uname().machine
NUMBERS: dict[str, int] = _UNIFIED | _BY_MACHINE.get(MACHINE, {})


def c_string(text: str | bytes) -> bytes:
    """Encode `text` as the kernel takes a path or a name; OSError (EINVAL) when it holds a null byte.

    ctypes hands over a pointer and the kernel stops at the first null, so an unchecked one would shorten a path.
    """
    encoded = text if type(text) is bytes else os.fsencode(text)
    if b"\0" in encoded:
        raise OSError(errno.EINVAL, f"null byte in {encoded!r}")
    return encoded


def check(result: int, call: str, *names: object) -> int:
    """Return `result`, or raise the OSError of errno when it is negative.

    The message starts with the call's name; `names` are the paths and values it was about.
    """
    if result >= 0:
        return result
    number = ctypes.get_errno()
    about = " ".join(str(name) for name in names)
    raise OSError(number, f"{call}: {os.strerror(number)}", about or None)


def syscall(call: str, *arguments: Any, about: object = "") -> int:
    """Make the system call named `call`; arguments are int, bytes, None or ctypes pointers.

    Raises OSError with errno; ENOSYS when this architecture's number is not known.
    """
    number = NUMBERS.get(call)
    if number is None:
        raise OSError(errno.ENOSYS, f"{call}: no system call number for {MACHINE}")
    # A bare int becomes a C int, extended with its sign to the width of a register; it costs half of a c_long.
    words = [
        word if type(word) is not int or _LOWEST_INT <= word <= _HIGHEST_INT else ctypes.c_long(word)
        for word in arguments
    ]
    result: int = libc.syscall(number, *words)
    return result if result >= 0 else check(result, call, about)
