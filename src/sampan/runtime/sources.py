"""Where the source of a bind is found: on the host, below a directory that it may not leave, or in another container.

The caller has one thread, as a monitor and the OCI command have: setns(2) into a mount namespace demands it.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterable
from contextlib import suppress

from sampan.linux.mount import AT_FDCWD, MountAttr, MountFlag, mount_setattr, open_tree
from sampan.linux.namespace import open_namespace, setns
from sampan.linux.openat import Resolve, open_in_root, openat2
from sampan.linux.overlay import mount_overlay
from sampan.runtime.filesystems import clone_inside
from sampan.runtime.launch_plan import MountPlan

_REC = int(MountFlag.REC)
_NEWNS = 0x00020000
_RDONLY = int(MountAttr.RDONLY)
_SHOWN = int(MountAttr.RDONLY | MountAttr.NOSUID | MountAttr.NODEV | MountAttr.NOEXEC)
_PRIVATE = int(MountFlag.PRIVATE)
_IN_ROOT = int(Resolve.IN_ROOT | Resolve.NO_MAGICLINKS)
_BENEATH = int(Resolve.BENEATH | Resolve.NO_MAGICLINKS)


def open_source(mount: MountPlan) -> int:
    """A detached bind of the mount's source, its attributes as they are there."""
    recursive = bool(mount.flags & _REC)
    if mount.namespace:
        return _open_elsewhere(mount, recursive=recursive)
    if mount.subpath:
        return _open_below(mount, recursive=recursive)
    try:
        return open_tree(AT_FDCWD, mount.source, clone=True, recursive=recursive)
    except FileNotFoundError as error:
        if not mount.create_source:
            raise OSError(error.errno, f"bind source path does not exist: {mount.source}") from error
    try:
        os.makedirs(mount.source, 0o755, exist_ok=True)
    except OSError as error:
        words = f"error while creating mount source path '{mount.source}': mkdir {error.filename}"
        raise OSError(error.errno, f"{words}: {(error.strerror or '').lower()}") from error
    return open_tree(AT_FDCWD, mount.source, clone=True, recursive=recursive)


def _open_below(mount: MountPlan, *, recursive: bool) -> int:
    """The subpath, by a descriptor that no symbolic link leads out of the source (CVE-2023-2728, CVE-2017-1002101)."""
    source = os.open(mount.source, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        try:
            fd = openat2(source, mount.subpath, os.O_PATH, 0, _BENEATH)
        except OSError as error:
            why = "it leads out of there" if error.errno == errno.EXDEV else os.strerror(error.errno or 0)
            raise OSError(error.errno, f"subpath {mount.subpath} of {mount.source}: {why}") from error
        try:
            return open_tree(fd, "", clone=True, recursive=recursive)
        finally:
            os.close(fd)
    finally:
        os.close(source)


def open_overlay(mount: MountPlan) -> int:
    """A detached read-only mount of the overlay that the plan names, or of the subpath in it."""
    if mount.overlay is None:
        raise ValueError(f"no overlay to mount at {mount.target}")
    fd = mount_overlay(mount.overlay.lowers, attributes=_RDONLY)
    if not mount.subpath:
        return fd
    try:
        try:
            place = openat2(fd, mount.subpath.lstrip("/"), os.O_PATH, 0, _IN_ROOT)
        except OSError as error:
            why = os.strerror(error.errno or 0).lower()
            raise OSError(error.errno, f"subpath {mount.subpath} of the image at /{mount.target}: {why}") from error
        try:
            return clone_inside(fd, place)
        finally:
            os.close(place)
    finally:
        os.close(fd)


def open_optional(mounts: Iterable[MountPlan]) -> dict[str, int]:
    """Detached, read-only binds of those mounts that may be left out, by target; what cannot be opened is left out.

    Each mount namespace is visited once. The descriptors are the caller's to close.
    """
    found: dict[str, int] = {}
    by_namespace: dict[str, list[MountPlan]] = {}
    for mount in mounts:
        if mount.optional:
            by_namespace.setdefault(mount.namespace, []).append(mount)
    for namespace, those in by_namespace.items():

        def open_each(those: list[MountPlan] = those) -> None:
            for mount in those:
                with suppress(OSError):
                    found[mount.target] = fd = _clone_in_root(mount.source, recursive=False)
                    mount_setattr(fd, set=_SHOWN, propagation=_PRIVATE)

        with suppress(OSError):
            if namespace:
                _visit(namespace, open_each)
            else:
                open_each()
    return found


def _open_elsewhere(mount: MountPlan, *, recursive: bool) -> int:
    """What another mount namespace has at the source's path; a detached copy of a mount may be attached anywhere."""
    return _visit(mount.namespace, lambda: _clone_in_root(mount.source, recursive=recursive))


def _visit[T](namespace: str, act: Callable[[], T]) -> T:
    """Call it inside a mount namespace, and come back."""
    own = open_namespace("self", "mnt")
    here = os.open(".", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        there = os.open(namespace, os.O_RDONLY | os.O_CLOEXEC)
        try:
            setns(there, _NEWNS)
        finally:
            os.close(there)
        try:
            return act()
        finally:
            setns(own, _NEWNS)
            os.fchdir(here)
    finally:
        os.close(own)
        os.close(here)


def _clone_in_root(path: str, *, recursive: bool) -> int:
    root = os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fd = open_in_root(root, path, os.O_PATH)
        try:
            return open_tree(fd, "", clone=True, recursive=recursive)
        finally:
            os.close(fd)
    finally:
        os.close(root)
