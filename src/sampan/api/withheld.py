"""What a quiet stream does not say unless it fails: the last of it, so that memory has a bound."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

MOST_BYTES = 8 << 20


@dataclass(slots=True)
class Withheld:
    """Pieces of a stream in their order; the first ones go when all together are more than `most_bytes`."""

    most_bytes: int = MOST_BYTES
    left_out_bytes: int = 0
    _pieces: deque[bytes] = field(default_factory=deque)
    _bytes: int = 0

    def __bool__(self) -> bool:
        """Whether anything was said."""
        return bool(self._pieces)

    def add(self, piece: bytes) -> None:
        """Keep one piece more, at the price of the first ones; the last one always stays."""
        self._pieces.append(piece)
        self._bytes += len(piece)
        while self._bytes > self.most_bytes and len(self._pieces) > 1:
            gone = len(self._pieces.popleft())
            self._bytes -= gone
            self.left_out_bytes += gone

    def pieces(self) -> tuple[bytes, ...]:
        """What is left."""
        return tuple(self._pieces)
