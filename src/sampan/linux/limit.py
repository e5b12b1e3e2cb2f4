"""Resource limits of processes: their names and numbers, and prlimit(2).

Limits of cgroups are not here but in `sampan.cgroup`.
"""

from __future__ import annotations

import ctypes
import errno
import struct

from sampan.linux.libc import syscall

UNLIMITED = 0xFFFFFFFFFFFFFFFF  # RLIM_INFINITY

NUMBERS: dict[str, int] = {
    "RLIMIT_CPU": 0,
    "RLIMIT_FSIZE": 1,
    "RLIMIT_DATA": 2,
    "RLIMIT_STACK": 3,
    "RLIMIT_CORE": 4,
    "RLIMIT_RSS": 5,
    "RLIMIT_NPROC": 6,
    "RLIMIT_NOFILE": 7,
    "RLIMIT_MEMLOCK": 8,
    "RLIMIT_AS": 9,
    "RLIMIT_LOCKS": 10,
    "RLIMIT_SIGPENDING": 11,
    "RLIMIT_MSGQUEUE": 12,
    "RLIMIT_NICE": 13,
    "RLIMIT_RTPRIO": 14,
    "RLIMIT_RTTIME": 15,
}
_NAMES = {number: name for name, number in NUMBERS.items()}
_PAIR = struct.Struct("=2Q")


def prlimit(pid: int, resource: int, soft: int, hard: int) -> None:
    """prlimit(2): set both limits of a process (0 is the caller); -1 and UNLIMITED mean none."""
    pair = _PAIR.pack(_limit(soft), _limit(hard))
    about = f"{_NAMES.get(resource, resource)} soft {_word(soft)} hard {_word(hard)}"
    syscall("prlimit64", pid, resource, pair, None, about=about)


def get_limit(pid: int, resource: int) -> tuple[int, int]:
    """prlimit(2): the soft and the hard limit of a process (0 is the caller); UNLIMITED is none."""
    buffer = ctypes.create_string_buffer(_PAIR.size)
    syscall("prlimit64", pid, resource, None, buffer, about=resource)
    soft, hard = _PAIR.unpack(buffer.raw)
    return soft, hard


def _word(value: int) -> str:
    return "unlimited" if value in {-1, UNLIMITED} else str(value)


def _limit(value: int) -> int:
    if not -1 <= value <= UNLIMITED:
        raise OSError(errno.EINVAL, f"not a resource limit: {value}")
    return value & UNLIMITED
