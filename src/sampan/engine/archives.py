"""Images as archives over the event loop: load what arrives, save what is asked for."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

from sampan.engine.events import Events
from sampan.engine.feed import Reading, consume
from sampan.engine.image_events import announce
from sampan.engine.images import EngineImages
from sampan.engine.pace import Pace
from sampan.engine.threads import its_end
from sampan.image.archive_read import Incoming, read_archive
from sampan.image.archive_write import layers_of, plan_save, write_archive
from sampan.image.feed import from_thread
from sampan.image.layers import Hold
from sampan.image.platforms import parse_platform

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True)
class LayerProgress:
    """How far one layer of an archive has come."""

    layer: str
    done_bytes: int
    total_bytes: int


@dataclass(frozen=True, slots=True)
class Loaded:
    """An image is here; `reference` is "" when the archive gives it no name.

    `before` is the id of the image that had the name and has it no more.
    """

    image_id: str
    reference: str
    before: str = ""


@dataclass(frozen=True, slots=True)
class Archives:
    """load and save over an engine's images."""

    images: EngineImages
    events: Events

    async def load(self, archive: AsyncIterator[bytes], platform: str = "") -> AsyncIterator[LayerProgress | Loaded]:
        """Take an archive in, telling how it goes; names move to the images that come.

        Raises InvalidArgument for a damaged archive or one without an image; nothing is left then.
        """
        wanted = parse_platform(platform) if platform else ("", "", "")
        told: asyncio.Queue[LayerProgress | None] = asyncio.Queue()
        pace: Pace[LayerProgress] = Pace(told.put_nowait, lambda step: (step.layer, ""))
        loop = asyncio.get_running_loop()

        def progress(layer: str, done_bytes: int, total_bytes: int) -> None:
            loop.call_soon_threadsafe(pace.tell, LayerProgress(layer, done_bytes, total_bytes))

        def ended(_: object) -> None:
            pace.finish()
            told.put_nowait(None)

        with self.images.making() as hold:
            work = asyncio.ensure_future(consume(archive, self._reading(hold, wanted, progress)))
            work.add_done_callback(ended)
            try:
                while (step := await told.get()) is not None:
                    yield step
                for incoming in await work:
                    for loaded in self._record(incoming):
                        yield loaded
            finally:
                work.cancel()
                await its_end(work)

    def _reading(
        self, hold: Hold, platform: tuple[str, str, str], progress: Progress
    ) -> Callable[[Reading], list[Incoming]]:
        def read(reading: Reading) -> list[Incoming]:
            return read_archive(reading, self.images.layers, hold, platform=platform, progress=progress)

        return read

    def _record(self, incoming: Incoming) -> list[Loaded]:
        image = self.images.images.record(incoming.config, parent=incoming.parent)
        loaded = []
        for reference in incoming.references:
            _, _, before = self.images.images.point(reference, image.id)
            moved = before if before and before != image.id else ""
            loaded.append(Loaded(image.id, reference.familiar, moved))
        announce(self.events, self.images.images, "load", image.id)
        return loaded or [Loaded(image.id, "")]

    def save(self, names: tuple[str, ...], since: tuple[str, ...] = ()) -> AsyncIterator[bytes]:
        """The archive of these images; `since` names images whose layers the other side has.

        Raises NotFound or InvalidArgument at once, before the first piece.
        """
        outgoing = plan_save(self.images.images, names)
        without = layers_of(self.images.images, since)
        for image in outgoing:
            announce(self.events, self.images.images, "save", image.image_id)
        return from_thread(write_archive(outgoing, self.images.layers, without))
