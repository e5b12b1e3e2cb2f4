"""One layer of a pull: received over as many connections as it takes, kept as it comes, unpacked meanwhile.

The event loop receives; a thread writes what came into the layer's partial and unpacks it. What an image is made of is
`pull`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Literal

import aiohttp

from sampan.errors import InvalidArgument, Unavailable
from sampan.image.content import ContentStore, Partial
from sampan.image.feed import Feed, FeedClosed
from sampan.image.layers import Hold, LayerStore
from sampan.image.registry import Registry
from sampan.image.registry_http import Pause
from sampan.oci.image_spec import Descriptor

_SHORT = 12
_TRIES = 6  # without a byte more

Status = Literal["Pulling fs layer", "Already exists", "Downloading", "Retrying", "Download complete", "Pull complete"]


@dataclass(frozen=True, slots=True)
class LayerProgress:
    """How far a layer is: its short digest, Docker's word for it, bytes received and in all."""

    id: str
    status: Status
    current: int = 0
    total: int = 0


Progress = Callable[[LayerProgress], None]


def short_digest(digest: str) -> str:
    """A digest as progress is told by: twelve digits of it."""
    return digest.partition(":")[2][:_SHORT]


@dataclass(slots=True)
class LayerFetch:
    """One layer on its way: `registry` has it in the repository `name`."""

    registry: Registry
    name: str
    descriptor: Descriptor
    diff_id: str
    progress: Progress
    pause: Pause
    _received: int = 0

    async def run(self, layers: LayerStore, content: ContentStore, hold: Hold) -> None:
        """Receive and unpack it; it is held from then on.

        Raises Unavailable when the registry fails again and again, InvalidArgument when what comes is something else.
        What came is kept when it fails or is cancelled. What was kept of an earlier try and turns out wrong is received
        anew.
        """
        partial = await asyncio.to_thread(content.partial, self.descriptor.digest)
        goes_on = partial.size > 0
        try:
            await self._receive(layers, hold, partial)
        except InvalidArgument:
            if not goes_on:
                raise
            await self._receive(layers, hold, partial)
        finally:
            partial.close()
        self._tell("Pull complete", self.descriptor.size)

    async def _receive(self, layers: LayerStore, hold: Hold, partial: Partial) -> None:
        feed = Feed()
        unpacking = asyncio.ensure_future(asyncio.to_thread(self._unpack, layers, hold, partial, feed))
        pumping = asyncio.ensure_future(self._pump(feed, partial.size))
        try:
            await asyncio.wait({unpacking, pumping}, return_when=asyncio.FIRST_EXCEPTION)
            if pumping.done() and (error := pumping.exception()) and not isinstance(error, FeedClosed):
                raise error
            await unpacking
        finally:
            feed.fail(FeedClosed())
            pumping.cancel()
            with suppress(BaseException):
                await pumping
            while not unpacking.done():  # a thread is not cancelled: it ends at its next read
                with suppress(BaseException):
                    await asyncio.wait({unpacking})
            with suppress(BaseException):
                unpacking.exception()

    def _unpack(self, layers: LayerStore, hold: Hold, partial: Partial, feed: Feed) -> None:
        """In a thread: what is here of the layer and then what comes, kept as it comes, into the store."""
        held = partial.read()
        try:
            _, arrived = layers.add(
                _Kept(partial, held, feed).read,
                expected_digest=self.descriptor.digest,
                expected_diff_id=self.diff_id,
                hold=hold,
            )
        except InvalidArgument:
            partial.restart()  # what was kept is of no use
            raise
        finally:
            feed.close()
        partial.discard()
        if arrived.size != self.descriptor.size:
            raise InvalidArgument(f"layer {self.descriptor.digest} has not the size that its manifest says")

    async def _pump(self, feed: Feed, offset: int) -> None:
        """Receive the layer from `offset` on, over as many connections as it takes."""
        failures = 0
        while offset < self.descriptor.size:
            before = offset
            try:
                offset = await self._receive_some(feed, offset)
                why: Exception = Unavailable(f"the connection ended after {offset} of {self.descriptor.size} bytes")
            except (aiohttp.ClientError, TimeoutError, ConnectionError) as error:
                why = error
                offset = self._received
            if offset < self.descriptor.size:
                failures = 1 if offset > before else failures + 1
                if failures >= _TRIES:
                    raise Unavailable(
                        f"cannot receive layer {self.descriptor.digest}: {why}",
                        remedy="pull again: what came of it is kept",
                    ) from why
                self._tell("Retrying", offset)
                await self.pause(min(2.0 ** (failures - 1), 16.0))
        self._tell("Download complete", offset)
        feed.end()

    async def _receive_some(self, feed: Feed, offset: int) -> int:
        self._received = offset
        async with self.registry.open_blob(self.name, self.descriptor.digest, offset) as (stream, start):
            passed_over = offset - start  # of a registry that begins anew
            async for piece in stream.iter_any():
                fresh = piece[passed_over:] if passed_over else piece
                passed_over -= len(piece) - len(fresh)
                self._received += len(fresh)
                if self._received > self.descriptor.size:
                    raise InvalidArgument(f"layer {self.descriptor.digest} is larger than its manifest says")
                await feed.put(fresh)
                self._tell("Downloading", self._received)
        return self._received

    def _tell(self, status: Status, current: int = 0) -> None:
        self.progress(LayerProgress(short_digest(self.descriptor.digest), status, current, self.descriptor.size))


class _Kept:
    """Reads what is here of a blob, then what comes, which it adds to what is here."""

    def __init__(self, partial: Partial, held: Iterator[bytes], feed: Feed) -> None:
        self._partial = partial
        self._held = held
        self._feed = feed

    def read(self, _size: int, /) -> bytes:
        """The next bytes, b"" at the end."""
        if piece := next(self._held, b""):
            return piece
        piece = self._feed.read()
        if piece:
            self._partial.write(piece)
        return piece
