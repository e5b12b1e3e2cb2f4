"""Processes: descriptors of them, waiting, attributes (prctl, ids, scheduling), executing.

See pidfd_open(2), prctl(2), credentials(7), execveat(2), sched(7). The executable that containers cannot write through
is in `executable`; limits are in `limit`, capabilities in `capability`.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from sampan.linux.executable import sealed_executable as sealed_executable  # noqa: PLC0414 - part of this module's face
from sampan.linux.libc import c_string, check, libc, syscall

if TYPE_CHECKING:
    import signal as _signal
else:
    import _signal  # `signal` makes an enumeration member of each of 64 numbers, at each call

CLOSE_RANGE_UNSHARE = 2
CLOSE_RANGE_CLOEXEC = 4
PIDFD_NONBLOCK = os.O_NONBLOCK
IOPRIO_WHO_PROCESS = 1

WAIT_ALL = 0x40000000  # __WALL: also children whose exit signal is not SIGCHLD
_AT_EMPTY_PATH = 0x1000
_PR_SET_PDEATHSIG = 1
_PR_GET_DUMPABLE = 3
_PR_SET_DUMPABLE = 4
_PR_SET_KEEPCAPS = 8
_PR_SET_NAME = 15
_PR_SET_CHILD_SUBREAPER = 36
_PR_SET_NO_NEW_PRIVS = 38
_LAST_DESCRIPTOR = 0xFFFFFFFF
_NO_ID = 0xFFFFFFFF
_arguments: tuple[int, int] | None = None  # where they are in memory, once it is known
_SCHED_ATTR = struct.Struct("=IIQiIQQQ")
_START_TIME = 19  # proc_pid_stat(5): field 22, counted from the state that follows the name
_SIGNALS = _signal.valid_signals()
_prctl = libc["prctl"]
_prctl.argtypes = (ctypes.c_int, *(ctypes.c_ulong,) * 4)


class Exit(NamedTuple):
    """How a process ended: its exit `code`, or the `signal` that killed it (the other is 0)."""

    pid: int
    code: int
    signal: int
    core_dumped: bool

    @property
    def status(self) -> int:
        """The number a shell would show: the code, or 128 and the signal."""
        return 128 + self.signal if self.signal else self.code


def pidfd_open(pid: int, flags: int = 0) -> int:
    """pidfd_open(2): a descriptor of a process, close-on-exec."""
    return syscall("pidfd_open", pid, flags, about=pid)


def pidfd_send_signal(pidfd: int, number: int) -> None:
    """pidfd_send_signal(2); ProcessLookupError when the process has been reaped."""
    syscall("pidfd_send_signal", pidfd, int(number), None, 0, about=pidfd)


def pidfd_getfd(pidfd: int, fd: int) -> int:
    """pidfd_getfd(2): a duplicate of another process's descriptor, close-on-exec."""
    return syscall("pidfd_getfd", pidfd, fd, 0, about=fd)


def wait_pidfd(pidfd: int, *, block: bool = True) -> Exit | None:
    """Reap the child behind `pidfd` (waitid(2)); None when it has not ended and `block` is false."""
    return _wait(os.P_PIDFD, pidfd, block=block)


def wait_pid(pid: int, *, block: bool = True) -> Exit | None:
    """Reap the child `pid` (waitid(2)); None when it has not ended and `block` is false."""
    return _wait(os.P_PID, pid, block=block)


def wait_any(*, block: bool = False) -> Exit | None:
    """Reap any child that has ended; None when none has. Raises ChildProcessError when there are no children."""
    return _wait(os.P_ALL, 0, block=block)


def close_range(first: int, last: int = _LAST_DESCRIPTOR, flags: int = 0) -> None:
    """close_range(2), or with CLOSE_RANGE_CLOEXEC mark them close-on-exec."""
    syscall("close_range", first, last, flags, about=first)


def prctl(option: int, *arguments: int) -> int:
    """prctl(2) with number arguments; those not given are 0."""
    return check(_prctl(option, *(*arguments, 0, 0, 0, 0)[:4]), "prctl", option)


def set_no_new_privileges() -> None:
    """PR_SET_NO_NEW_PRIVS: from now on execve gives no privileges; cannot be undone."""
    prctl(_PR_SET_NO_NEW_PRIVS, 1)


def set_dumpable(value: bool) -> None:  # noqa: FBT001 - the man page's argument
    """PR_SET_DUMPABLE: whether others of the same ids may trace the caller and read its /proc entries."""
    prctl(_PR_SET_DUMPABLE, int(value))


def is_dumpable() -> bool:
    """PR_GET_DUMPABLE."""
    return prctl(_PR_GET_DUMPABLE) == 1


def set_child_subreaper(value: bool) -> None:  # noqa: FBT001 - the man page's argument
    """PR_SET_CHILD_SUBREAPER: whether orphaned descendants become children of the caller."""
    prctl(_PR_SET_CHILD_SUBREAPER, int(value))


def set_parent_death_signal(number: int) -> None:
    """PR_SET_PDEATHSIG: the signal the caller gets when the thread that made it ends; 0 is none.

    It is cleared by a change of ids and by executing a set-id program. A parent that died before is not noticed.
    """
    prctl(_PR_SET_PDEATHSIG, int(number))


def set_keep_capabilities(value: bool) -> None:  # noqa: FBT001 - the man page's argument
    """PR_SET_KEEPCAPS: whether the permitted set survives the change from uid 0 to others (capabilities(7))."""
    prctl(_PR_SET_KEEPCAPS, int(value))


def set_name(name: str) -> None:
    """PR_SET_NAME: the name in /proc/PID/comm, of which the kernel keeps 15 bytes."""
    check(libc.prctl(_PR_SET_NAME, c_string(name), 0, 0, 0), "prctl", name)


def set_title(title: str) -> None:
    """What ps(1) shows as the command: the arguments that the process began with are written over, as far as they go.

    The kernel tells where they are (arg_start and arg_end in proc_pid_stat(5)); nothing happens where it does not.
    """
    start, end = _argument_area()
    room = end - start
    if room > 1:
        ctypes.memmove(start, os.fsencode(title)[: room - 1].ljust(room, b"\0"), room)


def _argument_area() -> tuple[int, int]:
    global _arguments  # noqa: PLW0603 -- children of a fork have theirs at the same place
    if _arguments is None:
        _arguments = 0, 0
        with suppress(OSError), open("/proc/self/stat", "rb") as file:  # a container's root may have no /proc
            fields = file.read().rpartition(b")")[2].split()
            _arguments = int(fields[45]), int(fields[46])
    return _arguments


def _id(value: int) -> int:
    """`value` when it is a user or group id; the kernel would cut longer numbers to 32 bits, and take -1 for "keep"."""
    if not 0 <= value < _NO_ID:
        raise OSError(errno.EINVAL, f"not a user or group id: {value}")
    return value


def set_ids(uid: int, gid: int, groups: Sequence[int]) -> None:
    """Become another user for good: supplementary groups, then all gids, then all uids (credentials(7)).

    OSError (EINVAL) for an id that is none, before anything is changed. Raw system calls, which change the calling
    thread alone: only for a process with one thread.
    """
    _id(gid)
    _id(uid)
    set_supplementary_groups(groups)
    syscall("setresgid", gid, gid, gid, about=gid)
    syscall("setresuid", uid, uid, uid, about=uid)


def set_supplementary_groups(groups: Sequence[int]) -> None:
    """setgroups(2) of the calling thread."""
    syscall("setgroups", len(groups), struct.pack(f"={len(groups)}I", *map(_id, groups)), about=groups)


def execve(path: str, argv: Sequence[str], environment: Sequence[str]) -> None:
    """execve(2) with the environment as "NAME=value" strings, passed on as they are; returns only by OSError."""
    check(libc.execve(c_string(path), _strings(argv), _strings(environment)), "execve", path)


def execveat(fd: int, path: str, argv: Sequence[str], environment: Sequence[str], flags: int = 0) -> None:
    """execveat(2); an empty `path` executes `fd` itself. Returns only by OSError."""
    flags |= 0 if path else _AT_EMPTY_PATH
    syscall("execveat", fd, c_string(path), _strings(argv), _strings(environment), flags, about=path or fd)


def memfd(name: str, flags: int = os.MFD_CLOEXEC) -> int:
    """memfd_create(2)."""
    return os.memfd_create(name, flags)


def start_time(pid: int | str) -> int:
    """When the process started, in clock ticks since boot; with its pid it names it for good (proc_pid_stat(5)).

    Raises ProcessLookupError when there is no such process.
    """
    try:
        fd = os.open(f"/proc/{pid}/stat", os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        raise ProcessLookupError(errno.ESRCH, os.strerror(errno.ESRCH), str(pid)) from None
    try:
        text = os.read(fd, 4096)
    finally:
        os.close(fd)
    return int(text[text.rindex(b")") + 2 :].split(b" ")[_START_TIME])


def ioprio_set(priority: int, pid: int = 0) -> None:
    """ioprio_set(2) of a process (0 is the caller): class << 13 | level."""
    syscall("ioprio_set", IOPRIO_WHO_PROCESS, pid, priority, about=priority)


def ioprio_get(pid: int = 0) -> int:
    """ioprio_get(2) of a process (0 is the caller)."""
    return syscall("ioprio_get", IOPRIO_WHO_PROCESS, pid, about=pid)


def sched_setattr(
    policy: int,
    *,
    flags: int = 0,
    nice: int = 0,
    priority: int = 0,
    runtime: int = 0,
    deadline: int = 0,
    period: int = 0,
    pid: int = 0,
) -> None:
    """sched_setattr(2), times in nanoseconds."""
    attributes = _SCHED_ATTR.pack(_SCHED_ATTR.size, policy, flags, nice, priority, runtime, deadline, period)
    syscall("sched_setattr", pid, attributes, 0, about=policy)


def sched_setaffinity(cpus: Iterable[int], pid: int = 0) -> None:
    """sched_setaffinity(2)."""
    os.sched_setaffinity(pid, cpus)


def personality(persona: int) -> int:
    """personality(2): set it, and return the one before; 0xffffffff only asks."""
    return check(libc.personality(ctypes.c_ulong(persona)), "personality", hex(persona))


def reset_signals() -> None:
    """Give every signal its default disposition and block none, as execve(2) expects of a fresh program's parent.

    An ignored signal and the mask would outlive execve; handlers would not.
    """
    for number in _SIGNALS:
        if _signal.getsignal(number) == _signal.SIG_IGN:
            _signal.signal(number, _signal.SIG_DFL)
    _signal.pthread_sigmask(_signal.SIG_SETMASK, ())


def block_signals() -> Iterable[int]:
    """Block every signal (sigprocmask(2)); the numbers of those that were blocked before, for restore_signals."""
    return _signal.pthread_sigmask(_signal.SIG_BLOCK, _SIGNALS)


def restore_signals(blocked: Iterable[int]) -> None:
    """Block these and no others."""
    _signal.pthread_sigmask(_signal.SIG_SETMASK, blocked)


def _wait(which: int, number: int, *, block: bool) -> Exit | None:
    result = os.waitid(which, number, os.WEXITED | WAIT_ALL | (0 if block else os.WNOHANG))
    if result is None:
        return None
    if result.si_code == os.CLD_EXITED:
        return Exit(result.si_pid, result.si_status, 0, core_dumped=False)
    return Exit(result.si_pid, 0, result.si_status, core_dumped=result.si_code == os.CLD_DUMPED)


def _strings(words: Sequence[str]) -> ctypes.Array[ctypes.c_char_p]:
    encoded = [c_string(word) for word in words]
    return (ctypes.c_char_p * (len(encoded) + 1))(*encoded, None)
