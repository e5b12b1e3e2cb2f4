"""What RUN --mount=type=cache keeps, as archives, out of an engine and into one. Lists and removal are `builds`'s."""

from __future__ import annotations

import os
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from sampan.build.cache_mounts import CacheMounts
from sampan.engine.feed import PieceReading, Source, consume_source
from sampan.errors import Conflict, InvalidArgument, NotFound
from sampan.image.compression import plain
from sampan.image.feed import from_thread
from sampan.image.pack import PackOptions, pack
from sampan.image.pieces import Move
from sampan.image.unpack import unpack
from sampan.image.unpack_terms import Whiteouts

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


@dataclass(frozen=True, slots=True)
class BuildCaches:
    """Archives of an engine's cache mounts."""

    caches: CacheMounts

    @asynccontextmanager
    async def export(self, name: str) -> AsyncIterator[AsyncIterator[bytes]]:
        """The cache of a name or an id as a tar archive, the directory itself in it as "./".

        What steps write meanwhile may be in it or not. Raises NotFound.
        """
        record = next((one for one in self.caches.all() if name in {one.name, one.directory}), None)
        if record is None:
            raise NotFound(f"no such build cache: {name}", remedy="`sampan builder cache ls` lists them")
        lease = self.caches.hold(record)
        try:
            root = os.open(lease.path, _DIRECTORY)
            try:
                yield from_thread(pack(root, PackOptions(exact_times=True)))
            finally:
                os.close(root)
        finally:
            lease.release()

    async def import_archive(self, name: str, archive: Source) -> None:
        """A new cache with what an archive has, compressed or not; nobody sees it before it is whole.

        Raises Conflict for a name that is taken, InvalidArgument for a damaged archive.
        """
        self._refuse_taken(name)
        lease = self.caches.add(f"importing {secrets.token_hex(8)}")
        try:

            def work(reading: PieceReading, move: Move) -> None:
                root = os.open(lease.path, _DIRECTORY)
                try:
                    unpack(plain(reading, move), root, whiteouts=Whiteouts.LITERAL)
                finally:
                    os.close(root)

            await consume_source(archive, work)
            self._refuse_taken(name)
        except BaseException:
            lease.release()
            self.caches.remove([lease.directory])
            raise
        self.caches.rename(lease, name)
        self.caches.fill(lease)
        lease.release()

    def _refuse_taken(self, name: str) -> None:
        if not name:
            raise InvalidArgument("the cache has no name", remedy="give the mount's id, or its target")
        if any(one.name == name for one in self.caches.all()):
            raise Conflict(f"there is a build cache {name} already", remedy=f"sampan builder cache rm {name}")
