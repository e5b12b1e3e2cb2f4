"""Cloning a child into new and existing namespaces, from a process that is afterwards in its own again.

Existing ones are joined by the parent before it clones, since a child in a new user namespace may not join the host's.
Two wait for the child: a mount namespace, and a cgroup namespace, which may only be entered from inside the container's
cgroup (with nsdelegate nobody in it can be cloned into another: ENOENT). A user namespace that exists can be joined by
nobody who wants to come back: then an intermediate process joins all of them and clones a child of the same parent
(CLONE_PARENT).
"""

from __future__ import annotations

import os
import struct
from contextlib import ExitStack

from sampan.errors import InvalidArgument
from sampan.linux import process
from sampan.linux.namespace import (
    KINDS,
    CloneFlag,
    clone3,
    open_namespace,
    setns,
    unshare,
    write_time_offsets,
)
from sampan.runtime.launch_plan import NamespaceJoin, NamespacesPlan

_NUMBER = struct.Struct("=i")
# In the order of joining: the user namespace is the last, it takes the right to join the others away.
_ORDER = ("net", "ipc", "uts", "pid", "time", "user")


def spawn(namespaces: NamespacesPlan, cgroup_fd: int = -1) -> tuple[int, int]:
    """Clone a child: (pid, pidfd) in the parent, (0, -1) in the child; single-threaded callers only.

    The child is in all namespaces of the plan but those of open_joined and a new cgroup namespace, which is unshared
    inside the right cgroup. When this raises, the caller is in its own namespaces.
    """
    flags = _new_flags(namespaces)
    joins = _in_order(namespaces.join)
    if any(kind == "user" for kind, _ in joins):
        return _spawn_through_another(namespaces, joins, flags, cgroup_fd)
    back = ExitStack()
    with back:
        _enter(namespaces, joins, back)
        pid, pidfd = clone3(flags, cgroup_fd=cgroup_fd)
        if pid == 0:
            back.pop_all()  # the way back is the parent's alone
    return pid, pidfd


def open_joined(namespaces: NamespacesPlan, kind: str) -> int:
    """A descriptor of a namespace that waits for the child to join it ("mnt", "cgroup"; "net" of one ahead), or -1."""
    path = path_joined(namespaces, kind)
    try:
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC) if path else -1
    except OSError as error:
        raise not_joined(kind, path, error) from None


def path_joined(namespaces: NamespacesPlan, kind: str) -> str:
    """The path of the namespace of this kind that is joined, or ""."""
    return next((join.path for join in namespaces.join if join.kind == kind), "")


def _new_flags(namespaces: NamespacesPlan) -> int:
    flags = 0
    for kind in namespaces.new:
        if kind != "cgroup" and not (kind == "time" and namespaces.time_offsets):
            flags |= int(KINDS[kind])
    return flags


def _in_order(joins: tuple[NamespaceJoin, ...]) -> list[tuple[str, str]]:
    paths = {join.kind: join.path for join in joins}
    return [(kind, paths[kind]) for kind in _ORDER if kind in paths]


def _enter(namespaces: NamespacesPlan, joins: list[tuple[str, str]], back: ExitStack | None) -> None:
    """Join what exists and make the clocks' namespace; `back` gets the way back."""
    for kind, path in joins:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            if kind == "user" and _is_own(fd, kind):
                continue  # the kernel refuses to enter it again
            if back is not None:
                _remember(kind, back)
            setns(fd, KINDS[kind])
        except OSError as error:
            raise not_joined(kind, path, error) from None
        finally:
            os.close(fd)
    if "time" in namespaces.new and namespaces.time_offsets:
        if back is not None:
            _remember("time", back)
        unshare(CloneFlag.NEWTIME)
        write_time_offsets("self", time_offsets(namespaces))


def time_offsets(namespaces: NamespacesPlan) -> list[tuple[str, int, int]]:
    """The plan's offsets for a namespace of the clocks that nobody has entered yet, as the kernel's file takes them."""
    return [(offset.clock, offset.seconds, offset.nanoseconds) for offset in namespaces.time_offsets]


def not_joined(kind: str, path: str, error: OSError) -> OSError:
    """The same error, which says what was to be joined."""
    return OSError(error.errno, f"join {kind} namespace {path}: {os.strerror(error.errno or 0).lower()}")


def _remember(kind: str, back: ExitStack) -> None:
    own = open_namespace("self", kind)
    back.callback(os.close, own)
    back.callback(setns, own, KINDS[kind])


def _is_own(fd: int, kind: str) -> bool:
    own = os.stat(f"/proc/self/ns/{kind}")
    there = os.fstat(fd)
    return (own.st_dev, own.st_ino) == (there.st_dev, there.st_ino)


def _spawn_through_another(
    namespaces: NamespacesPlan, joins: list[tuple[str, str]], flags: int, cgroup_fd: int
) -> tuple[int, int]:
    """Clone through a process that joins everything; its answer is the child's pid or why there is none."""
    answer, answer_write = os.pipe2(os.O_CLOEXEC)
    between, between_fd = clone3(0)
    if between == 0:
        pid = _clone_beyond(namespaces, joins, flags, cgroup_fd, answer_write)
        if pid == 0:
            os.close(answer)
            os.close(answer_write)
            return 0, -1
        os._exit(0)
    os.close(answer_write)
    try:
        said = b""
        while piece := os.read(answer, 65536):
            said += piece
    finally:
        os.close(answer)
        process.wait_pidfd(between_fd)
        os.close(between_fd)
    if len(said) < _NUMBER.size:
        raise OSError(0, "the process that was to join the user namespace died")
    number = _NUMBER.unpack(said[: _NUMBER.size])[0]
    if number <= 0:
        raise OSError(-number, said[_NUMBER.size :].decode())
    return number, process.pidfd_open(number)


def _clone_beyond(
    namespaces: NamespacesPlan, joins: list[tuple[str, str]], flags: int, cgroup_fd: int, answer: int
) -> int:
    """In the intermediate process: join, clone, answer; 0 in the child."""
    try:
        _enter(namespaces, joins, None)
        pid, _ = clone3(flags | CloneFlag.PARENT, cgroup_fd=cgroup_fd)
        if pid:
            os.write(answer, _NUMBER.pack(pid))
        return pid
    except OSError as error:
        os.write(answer, _NUMBER.pack(-(error.errno or 1)) + (error.strerror or "").encode())
    except BaseException as error:  # noqa: BLE001 -- nothing may return into the parent's code
        os.write(answer, _NUMBER.pack(-1) + repr(error).encode())
    return -1


def check_kinds(namespaces: NamespacesPlan) -> None:
    """Refuse kinds that the kernel does not have."""
    for kind in (*namespaces.new, *(join.kind for join in namespaces.join)):
        if kind not in KINDS:
            raise InvalidArgument(f"unknown kind of namespace {kind!r}")
