"""A part of an archive that is still in its file: for who sends an archive and need not read what it sends."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

_PIECE = 1 << 20


class FilePart:
    """`length` bytes of the open file `fd` from `offset` on; good until the next part of the archive is asked for.

    What was cut off the file meanwhile is zeros.
    """

    __slots__ = ("fd", "length", "offset")

    def __init__(self, fd: int, offset: int, length: int) -> None:
        self.fd, self.offset, self.length = fd, offset, length

    def __len__(self) -> int:
        """How much of the archive it is."""
        return self.length

    def read(self, at: int) -> bytes:
        """Some of its bytes, from its byte `at` on, up to a megabyte; b"" at its end. Raises OSError."""
        length = min(_PIECE, self.length - at)
        return os.pread(self.fd, length, self.offset + at) or bytes(length)

    def send(self, out: int, at: int) -> int:
        """Send some of its bytes, from its byte `at` on, to a socket without reading them (sendfile(2)); how many.

        Raises OSError, BlockingIOError for a socket without room that does not block.
        """
        length = self.length - at
        return os.sendfile(out, self.fd, self.offset + at, length) or os.write(out, bytes(min(_PIECE, length)))


def read_parts(parts: Iterator[bytes | FilePart]) -> Iterator[bytes]:
    """The archive as bytes alone, with zeros for what was cut off meanwhile."""
    for part in parts:
        if not isinstance(part, FilePart):
            yield part
            continue
        at = 0
        while piece := part.read(at):
            at += len(piece)
            yield piece
