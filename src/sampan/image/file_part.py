"""A part of an archive that is still in its file: for who sends an archive and need not read what it sends."""

from __future__ import annotations


class FilePart:
    """`length` bytes of the open file `fd` from `offset` on; good until the next part of the archive is asked for."""

    __slots__ = ("fd", "length", "offset")

    def __init__(self, fd: int, offset: int, length: int) -> None:
        self.fd, self.offset, self.length = fd, offset, length

    def __len__(self) -> int:
        """How much of the archive it is."""
        return self.length
