"""What the parent makes ready before it clones: detached mounts that need the host's privileges, paths or time.

The root (an overlay or a bind), the sources of binds with their attributes, the container's own cgroups, a filled /dev,
and a bind of the host's /dev/null. None of them is attached anywhere, so nothing has to be taken down when a start
fails: closing the descriptors is all. Attaching them is the child's (`rootfs`).
"""

from __future__ import annotations

import errno
import os
import stat
from contextlib import ExitStack
from dataclasses import dataclass, replace

from sampan.cgroup.group import Cgroup
from sampan.cgroup.host import hierarchies
from sampan.errors import NotImplementedHere
from sampan.linux.mount import (
    AT_FDCWD,
    MountAttr,
    MountFlag,
    attributes_of,
    make_filesystem,
    mount_setattr,
    move_mount,
    open_tree,
)
from sampan.linux.namespace import make_user_namespace
from sampan.linux.overlay import mount_overlay
from sampan.runtime.child import Piece, Sources
from sampan.runtime.dev import (
    dev_to_fill,
    fill_dev,
    is_filled,
    make_device_mounts,
    mount_points_of_dev,
    open_null,
)
from sampan.runtime.filesystems import copy_of_file, give_to_root, make_mount, renew
from sampan.runtime.launch_plan import LaunchPlan, MountPlan, RootPlan
from sampan.runtime.sources import open_optional, open_overlay, open_source

_SHARED = int(MountFlag.SHARED)
_SLAVE = int(MountFlag.SLAVE)
_PRIVATE = int(MountFlag.PRIVATE)
_REC = int(MountFlag.REC)
_BIND = int(MountFlag.BIND)
_REMOUNT = int(MountFlag.REMOUNT)
_CGROUP = frozenset({"cgroup", "cgroup2"})
_COMMON = _CGROUP | {"proc", "sysfs", "mqueue"}


Pieces = tuple[Piece, ...]


@dataclass(frozen=True, slots=True)
class Common:
    """Detached mounts made before there is a plan, which any plan like the model can have: by its index there."""

    model: LaunchPlan
    pieces: dict[int, Pieces]

    def descriptors(self) -> set[int]:
        """All of them."""
        return {piece.fd for made in self.pieces.values() for piece in made}

    def ready_for(self, plan: LaunchPlan) -> dict[int, Pieces]:
        """Those that are what `plan` wants, by the index there; each of them once."""
        has_dev = _dev_key(plan) == _dev_key(self.model)
        known = {self.model.mounts[index]: pieces for index, pieces in self.pieces.items()}
        ready: dict[int, Pieces] = {}
        for index, mount in enumerate(plan.mounts):
            if mount in known and (has_dev or mount.fstype in _CGROUP):
                ready[index] = known.pop(mount)
        return ready


def is_common(mount: MountPlan) -> bool:
    """Whether the mount can be made before the plan: a new file system without anything of the container's in it."""
    in_dev = mount.target.strip("/").split("/")[0] == "dev"
    is_new = mount.fstype in _COMMON or (mount.fstype in {"tmpfs", "devpts"} and in_dev)
    return is_new and not (mount.flags & (_BIND | _REMOUNT) or mount.copy_up or mount.by_parent)


def prepare_common(model: LaunchPlan, cgroup: Cgroup, held: ExitStack) -> Common:
    """Make the container's cgroups as mounts, and its /dev; `held` closes the descriptors."""
    pieces = _dev_pieces(model, held)
    for index, mount in enumerate(model.mounts):
        if mount.fstype in _CGROUP:
            pieces[index] = _cgroup_pieces(model, mount, cgroup, held)
    return Common(model, pieces)


def prepare_sources(
    plan: LaunchPlan,
    cgroup: Cgroup | None,
    held: ExitStack,
    *,
    in_order: bool = False,
    common: Common | None = None,
) -> Sources:
    """Make everything of a start that is a detached mount; `held` closes the descriptors.

    With `in_order` what the child can make itself is left to it, so that mount ids have the plan's order. What is in
    `common` is not made again. Id mappings that need the container's own user namespace are not applied yet: see
    apply_own_idmaps.
    """
    sources = Sources()
    sources.root = _held(held, open_root(plan.root))
    if is_mapped(plan):
        sources.devices = tuple(_held(held, fd) for fd in make_device_mounts(plan))
    optional = {target: _held(held, fd) for target, fd in open_optional(plan.mounts).items()}
    ready = {} if common is None else common.ready_for(plan)
    dev = -1 if in_order and -1 not in sources.devices else dev_to_fill(plan)
    if dev >= 0 and dev not in ready:
        ready |= _dev_pieces(plan, held)
    sources.dev_filled = dev in ready
    made: list[Pieces] = []
    for index, mount in enumerate(plan.mounts):
        pieces: Pieces = ()
        if index in ready:
            pieces = ready[index] if common is None else tuple(_renewed(piece, held) for piece in ready[index])
        elif mount.flags & _BIND and in_order and not is_mapped(plan) and mount.idmap is None:
            pass  # the child may make no user namespace for a map: its root lies on another (clone(2), EPERM)
        elif mount.flags & _BIND:
            pieces = _bind_pieces(mount, plan.root, optional.get(mount.target, -1), held)
        elif mount.by_parent:
            pieces = (_made_piece(plan, mount, held),)
        elif mount.fstype in _CGROUP:
            pieces = _cgroup_pieces(plan, mount, cgroup, held)
        made.append(pieces)
    sources.mounts = tuple(made)
    if plan.masked_paths:
        sources.null = _held(held, open_null())
    return sources


def _renewed(piece: Piece, held: ExitStack) -> Piece:
    """What was made before the root, with a mount id behind it: by those mountinfo and df(1) list."""
    return piece if piece.is_attached else replace(piece, fd=_held(held, renew(piece.fd)))


def _dev_pieces(plan: LaunchPlan, held: ExitStack) -> dict[int, Pieces]:
    """The filled /dev and what lies in it, by index; nothing where the child has to make it."""
    dev = dev_to_fill(plan)
    if dev < 0:
        return {}
    dev_fd = _held(held, fill_dev(plan, plan.mounts[dev]))
    pieces: dict[int, Pieces] = {dev: (Piece("", dev_fd),)}
    for index in range(dev + 1, len(plan.mounts)):
        if _lies_in_dev(plan, index):
            mount = plan.mounts[index]
            fd = _held(held, make_mount(mount))
            pieces[index] = (Piece("", fd, is_attached=_attach_early(fd, dev_fd, mount.target.rpartition("/")[2])),)
    return pieces


def _dev_key(plan: LaunchPlan) -> object:
    """What the pieces of /dev depend on."""
    dev = dev_to_fill(plan)
    lying = [plan.mounts[index] for index in range(dev + 1, len(plan.mounts)) if _lies_in_dev(plan, index)]
    devices = [device for device in plan.devices if is_filled(device, plan)]
    return dev >= 0 and plan.mounts[dev], lying, devices, mount_points_of_dev(plan)


def _bind_pieces(mount: MountPlan, root: RootPlan, optional_fd: int, held: ExitStack) -> Pieces:
    """The bind; for one that may be left out `optional_fd`, which is ready as it is, or nothing."""
    if mount.optional:
        return (Piece("", optional_fd, is_directory=False),) if optional_fd >= 0 else ()
    fd = _held(held, open_bind(mount, root))
    return (Piece("", fd, is_directory=stat.S_ISDIR(os.fstat(fd).st_mode)),)


def _made_piece(plan: LaunchPlan, mount: MountPlan, held: ExitStack) -> Piece:
    if mount.file_copy is not None:
        return Piece("", _held(held, copy_of_file(mount, plan)), is_directory=False)
    if mount.overlay is not None:
        fd = _held(held, open_overlay(mount))
        return Piece("", fd, is_directory=stat.S_ISDIR(os.fstat(fd).st_mode))
    return Piece("", _held(held, make_mount(mount)))


def is_mapped(plan: LaunchPlan) -> bool:
    """Whether the container has a user namespace that is not the caller's."""
    return "user" in plan.namespaces.new or any(join.kind == "user" for join in plan.namespaces.join)


def open_root(root: RootPlan) -> int:
    """A detached mount of the root: the overlay, or a recursive bind of its path, private or a slave of the host's."""
    if root.overlay is not None:
        overlay = root.overlay
        return mount_overlay(overlay.lowers, overlay.upper, overlay.work, overlay.options)
    fd = open_tree(AT_FDCWD, root.path, clone=True, recursive=True)
    try:
        kept = _SLAVE if root.propagation & (_SLAVE | _SHARED) else _PRIVATE
        mount_setattr(fd, propagation=kept, recursive=True)
    except BaseException:
        os.close(fd)
        raise
    return fd


def open_bind(mount: MountPlan, root: RootPlan) -> int:
    """A detached bind of a mount's source with all its attributes; a slave of the host's unless asked otherwise."""
    fd = open_source(mount)
    try:
        _set_attributes(fd, mount, root)
        if mount.idmap is not None and (mount.idmap.uid_maps or mount.idmap.gid_maps):
            _apply_idmap(fd, mount)
    except BaseException:
        os.close(fd)
        raise
    return fd


def apply_own_idmaps(plan: LaunchPlan, sources: Sources, userns_fd: int) -> None:
    """Map the ids of those binds that use the container's own user namespace, while they are still detached."""
    for mount, pieces in zip(plan.mounts, sources.mounts, strict=True):
        if needs_own_idmap(mount) and mount.idmap is not None:
            for piece in pieces:
                mount_setattr(piece.fd, userns_fd=userns_fd, recursive=mount.idmap.recursive)


def needs_own_idmap(mount: MountPlan) -> bool:
    """Whether the bind's ids are mapped as the container's own user namespace maps them."""
    return mount.idmap is not None and not (mount.idmap.uid_maps or mount.idmap.gid_maps)


def _held(held: ExitStack, fd: int) -> int:
    if fd >= 0:
        held.callback(os.close, fd)
    return fd


def _set_attributes(fd: int, mount: MountPlan, root: RootPlan) -> None:
    if not root.propagation & _SHARED:
        mount_setattr(fd, propagation=_SLAVE, recursive=True)
    if mount.propagation:
        kind = mount.propagation & ~_REC
        mount_setattr(fd, propagation=kind, recursive=bool(mount.propagation & _REC))
    if mount.attributes_set or mount.attributes_clear:
        mount_setattr(fd, set=mount.attributes_set, clear=mount.attributes_clear, recursive=True)
    bits, off = attributes_of(mount.flags)
    cleared, also_off = attributes_of(mount.clear)
    if bits or off or cleared or also_off:
        mount_setattr(fd, set=bits, clear=cleared & ~bits | off | also_off)


def _apply_idmap(fd: int, mount: MountPlan) -> None:
    if mount.idmap is None:
        return
    uid_maps, gid_maps = (
        tuple((line.inside, line.outside, line.count) for line in maps)
        for maps in (mount.idmap.uid_maps, mount.idmap.gid_maps)
    )
    userns_fd = make_user_namespace(uid_maps, gid_maps)
    try:
        mount_setattr(fd, userns_fd=userns_fd, recursive=mount.idmap.recursive)
    finally:
        os.close(userns_fd)


def _cgroup_pieces(plan: LaunchPlan, mount: MountPlan, cgroup: Cgroup | None, held: ExitStack) -> Pieces:
    """The container's own directory of the unified tree, or a tmpfs and below it one of every hierarchy."""
    host = hierarchies()
    if cgroup is not None:
        places = dict(cgroup.directories())
    else:
        places = {one.name: os.path.join(one.mount_point, one.own.lstrip("/")) for one in host.hierarchies}
    bits, _ = attributes_of(mount.flags)
    if mount.fstype == "cgroup2" or not host.legacy:
        if "" not in places:
            raise NotImplementedHere(
                f"no cgroup2 for /{mount.target.strip('/')}: this host has mounted cgroups of version 1 alone",
                remedy="mount cgroup2 on the host (`mount -t cgroup2 none DIRECTORY`), or make the mount's type cgroup",
            )
        return (Piece("", _held(held, _bind_cgroup(places[""], bits))),)
    names = {name: name.removeprefix("name=") or "unified" for name in places}
    top = _held(held, make_filesystem("tmpfs", (("source", "tmpfs"), ("mode", "755")), bits & ~MountAttr.RDONLY))
    for name in names.values():
        os.mkdir(name, 0o755, dir_fd=top)
        for alias in name.split(",") if "," in name else ():
            os.symlink(name, alias, dir_fd=top)
    give_to_root(top, plan)
    if bits & MountAttr.RDONLY:
        mount_setattr(top, set=MountAttr.RDONLY)
    pieces = [Piece("", top)]
    for name, path in places.items():
        fd = _held(held, _bind_cgroup(path, bits))
        if not _attach_early(fd, top, names[name]):
            pieces.append(Piece(names[name], fd))
    return tuple(pieces)


def _lies_in_dev(plan: LaunchPlan, index: int) -> bool:
    """Whether the mount can be made here and attached to the /dev that the parent fills, as devpts and /dev/shm can.

    It must belong to no namespace of the container, need nothing of what it covers, and hide no earlier mount.
    """
    mount = plan.mounts[index]
    before, _, name = mount.target.strip("/").rpartition("/")
    own = mount.fstype == "devpts" or (mount.fstype == "tmpfs" and any(key == "mode" for key, _ in mount.data))
    if not own or mount.copy_up or before != "dev" or name not in mount_points_of_dev(plan) or is_mapped(plan):
        return False
    return not any(other.target.strip("/").startswith(f"dev/{name}/") for other in plan.mounts[:index])


def _attach_early(fd: int, to_fd: int, name: str) -> bool:
    """Attach a detached mount to another one, which Linux can since 6.15; False where the child has to."""
    try:
        move_mount(fd, (to_fd, name))
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        return False
    return True


def _bind_cgroup(path: str, bits: int) -> int:
    fd = open_tree(AT_FDCWD, path, clone=True)
    try:
        mount_setattr(fd, set=bits, propagation=_PRIVATE)
    except BaseException:
        os.close(fd)
        raise
    return fd
