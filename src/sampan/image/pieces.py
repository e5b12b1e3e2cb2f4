"""A stream in pieces, with a way past them: where its source can do that, bytes go to a file unread."""

from __future__ import annotations

from collections.abc import Callable, Iterator

Move = Callable[[int, int], int]


def unmoved(_target: int, _at_most: int) -> int:
    """The `move` of a stream whose bytes are all read."""
    return 0


class Pieces:
    """The pieces of a stream, each good until the next is asked for.

    `move` puts bytes that are in no piece yet into an open file, at its position, at most so many; it gives how many, 0
    when they have to be read.
    """

    __slots__ = ("_pieces", "move")

    def __init__(self, pieces: Iterator[bytes | memoryview], move: Move = unmoved) -> None:
        self._pieces, self.move = pieces, move

    def __iter__(self) -> Iterator[bytes | memoryview]:
        return self._pieces


class ChunkReader:
    """The `read` of a file over an iterator of byte strings."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._chunk = b""
        self._at = 0

    def read(self, size: int, /) -> bytes:
        """At most `size` bytes, b"" at the end."""
        while self._at == len(self._chunk):
            chunk = next(self._chunks, None)
            if chunk is None:
                return b""
            self._chunk, self._at = chunk, 0
        if not self._at and len(self._chunk) <= size:
            self._at = len(self._chunk)
            return self._chunk
        taken = self._chunk[self._at : self._at + size]
        self._at += len(taken)
        return taken
