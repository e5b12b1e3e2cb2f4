"""Named contexts (`--build-context`): images and addresses that stand for names, and directories that become images.

Such an image has no name and goes when the build is over; what steps took from it stays in the cache by its content.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from sampan.build.ignore import read_ignore_file
from sampan.build.sources import is_remote
from sampan.buildkit.filesync import END_OF_ARCHIVE, Wanted, archive_of, file_of
from sampan.buildkit.frontend import image_of
from sampan.buildkit.sessions import Session
from sampan.buildkit.statuses import Statuses
from sampan.engine.image_imports import Imports
from sampan.engine.images import EngineImages
from sampan.errors import NotImplementedHere, SampanError
from sampan.image.import_rootfs import ImportRequest

_LOCAL = "local:"
IGNORE = ".dockerignore"


@dataclass(slots=True)
class LocalContexts:
    """The named contexts of one build, to be given back when it is over."""

    session_of: Callable[[str], Awaitable[Session]]  # that has a directory
    imports: Imports
    engine_images: EngineImages
    statuses: Statuses
    _made: list[str] = field(default_factory=list)

    async def images(self, contexts: Mapping[str, str]) -> dict[str, str]:
        """The image or address for each name. Raises NotImplementedHere for what is neither, nor a directory."""
        return {
            name: image_of(place) or (place if is_remote(place) else await self._of_directory(name, place))
            for name, place in contexts.items()
        }

    async def give_back(self) -> None:
        """Remove the images that were made."""
        for image_id in self._made:
            with contextlib.suppress(SampanError):  # something stands on it
                for rubbish in self.engine_images.images.remove(image_id, force=True).rubbish:
                    self.engine_images.disposal.dispose(rubbish)

    async def _of_directory(self, name: str, place: str) -> str:
        if not place.startswith(_LOCAL):
            raise NotImplementedHere(
                f"the context {name} cannot be {place}",
                remedy="give a directory, an address or docker-image://NAME, or build with `sampan build`",
            )
        directory = place.removeprefix(_LOCAL)
        digest = self.statuses.begin(f"[context {name}] load from client")
        session = await self.session_of(directory)
        ignore = (await file_of(session, directory, [IGNORE])).get(IGNORE, b"")

        async def archive() -> AsyncGenerator[bytes]:
            async for piece in archive_of(
                session,
                Wanted(directory, excludes=read_ignore_file(ignore).lines),
                lambda count: self.statuses.advance(digest, f"transferring {name}:", count),
            ):
                yield piece
            yield END_OF_ARCHIVE

        image = await self.imports.make(ImportRequest(), "", archive())
        self._made.append(image.id)
        self.statuses.end(digest)
        return image.id
