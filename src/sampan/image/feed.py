"""Bytes between an event loop and a thread, a bounded number at a time, in both directions.

A thread that unpacks reads what the loop receives (`Feed`); the loop sends what a thread makes (`from_thread`). Either
side may fail or go away, and the other is told.
"""

from __future__ import annotations

import asyncio
import queue
from collections.abc import AsyncGenerator, Iterator

_DEPTH = 16
_TOGETHER = 1 << 20


class FeedClosed(Exception):  # it is no error: the reader has what it wanted
    """The reading thread has gone; nobody wants more."""


class Feed:
    """A stream from an event loop to one thread. Made in the loop; `read` and `close` are for the thread."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._room = asyncio.Semaphore(_DEPTH)
        self._pieces: queue.SimpleQueue[bytes | BaseException] = queue.SimpleQueue()
        self._closed = False
        self._ended = False
        self._read_to_end = False

    async def put(self, piece: bytes) -> None:
        """Hand a piece to the thread, waiting while it has too many. FeedClosed when it has gone."""
        if not piece:
            return
        await self._room.acquire()
        if self._closed:
            raise FeedClosed
        self._pieces.put(piece)

    def end(self) -> None:
        """Let the thread see the end of the stream."""
        self._finish(b"")

    def fail(self, error: BaseException) -> None:
        """Let the thread's next read raise `error`; nothing happens after an end."""
        self._finish(error)

    def read(self, _size: int = -1, /) -> bytes:
        """The next piece, however many bytes it has; b"" at the end, however often. Raises what `fail` was given."""
        if self._read_to_end:
            return b""
        piece = self._pieces.get()
        if isinstance(piece, BaseException):
            raise piece
        if piece:
            self._loop.call_soon_threadsafe(self._room.release)
        self._read_to_end = not piece
        return piece

    def close(self) -> None:
        """The thread reads no more: waiting and coming `put`s raise FeedClosed."""
        self._loop.call_soon_threadsafe(self._release_all)

    def _release_all(self) -> None:
        self._closed = True
        for _ in range(_DEPTH):
            self._room.release()

    def _finish(self, last: bytes | BaseException) -> None:
        if not self._ended:
            self._ended = True
            self._pieces.put(last)


async def from_thread(chunks: Iterator[bytes]) -> AsyncGenerator[bytes]:
    """What a slow iterator gives, made in a thread while what came before is on its way.

    Small chunks come together: handing one over costs as much as making a few kilobytes.
    """
    following = asyncio.ensure_future(asyncio.to_thread(_some, chunks))
    try:
        while chunk := await following:
            following = asyncio.ensure_future(asyncio.to_thread(_some, chunks))
            yield chunk
    finally:
        if not following.done():
            await asyncio.wait([following])


def _some(chunks: Iterator[bytes]) -> bytes:
    """The next chunks, together about _TOGETHER bytes; b"" at the end."""
    first = next(chunks, None)
    while first == b"":
        first = next(chunks, None)
    if first is None or len(first) >= _TOGETHER:
        return first or b""
    parts, size = [first], len(first)
    for chunk in chunks:
        parts.append(chunk)
        size += len(chunk)
        if size >= _TOGETHER:
            break
    return b"".join(parts)
