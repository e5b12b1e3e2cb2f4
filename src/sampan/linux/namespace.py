"""Namespaces: making, joining and naming them, and the id maps and clock offsets that belong to them.

See namespaces(7), clone(2), unshare(2), setns(2), user_namespaces(7) and time_namespaces(7). Which namespaces a
container gets is decided by the runtime, not here.
"""

from __future__ import annotations

import ctypes
import enum
import errno
import fcntl
import os
import signal
import struct
from collections.abc import Sequence

from sampan.linux.libc import NUMBERS, check, libc
from sampan.linux.process import wait_pidfd

_PR_GET_TID_ADDRESS = 40
_CLONE_CHILD_CLEARTID = 0x00200000
_CLONE_CHILD_SETTID = 0x01000000
_NS_GET_USERNS = 0xB701
_NS_GET_NSTYPE = 0xB703
_LAST_ID = 0xFFFFFFFF
_CLONE_ARGS = struct.Struct("=11Q")
_CLONE3 = NUMBERS["clone3"]


class CloneFlag(enum.IntFlag):
    """CLONE_* of clone3(2), unshare(2) and setns(2)."""

    NONE = 0
    NEWTIME = 0x00000080
    PIDFD = 0x00001000
    PARENT = 0x00008000
    NEWNS = 0x00020000
    NEWCGROUP = 0x02000000
    NEWUTS = 0x04000000
    NEWIPC = 0x08000000
    NEWUSER = 0x10000000
    NEWPID = 0x20000000
    NEWNET = 0x40000000
    INTO_CGROUP = 0x200000000


KINDS: dict[str, CloneFlag] = {
    "mnt": CloneFlag.NEWNS,
    "pid": CloneFlag.NEWPID,
    "uts": CloneFlag.NEWUTS,
    "ipc": CloneFlag.NEWIPC,
    "net": CloneFlag.NEWNET,
    "cgroup": CloneFlag.NEWCGROUP,
    "user": CloneFlag.NEWUSER,
    "time": CloneFlag.NEWTIME,
}


def clone3(flags: int, *, cgroup_fd: int = -1, exit_signal: int = signal.SIGCHLD) -> tuple[int, int]:
    """Fork with clone3(2): (pid, pidfd) in the parent and (0, -1) in the child; PIDFD is always asked for.

    The pidfd is close-on-exec. With `cgroup_fd`, a directory of a cgroup v2, the child starts inside it. Only for a
    process with one thread: neither Python's nor the C library's at-fork handlers run, and other threads' locks would
    stay held. A child made with NEWTIME has its offsets frozen already: for offsets, unshare(NEWTIME), write them and
    clone without it (time_namespaces(7)).
    """
    flags = int(flags) | 0x1000
    if cgroup_fd >= 0:
        flags |= 0x200000000
    if flags & 0x8000:
        exit_signal = 0  # CLONE_PARENT takes the caller's own and refuses any other
    tid_address = ctypes.c_void_p()
    if libc.prctl(_PR_GET_TID_ADDRESS, ctypes.byref(tid_address), 0, 0, 0) == 0 and tid_address.value:
        flags |= _CLONE_CHILD_SETTID | _CLONE_CHILD_CLEARTID  # or raise(3) in the child would signal the parent's id
    pidfd = ctypes.c_int(-1)
    arguments = _CLONE_ARGS.pack(
        flags, ctypes.addressof(pidfd), tid_address.value or 0, 0, exit_signal, 0, 0, 0, 0, 0, max(cgroup_fd, 0)
    )
    pid = check(libc.syscall(_CLONE3, arguments, ctypes.c_size_t(_CLONE_ARGS.size)), "clone3")
    return (pid, pidfd.value) if pid else (0, -1)


def unshare(flags: int) -> None:
    """unshare(2): move the caller into new namespaces; for pid and time its later children."""
    check(libc.unshare(int(flags)), "unshare", hex(flags))


def setns(fd: int, flags: int = 0) -> None:
    """setns(2): join the namespace of `fd`, or with a pidfd all those of `flags` of that process, at once."""
    check(libc.setns(fd, int(flags)), "setns", fd)


def open_namespace(pid: int | str, kind: str) -> int:
    """Open a process's namespace of `kind` (a key of KINDS); `pid` may be "self"."""
    return os.open(f"/proc/{pid}/ns/{kind}", os.O_RDONLY | os.O_CLOEXEC)


def kind_of(fd: int) -> str:
    """The kind of the namespace that `fd` refers to (ioctl_nsfs(2)); OSError ENOTTY when it is no namespace."""
    number = fcntl.ioctl(fd, _NS_GET_NSTYPE)
    for kind, flag in KINDS.items():
        if flag == number:
            return kind
    return hex(number)


def owner_of(fd: int) -> int:
    """Open the user namespace that owns the namespace of `fd` (ioctl_nsfs(2))."""
    return fcntl.ioctl(fd, _NS_GET_USERNS)


def write_id_map(pid: int | str, kind: str, maps: Sequence[tuple[int, int, int]]) -> None:
    """Write a user namespace's map, once for good: `kind` is "uid" or "gid", lines are (inside, outside, count).

    See user_namespaces(7): the kernel takes one write of at most 340 lines. An unprivileged caller must
    deny_setgroups() before a gid map. OSError (EINVAL) for numbers that the kernel would silently cut to 32 bits.
    """
    for inside, outside, count in maps:
        if not (0 <= inside <= _LAST_ID and 0 <= outside <= _LAST_ID and 0 < count <= _LAST_ID):
            raise OSError(errno.EINVAL, f"not an id map: {inside} {outside} {count}")
    text = "".join(f"{inside} {outside} {count}\n" for inside, outside, count in maps)
    _write_at_once(f"/proc/{pid}/{kind}_map", text)


def deny_setgroups(pid: int | str) -> None:
    """Forbid setgroups(2) in a user namespace, as an unprivileged gid map demands (user_namespaces(7))."""
    _write_at_once(f"/proc/{pid}/setgroups", "deny")


def write_time_offsets(pid: int | str, offsets: Sequence[tuple[str, int, int]]) -> None:
    """Set the clocks of the time namespace that the children of `pid` will be in: (clock, seconds, nanoseconds).

    A clock is "monotonic" or "boottime"; possible until the first process enters (time_namespaces(7)).
    """
    fd = open_time_offsets(pid)
    try:
        write_opened_time_offsets(fd, offsets)
    finally:
        os.close(fd)


def open_time_offsets(pid: int | str) -> int:
    """The file of those clocks, for one that will not have /proc any more when they are set."""
    return os.open(f"/proc/{pid}/timens_offsets", os.O_WRONLY | os.O_CLOEXEC)


def write_opened_time_offsets(fd: int, offsets: Sequence[tuple[str, int, int]]) -> None:
    """`write_time_offsets` through that file."""
    text = "".join(f"{clock} {seconds} {nanoseconds}\n" for clock, seconds, nanoseconds in offsets)
    _write(fd, text, "timens_offsets")


def make_user_namespace(uid_maps: Sequence[tuple[int, int, int]], gid_maps: Sequence[tuple[int, int, int]]) -> int:
    """Open a new user namespace with these maps that no process is in, as mount_setattr(2) wants for idmapped mounts.

    A short-lived child makes it; it is killed and waited for, sends no SIGCHLD, and ends by itself when the caller
    dies. Other threads may run: the child, which waits for ever if one holds a lock, need not get to do anything.
    """
    read_end, write_end = os.pipe2(os.O_CLOEXEC)
    try:
        pid, pidfd = clone3(CloneFlag.NEWUSER, exit_signal=0)
        if pid == 0:
            try:
                os.close(write_end)
                os.read(read_end, 1)
            finally:
                os._exit(0)
        try:
            write_id_map(pid, "uid", uid_maps)
            write_id_map(pid, "gid", gid_maps)
            return open_namespace(pid, "user")
        finally:
            signal.pidfd_send_signal(pidfd, signal.SIGKILL)
            wait_pidfd(pidfd)
            os.close(pidfd)
    finally:
        os.close(read_end)
        os.close(write_end)


def _write_at_once(path: str, text: str) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        _write(fd, text, path)
    finally:
        os.close(fd)


def _write(fd: int, text: str, path: str) -> None:
    try:
        os.write(fd, text.encode())
    except OSError as error:
        raise OSError(error.errno, f"write {text!r}: {os.strerror(error.errno or 0)}", path) from None
