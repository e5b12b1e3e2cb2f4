"""Packets of fsutil's protocol on a call of grpclib's, as many at a time as have come or are to be sent.

A directory of ten thousand files comes in thirty thousand packets and is asked for in ten thousand. Taken and sent one
by one, as grpclib does it, each would be two waits, an acknowledgement and a write to the socket of its own.
"""

from __future__ import annotations

import struct
from collections import deque
from collections.abc import Iterator
from typing import Any

from sampan.buildkit.connections import take_directly
from sampan.buildkit.frames import DirectData
from sampan.buildkit.proto.session_pb2 import Packet
from sampan.errors import InvalidArgument

_PREFIX = struct.Struct("!?I")  # whether it is compressed, which was not offered; its length (gRPC over HTTP/2)
_LARGEST_BYTES = 16 << 20  # as BuildKit has it of all its messages; what a file has comes in pieces of 32 KiB


def encoded(packet: Packet) -> bytes:
    """A packet as `Packets.send` takes it, with others behind it."""
    body = packet.SerializeToString()
    return _PREFIX.pack(0, len(body)) + body


class Packets:
    """The packets of one call: begun here; its end and its failures are grpclib's to tell.

    What waits for the other side raises GRPCError and StreamTerminatedError.
    """

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self._arrived: DirectData
        self._is_answered = False
        self._there: deque[Packet] = deque()
        self._rest = b""  # of a packet, whose end is still to come
        self.received_bytes = 0

    async def begin(self) -> None:
        """Make the call."""
        await self._stream.send_request()
        self._arrived = take_directly(self._stream)  # nothing has come yet: what comes is read in a later turn

    async def next(self) -> Packet | None:
        """The next packet; None behind the last. Raises InvalidArgument too, for what is no packet."""
        if not self._there:
            self._there.extend(await self.some())
        return self._there.popleft() if self._there else None

    async def some(self) -> list[Packet]:
        """All packets that have come but for what `next` has given; none behind the last. Raises as `next`."""
        if not self._is_answered:
            await self._stream.recv_initial_metadata()
            self._is_answered = True
        found = list(self._there)
        self._there.clear()
        while not found:
            with self._stream._wrapper:  # noqa: SLF001 -- it wakes us when the call fails
                data = await self._arrived.take()
            if not data:
                break
            self.received_bytes += len(data)
            found += map(Packet.FromString, self._split(data))
        return found

    def _split(self, data: bytes) -> Iterator[bytes]:
        data = self._rest + data
        at = 0
        while len(data) - at >= _PREFIX.size:
            is_compressed, length = _PREFIX.unpack_from(data, at)
            if is_compressed or length > _LARGEST_BYTES:
                raise InvalidArgument("the client sends packets that are none")
            end = at + _PREFIX.size + length
            if end > len(data):
                break
            yield data[at + _PREFIX.size : end]
            at = end
        self._rest = data[at:]

    async def send(self, packets: bytes) -> None:
        """Send packets that are `encoded`."""
        if packets:
            with self._stream._wrapper:  # noqa: SLF001
                await self._stream._stream.send_data(packets)  # noqa: SLF001

    async def end(self) -> None:
        """Say that this was all."""
        await self._stream.send_message(Packet(type=Packet.PACKET_FIN), end=True)
