"""A thread of one's own for calls that change what a thread shares with the process: its mount namespace, its root.

unshare(2) and setns(2) for mounts act on a thread alone once its CLONE_FS is undone; when the thread ends, everything
that it entered or made is gone, and the process has noticed nothing.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from sampan.linux.mount import MountFlag, mount
from sampan.linux.namespace import CloneFlag, setns, unshare

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
