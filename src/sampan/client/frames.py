"""The frames in which Docker's API sends two output streams over one connection: stream, three zeros, length, bytes.

https://docs.docker.com/reference/api/engine, "Stream format" of container attach. Streams: 1 is standard output, 2 is
standard error, 3 an error of the daemon itself (moby, pkg/stdcopy); 0 is written to standard output.
"""

from __future__ import annotations

from sampan.client.failure import ProtocolError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

STDOUT = 1
STDERR = 2
DAEMON_ERROR = 3


class Frames:
    """Takes bytes in pieces of any size and gives out (stream, data), frames of one stream in a row as one piece."""

    __slots__ = ("_pending",)

    def __init__(self) -> None:
        self._pending = b""

    def feed(self, data: bytes) -> list[tuple[int, bytes]]:
        """The whole frames that are there now.

        Raises ProtocolError: what came is no frame, which happens when a raw stream is taken for a framed one.
        """
        if self._pending:
            data = self._pending + data
        size = len(data)
        found: list[tuple[int, bytes]] = []
        parts: list[bytes] = []
        current = -1
        at = 0
        while at + 8 <= size:
            start = at + 8
            stop = start + int.from_bytes(data[at + 4 : start])
            stream = data[at]
            if stream > DAEMON_ERROR or data[at + 1] or data[at + 2] or data[at + 3]:
                raise ProtocolError(f"{data[at:start]!r} is no frame of an output stream")
            if stop > size:
                break
            if stream != current:
                if parts:
                    found.append((current, b"".join(parts)))
                parts, current = [], stream
            parts.append(data[start:stop])
            at = stop
        if parts:
            found.append((current, b"".join(parts)))
        self._pending = data[at:]
        return found

    @property
    def pending(self) -> bytes:
        """What belongs to a frame that is not whole yet."""
        return self._pending


def split_streams(chunks: Iterable[bytes], *, multiplexed: bool) -> Iterator[tuple[int, bytes]]:
    """(stream, data) of a body; without frames everything is standard output, as with a terminal."""
    if not multiplexed:
        for chunk in chunks:
            yield STDOUT, chunk
        return
    frames = Frames()
    for chunk in chunks:
        yield from frames.feed(chunk)
