"""Answering system calls in place of the kernel: the supervisor's side of SECCOMP_RET_USER_NOTIF.

The descriptor is the one that `seccomp.load` returns. Nothing here decides anything. A process may change the memory
behind a pointer argument while it waits, so an answer that lets a call go on is no security check
(seccomp_unotify(2)). A listener is readable when a call waits, and hung up when no process is left under its filter.
"""

from __future__ import annotations

import enum
import fcntl
import struct
from dataclasses import dataclass

_NOTIFICATION = struct.Struct("=QIIiIQ6Q")  # struct seccomp_notif with its struct seccomp_data
_RESPONSE = struct.Struct("=QqiI")  # struct seccomp_notif_resp
_ADD_DESCRIPTOR = struct.Struct("=QIIII")  # struct seccomp_notif_addfd


def _request(direction: int, number: int, size: int) -> int:
    return direction << 30 | size << 16 | ord("!") << 8 | number


_RECEIVE = _request(3, 0, _NOTIFICATION.size)
_SEND = _request(3, 1, _RESPONSE.size)
_ID_VALID = _request(1, 2, 8)
_ADD = _request(1, 3, _ADD_DESCRIPTOR.size)
_SET_FLAGS = _request(1, 4, 8)
_CONTINUE = 1  # SECCOMP_USER_NOTIF_FLAG_CONTINUE


class AddFlag(enum.IntFlag):
    """SECCOMP_ADDFD_FLAG_*: SETFD takes the number asked for, SEND answers the call with the new number as well."""

    NONE = 0
    SETFD = 1
    SEND = 2


@dataclass(frozen=True, slots=True)
class Notification:
    """A system call that waits; `pid` is as the supervisor's pid namespace has it, 0 when it is not in there."""

    id: int
    pid: int
    number: int
    arch: int
    instruction_pointer: int
    arguments: tuple[int, ...]


def receive(listener: int) -> Notification:
    """SECCOMP_IOCTL_NOTIF_RECV; waits for a call.

    Raises OSError: ENOENT when the caller was killed meanwhile or no process is left, EINTR.
    """
    memory = bytearray(_NOTIFICATION.size)  # the kernel wants zeros
    fcntl.ioctl(listener, _RECEIVE, memory)
    identity, pid, _, number, arch, pointer, *arguments = _NOTIFICATION.unpack(memory)
    return Notification(identity, pid, number, arch, pointer, tuple(arguments))


def respond(listener: int, identity: int, *, value: int = 0, errno: int = 0) -> None:
    """SECCOMP_IOCTL_NOTIF_SEND: the call returns `value`, or fails with `errno` when that is not 0.

    Raises OSError: ENOENT when the caller is gone, EINPROGRESS when it was answered already.
    """
    fcntl.ioctl(listener, _SEND, bytearray(_RESPONSE.pack(identity, value, -errno, 0)))


def let_through(listener: int, identity: int) -> None:
    """SECCOMP_IOCTL_NOTIF_SEND with SECCOMP_USER_NOTIF_FLAG_CONTINUE (Linux 5.5): the kernel does the call itself."""
    fcntl.ioctl(listener, _SEND, bytearray(_RESPONSE.pack(identity, 0, 0, _CONTINUE)))


def is_waiting(listener: int, identity: int) -> bool:
    """SECCOMP_IOCTL_NOTIF_ID_VALID: whether the call still waits, so that its pid still means the caller."""
    try:
        fcntl.ioctl(listener, _ID_VALID, struct.pack("=Q", identity))
    except FileNotFoundError:
        return False
    return True


def add_descriptor(
    listener: int,
    identity: int,
    descriptor: int,
    *,
    number: int = 0,
    flags: AddFlag = AddFlag.NONE,
    close_on_exec: bool = False,
) -> int:
    """SECCOMP_IOCTL_NOTIF_ADDFD (Linux 5.9; SEND 5.14): give the caller our `descriptor`; returns its number there."""
    cloexec = 0o2000000 if close_on_exec else 0
    request = _ADD_DESCRIPTOR.pack(identity, flags, descriptor, number, cloexec)
    added: int = fcntl.ioctl(listener, _ADD, bytearray(request))
    return added


def wake_on_same_cpu(listener: int) -> None:
    """SECCOMP_IOCTL_NOTIF_SET_FLAGS with SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP (Linux 6.6): a busy pair turns faster."""
    fcntl.ioctl(listener, _SET_FLAGS, 1)
