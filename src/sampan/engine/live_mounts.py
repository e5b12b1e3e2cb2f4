"""Mounts of a container that change while it runs: beyond Docker, which wants a new container for it.

    record says what is to be, and what is being changed   → mounts change → record says what is

A crash in between leaves a record that says so, and the next daemon makes the container's mounts what the record says.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass

from sampan.engine import inner_mounts, mount_points
from sampan.engine.announcer import Announcer
from sampan.engine.config import ContainerConfig, HostConfig, MountRequest
from sampan.engine.container import ContainerRecord, Dead, MountPoint, Removing, Running
from sampan.engine.mount_points import Origins, clean_target, parse_bind
from sampan.engine.parts import Secrets, Trees
from sampan.engine.spec import mount_plan
from sampan.engine.spec_sources import known_sources
from sampan.engine.store import ContainerStore
from sampan.engine.threads import to_its_end
from sampan.engine.volume_addresses import with_addresses
from sampan.engine.volumes import EngineVolumes
from sampan.engine.waiting import Locks
from sampan.errors import Conflict, NotFound, NotImplementedHere, SampanError

_Points = tuple[MountPoint, ...]


@dataclass(frozen=True, slots=True)
class LiveMounts:
    """`update --mount` and `--unmount`."""

    store: ContainerStore
    volumes: EngineVolumes
    secrets: Secrets
    trees: Trees
    announcer: Announcer
    locks: Locks

    async def update(self, reference: str, wanted: Sequence[MountRequest], unwanted: Sequence[str]) -> ContainerRecord:
        """Take mounts out, by their targets, then put others in; what runs sees it at once, later starts have it too.

        Raises NotFound for a target that has no mount, Conflict for one that is busy, and what create raises for a
        mount that cannot be; nothing is changed then.
        """
        container_id = self.store.find(reference).id
        async with self.locks.of(container_id):
            record = self.store.find(container_id)
            gone = _to_take_out(record, unwanted)
            kept = tuple(point for point in record.mounts if point not in gone)
            new = await self._resolve(record, kept, wanted)
            try:
                if record.running is not None:
                    new = await self.volumes.foreign.mount(record.id, new)
                changed = dataclasses.replace(
                    record, mounts=(*kept, *new), config=_remembered(record.config, wanted, gone)
                )
                if record.running is not None:
                    await self._change(record, record.running, changed, gone, new)
                else:
                    await self.volumes.fill(dataclasses.replace(record, mounts=new))
            except BaseException:
                if record.running is not None:
                    await self.volumes.foreign.unmount(record.id, new)
                self._remove_anonymous(new)
                raise
            if record.running is not None:
                await self.volumes.foreign.unmount(record.id, gone)
            changed = self.store.save(changed)
        self.announcer.container(changed, "update")
        return changed

    async def _resolve(self, record: ContainerRecord, kept: _Points, wanted: Sequence[MountRequest]) -> _Points:
        if isinstance(record.state, Removing | Dead):
            raise Conflict(f"container {record.id} is marked for removal", remedy="update another one")
        known = {point.destination for point in kept} | {clean_target(path) for path in record.config.host.tmpfs or {}}
        for request in wanted:
            if clean_target(request.target) in known:
                raise Conflict(
                    f"{request.target} is busy: container {record.name} has a mount there",
                    remedy=f"take it out with --unmount {request.target}, or choose another target",
                )
            if record.running is not None and (
                request.bind_uid_maps or request.bind_gid_maps or request.bind_id_source
            ):
                raise NotImplementedHere(
                    f"ids of the mount at {request.target} cannot be mapped while the container runs",
                    remedy="stop the container first, or create it with this mount",
                )
        asked = ContainerConfig(host=HostConfig(mounts=tuple(wanted), volume_driver=record.config.host.volume_driver))
        return await mount_points.resolve(asked, Origins(self.volumes, self.secrets, self.trees, self.store.find))

    async def _change(
        self, record: ContainerRecord, running: Running, changed: ContainerRecord, gone: _Points, new: _Points
    ) -> None:
        touched = tuple(point.destination for point in (*gone, *new))
        free = {point.destination for point in new} - {point.destination for point in gone}
        for target in await to_its_end(inner_mounts.mounted, running, sorted(free)):
            raise inner_mounts.busy(target)
        async with AsyncExitStack() as undo:
            undo.callback(self.store.save, record)
            self.store.save(
                dataclasses.replace(record, mounts=changed.mounts, config=changed.config, remounting=touched)
            )
            for point in sorted(gone, key=_depth, reverse=True):
                undo.push_async_callback(self._ensure, record, running, point)
                await to_its_end(inner_mounts.detach, running, point.destination)
            await self.volumes.fill_running(running, new)
            for point in sorted(new, key=_depth):
                try:
                    await self._attach(record, running, point)
                except asyncio.CancelledError:
                    undo.push_async_callback(_ensure_not, running, point)
                    raise
                undo.push_async_callback(_ensure_not, running, point)
            undo.pop_all()
        self.announcer.volumes(dataclasses.replace(record, mounts=gone), "unmount")
        self.announcer.volumes(dataclasses.replace(record, mounts=new), "mount")

    async def _attach(self, record: ContainerRecord, running: Running, point: MountPoint) -> None:
        one = await with_addresses(dataclasses.replace(record, mounts=(point,)))
        plan = mount_plan(one.mounts[0], known_sources(one, self.store, self.trees))
        await to_its_end(inner_mounts.attach, running, plan)

    async def _ensure(self, record: ContainerRecord, running: Running, point: MountPoint) -> None:
        with contextlib.suppress(SampanError):  # what failed first is the error to tell
            if not await to_its_end(inner_mounts.mounted, running, (point.destination,)):
                await self._attach(record, running, point)

    def _remove_anonymous(self, points: _Points) -> None:
        for point in points:
            if point.anonymous:
                self.volumes.remove_anonymous(point.name)

    async def recover(self) -> None:
        """End what a crash cut off: make the mounts of running containers what their records say."""
        for record in self.store.all():
            if not record.remounting:
                continue
            if record.running is not None:
                with contextlib.suppress(SampanError):  # it has ended, or the next start says what is wrong
                    await self._settle(record, record.running)
            else:
                await self.volumes.unmount(record)
            current = self.store.get(record.id)
            if current is not None:
                self.store.save(dataclasses.replace(current, remounting=()))

    async def _settle(self, record: ContainerRecord, running: Running) -> None:
        there = await to_its_end(inner_mounts.mounted, running, record.remounting)
        wanted = {point.destination: point for point in record.mounts}
        for target in sorted(there - set(wanted), reverse=True):
            await to_its_end(inner_mounts.detach, running, target)
        for point in sorted(wanted.values(), key=_depth):
            if point.destination in record.remounting and point.destination not in there:
                await self._attach(record, running, point)


async def _ensure_not(running: Running, point: MountPoint) -> None:
    with contextlib.suppress(SampanError):
        await to_its_end(inner_mounts.detach, running, point.destination)


def _to_take_out(record: ContainerRecord, unwanted: Sequence[str]) -> _Points:
    targets = [clean_target(path) for path in unwanted]
    points = {point.destination: point for point in record.mounts}
    for target in targets:
        if target not in points:
            raise NotFound(
                f"container {record.name} has no mount at {target}",
                remedy=f"`sampan inspect {record.name}` lists its mounts",
            )
        inner = [other for other in points if other.startswith(f"{target}/") and other not in targets]
        if inner:
            raise Conflict(f"{target} is busy: {inner[0]} is mounted in it", remedy=f"take {inner[0]} out too")
    return tuple(points[target] for target in dict.fromkeys(targets))


def _remembered(config: ContainerConfig, wanted: Sequence[MountRequest], gone: _Points) -> ContainerConfig:
    """The configuration with what was asked now: inspect shows it, and a container made like this one has it."""
    targets = {point.destination for point in gone}
    host = config.host
    mounts = tuple(entry for entry in host.mounts or () if clean_target(entry.target) not in targets)
    binds = tuple(text for text in host.binds or () if parse_bind(text).destination not in targets)
    changed = dataclasses.replace(host, mounts=(*mounts, *wanted) or None, binds=binds or None)
    return dataclasses.replace(config, host=changed)


def _depth(point: MountPoint) -> int:
    return point.destination.count("/")
