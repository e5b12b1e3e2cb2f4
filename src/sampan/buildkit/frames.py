"""Data of a call that is given on as it comes, past the library that speaks HTTP/2.

That takes some thirty microseconds for each frame, and a client in Go puts each message into a frame of its own. What
is done here is what RFC 9113 asks of a frame with data and nothing else to it: the bytes (section 6.1) and the windows
(section 6.9). All other frames, those of all other calls, and what is wrong with any of them, are the library's.
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Callable, Iterator

_HEADER = struct.Struct("!BHBBI")  # length in 24 bits, type, flags, stream
_UPDATE = struct.Struct("!BHBBII")
_DATA, _WINDOW_UPDATE = 0, 8
_LARGEST_BYTES = 1 << 14  # of a frame, where no more was agreed on (section 4.2)


class DirectData:
    """What came for a call, in place of grpclib's buffer: given away all at once, and acknowledged then."""

    def __init__(self, stream_id: int, write: Callable[[bytes], None], acknowledge: Callable[[int], None]) -> None:
        """`acknowledge` is the library's for what it has seen; `write` sends bytes to the other side."""
        self._stream_id = stream_id
        self._write = write
        self._acknowledge = acknowledge
        self._pieces: list[bytes] = []
        self._seen = 0  # bytes that the library has seen, as flow control counts them
        self._past = 0  # bytes that went past it
        self._is_over = False
        self._came = asyncio.Event()

    @property
    def waiting_bytes(self) -> int:
        """How much nobody has taken yet."""
        return self._seen + self._past

    def add(self, data: bytes, size: int) -> None:
        """A frame that the library has seen."""
        self._pieces.append(data)
        self._seen += size
        self._came.set()

    def pass_by(self, data: bytes) -> None:
        """The content of a frame that it has not."""
        self._pieces.append(data)
        self._past += len(data)
        self._came.set()

    def eof(self) -> None:
        """Nothing more comes."""
        self._is_over = True
        self._came.set()

    async def take(self) -> bytes:
        """All that has come, waited for; nothing when that was all."""
        while not self._pieces:
            if self._is_over:
                return b""
            self._came.clear()
            await self._came.wait()
        data = b"".join(self._pieces)
        self._pieces.clear()
        if self._past:
            self._write(_update(self._stream_id, self._past) + _update(0, self._past))
        self._acknowledge(self._seen)
        self._seen = self._past = 0
        return data

    def unacked_size(self) -> int:
        """What the library shall acknowledge of a call that is over; the connection's window is opened for the rest."""
        if self._past:
            self._write(_update(0, self._past))
            self._past = 0
        return self._seen


def _update(stream_id: int, increment: int) -> bytes:
    return _UPDATE.pack(0, 4, _WINDOW_UPDATE, 0, stream_id, increment)


class Frames:
    """Splits what comes on a connection: data of those calls that take it themselves, and everything else."""

    def __init__(self, window_bytes: int) -> None:
        """More than `window_bytes` do not wait for one call."""
        self._window_bytes = window_bytes
        self._rest = b""  # of a frame, whose end is still to come

    def split(self, data: bytes, direct: Callable[[int], DirectData | None]) -> Iterator[bytes]:
        """The frames that are the library's, as it is to be given them, one run after the other.

        A run is handled before the next is asked for: what is `direct` may be another then.
        """
        data = self._rest + data if self._rest else data
        self._rest = b""
        begin = at = 0
        while len(data) - at >= _HEADER.size:
            high, low, kind, flags, stream_id = _HEADER.unpack_from(data, at)
            length = high << 16 | low
            end = at + _HEADER.size + length
            if length > _LARGEST_BYTES:  # which the library refuses
                yield data[begin:]
                return
            if end > len(data):
                break
            if kind == _DATA and not flags:
                if begin < at:
                    yield data[begin:at]
                    begin = at
                taker = direct(stream_id)
                if taker is not None and taker.waiting_bytes + length <= self._window_bytes:
                    taker.pass_by(data[at + _HEADER.size : end])
                    begin = end
            at = end
        if begin < at:
            yield data[begin:at]
        self._rest = data[at:]
