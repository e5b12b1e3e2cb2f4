"""What the runtime specification has no words for: where the sources of some mounts are, put into the launch plan.

A volume's subpath is looked up below the volume; /dev/shm of `--ipc container:X`, and a volume's own file system that
another running container has mounted already, are inside that container's mount namespace and nowhere else.
"""

from __future__ import annotations

import dataclasses
import os

from sampan.engine.config import HostConfig
from sampan.engine.container import ContainerRecord, MountPoint
from sampan.engine.parts import Roots, Trees
from sampan.engine.store import ContainerStore
from sampan.engine.views import View
from sampan.errors import SystemFailure
from sampan.linux.mount import MountFlag
from sampan.runtime import users
from sampan.runtime.launch_plan import FileCopy, IdMap, IdMapping, LaunchPlan, MountPlan, OverlayPlan

_SHM = "dev/shm"
_RBIND = int(MountFlag.BIND | MountFlag.REC)
_ACCESS = int(MountFlag.RDONLY | MountFlag.NOSUID | MountFlag.NODEV | MountFlag.NOEXEC)


@dataclasses.dataclass(frozen=True, slots=True)
class Foreign:
    """A place inside the mount namespace of another container, by the pid of its first process."""

    pid: int
    path: str


@dataclasses.dataclass(frozen=True, slots=True)
class Known:
    """What mounts need to know of the host and of others."""

    shared: dict[str, Foreign] = dataclasses.field(default_factory=dict)  # where volumes are mounted, by their names
    trees: dict[str, OverlayPlan] = dataclasses.field(default_factory=dict)  # of images that are mounted, by their ids
    ids: dict[str, IdMapping] = dataclasses.field(default_factory=dict)  # of binds whose owner is a user inside


def with_sources(
    plan: LaunchPlan,
    record: ContainerRecord,
    neighbours: dict[str, int],
    known: Known,
    view: View | None = None,
) -> LaunchPlan:
    """The plan with the sources of its mounts completed."""
    points = {point.destination.strip("/"): point for point in record.mounts}
    joined = shared_memory_of(record.config.host)
    provided = view.provided if view is not None else None
    served = frozenset(provided.paths if provided else ())
    mounts = []
    for mount in plan.mounts:
        point = points.get(mount.target)
        if point is not None:
            mounts.append(with_source(mount, point, known))
        elif mount.target == _SHM and joined in neighbours:
            mounts.append(_foreign(mount, Foreign(neighbours[joined], f"/{_SHM}")))
        elif provided is not None and mount.target in served:
            mounts.append(dataclasses.replace(mount, namespace=provided.namespace, optional=True))
        else:
            mounts.append(mount)
    return dataclasses.replace(plan, mounts=tuple(mounts))


def shared_memory_of(host: HostConfig) -> str:
    """The reference of the container whose /dev/shm is joined; "" for none."""
    return host.ipc_mode.removeprefix("container:") if host.ipc_mode.startswith("container:") else ""


def known_sources(record: ContainerRecord, store: ContainerStore, trees: Trees) -> Known:
    """What the mounts of `record` need to know. Raises NotFound for an image that was removed by force."""
    images = {point.name: trees.tree(point.name) for point in record.mounts if point.kind == "image"}
    wanted = {point.name for point in record.mounts if _is_filesystem(point)}
    if not wanted:
        return Known(trees=images)
    shared = {
        point.name: Foreign(other.pid, point.destination)
        for other in store.all()
        if other.pid and other.id != record.id
        for point in other.mounts
        if point.name in wanted
    }
    return Known(shared, images)


def matched_ids(record: ContainerRecord, roots: Roots) -> dict[str, IdMapping]:
    """For each bind with "match-user" the one id of its source's owner, seen inside as the user that is meant.

    Raises InvalidArgument for a user that the container's root does not know, SystemFailure for the source.
    """
    points = [point for point in record.mounts if point.id_source == "match-user"]
    if not points:
        return {}
    root = roots.open_stopped(record.id)
    try:
        return {point.destination: _matched(point, record, root) for point in points}
    finally:
        os.close(root)


def _matched(point: MountPoint, record: ContainerRecord, root: int) -> IdMapping:
    user = users.resolve(root, point.id_user or record.config.process.user)
    try:
        owner = os.stat(point.source)
    except OSError as error:
        raise SystemFailure(
            f"cannot tell the owner of {point.source}: {error.strerror}", remedy="see that it exists"
        ) from error
    return IdMapping((IdMap(owner.st_uid, user.uid, 1),), (IdMap(owner.st_gid, user.gid, 1),), recursive=True)


def _is_filesystem(point: MountPoint) -> bool:
    return point.kind == "volume" and point.fstype not in {"", "none"}


def with_source(mount: MountPlan, point: MountPoint, known: Known) -> MountPlan:
    """The plan of one of the user's mounts, completed."""
    if point.kind in {"secret", "config"}:
        words = dict(word.split("=") for word in point.options.split(","))
        copy = FileCopy(int(words["mode"], 8), int(words["uid"]), int(words["gid"]))
        return dataclasses.replace(mount, file_copy=copy, by_parent=True)
    if point.kind == "layers":
        return dataclasses.replace(mount, by_parent=True)
    if point.kind == "image":
        tree = known.trees[point.name]
        return dataclasses.replace(mount, overlay=tree, subpath=point.subpath, by_parent=True)
    if _is_filesystem(point):
        if point.name in known.shared:
            return _foreign(mount, known.shared[point.name])
        return dataclasses.replace(mount, by_parent=True)
    if point.destination in known.ids:
        return dataclasses.replace(mount, idmap=known.ids[point.destination])
    if point.kind in {"bind", "volume"}:
        return dataclasses.replace(mount, subpath=point.subpath, create_source=point.create_source)
    return mount


def _foreign(mount: MountPlan, place: Foreign) -> MountPlan:
    """A bind of what is mounted at the place, with the access that the mount would have had."""
    return dataclasses.replace(
        mount,
        source=place.path,
        namespace=f"/proc/{place.pid}/ns/mnt",
        fstype="",
        flags=mount.flags & _ACCESS | _RBIND,
        data=(),
    )
