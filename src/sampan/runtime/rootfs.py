"""The child's steps that make the container's root: its mounts, devices and terminal, and the change into it.

Every target is reached with openat2 below the root's descriptor, whatever the image or a racing container made of it
(CVE-2021-30465, CVE-2024-45310): a symbolic link is followed inside the root only, and /proc, /sys and /dev must not be
one. What is mounted comes as detached mounts, from the parent (`prepare`) or made here because it depends on the
container's namespaces.
"""

from __future__ import annotations

import errno
import os
import stat
from contextlib import suppress

from sampan.errors import InvalidArgument, NotImplementedHere
from sampan.linux import terminal
from sampan.linux.mount import (
    AT_FDCWD,
    MountAttr,
    MountFlag,
    UmountFlag,
    attributes_of,
    make_filesystem,
    mount_setattr,
    mountinfo,
    move_mount,
    open_tree,
    pivot_root,
    umount,
)
from sampan.linux.namespace import setns
from sampan.linux.openat import Resolve, make_directories_in_root, make_file_in_root, open_in_root, openat2
from sampan.linux.statfs import Magic, filesystem_type
from sampan.runtime.child import Child, Piece
from sampan.runtime.copy_up import copy_up
from sampan.runtime.dev import dev_links, is_filled, make_device
from sampan.runtime.filesystems import create_for, make_mount, mount_created
from sampan.runtime.handshake import Say, describe
from sampan.runtime.launch_plan import DevicePlan, MountPlan
from sampan.runtime.prepare import open_bind

_BIND = int(MountFlag.BIND)
_RDONLY = int(MountFlag.RDONLY)
_REMOUNT = int(MountFlag.REMOUNT)
_SLAVE = int(MountFlag.SLAVE)
_REC = int(MountFlag.REC)
_PRIVATE = int(MountFlag.PRIVATE)
_ATTR_RDONLY = int(MountAttr.RDONLY)
_NEWNS = 0x00020000
_ORDINARY = frozenset({"proc", "sys", "dev"})
_OWN = frozenset({"proc", "mqueue"})
# What may be mounted inside procfs: files that lxcfs and its like replace, and two that CRIU and FIPS setups need.
_INSIDE_PROC = frozenset(
    f"proc/{name}"
    for name in (
        "cpuinfo diskstats meminfo stat swaps uptime loadavg slabinfo net/dev pressure/cpu pressure/io pressure/memory "
        "sys/kernel/ns_last_pid sys/crypto/fips_enabled sys/kernel/random/boot_id"
    ).split()
)


def isolate_mounts(child: Child) -> None:
    """Stop mounts from reaching the host: every mount of the new namespace becomes a slave."""
    if _owns_mounts(child):
        mount_setattr(AT_FDCWD, "/", propagation=_SLAVE, recursive=True)


def attach_root(child: Child) -> None:
    """Lay the root over "/", from where pivot_root takes it: no path of the host is needed or trusted.

    Hooks that run before it do need the host's paths in the container's mount namespace, and the root at its own there.
    Without a mount namespace of its own the container's root stays a detached tree, so the host sees none of its mounts
    (mounting inside a detached tree needs Linux 6.15).
    """
    child.root_fd = child.sources.root
    if _owns_mounts(child):
        hooks = child.plan.hooks
        early = hooks.prestart or hooks.create_runtime or hooks.create_container
        try:
            move_mount(child.root_fd, (AT_FDCWD, child.plan.root.path if early else "/"))
        except OSError:
            if stat.S_ISDIR(os.fstat(child.root_fd).st_mode):
                raise
            raise OSError(errno.ENOTDIR, "the root is not a directory", child.plan.root.path) from None


def mount_filesystems(child: Child) -> None:
    """Attach every mount of the plan in its order, inside the root."""
    for mount, pieces in zip(child.plan.mounts, child.sources.mounts, strict=True):
        try:
            _mount(child, mount, pieces)
        except OSError as error:
            if mount.optional:
                continue
            if error.errno == errno.EINVAL and not _owns_mounts(child):
                raise NotImplementedHere(
                    "a container without a mount namespace of its own needs Linux 6.15",
                    remedy="give it a mount namespace",
                ) from None
            raise OSError(
                error.errno, f"mount {mount.source or mount.fstype} on /{mount.target}: {describe(error)}"
            ) from None


def make_own_filesystems(child: Child) -> None:
    """Make those of the model's mounts that belong to the child's namespaces, before it is known where they go.

    They get their mounts in their turn: by the ids of those mountinfo and df(1) list.
    A sysfs shows the network namespace that it is made in, so it waits where that is joined later.
    """
    joins_network = any(join.kind == "net" for join in child.plan.namespaces.join)
    for mount in child.plan.mounts:
        if mount.fstype in _OWN or (mount.fstype == "sysfs" and not joins_network):
            child.made.append((mount, create_for(mount)))


def make_devices(child: Child) -> None:
    """Make the device nodes and links that the parent has not put into /dev already."""
    filled = child.sources.dev_filled
    for index, device in enumerate(child.plan.devices):
        if not (filled and is_filled(device, child.plan)):
            _make_device(child, device, child.sources.devices[index] if child.sources.devices else -1)
    if child.plan.own_dev and not filled:
        _link_dev(child)


def open_console(child: Child) -> None:
    """Open a terminal of the container's own devpts, lay it on /dev/console, and send the master to the parent."""
    if not child.process.terminal:
        return
    devpts_fd = _open_devpts(child)
    try:
        master, slave = terminal.open_pty(devpts_fd)
    finally:
        os.close(devpts_fd)
    if child.process.console_height or child.process.console_width:
        terminal.set_window_size(master, child.process.console_height, child.process.console_width)
    if child.target_fd < 0:
        # the slave's own descriptor is the source, never its name below /dev/pts (CVE-2025-52565)
        _attach(open_tree(slave, "", clone=True), make_file_in_root(child.root_fd, "dev/console", 0o600))
    child.channel.tell(Say.CONSOLE, descriptors=(master,))
    os.close(master)
    child.stdio = (slave, slave, slave)


def make_cwd(child: Child) -> None:
    """Make the working directory before a read-only root prevents it; what goes wrong, enter_cwd tells."""
    if child.plan.root.readonly and child.process.create_cwd:
        with suppress(OSError):
            os.close(make_directories_in_root(child.root_fd, child.process.cwd, 0o755))


def protect_mounts(child: Child) -> None:
    """Make read-only what had to be written until now: tmpfs mounts, /dev, and the root."""
    for fd in child.readonly_later:
        mount_setattr(fd, set=_ATTR_RDONLY)
    if child.plan.root.readonly:
        mount_setattr(child.root_fd, set=_ATTR_RDONLY)


def enter_root(child: Child) -> None:
    """pivot_root(2) on the descriptor; without pivoting, or in a mount namespace that others are in, chroot(2).

    Over an empty root (`ahead_steps.leave_host`) that is as good: nothing lies below the container's, which counts as
    no changed root as it is the topmost mount of its namespace (user_namespaces(7), EPERM).

    A mount namespace is joined only now: a detached tree takes mounts from the namespace alone that it was made in.
    """
    if child.mount_namespace_fd >= 0:
        setns(child.mount_namespace_fd, _NEWNS)
    if _owns_mounts(child) and child.plan.root.pivot and not child.has_empty_root:
        take_as_root(child.root_fd)
        return
    os.fchdir(child.root_fd)
    if _owns_mounts(child) and not child.has_empty_root:
        _drop_full_views()
    os.chroot(".")
    os.chdir("/")


def take_as_root(fd: int) -> None:
    """Let what is mounted on top of "/" and open as `fd` be all there is: pivot_root(2), and the old root is gone."""
    os.fchdir(fd)
    pivot_root(".", ".")
    umount(".", UmountFlag.DETACH)
    os.chdir("/")


def set_root_propagation(child: Child) -> None:
    """Give the root the propagation that was asked for; without any it stays as it was made."""
    wanted = child.plan.root.propagation
    if wanted and child.target_fd < 0:
        mount_setattr(child.root_fd, propagation=wanted & ~_REC, recursive=bool(wanted & _REC))


def _owns_mounts(child: Child) -> bool:
    return "mnt" in child.plan.namespaces.new


def _mount(child: Child, mount: MountPlan, pieces: tuple[Piece, ...]) -> None:
    target = mount.target.strip("/")
    if mount.flags & _REMOUNT and not mount.flags & _BIND:
        _remount(child, mount, target)
        return
    if mount.optional and not pieces:
        return
    made = pieces or (_make_piece(child, mount),)
    for piece in made:
        if piece.is_attached:
            continue
        place = f"{target}/{piece.name}" if piece.name else target
        is_dressed = mount.fstype == "tmpfs" and not pieces and _is_there(child, place)
        target_fd = _open_target(child, place, is_directory=piece.is_directory)
        try:
            _refuse_hiding_proc(target, target_fd, mount, piece.fd)
            if is_dressed:
                _dress_tmpfs(mount, piece.fd, target_fd)
            move_mount(piece.fd, target_fd)
        finally:
            os.close(target_fd)
    _remember(child, mount, target, made[0].fd)


def _make_piece(child: Child, mount: MountPlan) -> Piece:
    """A mount that the parent has left to the child."""
    if mount.flags & _BIND:
        fd = open_bind(mount, child.plan.root)
        return Piece("", fd, is_directory=stat.S_ISDIR(os.fstat(fd).st_mode))
    for index, (known, fd) in enumerate(child.made):
        if known == mount:
            del child.made[index]
            return Piece("", mount_created(fd, mount))
    return Piece("", make_mount(mount))


def _remount(child: Child, mount: MountPlan, target: str) -> None:
    """Change the attributes of what is mounted at the target already."""
    bits, off = attributes_of(mount.flags)
    cleared, also_off = attributes_of(mount.clear)
    target_fd = open_in_root(child.root_fd, target, os.O_PATH)
    try:
        mount_setattr(target_fd, set=bits, clear=cleared & ~bits | off | also_off)
    finally:
        os.close(target_fd)


def _is_there(child: Child, target: str) -> bool:
    try:
        os.close(open_in_root(child.root_fd, target, os.O_PATH))
    except OSError:  # who makes it says what stands in the way
        return False
    return True


def _open_target(child: Child, target: str, *, is_directory: bool) -> int:
    """The target inside the root (O_PATH), made when it is missing."""
    if target in _ORDINARY and is_directory:
        return _open_ordinary_directory(child.root_fd, target)
    if is_directory:
        return make_directories_in_root(child.root_fd, target, 0o755)
    return make_file_in_root(child.root_fd, target, 0o755)


def _open_ordinary_directory(root_fd: int, name: str) -> int:
    """A directory right below the root that is none by grace of a symbolic link (CVE-2019-19921, CVE-2023-27561)."""
    for attempt in range(2):
        try:
            return openat2(
                root_fd, name, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW, 0, Resolve.BENEATH | Resolve.NO_SYMLINKS
            )
        except FileNotFoundError:
            if attempt:
                raise
            os.mkdir(name, 0o755, dir_fd=root_fd)
        except OSError as error:
            if error.errno not in {errno.ELOOP, errno.ENOTDIR}:
                raise
            break
    raise InvalidArgument(
        f"/{name} must be mounted on ordinary directory, and the root file system has none of that name",
        remedy=f"replace the symbolic link or file /{name} in the image by a directory",
    )


def _refuse_hiding_proc(target: str, target_fd: int, mount: MountPlan, fd: int) -> None:
    """Nothing but procfs may lie on /proc, and nothing inside it but a few files (CVE-2019-16884)."""
    if mount.fstype == "proc":
        return
    if target == "proc":
        if filesystem_type(fd) != Magic.PROC or os.fstat(fd).st_ino != 1:
            raise InvalidArgument(
                f"{mount.source} cannot be mounted on /proc: it is not the root of a procfs",
                remedy="choose another target",
            )
        return
    if filesystem_type(target_fd) == Magic.PROC and target not in _INSIDE_PROC:
        raise InvalidArgument(f"{mount.target} cannot be mounted: it is inside /proc", remedy="choose another target")


def _dress_tmpfs(mount: MountPlan, fd: int, target_fd: int) -> None:
    """Without a mode of its own a tmpfs takes that of the directory it covers; with copy_up its content, too.

    Where there was none it stays open to everybody, as runc leaves it.
    """
    if not any(key == "mode" for key, _ in mount.data):
        os.chmod(".", stat.S_IMODE(os.stat(".", dir_fd=target_fd).st_mode), dir_fd=fd)
    if mount.copy_up:
        copy_up(target_fd, fd)


def _remember(child: Child, mount: MountPlan, target: str, fd: int) -> None:
    """Keep the descriptors that later steps use instead of paths."""
    if mount.fstype == "tmpfs" and mount.flags & _RDONLY and not mount.flags & _BIND:
        child.readonly_later.append(fd)
    if target == "proc":
        child.proc_fd = fd


def _attach(fd: int, target_fd: int) -> None:
    try:
        move_mount(fd, target_fd)
    finally:
        os.close(fd)
        os.close(target_fd)


def _open_parent(root_fd: int, path: str) -> tuple[int, str]:
    """The directory of `path` inside the root, made when it is missing, and the last name."""
    before, _, name = path.strip("/").rpartition("/")
    if name in {"", ".", ".."}:
        raise InvalidArgument(f"{path!r} is no path for a device")
    return make_directories_in_root(root_fd, before or ".", 0o755), name


def _make_device(child: Child, device: DevicePlan, host_fd: int) -> None:
    directory_fd, name = _open_parent(child.root_fd, device.path)
    try:
        make_device(directory_fd, name, device, device.uid, device.gid)
    except PermissionError as error:
        if host_fd < 0:
            raise OSError(error.errno, f"make device {device.path}: {describe(error)}") from None
        move_mount(host_fd, make_file_in_root(child.root_fd, device.path, 0o600))
    except OSError as error:
        raise OSError(error.errno, f"make device {device.path}: {describe(error)}") from None
    finally:
        os.close(directory_fd)


def _link_dev(child: Child) -> None:
    directory_fd = make_directories_in_root(child.root_fd, "dev", 0o755)
    try:
        for name, target in dev_links():
            try:
                os.symlink(target, name, dir_fd=directory_fd)
            except FileExistsError:
                if name == "ptmx" and not stat.S_ISLNK(
                    os.stat(name, dir_fd=directory_fd, follow_symlinks=False).st_mode
                ):
                    os.unlink(name, dir_fd=directory_fd)
                    os.symlink(target, name, dir_fd=directory_fd)
    finally:
        os.close(directory_fd)


def _open_devpts(child: Child) -> int:
    """The container's /dev/pts, which must be a devpts file system; as it is found there, for the terminal's name."""
    fd = open_in_root(child.root_fd, "dev/pts", os.O_PATH | os.O_DIRECTORY)
    if filesystem_type(fd) != Magic.DEVPTS:
        os.close(fd)
        raise OSError(errno.ENODEV, "not a devpts file system", "/dev/pts")
    return fd


def _drop_full_views() -> None:
    """Take the host's /proc and /sys away from below the covered root: they would allow a user namespace fresh ones.

    The container's own have the same names in mountinfo but not on a walk from here, where the host's root is "/".
    """
    for entry in reversed(mountinfo()):
        if entry.fstype not in {"proc", "sysfs"}:
            continue
        try:
            umount(entry.target, UmountFlag.DETACH)
        except PermissionError:  # locked, in a user namespace: cover it
            move_mount(make_filesystem("tmpfs", (), _ATTR_RDONLY), (AT_FDCWD, entry.target))
        except OSError as error:
            if error.errno not in {errno.EINVAL, errno.ENOENT}:  # not mounted on this walk
                raise
