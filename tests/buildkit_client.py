"""A client of BuildKit's protocol for tests: it calls the daemon, and serves what a test wants it to serve."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from grpclib.client import StreamStreamMethod, UnaryStreamMethod, UnaryUnaryMethod
from grpclib.const import Cardinality, Handler
from tests.engine_process import EngineProcess
from tests.waiting import until

from sampan.buildkit.connections import Caller, serve
from sampan.buildkit.proto import control_pb2 as control
from sampan.buildkit.proto.control_pb2 import BytesMessage
from sampan.buildkit.proto.session_pb2 import Packet, Stat
from sampan.buildkit.sessions import Session

DIFF_COPY = "/moby.filesync.v1.FileSync/DiffCopy"
SEND = "/moby.filesync.v1.FileSend/DiffCopy"
CONTROL, BRIDGE = "/moby.buildkit.v1.Control", "/moby.buildkit.v1.frontend.LLBBridge"

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
            content = contents[os.fsdecode(entries[packet.ID].path)]
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


def tree(contents: Mapping[str, bytes]) -> Serves:
    """A client with these files in whatever directory it is asked for."""
    entries = [
        Stat(path=os.fsencode(name), mode=0o644, size=len(content)) for name, content in sorted(contents.items())
    ]
    return files(entries, contents)


@dataclass
class Client:
    """One who builds: a connection to call on, and the id of a session."""

    caller: Caller
    session: str
    told: control.StatusResponse = field(default_factory=control.StatusResponse)
    begun: asyncio.Event = field(default_factory=asyncio.Event)  # a step has written "begun"

    async def solve(self, ref: str, **fields: Any) -> dict[str, str]:
        """Control.Solve, with what it answers."""
        call = UnaryUnaryMethod(self.caller, f"{CONTROL}/Solve", control.SolveRequest, control.SolveResponse)
        return dict((await call(control.SolveRequest(Ref=ref, Session=self.session, **fields))).ExporterResponse)

    async def build(self, ref: str, name: str = "", **options: str) -> dict[str, str]:
        """A build that names the front end at once."""
        exporters = [control.Exporter(Type="moby", Attrs={"name": name})]
        return await self.solve(ref, Frontend="dockerfile.v0", FrontendAttrs=options, Exporters=exporters)

    async def listen(self, ref: str) -> None:
        """Control.Status until its end."""
        call = UnaryStreamMethod(self.caller, f"{CONTROL}/Status", control.StatusRequest, control.StatusResponse)
        async with call.open() as stream:
            await stream.send_message(control.StatusRequest(Ref=ref))
            async for response in stream:
                self.told.MergeFrom(response)
                if any(b"begun" in log.msg for log in response.logs):
                    self.begun.set()

    async def bridge(self, ref: str, method: str, request: Any, answer: Any) -> Any:
        """A call of LLBBridge for a build."""
        call = UnaryUnaryMethod(self.caller, f"{BRIDGE}/{method}", type(request), answer)
        return await call(request, metadata={"buildkit-controlapi-buildid": ref})


@contextlib.asynccontextmanager
async def client(
    engine: EngineProcess,
    contents: Mapping[str, bytes] | Serves,
    more: Mapping[str, Any] | None = None,
    shared_key: str = "",
) -> AsyncGenerator[Client]:
    """A client whose session has these files."""
    session = f"session-{os.urandom(8).hex()}"
    diff_copy = contents if callable(contents) else tree(contents)
    methods = {DIFF_COPY: streaming(diff_copy), **(more or {})}
    async with serving(engine.socket, session, methods, shared_key), calling(engine.socket) as caller:
        yield Client(caller, session)


def leftovers(engine: EngineProcess) -> list[str]:
    """What a build has below the data root while it goes on."""
    return os.listdir(f"{engine.data_root}/build")


async def nothing_left(engine: EngineProcess) -> None:
    """Wait until no build has anything any more, and see that no container is there."""
    await asyncio.to_thread(until, lambda: not leftovers(engine))
    assert engine.json("GET", "/containers/json?all=1") == []
