"""A thread of one's own for calls that change what a thread shares with the process: its mount namespace, its root.

unshare(2) and setns(2) for mounts act on a thread alone once its CLONE_FS is undone; when the thread ends, everything
that it entered or made is gone, and the process has noticed nothing.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable

from sampan.linux.mount import MountFlag, mount
from sampan.linux.namespace import CloneFlag, open_namespace, setns, unshare

_CLONE_FS = 0x00000200


def call_apart[T](function: Callable[[], T]) -> T:
    """Call the function in a new thread, wait for its end, and give or raise what it gave or raised."""
    values: list[T] = []
    failures: list[BaseException] = []

    def call() -> None:
        try:
            values.append(function())
        except BaseException as error:  # noqa: BLE001 -- raised again by the caller
            failures.append(error)

    thread = threading.Thread(target=call, name="apart", daemon=True)
    thread.start()
    thread.join()
    if failures:
        raise failures[0]
    return values[0]


def in_private_mounts[T](function: Callable[[], T]) -> T:
    """Call the function in a copy of this mount namespace that nothing leaves and that ends with the call."""

    def call() -> T:
        unshare(CloneFlag.NEWNS)
        mount("", "/", "", MountFlag.REC | MountFlag.PRIVATE)
        return function()

    return call_apart(call)


def in_mounts_of[T](namespace_fd: int, function: Callable[[], T]) -> T:
    """Call the function inside another mount namespace, whose root is "/" then."""

    def call() -> T:
        unshare(_CLONE_FS)
        setns(namespace_fd, CloneFlag.NEWNS)
        return function()

    return call_apart(call)


def is_in_chroot() -> bool:
    """Whether the root of this process is another than that of its mount namespace (chroot(2)).

    Who enters a mount namespace by setns(2) gets that namespace's root: a chroot ends with it.
    """
    namespace = open_namespace("self", "mnt")
    try:
        return in_mounts_of(namespace, _root_mount) != _root_mount()
    finally:
        os.close(namespace)


def _root_mount() -> tuple[str, int, int]:
    """What tells one root from another: the mount's id (fdinfo in proc(5)), and which of its directories it is."""
    fd = os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with open(f"/proc/thread-self/fdinfo/{fd}", encoding="ascii") as file:
            mount_id = next(line.split()[1] for line in file if line.startswith("mnt_id:"))
        found = os.fstat(fd)
        return mount_id, found.st_dev, found.st_ino
    finally:
        os.close(fd)
