"""BuildKit's protocol against a daemon where something goes wrong: clients that lie, leave or talk nonsense; kills."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import socket
import threading
from typing import Any

import pytest
from google.protobuf.message import DecodeError
from grpclib.client import StreamUnaryMethod, UnaryUnaryMethod
from grpclib.exceptions import GRPCError
from tests.buildkit_client import (
    BRIDGE,
    CONTROL,
    DIFF_COPY,
    Client,
    calling,
    client,
    files,
    leftovers,
    nothing_left,
    serving,
    streaming,
    tree,
    upgraded,
)
from tests.engine_process import EngineProcess
from tests.waiting import until

from sampan.buildkit.connections import Caller
from sampan.buildkit.proto import control_pb2 as control
from sampan.buildkit.proto.session_pb2 import Packet, Stat

pytestmark = pytest.mark.usefixtures("busybox")
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


HOSTILE = {
    "up": (Stat(path=b"../up", mode=0o644, size=1), "goes up"),
    "inner up": (Stat(path=b"a/../../up", mode=0o644, size=1), "goes up"),
    "link": (Stat(path=b"l", mode=0o644, linkname=b"../../etc/passwd"), "goes up|no such|not in"),
    "negative": (Stat(path=b"n", mode=0o644, size=-5), "size|damaged|negative"),
}


@pytest.mark.parametrize("which", HOSTILE)
async def test_a_context_that_leaves_its_place_is_refused(engine: EngineProcess, which: str) -> None:
    bad, said = HOSTILE[which]
    dockerfile = Stat(path=b"Dockerfile", mode=0o644, size=30)
    content = b"FROM busybox\nCOPY . /x\n".ljust(30, b"\n")

    async def diff_copy(stream: Any) -> None:
        wanted = stream.metadata.getall("followpaths", [])
        entries = [dockerfile] if wanted else [dockerfile, bad]
        await files(entries, {"Dockerfile": content, os.fsdecode(bad.path): b"x"})(stream)

    async with client(engine, diff_copy) as one:
        with pytest.raises(GRPCError, match=said):
            await one.build(f"hostile-{which}")
    await nothing_left(engine)
    assert "up" not in os.listdir(engine.data_root) + leftovers(engine)


async def test_a_session_that_breaks_off_in_the_middle_of_the_context_fails_its_build(engine: EngineProcess) -> None:
    halfway = asyncio.Event()

    async def diff_copy(stream: Any) -> None:
        if stream.metadata.getall("followpaths", []):
            await tree({"Dockerfile": b"FROM busybox\nCOPY . /x\n"})(stream)
            return
        for packet in (Stat(path=b"large", mode=0o644, size=1 << 30),):
            await stream.send_message(Packet(type=Packet.PACKET_STAT, stat=packet))
        await stream.send_message(Packet(type=Packet.PACKET_STAT))
        await stream.recv_message()
        await stream.send_message(Packet(type=Packet.PACKET_DATA, ID=0, data=b"x" * 1000))
        halfway.set()
        await asyncio.Event().wait()

    async with calling(engine.socket) as caller:
        one = Client(caller, "breaks-off")
        async with serving(engine.socket, "breaks-off", {DIFF_COPY: streaming(diff_copy)}) as session:
            building = asyncio.ensure_future(one.build("breaks-off"))
            await halfway.wait()
            session.cancel()
            with pytest.raises(GRPCError, match="the client has left"):
                await building
    await nothing_left(engine)


async def test_a_client_that_leaves_cancels_its_build(engine: EngineProcess) -> None:
    async with client(engine, {"Dockerfile": b"FROM busybox\nRUN echo begun; sleep 1000\n"}) as one:
        listening = asyncio.ensure_future(one.listen("left"))
        building = asyncio.ensure_future(one.build("left"))
        await one.begun.wait()
        building.cancel()
        await asyncio.wait([building, listening])
    await nothing_left(engine)
    async with client(engine, {"Dockerfile": b"FROM busybox\nRUN true\n"}) as one:
        await one.build("after")


async def test_a_build_without_its_session_can_be_given_up(engine: EngineProcess) -> None:
    async with calling(engine.socket) as caller:
        building = asyncio.ensure_future(Client(caller, "never-there").build("waits"))
        await asyncio.sleep(0)
        building.cancel()
        await asyncio.wait([building])
    await nothing_left(engine)


async def test_a_daemon_that_is_killed_in_the_middle_leaves_nothing_to_the_next(engine: EngineProcess) -> None:
    contents = {"Dockerfile": b"FROM busybox\nRUN echo begun; sleep 1000\n"}
    async with client(engine, contents) as one:
        listening = asyncio.ensure_future(one.listen("killed"))
        building = asyncio.ensure_future(one.build("killed"))
        await one.begun.wait()
        await asyncio.to_thread(engine.kill)
        with pytest.raises(Exception):  # noqa: B017 -- however gRPC says that the connection is gone
            await building
        await asyncio.wait([listening])
        listening.exception()
    await asyncio.to_thread(engine.start)
    await nothing_left(engine)


def test_connections_that_end_at_once_leave_all_others_alone(engine: EngineProcess) -> None:
    """One that was closed twice took the number of somebody else's with it."""
    failures: list[str] = []

    def come_and_go(first: int) -> None:
        for number in range(first, first + 150):
            connection = socket.socket(socket.AF_UNIX)
            connection.connect(engine.socket)
            target = "session" if number % 2 else "grpc"
            head = f"POST /{target} HTTP/1.1\r\nHost: d\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n"
            connection.sendall(f"{head}X-Docker-Expose-Session-Uuid: u{number}\r\n\r\n".encode())
            if number % 3:
                connection.recv(100)
            connection.close()
            try:
                if engine.request("GET", "/_ping") != (200, b"OK"):
                    failures.append("no pong")
            except OSError as error:
                failures.append(str(error))

    threads = [threading.Thread(target=come_and_go, args=(1000 * number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    until(lambda: len(os.listdir(f"/proc/{engine.pid}/fd")) < 100)


def test_what_is_no_http2_closes_that_connection_alone(engine: EngineProcess) -> None:
    connection, _ = upgraded(engine.socket, "/grpc")
    with connection:
        connection.settimeout(60)
        connection.sendall(b"GET / HTTP/1.1\r\n\r\n" * 10)
        while connection.recv(65536):
            pass
    assert engine.request("GET", "/_ping") == (200, b"OK")


@pytest.mark.parametrize(
    ("path", "said"), [("/grpc", "to become h2c"), ("/session", "X-Docker-Expose-Session-Uuid is missing")]
)
def test_who_asks_without_an_upgrade_is_told_how(engine: EngineProcess, path: str, said: str) -> None:
    assert said in engine.json("POST", path, expect=400)["message"]


class Bare:
    """What is sent as it is, in place of a message."""

    def __init__(self, content: bytes) -> None:
        self.content = content

    def SerializeToString(self) -> bytes:  # noqa: N802 -- protobuf's name
        return self.content


@pytest.mark.parametrize("method", ["Info", "Solve", "Status", "Prune"])
async def test_a_message_that_cannot_be_read_is_refused_as_such(engine: EngineProcess, method: str) -> None:
    async with calling(engine.socket) as caller:
        call = UnaryUnaryMethod(caller, f"{CONTROL}/{method}", Bare, control.BytesMessage)
        with pytest.raises(GRPCError, match="the message cannot be read"):
            await call(Bare(b"\xff" * 5))


async def test_a_call_without_a_message_is_refused_as_such(engine: EngineProcess) -> None:
    async with calling(engine.socket) as caller:
        call = StreamUnaryMethod(caller, f"{CONTROL}/Solve", Bare, control.BytesMessage)
        with pytest.raises(GRPCError, match="the call has no message"):
            await call([])


async def test_whatever_is_sent_is_answered_and_the_daemon_goes_on(engine: EngineProcess) -> None:
    chance = random.Random(8)
    methods = [
        *(f"{CONTROL}/{name}" for name in ("ListWorkers", "Info", "Solve", "Status", "DiskUsage", "Prune", "Session")),
        *(f"{BRIDGE}/{name}" for name in ("Ping", "Inputs", "Solve", "Evaluate", "Return", "Warn", "ReadFile")),
    ]
    before = len(os.listdir(f"/proc/{engine.pid}/fd"))
    for turn in range(150):
        connection, _ = upgraded(engine.socket, "/grpc")
        if turn % 3 == 0:
            with connection:
                connection.settimeout(60)
                connection.sendall(PREFACE * (turn % 2) + chance.randbytes(chance.randrange(1, 300)))
            continue
        caller = Caller(connection, b"")
        await caller.connect()
        call = UnaryUnaryMethod(caller, chance.choice(methods), Bare, control.BytesMessage)
        content = Bare(chance.randbytes(chance.choice([0, 1, 5, 40])))
        with contextlib.suppress(GRPCError, TimeoutError, DecodeError, AssertionError):  # the last for no message
            await call(content, timeout=0.05)
        caller.close()
    assert engine.request("GET", "/_ping") == (200, b"OK")
    await asyncio.to_thread(until, lambda: len(os.listdir(f"/proc/{engine.pid}/fd")) < before + 10)
    await nothing_left(engine)
