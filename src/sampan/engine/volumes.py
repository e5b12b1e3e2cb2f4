"""Docker's verbs for volumes, over the volume package: who uses which, events, filters, pruning, and filling new ones.

How a volume is mounted into a container is `spec_mounts`' matter.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import os
import secrets
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field

from sampan.engine.container import ContainerRecord, MountPoint, Running
from sampan.engine.events import Events
from sampan.engine.parts import Roots, VolumeFacts
from sampan.engine.plugin_volumes import PluginVolumes, is_foreign
from sampan.engine.store import ContainerStore
from sampan.engine.threads import to_its_end
from sampan.engine.trees import open_running
from sampan.engine.waiting import Locks
from sampan.errors import Conflict, InvalidArgument, NotFound, SampanError, SystemFailure, of_kind
from sampan.expression import expression
from sampan.image.tree import content_size
from sampan.linux.mount import MountAttr, mount_setattr
from sampan.linux.openat import open_in_root
from sampan.volume.filling import copy_into, fill
from sampan.volume.options import source_of
from sampan.volume.plugins import Plugins
from sampan.volume.records import Volume
from sampan.volume.volumes import ANONYMOUS_LABEL, DRIVER, Volumes, check_name

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY


@dataclass(frozen=True, slots=True)
class VolumeFilter:
    """Which volumes are meant; `dangling` ones are those that no container uses. Labels as "name" or "name=value"."""

    names: tuple[str, ...] = ()
    drivers: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    not_labels: tuple[str, ...] = ()
    dangling: bool | None = None


@dataclass(frozen=True, slots=True)
class EngineVolumes:
    """The volumes of an engine."""

    volumes: Volumes
    store: ContainerStore
    events: Events
    roots: Roots
    foreign: PluginVolumes
    _locks: Locks = field(default_factory=Locks)
    _busy: dict[str, str] = field(default_factory=dict)  # volume -> what is being done with it

    # -- for containers

    async def ensure(self, name: str, driver: str, options: dict[str, str], labels: dict[str, str]) -> VolumeFacts:
        """The volume of this name, made when it is not there; without a name a new anonymous one."""
        if self._busy.get(name) == "restored":
            raise Conflict(f"volume {name} is being restored", remedy="try again in a moment")
        volume = await self.create(name, driver, options, labels)
        if volume.driver != DRIVER:
            return VolumeFacts(volume.name, volume.driver, "")
        source = source_of(volume.options)
        path = self.volumes.data(volume.name)
        if source is None:
            return VolumeFacts(volume.name, DRIVER, path)
        fstype = "none" if source.is_bind else source.fstype
        return VolumeFacts(volume.name, DRIVER, path, fstype, source.device, ",".join(source.words))

    async def fill(self, record: ContainerRecord) -> None:
        """Copy what the new container's root has at its mount points into volumes that are empty.

        Raises InvalidArgument, in Docker's words, when a file is where the volume is to be mounted.
        """
        user = f"{record.id}-filling"
        mine = tuple(point for point in record.mounts if is_foreign(point) and point.copy_up and not point.subpath)
        foreign = await self.foreign.mount(user, mine)
        try:
            points = [point for point in (*record.mounts, *foreign) if _wants_content(point)]
            if points:
                await self._fill_from(points, lambda: self.roots.open_stopped(record.id))
        finally:
            await self.foreign.unmount(user, foreign)

    async def mount(self, record: ContainerRecord) -> ContainerRecord:
        """Have the volumes that plugins keep mounted for a run; the saved record tells of it after a crash."""
        targets = tuple(point.destination for point in record.mounts if is_foreign(point))
        if not targets:
            return record
        self.store.save(dataclasses.replace(record, remounting=targets))
        return dataclasses.replace(record, mounts=await self.foreign.mount(record.id, record.mounts))

    async def unmount(self, record: ContainerRecord) -> ContainerRecord:
        """Tell the plugins that the run has ended; nothing happens when there was none."""
        if not any(map(is_foreign, record.mounts)):
            return record
        return dataclasses.replace(record, mounts=await self.foreign.unmount(record.id, record.mounts))

    async def fill_running(self, running: Running, points: Iterable[MountPoint]) -> None:
        """Copy what a running container has where these points are to be mounted into their volumes that are empty."""
        wanted = [point for point in points if _wants_content(point)]
        if wanted:
            await self._fill_from(wanted, lambda: open_running(running))

    async def _fill_from(self, points: list[MountPoint], open_root: Callable[[], int]) -> None:
        async with AsyncExitStack() as held:
            for name in sorted({point.name for point in points}):
                await held.enter_async_context(self._locks.of(name))
            await to_its_end(self._fill, open_root(), points)

    def _fill(self, root: int, points: list[MountPoint]) -> None:
        try:
            mount_setattr(root, set=MountAttr.NODEV)
            for point in points:
                source = _open_content(root, point)
                if source >= 0:
                    try:
                        self._fill_one(point, source)
                    finally:
                        os.close(source)
        finally:
            os.close(root)

    def _fill_one(self, point: MountPoint, source: int) -> None:
        try:
            if point.fstype or is_foreign(point):
                copy_into(source, point.device if point.fstype else point.source)
            else:
                fill(self.volumes.directory(point.name), source, self.volumes.throw_away)
        except OSError as error:
            raise SystemFailure(
                f"cannot copy {point.destination} of the image into volume {point.name}: {error}",
                remedy="make room where the data root is, give the volume a larger size, or use the option nocopy",
            ) from error

    def remove_anonymous(self, name: str) -> None:
        """Remove an anonymous volume that nothing uses any more; nothing happens when it is gone."""
        with contextlib.suppress(NotFound, Conflict):
            self._remove(self.volumes.get(name))

    @contextlib.asynccontextmanager
    async def kept(self, name: str, what: str) -> AsyncIterator[None]:
        """Keep a volume from being removed for the block, in which it is being `what` ("cloned", …), by one alone."""
        async with self._locks.of(name):
            self._busy[name] = what
            try:
                yield
            finally:
                del self._busy[name]

    # -- for users

    async def create(
        self,
        name: str,
        driver: str = "",
        options: dict[str, str] | None = None,
        labels: dict[str, str] | None = None,
    ) -> Volume:
        """A new volume, or the one that has this name, if its driver is the one that is asked for.

        Raises NotFound for the driver, InvalidArgument, Conflict, and what a plugin's call does.
        """
        known = self.volumes.records.get(name) if name else None
        if known and driver and known.driver != driver:
            raise Conflict(
                f"create {name}: conflict: volume name must be unique",
                remedy=f"a volume of this name is kept by {known.driver}: choose another",
            )
        if driver in {"", DRIVER} or known:
            volume, is_new = self.volumes.create(name, options, labels)
        else:
            volume, is_new = await self._create_foreign(name, driver, options or {}, labels or {}), True
        if is_new:
            self.events.publish("volume", "create", volume.name, {"driver": volume.driver})
        return volume

    async def _create_foreign(self, name: str, driver: str, options: dict[str, str], labels: dict[str, str]) -> Volume:
        if name:
            check_name(name)
        else:
            name, labels = secrets.token_hex(32), {**labels, ANONYMOUS_LABEL: ""}
        async with self._locks.of(name):
            try:
                await to_its_end(self.foreign.plugins.create, driver, name, options)
            except SampanError as error:
                raise of_kind(error.kind, f"create {name}: {error}", remedy=error.remedy) from error
            return self.volumes.add_foreign(name, driver, options, labels)

    def get(self, name: str) -> Volume:
        """The volume of this name. Raises NotFound."""
        return self.volumes.get(name)

    async def look(self, name: str) -> Volume:
        """The volume of this name, also one that only a plugin knows. Raises NotFound."""
        try:
            return self.volumes.get(name)
        except NotFound:
            for stranger in (await self.strangers())[0]:
                if stranger.name == name:
                    return stranger
            raise

    async def strangers(self, wanted: VolumeFilter = VolumeFilter()) -> tuple[list[Volume], list[str]]:
        """The volumes that plugins have and this engine never made; and what plugins do not answer."""
        found, warnings = await self.foreign.all()
        strangers = [Volume(volume.name, 0, driver=plugin) for plugin, volume in found]
        known = {volume.name for volume in self.volumes.all()}
        return [one for one in strangers if one.name not in known and _is_meant(one, wanted, set())], warnings

    def find(self, wanted: VolumeFilter = VolumeFilter()) -> list[Volume]:
        """All volumes that are meant, by name."""
        used = self._used()
        return [volume for volume in self.volumes.all() if _is_meant(volume, wanted, used)]

    def users(self, name: str) -> list[ContainerRecord]:
        """The containers that have the volume, running or not."""
        return [record for record in self.store.all() if any(point.name == name for point in record.mounts)]

    async def remove(self, name: str, *, force: bool = False) -> None:
        """Remove a volume. Raises NotFound unless by force, and Conflict, in Docker's words, when one is used.

        By force a volume whose plugin does not answer is forgotten.
        """
        try:
            volume = self.volumes.get(name)
        except NotFound:
            if force:
                return
            raise
        self.refuse_used(name, "remove")
        if volume.driver != DRIVER:
            self.refuse_busy(name, "remove")
            async with self.kept(name, "removed"):
                try:
                    await to_its_end(self.foreign.plugins.remove, volume.driver, name)
                except SampanError as error:
                    if not force:
                        raise of_kind(error.kind, f"remove {name}: {error}", remedy=error.remedy) from error
        self._remove(volume)

    def refuse_used(self, name: str, verb: str) -> None:
        """Raise Conflict, naming the containers, when any has the volume."""
        users = self.users(name)
        if users:
            raise Conflict(
                f"{verb} {name}: volume is in use - [{', '.join(record.id for record in users)}]",
                remedy=f"remove {', '.join(record.name for record in users)} first",
            )

    def refuse_busy(self, name: str, verb: str) -> None:
        """Raise Conflict when the volume is being copied or restored."""
        if name in self._busy:
            raise Conflict(f"{verb} {name}: volume is being {self._busy[name]}", remedy="try again when that has ended")

    async def prune(self, wanted: VolumeFilter, *, everything: bool = False) -> tuple[list[str], int]:
        """Remove unused volumes that are meant, the anonymous ones alone unless `everything`: names, bytes freed.

        As with Docker never those with options or of a plugin: what they name is kept elsewhere, and not to be lost.
        """
        removed, freed = [], 0
        for volume in self.find(wanted):
            if not (volume.anonymous or everything) or self.users(volume.name):
                continue
            if volume.options or volume.driver != DRIVER:
                continue
            size = await self.size(volume)
            with contextlib.suppress(SampanError):  # gone, or taken into use meanwhile
                await self.remove(volume.name)
                removed.append(volume.name)
                freed += max(size, 0)
        self.events.publish("volume", "prune", "", {"reclaimed": str(freed)})
        return removed, freed

    async def size(self, volume: Volume) -> int:
        """The bytes that a volume's files hold, -1 when they are on a file system of its own."""
        if source_of(volume.options) or volume.driver != DRIVER:
            return -1
        try:
            return await asyncio.to_thread(content_size, self.volumes.data(volume.name))
        except OSError:
            return -1

    def _remove(self, volume: Volume) -> None:
        self.refuse_busy(volume.name, "remove")
        self.volumes.remove(volume.name)
        self.events.publish("volume", "destroy", volume.name, {"driver": volume.driver})

    def _used(self) -> set[str]:
        return {point.name for record in self.store.all() for point in record.mounts if point.name}


def open_volumes(
    volumes: Volumes, store: ContainerStore, events: Events, roots: Roots, plugins: Plugins
) -> EngineVolumes:
    """An engine's volumes, put right after a crash."""
    volumes.recover()
    return EngineVolumes(volumes, store, events, roots, PluginVolumes(plugins))


def _wants_content(point: MountPoint) -> bool:
    """Whether the point's volume may be filled from the image: it is a directory, and nothing is in it."""
    if point.kind != "volume" or not point.copy_up or point.subpath or point.fstype not in {"", "none"}:
        return False
    try:
        with os.scandir(point.device if point.fstype else point.source) as entries:
            return next(entries, None) is None
    except OSError:
        return False  # a device that is not there: the start says so


def _open_content(root: int, point: MountPoint) -> int:
    """The directory that the root has at a mount point; -1 when nothing is there."""
    try:
        return open_in_root(root, point.destination, _DIRECTORY)
    except FileNotFoundError:
        return -1
    except NotADirectoryError:
        raise InvalidArgument(
            f"cannot mount volume over existing file, file exists {point.destination}",
            remedy="mount the volume at a directory",
        ) from None


def _is_meant(volume: Volume, wanted: VolumeFilter, used: set[str]) -> bool:
    return (
        (not wanted.names or any(expression(name).search(volume.name) for name in wanted.names))
        and (not wanted.drivers or volume.driver in wanted.drivers)
        and all(_has(volume, label) for label in wanted.labels)
        and not any(_has(volume, label) for label in wanted.not_labels)
        and (wanted.dangling is None or wanted.dangling is (volume.name not in used))
    )


def _has(volume: Volume, text: str) -> bool:
    name, separator, value = text.partition("=")
    return name in volume.labels and (not separator or volume.labels[name] == value)
