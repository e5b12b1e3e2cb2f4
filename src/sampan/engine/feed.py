"""A stream that arrives on the event loop and is consumed by work in a thread."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Protocol

from sampan.engine.threads import its_end
from sampan.image.feed import Feed, FeedClosed
from sampan.image.pieces import Move, unmoved

Reading = Callable[[int], bytes]
PieceReading = Callable[[int], bytes | memoryview]  # what it gives is good until the next call
# Threads of their own: each goes at the pace of a client, and the loop's few are for what ends by itself.
_AT_CLIENTS_PACE = ThreadPoolExecutor(4096, "feed")


class Stream(Protocol):
    """A stream that a thread reads by itself; `abandon` ends it, from any other."""

    def read(self, size: int = -1, /) -> bytes | memoryview:
        """The next piece, good until the next call; b"" at the end."""

    def move(self, target: int, at_most: int, /) -> int:
        """As the `move` of `Pieces`."""

    def abandon(self) -> None:
        """Let what waits in `read` fail."""


Source = AsyncIterator[bytes] | Stream


def at_a_client_s_pace[**P, T](function: Callable[P, T], *arguments: P.args, **options: P.kwargs) -> asyncio.Future[T]:
    """Call a function that waits for a client in a thread that nothing else waits for."""
    return asyncio.get_running_loop().run_in_executor(_AT_CLIENTS_PACE, partial(function, *arguments, **options))


async def consume_source[T](source: Source, work: Callable[[PieceReading, Move], T]) -> T:
    """As `consume`, for a source of either kind."""
    if isinstance(source, AsyncIterator):
        return await consume(source, lambda reading: work(reading, unmoved))
    working = at_a_client_s_pace(work, source.read, source.move)
    try:
        return await asyncio.shield(working)
    except asyncio.CancelledError:
        source.abandon()
        await its_end(working)
        raise


async def consume[T](source: AsyncIterator[bytes], work: Callable[[Reading], T]) -> T:
    """Run `work` in a thread over what `source` gives. What either of them raises is raised here.

    Cancelled, it lets `work` fail with ConnectionError and waits for its end, so that it can tidy up.
    """
    feed = Feed()

    def run() -> T:
        try:
            return work(feed.read)
        finally:
            feed.close()

    working = asyncio.get_running_loop().run_in_executor(_AT_CLIENTS_PACE, run)
    try:
        async for chunk in source:
            await feed.put(chunk)
        feed.end()
    except FeedClosed:
        pass
    except BaseException:
        feed.fail(ConnectionError("the stream broke off"))
        await its_end(working)
        raise
    return await working
