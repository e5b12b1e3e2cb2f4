"""Files in and out of containers: Docker's archive calls, export, and changes.

A container that does not run is not started while its files are read or written; one that runs goes on meanwhile.
Either may be removed: who reads gets all of it (`readers`).
"""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field

from sampan.engine import identity
from sampan.engine.announcer import Announcer
from sampan.engine.container import ContainerRecord, Dead, Removing
from sampan.engine.feed import PieceReading, Source, consume_source
from sampan.engine.images import EngineImages
from sampan.engine.inner_paths import PathStat, Place, clean, find, real_path
from sampan.engine.layout import Layout
from sampan.engine.store import ContainerStore
from sampan.engine.trees import open_running, open_stopped
from sampan.engine.waiting import Locks
from sampan.errors import Conflict, Forbidden, InvalidArgument, SampanError
from sampan.image.compression import plain
from sampan.image.differences import Change, ChangeKind
from sampan.image.file_part import FilePart
from sampan.image.pack import PackOptions, pack_in_parts, pack_one_in_parts
from sampan.image.pieces import Move, Pieces
from sampan.image.unpack import unpack
from sampan.image.unpack_terms import Into, Whiteouts
from sampan.linux.openat import open_in_root
from sampan.runtime import users

# What moby makes in a layer of its own below a container's (daemon/initlayer).
_MOUNTED_ON = frozenset({"/dev", "/dev/console", "/dev/pts", "/dev/shm", "/proc", "/sys"})


def without_mount_targets(changes: list[Change]) -> list[Change]:
    """The changes without the empty files and directories that the engine mounts something on."""
    own = _MOUNTED_ON | {target for _, target in identity.TARGETS}
    left = [change for change in changes if not (change.path in own and change.kind is ChangeKind.ADDED)]
    if len(left) < len(changes) and not any(change.path.startswith("/etc/") for change in left):
        left = [change for change in left if change.path != "/etc"]
    return left


@dataclass(slots=True)
class _SharedTree:
    """The tree of a container that does not run, and how many use it; `held` has its descriptors."""

    root: int = -1
    alone: int = -1  # without what is mounted in it
    users: int = 0
    opening: asyncio.Lock = field(default_factory=asyncio.Lock)
    held: AsyncExitStack = field(default_factory=AsyncExitStack)


@dataclass(frozen=True, slots=True)
class Files:
    """Copies into and out of an engine's containers."""

    store: ContainerStore
    layout: Layout
    images: EngineImages
    locks: Locks
    announcer: Announcer
    _trees: dict[str, _SharedTree] = field(default_factory=dict)

    async def stat(self, reference: str, path: str) -> PathStat:
        """What is at a path. Raises NotFound for container or path."""
        async with self._tree(reference) as (_, root):
            place = await asyncio.to_thread(find, root, path, container=reference)
            os.close(place.fd)
            return place.stat

    @asynccontextmanager
    async def get(self, reference: str, path: str) -> AsyncIterator[tuple[PathStat, Iterator[bytes | FilePart]]]:
        """What is at a path, and an archive of it, whose names begin with the path's last part; for a thread."""
        async with self._tree(reference) as (record, root):
            place = await asyncio.to_thread(find, root, path, container=reference)
            self.announcer.container(record, "archive-path")  # now: a client that has what it wants leaves
            try:
                yield place.stat, _archive(place)
            finally:
                os.close(place.fd)

    async def put(
        self, reference: str, path: str, archive: Source, *, keep_kinds: bool, as_user: bool, owner: str = ""
    ) -> None:
        """Unpack an archive, compressed or not, in a directory of the container.

        With `as_user` all of it belongs to the user that the container runs as, with `owner` to that USER[:GROUP] of
        the container's. Raises NotFound, InvalidArgument when
        the path is no directory or the archive is no good, Forbidden for what is read-only.
        """
        async with self._tree(reference, writable=True) as (record, root):
            base = await asyncio.to_thread(_destination, root, path, reference)
            user = owner or (record.config.process.user if as_user else "")

            def work(reading: PieceReading, move: Move) -> None:
                _unpack(plain(reading, move), root, base, user, keep_kinds=keep_kinds)

            try:
                await consume_source(archive, work)
            except SampanError as error:
                if isinstance(error.__cause__, OSError) and error.__cause__.errno == errno.EROFS:
                    raise Forbidden(_readonly(record, base), remedy="copy to a place that is writable") from error
                raise
        self.announcer.container(record, "extract-to-dir")

    @asynccontextmanager
    async def export(self, reference: str) -> AsyncIterator[Iterator[bytes | FilePart]]:
        """The archive of the container's root, without volumes and whatever else is mounted in it; for a thread.

        Where something is mounted it has what lies below.
        """
        async with self._tree(reference, alone=True) as (record, root):
            self.announcer.container(record, "export")
            yield pack_in_parts(root)

    async def changes(self, reference: str) -> list[Change]:
        """What the container changed of its image."""
        record = self.store.find(reference)
        return without_mount_targets(await asyncio.to_thread(self.images.roots.plan_changes(record.id)))

    @asynccontextmanager
    async def _tree(
        self, reference: str, *, writable: bool = False, alone: bool = False
    ) -> AsyncIterator[tuple[ContainerRecord, int]]:
        """The container and its tree, whole unless `alone`; what does not run is not started meanwhile.

        It may be removed; its files are there until the block ends.
        """
        record = self.store.find(reference)
        if isinstance(record.state, Removing | Dead):
            raise Conflict(f"container {record.id} is marked for removal", remedy="use another container")
        async with AsyncExitStack() as held:
            root = -1
            if record.running is None:
                tree = await held.enter_async_context(self._stopped(record.id))
                root = tree.alone if alone else tree.root
                record = self.store.find(record.id)
            if record.running is not None:
                running = record.running
                held.enter_context(self.locks.readers.reading(record.id))
                root = await asyncio.to_thread(lambda: open_running(running, writable=writable, alone=alone))
                held.callback(os.close, root)
            yield record, root

    @asynccontextmanager
    async def _stopped(self, container_id: str) -> AsyncIterator[_SharedTree]:
        """The tree of a container that does not run, one for all who want it at once; empty when it runs after all."""
        shared = self._trees.setdefault(container_id, _SharedTree())
        shared.users += 1
        try:
            async with shared.opening:
                if shared.root < 0:
                    async with self.locks.of(container_id):
                        record = self.store.find(container_id)
                        if record.running is None:
                            shared.held.enter_context(self.locks.readers.reading(container_id, resting=True))
                            shared.root, shared.alone = await self._open_stopped(record)
                            shared.held.callback(os.close, shared.root)
                            shared.held.callback(os.close, shared.alone)
            yield shared
        finally:
            shared.users -= 1
            if not shared.users:
                del self._trees[container_id]
                await shared.held.aclose()

    async def _open_stopped(self, record: ContainerRecord) -> tuple[int, int]:
        root = self.images.open_stopped(record.id, writable=True)
        directory = self.layout.container(record.id)
        files = [(f"{directory}/{name}", target) for name, target in identity.TARGETS]
        try:
            return await asyncio.to_thread(lambda: open_stopped(root, f"{directory}/root", record, files))
        finally:
            os.close(root)


def _archive(place: Place) -> Iterator[bytes | FilePart]:
    base = os.fsencode(place.base)
    if place.name:
        return pack_one_in_parts(place.fd, os.fsencode(place.name), base)
    return pack_in_parts(place.fd, PackOptions(prefix=b"" if base == b"/" else base))


def _destination(root: int, path: str, reference: str) -> str:
    """The directory that a path leads to, all links followed: its path inside the root."""
    real = real_path(root, clean(path))
    try:
        os.close(open_in_root(root, real, os.O_PATH | os.O_DIRECTORY))
    except OSError:
        os.close(find(root, real, container=reference).fd)  # raises NotFound when nothing is there
        raise InvalidArgument("extraction point is not a directory", remedy="name a directory") from None
    return real


def _unpack(pieces: Pieces, root: int, base: str, user: str, *, keep_kinds: bool) -> None:
    owner = None
    if user:
        who = users.resolve(root, user)
        owner = (who.uid, who.gid)
    into = Into(os.fsencode(base), owner, keep_kinds)
    unpack(pieces, root, whiteouts=Whiteouts.LITERAL, into=into)


def _readonly(record: ContainerRecord, path: str) -> str:
    """Docker's words for a place that is read-only."""
    for point in record.mounts:
        if f"{path}/".startswith(f"{point.destination}/") and not point.writable:
            return "mounted volume is marked read-only"
    return "container rootfs is marked read-only"
