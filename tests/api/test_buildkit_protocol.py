"""BuildKit's protocol against a daemon, spoken by clients that a test makes: whole builds, and whatever goes wrong."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import socket
import threading
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest
from google.protobuf.message import DecodeError
from grpclib.client import UnaryStreamMethod, UnaryUnaryMethod
from grpclib.const import Status
from grpclib.exceptions import GRPCError
from grpclib.health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse
from tests.building import run
from tests.buildkit_client import DIFF_COPY, SEND, Serves, calling, files, serving, streaming, upgraded
from tests.engine_process import EngineProcess
from tests.waiting import until

from sampan.buildkit.connections import Caller
from sampan.buildkit.proto import control_pb2 as control
from sampan.buildkit.proto import gateway_pb2 as gateway
from sampan.buildkit.proto.session_pb2 import Packet, Stat

pytestmark = pytest.mark.usefixtures("busybox")
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DOCKERFILE = {"Frontend": "dockerfile.v0"}
CONTROL, BRIDGE = "/moby.buildkit.v1.Control", "/moby.buildkit.v1.frontend.LLBBridge"


def tree(contents: Mapping[str, bytes]) -> Serves:
    """A client with these files in whatever directory it is asked for."""
    entries = [Stat(path=name, mode=0o644, size=len(content)) for name, content in sorted(contents.items())]
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


async def test_a_build_that_names_its_front_end_is_carried_out_at_once(engine: EngineProcess) -> None:
    async with client(engine, {"Dockerfile": b"FROM busybox\nCOPY f /f\nRUN cat /f\n", "f": b"content\n"}) as one:
        listening = asyncio.ensure_future(one.listen("direct"))
        answer = await one.build("direct", "made:1")
        await listening
    image = engine.json("GET", "/images/made:1/json")
    assert answer["containerimage.digest"] == image["Id"]
    assert answer["image.name"] == "docker.io/library/made:1"
    assert b"content\n" in b"".join(log.msg for log in one.told.logs)
    ended = [vertex.name for vertex in one.told.vertexes if vertex.HasField("completed")]
    assert ended[-4:] == ["[1/3] FROM busybox", "[2/3] COPY f /f", "[3/3] RUN cat /f", "exporting to image"]
    await nothing_left(engine)


async def test_a_client_that_drives_its_build_gets_the_result_and_returns_it(engine: EngineProcess) -> None:
    async with client(engine, {"Dockerfile": b"FROM busybox\nRUN true\n"}) as one:
        going_on = asyncio.ensure_future(one.solve("driven", Exporters=[control.Exporter(Type="moby")]))
        pong = await one.bridge("driven", "Ping", gateway.PingRequest(), gateway.PongResponse)
        assert {"solve.base", "return"} <= {cap.ID for cap in pong.FrontendAPICaps}
        assert [worker.ID for worker in pong.Workers] == ["sampan"]
        wanted = gateway.SolveRequest(Frontend="dockerfile.v0", allowResultArrayRef=True)
        result = (await one.bridge("driven", "Solve", wanted, gateway.SolveResponse)).result
        assert result.ref.id.startswith("sha256:")
        assert not going_on.done()
        await one.bridge("driven", "Return", gateway.ReturnRequest(result=result), gateway.ReturnResponse)
        assert (await going_on)["containerimage.digest"] == result.ref.id


async def test_a_client_that_only_asks_what_there_is_builds_nothing(engine: EngineProcess) -> None:
    async with client(engine, {}) as one:
        going_on = asyncio.ensure_future(one.solve("probe"))
        await one.bridge("probe", "Ping", gateway.PingRequest(), gateway.PongResponse)
        empty = gateway.ReturnRequest(result=gateway.Result())
        await one.bridge("probe", "Return", empty, gateway.ReturnResponse)
        assert await going_on == {}


async def test_what_a_client_says_went_wrong_is_what_its_build_ends_with(engine: EngineProcess) -> None:
    async with client(engine, {}) as one:
        going_on = asyncio.ensure_future(one.solve("own-error"))
        await one.bridge("own-error", "Ping", gateway.PingRequest(), gateway.PongResponse)
        said = gateway.ReturnRequest()
        said.error.code, said.error.message = Status.CANCELLED.value, "changed my mind"
        await one.bridge("own-error", "Return", said, gateway.ReturnResponse)
        with pytest.raises(GRPCError, match="changed my mind"):
            await going_on


async def test_workers_health_and_disk_usage_are_told(engine: EngineProcess) -> None:
    async with calling(engine.socket) as caller:
        workers = await UnaryUnaryMethod(
            caller, f"{CONTROL}/ListWorkers", control.ListWorkersRequest, control.ListWorkersResponse
        )(control.ListWorkersRequest())
        assert [(platform.OS, bool(platform.Architecture)) for platform in workers.record[0].platforms] == [
            ("linux", True)
        ]
        check = UnaryUnaryMethod(caller, "/grpc.health.v1.Health/Check", HealthCheckRequest, HealthCheckResponse)
        assert (await check(HealthCheckRequest())).status == HealthCheckResponse.SERVING
        usage = UnaryUnaryMethod(caller, f"{CONTROL}/DiskUsage", control.DiskUsageRequest, control.DiskUsageResponse)
        assert list((await usage(control.DiskUsageRequest())).record) == []


@pytest.mark.parametrize(
    ("fields", "status", "said"),
    [
        ({"Frontend": "gateway.v0"}, Status.UNIMPLEMENTED, "no front end gateway.v0"),
        ({"Definition": {"def": [b"x"]}}, Status.UNIMPLEMENTED, "LLB"),
        ({**DOCKERFILE, "FrontendAttrs": {"requestid": "frontend.outline"}}, Status.UNIMPLEMENTED, "outline"),
        ({**DOCKERFILE, "FrontendAttrs": {"filename": "Missing"}}, Status.UNKNOWN, "open Missing: no such"),
        ({**DOCKERFILE, "FrontendAttrs": {"target": "none"}}, Status.UNKNOWN, "none"),
        ({**DOCKERFILE, "Exporters": [control.Exporter(Type="oci")]}, Status.UNIMPLEMENTED, "oci is not served"),
    ],
)
async def test_what_is_not_there_is_refused(
    engine: EngineProcess, fields: dict[str, Any], status: Status, said: str
) -> None:
    async with client(engine, {"Dockerfile": b"FROM busybox\n"}) as one:
        with pytest.raises(GRPCError, match=said) as failure:
            await one.solve(f"refused-{said}", **fields)
        assert failure.value.status is status
    await nothing_left(engine)


async def test_two_builds_at_once_share_a_session(engine: EngineProcess) -> None:
    dockerfile = b"FROM busybox\nARG N\nRUN echo $N >/n\n"
    async with client(engine, {"Dockerfile": dockerfile}) as one:
        answers = await asyncio.gather(*(one.build(f"both-{n}", f"both:{n}", **{"build-arg:N": n}) for n in "12"))
    assert len({answer["containerimage.digest"] for answer in answers}) == 2


async def test_files_of_an_image_are_sent_to_the_client(engine: EngineProcess) -> None:
    received: list[str] = []

    async def takes(stream: Any) -> None:
        async for packet in stream:
            if packet.type == Packet.PACKET_STAT and not packet.HasField("stat"):
                await stream.send_message(Packet(type=Packet.PACKET_FIN))
            elif packet.type == Packet.PACKET_STAT:
                received.append(packet.stat.path)

    contents = {"Dockerfile": b"FROM scratch\nCOPY d /d\n", "d": b"x"}
    async with client(engine, contents, {SEND: streaming(takes)}) as one:
        await one.solve("sent", Frontend="dockerfile.v0", Exporters=[control.Exporter(Type="local")])
    assert received == ["d"]


async def test_a_client_that_comes_again_is_asked_for_what_has_changed(engine: EngineProcess) -> None:
    contents = {"Dockerfile": b"FROM busybox\nCOPY . /all\nRUN cat /all/b\n", "a": b"1", "b": b"2"}
    asked: list[str] = []

    class Asked(dict[str, bytes]):
        def __getitem__(self, name: str) -> bytes:
            asked.append(name)
            return super().__getitem__(name)

    async def build(ref: str, times: Mapping[str, int], key: str = "mine") -> tuple[str, list[str]]:
        """What the image has of the context, and which of its files were asked for."""
        entries = [
            Stat(path=name, mode=0o644, size=len(content), modTime=times.get(name, 1))
            for name, content in sorted(contents.items())
        ]
        asked.clear()
        async with client(engine, files(entries, Asked(contents)), shared_key=key) as one:
            answer = await one.build(ref, **{"no-cache": ""})
        shown = ("sh", "-c", "cd /all && cat a b c 2>/dev/null; ls")
        return await asyncio.to_thread(run, engine, answer["containerimage.digest"], *shown), sorted(asked)

    everything = ["Dockerfile", "Dockerfile", "a", "b"]
    assert await build("kept-1", {}) == ("12Dockerfile\na\nb", everything)
    assert await build("kept-2", {}) == ("12Dockerfile\na\nb", ["Dockerfile"])
    contents["b"] = b"3"
    assert await build("kept-3", {"b": 2}) == ("13Dockerfile\na\nb", ["Dockerfile", "b"])
    assert await build("kept-4", {"b": 2}, key="other") == ("13Dockerfile\na\nb", everything)
    contents["c"] = contents.pop("a")
    assert await build("kept-5", {"b": 2}) == ("31Dockerfile\nb\nc", ["Dockerfile", "c"])
    (kept, _) = [one for one in engine.json("GET", "/system/df")["BuildCache"] if one["Type"] == "source.local"]
    assert kept["Description"] == "local source for context"
    assert len(os.listdir(f"{engine.data_root}/contexts")) == 2
    engine.json("POST", "/build/prune")
    await asyncio.to_thread(until, lambda: not os.listdir(f"{engine.data_root}/contexts"))
    assert (await build("kept-6", {"b": 2}))[1] == ["Dockerfile", "Dockerfile", "b", "c"]
    await nothing_left(engine)


async def test_a_build_that_found_all_of_it_is_answered_by_the_list_of_its_files(engine: EngineProcess) -> None:
    """The third time: the first build makes what the second one finds. Small contexts are known by what is in them."""
    contents = {"Dockerfile": b"FROM busybox\nCOPY . /all\n", "large": os.urandom(3 << 20), "small": b"1"}

    async def build(ref: str, time_ns: int) -> tuple[str, str]:
        """The image, and the youngest kept context: a build that takes the files keeps another."""
        entries = [Stat(path=name, mode=0o644, size=len(contents[name]), modTime=time_ns) for name in sorted(contents)]
        async with client(engine, files(entries, contents), shared_key="listed") as one:
            answer = await one.build(ref)
        names = os.listdir(f"{engine.data_root}/contexts")
        return answer["containerimage.digest"], max(names, key=lambda name: int(name.rpartition("-")[2], 16))

    first, kept = await build("listed-1", 1)
    again, kept_again = await build("listed-2", 1)
    assert again == first
    assert kept_again != kept
    assert await build("listed-3", 1) == (first, kept_again)
    contents["small"] = b"2"
    assert set(await build("listed-4", 2)).isdisjoint({first, kept_again})
    engine.json("POST", "/build/prune")
    await nothing_left(engine)


HOSTILE = {
    "up": (Stat(path="../up", mode=0o644, size=1), "goes up"),
    "inner up": (Stat(path="a/../../up", mode=0o644, size=1), "goes up"),
    "link": (Stat(path="l", mode=0o644, linkname="../../etc/passwd"), "goes up|no such|not in"),
    "negative": (Stat(path="n", mode=0o644, size=-5), "size|damaged|negative"),
}


@pytest.mark.parametrize("which", HOSTILE)
async def test_a_context_that_leaves_its_place_is_refused(engine: EngineProcess, which: str) -> None:
    bad, said = HOSTILE[which]
    dockerfile = Stat(path="Dockerfile", mode=0o644, size=30)
    content = b"FROM busybox\nCOPY . /x\n".ljust(30, b"\n")

    async def diff_copy(stream: Any) -> None:
        wanted = stream.metadata.getall("followpaths", [])
        entries = [dockerfile] if wanted else [dockerfile, bad]
        await files(entries, {"Dockerfile": content, bad.path: b"x"})(stream)

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
        for packet in (Stat(path="large", mode=0o644, size=1 << 30),):
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
