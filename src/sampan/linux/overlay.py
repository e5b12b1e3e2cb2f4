"""Overlay file systems: mounting any number of layers, and the marks by which an upper layer deletes.

See Documentation/filesystems/overlayfs.rst of the kernel. Which layers there are, and what an image's own `.wh.` names
mean, is not known here.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Sequence
from contextlib import ExitStack

from sampan.linux.libc import c_string
from sampan.linux.mount import (
    AT_FDCWD,
    MountFlag,
    make_filesystem,
    mount,
    mount_setattr,
    open_tree,
)
from sampan.linux.namespace import CloneFlag, unshare

MOST_LOWERS = 500  # OVL_MAX_STACK of fs/overlayfs
_LONGEST_VALUE = 255  # of FSCONFIG_SET_STRING
_MOUNT_DATA = 4095  # mount(2) takes one page
_SPECIAL = frozenset(b":\\,")
_OPAQUE = "overlay.opaque"


def mount_overlay(
    lowers: Sequence[str],
    upper: str = "",
    work: str = "",
    options: Sequence[tuple[str, str | None]] = (),
    attributes: int = 0,
) -> int:
    """Mount an overlay and return a descriptor of its detached mount; `lowers` from the top down.

    Without `upper` and `work` it is read-only. Layers are given one by one (`lowerdir+`, Linux 6.5), so neither
    their number (up to MOST_LOWERS) nor colons in their names matter; older kernels get them through mount(2) in a
    form that fits one page. Raises OSError with the kernel's own message where it gives one.
    """
    try:
        return _mount_by_layers(lowers, upper, work, options, attributes)
    except OSError as error:
        # Before 6.5 the unknown `lowerdir+` comes back as EINVAL, when the file system is made at the latest.
        if error.errno not in {errno.EINVAL, errno.ENOSYS}:
            raise
        try:
            return _mount_by_page(lowers, upper, work, options, attributes)
        except OSError as second:
            raise (error if second.errno == errno.EINVAL else second) from None


def is_whiteout(status: os.stat_result) -> bool:
    """Whether this is the mark of a deleted name: a character device 0:0."""
    return stat.S_ISCHR(status.st_mode) and status.st_rdev == 0


def make_whiteout(name: str | bytes, *, dir_fd: int | None = None) -> None:
    """Make the mark of a deleted name."""
    os.mknod(name, stat.S_IFCHR, 0, dir_fd=dir_fd)


def is_opaque(directory: int | str | bytes, *, user: bool = False) -> bool:
    """Whether the directory hides those below it; with `user` as an overlay mounted with `userxattr` marks it."""
    try:
        return os.getxattr(directory, ("user." if user else "trusted.") + _OPAQUE) == b"y"
    except OSError as error:
        if error.errno in {errno.ENODATA, errno.ENOTSUP}:
            return False
        raise


def make_opaque(directory: int | str | bytes, *, user: bool = False) -> None:
    """Make the directory hide those below it."""
    os.setxattr(directory, ("user." if user else "trusted.") + _OPAQUE, b"y")


def _mount_by_layers(
    lowers: Sequence[str], upper: str, work: str, options: Sequence[tuple[str, str | None]], attributes: int
) -> int:
    with ExitStack() as opened:
        directories: list[tuple[str, str | None]] = [("lowerdir+", _plain(lower, opened)) for lower in lowers]
        if upper:
            directories += [("upperdir", _plain(upper, opened)), ("workdir", _plain(work, opened))]
        return make_filesystem("overlay", [("source", "overlay"), *directories, *options], attributes)


def _plain(path: str, opened: ExitStack) -> str:
    """`path`, or a short one to the same when the kernel would find it too long or interpret what it holds."""
    encoded = c_string(path)
    if len(encoded) <= _LONGEST_VALUE and _SPECIAL.isdisjoint(encoded):
        return path
    return f"/proc/self/fd/{_open(path, opened)}"


def _open(path: str, opened: ExitStack) -> int:
    fd = os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    opened.callback(os.close, fd)
    return fd


def _mount_by_page(
    lowers: Sequence[str], upper: str, work: str, options: Sequence[tuple[str, str | None]], attributes: int
) -> int:
    """Mount with mount(2), every directory named by its descriptor's number, relative to /proc/self/fd.

    mount(2) has to put it somewhere: over the upper (or topmost) directory, in a mount namespace of the thread's own.
    """

    def mount_and_clone() -> int:
        stage = os.path.realpath(upper or lowers[0])
        unshare(CloneFlag.NEWNS)
        mount("", "/", "", MountFlag.REC | MountFlag.PRIVATE)
        with ExitStack() as opened:  # only now: overlayfs takes no layer from another mount namespace
            mount("overlay", stage, "overlay", 0, _page(lowers, upper, work, options, opened))
            return open_tree(AT_FDCWD, stage, clone=True)

    fd = _apart(mount_and_clone)
    try:
        if attributes:
            mount_setattr(fd, set=attributes)
    except BaseException:
        os.close(fd)
        raise
    return fd


def _page(
    lowers: Sequence[str], upper: str, work: str, options: Sequence[tuple[str, str | None]], opened: ExitStack
) -> str:
    """The options for mount(2); it leaves the thread in /proc/self/fd, where the names in them are found."""
    words = ["lowerdir=" + ":".join(str(_open(lower, opened)) for lower in lowers)]
    if upper:
        words += [f"upperdir={_open(upper, opened)}", f"workdir={_open(work, opened)}"]
    words += [key if value is None else f"{key}={value}" for key, value in options]
    data = ",".join(words)
    if len(data) > _MOUNT_DATA:
        raise OSError(errno.E2BIG, f"mount options of {len(lowers)} layers do not fit one page")
    os.chdir("/proc/self/fd")
    return data


def _apart(function: Callable[[], int]) -> int:
    """Call the function in a thread, whose namespaces and directory unshare(2) makes its own, and wait for it."""
    import threading

    outcome: list[int | BaseException] = []

    def call() -> None:
        try:
            outcome.append(function())
        except BaseException as error:  # noqa: BLE001 - raised again by the caller
            outcome.append(error)

    thread = threading.Thread(target=call)
    thread.start()
    thread.join()
    (result,) = outcome
    if isinstance(result, BaseException):
        raise result
    return result
