"""Copies of volumes, and what else is beyond Docker's verbs: rename, clone, snapshot and restore, export and import.

A volume that is being made shows only when it is whole; one that is being read is not removed meanwhile. What
containers write during a copy may be in it or not: `pause` lets those that run stand still.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from sampan.engine.commits import standing_still
from sampan.engine.feed import PieceReading, Source, consume_source
from sampan.engine.threads import to_its_end
from sampan.engine.volumes import EngineVolumes
from sampan.engine.waiting import Locks
from sampan.errors import Conflict, InvalidArgument, NotImplementedHere, SystemFailure
from sampan.image.compression import plain
from sampan.image.file_part import FilePart
from sampan.image.pack import PackOptions, pack_in_parts
from sampan.image.pieces import Move
from sampan.image.unpack import unpack
from sampan.image.unpack_terms import Whiteouts
from sampan.volume.options import source_of
from sampan.volume.records import State, Volume
from sampan.volume.snapshots import (
    Snapshot,
    check_snapshot_name,
    copy_directory,
    find_snapshot,
    forget,
    restore,
    settle_snapshots,
    snapshots,
    take,
)
from sampan.volume.volumes import ANONYMOUS_LABEL, DRIVER

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


@dataclass(frozen=True, slots=True)
class VolumeCopies:
    """These verbs over an engine's volumes."""

    volumes: EngineVolumes
    locks: Locks
    cgroup_parent: str

    def rename(self, name: str, new_name: str) -> Volume:
        """Another name for a volume that no container has. Raises NotFound, Conflict, InvalidArgument."""
        if not new_name:
            raise InvalidArgument("the new name of the volume is empty", remedy="pass ?name=NEW")
        self.volumes.get(name)
        self.volumes.refuse_used(name, "rename")
        self.volumes.refuse_busy(name, "rename")
        with _disk(f"rename {name}"):
            volume = self.volumes.volumes.rename(name, new_name)
        self._tell("rename", volume.name, oldName=name)
        return volume

    async def clone(self, name: str, new_name: str, *, pause: bool = False) -> Volume:
        """A new volume with the content, the labels and the size of another; "" makes it an anonymous one.

        Raises NotFound, Conflict for a name that is taken, NotImplementedHere for a volume that is no directory.
        """
        source = self._content(name)
        volume = self.volumes.get(name)
        labels = {key: value for key, value in volume.labels.items() if key != ANONYMOUS_LABEL}
        options = {key: value for key, value in volume.options.items() if key == "size"}
        async with self._new(new_name, labels, options) as made:
            target = self.volumes.volumes.data(made.name)
            async with self._reading(name, "cloned", pause=pause):
                await to_its_end(_acting, f"clone {name}", copy_directory, source, target)
        self._tell("create", made.name)
        return self.volumes.get(made.name)

    def snapshots(self, name: str) -> list[Snapshot]:
        """A volume's snapshots, the oldest first. Raises NotFound."""
        return snapshots(self._directory(name))

    async def snapshot(self, name: str, snapshot: str = "", *, pause: bool = False) -> Snapshot:
        """Keep a volume's content as it is now, named by the time when it is not named. Raises Conflict, NotFound."""
        directory = self._directory(name)
        snapshot = snapshot or time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
        check_snapshot_name(snapshot)
        async with self._reading(name, "copied", pause=pause):
            taken = await to_its_end(self._settling, f"snapshot {name}", directory, take, directory, snapshot)
        self._tell("snapshot", name, snapshot=snapshot)
        return taken

    async def restore(self, name: str, snapshot: str) -> None:
        """Put a snapshot's content back into a volume that no running container has. Raises NotFound, Conflict."""
        directory = self._directory(name)
        find_snapshot(directory, snapshot)
        async with self._holding_users(name) as held, self.volumes.kept(name, "restored"):
            running = [user for user in self.volumes.users(name) if user.running is not None or user.id not in held]
            if running:
                raise Conflict(
                    f"restore {name}: volume is in use by running containers - "
                    f"[{', '.join(user.id for user in running)}]",
                    remedy=f"stop {', '.join(user.name for user in running)} first",
                )
            throw_away = self.volumes.volumes.throw_away
            await to_its_end(self._settling, f"restore {name}", directory, restore, directory, snapshot, throw_away)
        self._tell("restore", name, snapshot=snapshot)

    def forget(self, name: str, snapshot: str) -> None:
        """Remove a snapshot. Raises NotFound."""
        with _disk(f"remove snapshot {snapshot} of {name}"):
            forget(self._directory(name), snapshot, self.volumes.volumes.throw_away)
        self._tell("forget", name, snapshot=snapshot)

    @asynccontextmanager
    async def export(self, name: str, *, pause: bool = False) -> AsyncIterator[Iterator[bytes | FilePart]]:
        """A volume's content as a tar archive, the directory itself in it as "./"; for a thread. Raises NotFound."""
        source = self._content(name)
        async with self._reading(name, "exported", pause=pause):
            with _disk(f"export {name}"):
                root = os.open(source, _DIRECTORY)
            try:
                yield pack_in_parts(root, PackOptions(exact_times=True))
            finally:
                os.close(root)
        self._tell("export", name)

    async def import_archive(self, name: str, archive: Source, labels: dict[str, str]) -> Volume:
        """A new volume with what an archive has, compressed or not. Raises Conflict, InvalidArgument."""
        async with self._new(name, labels) as made:
            data = self.volumes.volumes.data(made.name)

            def work(reading: PieceReading, move: Move) -> None:
                root = os.open(data, _DIRECTORY)
                try:
                    unpack(plain(reading, move), root, whiteouts=Whiteouts.LITERAL)
                finally:
                    os.close(root)

            await consume_source(archive, work)
        self._tell("create", made.name)
        return self.volumes.get(made.name)

    # -- what they have in common

    def _directory(self, name: str) -> str:
        """The folder of a volume that is a directory of ours."""
        volume = self.volumes.get(name)
        _refuse_foreign(volume)
        if source_of(volume.options) is not None:
            raise NotImplementedHere(
                f"volume {name} is a mount of its own, of which no snapshots are kept",
                remedy="clone it: the clone is an ordinary volume",
            )
        return self.volumes.volumes.directory(name)

    def _content(self, name: str) -> str:
        """Where the volume's content is on the host."""
        volume = self.volumes.get(name)
        _refuse_foreign(volume)
        source = source_of(volume.options)
        if source is None:
            return self.volumes.volumes.data(name)
        if not source.is_bind:
            raise NotImplementedHere(
                f"volume {name} is a file system of type {source.fstype}, mounted in containers alone",
                remedy="copy it out of a container that has it, with `sampan cp`",
            )
        return source.device

    @asynccontextmanager
    async def _reading(self, name: str, what: str, *, pause: bool) -> AsyncIterator[None]:
        """Keep a volume from being removed, and let those who could write it stand still when that is wanted."""
        if not pause:
            async with self.volumes.kept(name, what):
                yield
            return
        async with self._holding_users(name) as held, self.volumes.kept(name, what), AsyncExitStack() as frozen:
            for user in self.volumes.users(name):
                if user.id in held:
                    await frozen.enter_async_context(standing_still(user, self.cgroup_parent))
            yield

    @asynccontextmanager
    async def _holding_users(self, name: str) -> AsyncIterator[set[str]]:
        """Let the containers that have the volume neither start nor end meanwhile; gives their ids."""
        users = sorted(user.id for user in self.volumes.users(name))
        async with AsyncExitStack() as held:
            for user in users:
                await held.enter_async_context(self.locks.alone(user))
            yield set(users)

    @asynccontextmanager
    async def _new(
        self, name: str, labels: dict[str, str], options: dict[str, str] | None = None
    ) -> AsyncIterator[Volume]:
        """A volume that nobody sees until the block has ended well, and that is gone when it has not."""
        volumes = self.volumes.volumes
        made, _ = volumes.create(name, options, labels, state=State.FILLING)
        try:
            yield made
        except BaseException:
            volumes.remove(made.name)
            raise
        volumes.finish(made)

    def _settling[**P, T](
        self, what: str, directory: str, function: Callable[P, T], *words: P.args, **more: P.kwargs
    ) -> T:
        try:
            return _acting(what, function, *words, **more)
        finally:
            settle_snapshots(directory, self.volumes.volumes.throw_away)

    def _tell(self, action: str, name: str, **attributes: str) -> None:
        self.volumes.events.publish("volume", action, name, {"driver": DRIVER, **attributes})


def _refuse_foreign(volume: Volume) -> None:
    if volume.driver != DRIVER:
        raise NotImplementedHere(
            f"volume {volume.name} is kept by the plugin {volume.driver}",
            remedy="copy it out of a container that has it, with `sampan cp`",
        )


def _acting[**P, T](what: str, function: Callable[P, T], *words: P.args, **more: P.kwargs) -> T:
    with _disk(what):
        return function(*words, **more)


@contextlib.contextmanager
def _disk(what: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise SystemFailure(
            f"{what}: {error.strerror or error}", remedy="see that the disk of the data root has room and is writable"
        ) from error
