"""A part of an archive that is still in its file: for who sends an archive and need not read what it sends."""

from __future__ import annotations

import os
from collections.abc import Iterator

_PIECE = 1 << 20


class FilePart:
    """`length` bytes of the open file `fd` from `offset` on; good until the next part of the archive is asked for."""

    __slots__ = ("fd", "length", "offset")

    def __init__(self, fd: int, offset: int, length: int) -> None:
        self.fd, self.offset, self.length = fd, offset, length

    def __len__(self) -> int:
        """How much of the archive it is."""
        return self.length


def read_parts(parts: Iterator[bytes | FilePart]) -> Iterator[bytes]:
    """The archive as bytes alone, with zeros for what was cut off meanwhile."""
    for part in parts:
        if not isinstance(part, FilePart):
            yield part
            continue
        at, end = part.offset, part.offset + part.length
        while at < end:
            length = min(_PIECE, end - at)
            piece = os.pread(part.fd, length, at) or bytes(length)
            at += len(piece)
            yield piece
