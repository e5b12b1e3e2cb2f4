"""What /dev of a container holds: device nodes, links, and the tmpfs that the parent fills with them.

Which devices there are was decided by the plan. Terminals are not made here.
"""

from __future__ import annotations

import errno
import os
import stat

from sampan.linux.mount import AT_FDCWD, MountAttr, MountFlag, make_filesystem, mount_setattr, open_tree
from sampan.runtime.filesystems import give_to_root, make_mount, outside
from sampan.runtime.launch_plan import DevicePlan, LaunchPlan, MountPlan

_BIND = int(MountFlag.BIND)
_NULL = os.makedev(1, 3)
_COVER = int(MountAttr.RDONLY | MountAttr.NOSUID | MountAttr.NOEXEC)
_DEV_LINKS = (
    ("fd", "/proc/self/fd"),
    ("stdin", "/proc/self/fd/0"),
    ("stdout", "/proc/self/fd/1"),
    ("stderr", "/proc/self/fd/2"),
    ("ptmx", "pts/ptmx"),
)
_LINKED = {name for name, _ in _DEV_LINKS} | {"", ".", "..", "core"}
_HAS_CORE = os.path.exists("/proc/kcore")
_DEVICE_KINDS = {"c": stat.S_IFCHR, "u": stat.S_IFCHR, "b": stat.S_IFBLK, "p": stat.S_IFIFO}


def dev_links() -> tuple[tuple[str, str], ...]:
    """The symbolic links of /dev (runtime specification, "Dev symbolic links"), as (name, target)."""
    return (*_DEV_LINKS, ("core", "/proc/kcore")) if _HAS_CORE else _DEV_LINKS


def open_null() -> int:
    """A detached bind of /dev/null, told by its device number and not by its name (CVE-2025-31133).

    It is read-only, which leaves the device as it is but keeps the container's root from changing the host's node.
    """
    fd = open_tree(AT_FDCWD, "/dev/null", clone=True)
    status = os.fstat(fd)
    if not stat.S_ISCHR(status.st_mode) or status.st_rdev != _NULL:
        os.close(fd)
        raise OSError(errno.ENODEV, "not the null device", "/dev/null")
    mount_setattr(fd, set=_COVER)
    return fd


def make_device(directory_fd: int, name: str, device: DevicePlan, uid: int, gid: int) -> None:
    """Make a device node with exactly its mode and owner; FileExistsError when something else has its name."""
    kind = _DEVICE_KINDS[device.kind]
    before = os.umask(0)
    try:
        os.mknod(name, kind | device.mode, os.makedev(device.major, device.minor), dir_fd=directory_fd)
    except FileExistsError:
        status = os.stat(name, dir_fd=directory_fd, follow_symlinks=False)
        if not is_device(status, device):
            raise
        os.chmod(name, device.mode, dir_fd=directory_fd)
        os.chown(name, uid, gid, dir_fd=directory_fd, follow_symlinks=False)
    else:
        if uid or gid:
            os.chown(name, uid, gid, dir_fd=directory_fd, follow_symlinks=False)
    finally:
        os.umask(before)


def is_device(status: os.stat_result, device: DevicePlan) -> bool:
    """Whether this is the node that the plan means."""
    kind = _DEVICE_KINDS[device.kind]
    same = kind == stat.S_IFIFO or status.st_rdev == os.makedev(device.major, device.minor)
    return same and stat.S_IFMT(status.st_mode) == kind


def dev_to_fill(plan: LaunchPlan) -> int:
    """The index of the tmpfs on /dev that the parent can fill; -1 when the child has to."""
    if not plan.own_dev or any(join.kind == "user" for join in plan.namespaces.join):
        return -1
    on_dev = [index for index, mount in enumerate(plan.mounts) if mount.target.strip("/") == "dev"]
    if not on_dev or plan.mounts[on_dev[-1]].fstype != "tmpfs" or plan.mounts[on_dev[-1]].flags & _BIND:
        return -1
    return on_dev[-1]


def is_filled(device: DevicePlan, plan: LaunchPlan) -> bool:
    """Whether the parent puts this device into the /dev it fills: directly in it, and not covered by a later mount."""
    before, _, name = device.path.strip("/").rpartition("/")
    return before == "dev" and bool(name) and all(mount.target.strip("/") != f"dev/{name}" for mount in plan.mounts)


def fill_dev(plan: LaunchPlan, mount: MountPlan) -> int:
    """A tmpfs with the devices and links of /dev, owned by the container's root."""
    fd = make_mount(mount)
    try:
        uid_maps, gid_maps = plan.namespaces.uid_maps, plan.namespaces.gid_maps
        for device in plan.devices:
            if is_filled(device, plan):
                name = device.path.rstrip("/").rpartition("/")[2]
                make_device(fd, name, device, outside(uid_maps, device.uid), outside(gid_maps, device.gid))
        for name, target in dev_links():
            os.symlink(target, name, dir_fd=fd)
        for name in mount_points_of_dev(plan):
            os.mkdir(name, 0o755, dir_fd=fd)
            give_to_root(fd, plan, name)
        give_to_root(fd, plan)
    except BaseException:
        os.close(fd)
        raise
    return fd


def mount_points_of_dev(plan: LaunchPlan) -> list[str]:
    """The names right below /dev on which file systems will be mounted."""
    targets = [mount.target.strip("/").split("/") for mount in plan.mounts if not mount.flags & _BIND]
    return sorted({parts[1] for parts in targets if len(parts) == 2 and parts[0] == "dev" and parts[1] not in _LINKED})


def make_device_mounts(plan: LaunchPlan) -> tuple[int, ...]:
    """A detached mount of a node for each device, for user namespaces, which may not mknod; -1 where there can be none.

    It is a node of its own with the mode and the owner asked for; before Linux 6.15, which cannot clone what is
    detached, and for an owner who has no place in the namespace, the host's.
    """
    shelf = make_filesystem("tmpfs")
    try:
        return tuple(_own_node(shelf, str(index), device, plan) for index, device in enumerate(plan.devices))
    finally:
        os.close(shelf)


def _own_node(shelf: int, name: str, device: DevicePlan, plan: LaunchPlan) -> int:
    try:
        uid = outside(plan.namespaces.uid_maps, device.uid)
        gid = outside(plan.namespaces.gid_maps, device.gid)
        make_device(shelf, name, device, uid, gid)
        return open_tree(shelf, name, clone=True)
    except OSError as error:
        if error.errno not in {errno.EINVAL, errno.EOVERFLOW}:
            raise
        return bind_device(device)


def bind_device(device: DevicePlan) -> int:
    """A detached bind of the host's node of this device; -1 without."""
    try:
        fd = open_tree(AT_FDCWD, device.path, clone=True)
    except FileNotFoundError:
        return -1
    if not is_device(os.fstat(fd), device):
        os.close(fd)
        return -1
    return fd
