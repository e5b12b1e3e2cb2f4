"""A container's whole tree as a descriptor: its root with everything mounted in it, or alone, running or not.

What is given is a detached copy of the mounts: on no mount table, there until its descriptor is closed even when the
container ends, without device files, and read-only unless it is to be written. Nothing of the container is executed,
loaded or waited for; the calls need a thread of their own, which they make.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterable

from sampan.engine.container import ContainerRecord, MountPoint, Running
from sampan.engine.spec import mount_plan
from sampan.engine.spec_sources import Known
from sampan.engine.volume_addresses import with_address
from sampan.errors import Conflict, SystemFailure
from sampan.linux.apart import in_mounts_of, in_private_mounts
from sampan.linux.mount import (
    AT_FDCWD,
    MountAttr,
    MountFlag,
    Propagation,
    mount_setattr,
    move_mount,
    open_tree,
)
from sampan.linux.openat import make_directories_in_root, make_file_in_root
from sampan.runtime.filesystems import make_mount
from sampan.runtime.launch_plan import MountPlan
from sampan.runtime.sources import open_source

_BIND = int(MountFlag.BIND | MountFlag.REC)
_PATH = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC


def open_running(running: Running, *, writable: bool = False, alone: bool = False) -> int:
    """The tree of a running container; `alone` is its root without what is mounted in it.

    Raises Conflict when it has ended meanwhile.
    """
    namespace = open_mounts(running)
    try:
        return in_mounts_of(namespace, lambda: _clone_root(writable=writable, alone=alone))
    finally:
        os.close(namespace)


def open_mounts(running: Running) -> int:
    """The container's mount namespace, never that of another process that has got the pid meanwhile.

    Raises Conflict when it has ended.
    """
    try:
        process = os.open(f"/proc/{running.pid}", _PATH)
    except FileNotFoundError:
        raise _ended() from None
    try:
        namespace = os.open("ns/mnt", os.O_RDONLY | os.O_CLOEXEC, dir_fd=process)
        try:
            with open(os.open("stat", os.O_RDONLY | os.O_CLOEXEC, dir_fd=process), "rb") as file:
                parent = int(file.read().rpartition(b")")[2].split()[1])
            if parent != running.monitor_pid or os.fstat(namespace).st_ino == os.stat("/proc/self/ns/mnt").st_ino:
                raise _ended()
        except BaseException:
            os.close(namespace)
            raise
        return namespace
    except (FileNotFoundError, ProcessLookupError):
        raise _ended() from None
    finally:
        os.close(process)


def _ended() -> Conflict:
    return Conflict("the container has just ended", remedy="try again")


def open_stopped(root: int, place: str, record: ContainerRecord, files: Iterable[tuple[str, str]]) -> tuple[int, int]:
    """The tree of a container that does not run, to be written, and its root alone.

    They are made from its `root`, whose descriptor is the caller's.
    `place` is a directory of the host to work over, `files` are the engine's own: (source, target). Missing mount
    points are made, as a start would make them; what is in a tmpfs only while it runs is not there.
    """

    def assemble() -> tuple[int, int]:
        move_mount(root, (AT_FDCWD, place))
        for source, target in files:
            if os.path.exists(source):
                _attach(root, target, _bind(MountPlan(target, source, "", _BIND)), writable=True)
        for point in sorted(record.mounts, key=lambda point: point.destination.count("/")):
            _attach(root, point.destination, _mount_of(point), writable=point.writable)
        if record.config.host.readonly_rootfs:
            mount_setattr(root, set=MountAttr.RDONLY)
        whole = _clone(root, writable=True)
        try:
            return whole, _clone(root, writable=False, alone=True)
        except BaseException:
            os.close(whole)
            raise

    return in_private_mounts(assemble)


def _mount_of(point: MountPoint) -> int:
    """What is mounted at a point, detached; -1 for nothing."""
    if point.kind in {"tmpfs", "secret", "config", "image"} or point.fstype in {"tmpfs", "ramfs"}:
        return -1
    if point.fstype not in {"", "none"}:
        try:
            return make_mount(mount_plan(with_address(point), Known()))
        except OSError as error:
            raise SystemFailure(
                f"cannot mount volume {point.name} at {point.destination}: {error}",
                remedy="see that the options of the volume name what can be mounted now",
            ) from error
    source = point.device if point.fstype else point.source
    if not source:
        return -1  # a plugin's, which is somewhere only while the container runs
    return _bind(MountPlan(point.destination, source, "", _BIND, subpath=point.subpath))


def _bind(plan: MountPlan) -> int:
    try:
        return open_source(plan)
    except OSError as error:
        if error.errno in {errno.ENOENT, errno.ENOTDIR, errno.EXDEV}:
            return -1  # it could not be mounted for a run either
        raise


def _attach(root: int, target: str, fd: int, *, writable: bool) -> None:
    if fd < 0:
        return
    try:
        if not writable:
            mount_setattr(fd, set=MountAttr.RDONLY, recursive=True)
        if stat.S_ISDIR(os.fstat(fd).st_mode):
            place = make_directories_in_root(root, target)
        else:
            place = make_file_in_root(root, target)
        try:
            move_mount(fd, place)
        finally:
            os.close(place)
    finally:
        os.close(fd)


def _clone_root(*, writable: bool, alone: bool) -> int:
    root = os.open("/", _PATH)
    try:
        return _clone(root, writable=writable, alone=alone)
    finally:
        os.close(root)


def _clone(root: int, *, writable: bool, alone: bool = False) -> int:
    fd = open_tree(root, "", clone=True, recursive=not alone)
    try:
        attributes = MountAttr.NODEV if writable else MountAttr.NODEV | MountAttr.RDONLY
        mount_setattr(fd, set=attributes, propagation=Propagation.PRIVATE, recursive=True)
    except BaseException:
        os.close(fd)
        raise
    return fd
