"""A client of BuildKit's protocol for tests: it calls the daemon, and serves what a test wants it to serve."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from typing import Any

from grpclib.client import StreamStreamMethod
from grpclib.const import Cardinality, Handler

from sampan.buildkit.connections import Caller, serve
from sampan.buildkit.proto.control_pb2 import BytesMessage
from sampan.buildkit.proto.session_pb2 import Packet, Stat
from sampan.buildkit.sessions import Session

DIFF_COPY = "/moby.filesync.v1.FileSync/DiffCopy"
SEND = "/moby.filesync.v1.FileSend/DiffCopy"

type Serves = Callable[[Any], Awaitable[None]]


class Offered:
    """Methods that a client serves: each a coroutine function that is given the stream."""

    def __init__(self, methods: Mapping[str, tuple[Serves, Cardinality, Any, Any]]) -> None:
        self.methods = methods

    def __mapping__(self) -> dict[str, Handler]:
        return {path: Handler(*parts) for path, parts in self.methods.items()}


def streaming(function: Serves, message: Any = Packet) -> tuple[Serves, Cardinality, Any, Any]:
    """A method of which both sides are streams."""
    return function, Cardinality.STREAM_STREAM, message, message


@contextlib.asynccontextmanager
async def served(methods: Mapping[str, tuple[Serves, Cardinality, Any, Any]]) -> AsyncGenerator[Session]:
    """A session with a client in this process that serves these methods."""
    ours, theirs = socket.socketpair()
    for end in (ours, theirs):
        end.setblocking(False)  # noqa: FBT003 -- the method has no keyword
    serving = asyncio.ensure_future(serve(theirs, b"", [Offered(methods)]))
    caller = Caller(ours, b"")
    try:
        await caller.connect()
        yield Session("s", frozenset(map(str.lower, methods)), caller)
    finally:
        caller.close()
        await asyncio.wait([serving])


def listing(*entries: Stat) -> list[Packet]:
    """What a client says that has these entries."""
    packets = [Packet(type=Packet.PACKET_STAT, stat=entry) for entry in entries]
    return [*packets, Packet(type=Packet.PACKET_STAT)]


def files(entries: Sequence[Stat], contents: Mapping[str, bytes], piece: int = 1 << 15) -> Serves:
    """A client's FileSync/DiffCopy as fsutil does it."""

    async def diff_copy(stream: Any) -> None:
        for packet in listing(*entries):
            await stream.send_message(packet)
        async for packet in stream:
            if packet.type == Packet.PACKET_FIN:
                await stream.send_message(Packet(type=Packet.PACKET_FIN))
                return
            content = contents[entries[packet.ID].path]
            for start in range(0, len(content), piece):
                data = content[start : start + piece]
                await stream.send_message(Packet(type=Packet.PACKET_DATA, ID=packet.ID, data=data))
            await stream.send_message(Packet(type=Packet.PACKET_DATA, ID=packet.ID))

    return diff_copy


def upgraded(path: str, target: str, headers: Sequence[tuple[str, str]] = ()) -> tuple[socket.socket, bytes]:
    """A connection to the daemon's socket at `path` that has left HTTP/1, and what came behind the head."""
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(60)
    connection.connect(path)
    lines = [f"POST {target} HTTP/1.1", "Host: d", "Connection: Upgrade", "Upgrade: h2c"]
    lines += [f"{name}: {value}" for name, value in headers]
    connection.sendall("\r\n".join([*lines, "", ""]).encode())
    head = b""
    while b"\r\n\r\n" not in head:
        head += connection.recv(65536)
    assert head.startswith(b"HTTP/1.1 101 "), head
    connection.setblocking(False)  # noqa: FBT003 -- the method has no keyword
    return connection, head.partition(b"\r\n\r\n")[2]


@contextlib.asynccontextmanager
async def calling(path: str) -> AsyncGenerator[Caller]:
    """A channel on which the daemon is called."""
    caller = Caller(*upgraded(path, "/grpc"))
    await caller.connect()
    try:
        yield caller
    finally:
        caller.close()


@contextlib.asynccontextmanager
async def serving(
    path: str, session_id: str, methods: Mapping[str, tuple[Serves, Cardinality, Any, Any]], shared_key: str = ""
) -> AsyncGenerator[asyncio.Task[None]]:
    """A session with the daemon, open until the block ends; the task is cancelled to close it before."""
    headers = [("X-Docker-Expose-Session-Uuid", session_id), ("X-Docker-Expose-Session-Sharedkey", shared_key)]
    headers += [("X-Docker-Expose-Session-Grpc-Method", name) for name in methods]
    connection, early = upgraded(path, "/session", headers)
    task = asyncio.ensure_future(serve(connection, early, [Offered(methods)]))
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.wait([task])


async def pull(session: Session, method: str, metadata: Sequence[tuple[str, str]] = ()) -> bytes:
    """All bytes of a stream of them."""
    call = StreamStreamMethod(session.caller, method, BytesMessage, BytesMessage)
    async with call.open(metadata=list(metadata)) as stream:
        await stream.send_request(end=True)
        return b"".join([message.data async for message in stream])
