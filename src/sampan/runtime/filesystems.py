"""New file systems as a MountPlan asks for them, as detached mounts; and the ids that their inodes get.

Used by the parent for what depends on no namespace (`prepare`) and by the child for the rest (`rootfs`).
"""

from __future__ import annotations

import errno
import os

from sampan.errors import NotImplementedHere
from sampan.linux.mount import (
    AT_FDCWD,
    MountAttr,
    MountFlag,
    attributes_of,
    create_filesystem,
    fsmount,
    make_filesystem,
    mount_setattr,
    move_mount,
    open_tree,
)
from sampan.runtime.launch_plan import IdMap, LaunchPlan, MountPlan

_REC = int(MountFlag.REC)
_RDONLY = int(MountFlag.RDONLY)
_CONFINED = int(MountAttr.NOSUID | MountAttr.NODEV | MountAttr.NOEXEC)
_ATTR_RDONLY = int(MountAttr.RDONLY)
_SUPERBLOCK_WORDS = (
    (int(MountFlag.SYNCHRONOUS), "sync"),
    (int(MountFlag.DIRSYNC), "dirsync"),
    (int(MountFlag.MANDLOCK), "mand"),
    (int(MountFlag.LAZYTIME), "lazytime"),
)
_PSEUDO = frozenset({"proc", "sysfs", "tmpfs", "mqueue", "devpts", "cgroup", "cgroup2", "ramfs", "hugetlbfs"})


def make_mount(mount: MountPlan) -> int:
    """A detached mount of the file system, made in the caller's namespaces.

    A read-only tmpfs is still writable: it becomes read-only when all that lies below it is mounted. Raises OSError,
    and NotImplementedHere for a type that the kernel does not have.
    """
    return mount_created(create_for(mount), mount)


def create_for(mount: MountPlan) -> int:
    """The first half of `make_mount`: the file system without its mount, for `mount_created`. Raises as that does."""
    options: list[tuple[str, str | None]] = [("source", mount.source or mount.fstype), *mount.data]
    options += [(word, None) for flag, word in _SUPERBLOCK_WORDS if mount.flags & flag]
    if mount.flags & _RDONLY and mount.fstype not in _PSEUDO:
        options.append(("ro", None))
    try:
        return create_filesystem(mount.fstype, options)
    except OSError as error:
        if error.errno != errno.ENODEV or error.filename != mount.fstype:
            raise
        raise NotImplementedHere(
            f"no such device: this kernel has no file system of type {mount.fstype!r}, wanted at /{mount.target}",
            remedy=f"load its module on the host (`modprobe {mount.fstype}`), or name another type",
        ) from None


def mount_created(fs_fd: int, mount: MountPlan) -> int:
    """The other half: the detached mount of what `create_for` has made, whose descriptor is closed."""
    bits, _ = attributes_of(mount.flags & ~_RDONLY if mount.fstype == "tmpfs" else mount.flags)
    try:
        fd = fsmount(fs_fd, bits)
    finally:
        os.close(fs_fd)
    if mount.propagation:
        mount_setattr(fd, propagation=mount.propagation & ~_REC, recursive=bool(mount.propagation & _REC))
    if mount.attributes_set or mount.attributes_clear:
        mount_setattr(fd, set=mount.attributes_set, clear=mount.attributes_clear, recursive=True)
    return fd


def renew(fd: int) -> int:
    """The same detached mount, and what is attached to it, with new mount ids, in a new descriptor.

    Before Linux 6.15, which cannot clone what is detached, its old ids stay.
    """
    try:
        return open_tree(fd, "", clone=True, recursive=True)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        return os.dup(fd)


def clone_inside(top: int, place: int, name: str = "") -> int:
    """A detached bind of what lies inside the detached mount `top`: of `place`, or of `name` there. Raises OSError.

    Before Linux 6.15 `top` has to be attached somewhere for that; it is, for a moment, in a mount namespace of its own,
    and of no use afterwards.
    """
    try:
        return open_tree(place, name, clone=True)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
    from sampan.linux.apart import in_private_mounts  # its threads are nothing that other starts need

    def attach_and_clone() -> int:
        move_mount(top, (AT_FDCWD, "/"))
        return open_tree(place, name, clone=True)

    return in_private_mounts(attach_and_clone)


def copy_of_file(mount: MountPlan, plan: LaunchPlan | None = None) -> int:
    """A detached read-only mount of one file, which is in memory alone and never swapped: a ramfs of its own."""
    copy = mount.file_copy
    if copy is None:
        raise ValueError(f"no file to copy to {mount.target}")
    uid_maps, gid_maps = (plan.namespaces.uid_maps, plan.namespaces.gid_maps) if plan else ((), ())
    top = make_filesystem("ramfs", (("source", "ramfs"), ("mode", "700")), _CONFINED)
    try:
        new = os.open("file", os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600, dir_fd=top)
        try:
            _copy_content(mount.source, new)
            os.fchown(new, outside(uid_maps, copy.uid), outside(gid_maps, copy.gid))
            os.fchmod(new, copy.mode)
        finally:
            os.close(new)
        fd = clone_inside(top, top, "file")
    finally:
        os.close(top)
    try:
        mount_setattr(fd, set=_CONFINED | _ATTR_RDONLY)
    except BaseException:
        os.close(fd)
        raise
    return fd


def _copy_content(source: str, target_fd: int) -> None:
    fd = os.open(source, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        while data := os.read(fd, 1 << 20):
            while data:
                data = data[os.write(target_fd, data) :]
    finally:
        os.close(fd)


def give_to_root(directory_fd: int, plan: LaunchPlan, name: str = ".") -> None:
    """Make the container's root the owner, where that is another than the host's."""
    uid, gid = outside(plan.namespaces.uid_maps, 0), outside(plan.namespaces.gid_maps, 0)
    if (uid, gid) != (0, 0):
        os.chown(name, uid, gid, dir_fd=directory_fd, follow_symlinks=False)


def outside(maps: tuple[IdMap, ...], inside: int) -> int:
    """The host's id behind an id of the container; itself without maps. OSError (EOVERFLOW) when it has none."""
    if not maps:
        return inside
    for line in maps:
        if line.inside <= inside < line.inside + line.count:
            return line.outside + inside - line.inside
    raise OSError(errno.EOVERFLOW, f"id {inside} has no place in the container's user namespace")
