"""HTTP/2 on a socket that has left HTTP/1: gRPC served to a client, or asked of one, with grpclib."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from grpclib.client import Channel, Stream
from grpclib.config import Configuration
from grpclib.const import Handler
from grpclib.encoding.proto import ProtoCodec
from grpclib.exceptions import StreamTerminatedError
from grpclib.protocol import EventsProcessor, H2Protocol
from grpclib.server import Server
from h2.errors import ErrorCodes
from h2.events import StreamReset
from hpack import Encoder

from sampan.buildkit.errors import Details
from sampan.buildkit.frames import DirectData, Frames

_WINDOW_BYTES = 4 << 20
_CONFIGURATION = Configuration(http2_connection_window_size=_WINDOW_BYTES, http2_stream_window_size=_WINDOW_BYTES)


class Service(Protocol):
    """What grpclib serves: handlers by their paths."""

    def __mapping__(self) -> dict[str, Handler]:
        """As in `/package.Service/Method`."""


class _Processor(EventsProcessor):
    """grpclib's, but for what a server in Go says behind a whole answer: that it reads no more of the request."""

    def process_stream_reset(self, event: StreamReset) -> None:
        stream = self.streams.get(event.stream_id)
        if event.error_code != ErrorCodes.NO_ERROR or stream is None or not stream.trailers_received.is_set():
            super().process_stream_reset(event)


class _Plainly(Encoder):
    """Headers without Huffman's code: hpack packs in a time that grows as the square of their size."""

    def add(self, to_add: tuple[bytes, bytes], sensitive: bool, huffman: bool = False) -> bytes:  # noqa: ARG002, FBT001, FBT002 -- hpack's signature
        return super().add(to_add, sensitive, huffman=False)


class _Connection(H2Protocol):
    """A connection that begins with bytes which came early; `ended` is called when it is over."""

    def __init__(self, like: H2Protocol, early: bytes, ended: Callable[[], None]) -> None:
        super().__init__(like.handler, like.config, like.h2_config)
        self._early = early
        self._ended = ended

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.connection._connection.encoder = _Plainly()  # noqa: SLF001 -- grpclib has no way to it
        self.processor = _Processor(self.handler, self.connection)
        if self._early:
            self.data_received(self._early)

    def connection_lost(self, exc: BaseException | None) -> None:
        super().connection_lost(exc)
        self._ended()


class _Called(_Connection):
    """One to a client that is asked: data of some calls goes past the library."""

    def __init__(self, like: H2Protocol, early: bytes, ended: Callable[[], None]) -> None:
        super().__init__(like, early, ended)
        self._frames = Frames(_WINDOW_BYTES)

    def data_received(self, data: bytes) -> None:
        for run in self._frames.split(data, self._direct):
            super().data_received(run)

    def _direct(self, stream_id: int) -> DirectData | None:
        stream = self.processor.streams.get(stream_id)
        return stream.buffer if stream is not None and isinstance(stream.buffer, DirectData) else None


def take_directly(call: Stream[Any, Any]) -> DirectData:
    """Have all data of a call that has just been made on a `Caller` come to what is returned, and nowhere else."""
    stream = call._stream  # noqa: SLF001 -- grpclib has no way to more than one message at a time
    assert stream.id is not None  # noqa: S101 -- it was made
    taker = DirectData(stream.id, stream._transport.write, stream.buffer._ack_callback)  # noqa: SLF001
    stream.buffer = taker  # type: ignore[assignment]
    return taker


async def serve(sock: socket.socket, early: bytes, services: Sequence[Service]) -> None:
    """Serve gRPC on a connected socket, which is ours from here on, until the client leaves."""
    over: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def end() -> None:
        if not over.done():
            over.set_result(None)

    server = Server(services, codec=ProtoCodec(), status_details_codec=Details(), config=_CONFIGURATION)
    like = server._protocol_factory()  # noqa: SLF001 -- the one way to a protocol that is not of a listener's
    transport = await _taken(sock, _Connection(like, early, end))
    try:
        await over
    finally:
        transport.close()


class Caller(Channel):
    """A channel to a client that serves gRPC on a connected socket; `over` is done when it has left."""

    def __init__(self, sock: socket.socket, early: bytes) -> None:
        super().__init__(path="/session", codec=ProtoCodec(), status_details_codec=Details(), config=_CONFIGURATION)
        self._sock = sock
        self._early = early
        self.over: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def connect(self) -> None:
        """Begin to speak, on a socket that is ours from here on."""
        await self.__connect__()

    async def _create_connection(self) -> H2Protocol:
        if self.over.done():  # grpclib would connect again
            raise StreamTerminatedError("the client has left")
        made = _Called(self._protocol_factory(), self._early, self._end)
        await _taken(self._sock, made)
        return made

    def _end(self) -> None:
        if not self.over.done():
            self.over.set_result(None)


async def _taken(sock: socket.socket, protocol: asyncio.Protocol) -> asyncio.Transport:
    """A transport on a socket. uvloop would close twice the one whose peer leaves while it is being made."""
    transport, _ = await asyncio.get_running_loop().create_connection(lambda: protocol, sock=sock)
    if transport.is_closing() and type(transport).__module__.startswith("uvloop"):
        sock.detach()
    return transport
