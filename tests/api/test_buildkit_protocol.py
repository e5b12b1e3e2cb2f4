"""BuildKit's protocol against a daemon, spoken by clients that a test makes: whole builds."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

import pytest
from grpclib.client import UnaryUnaryMethod
from grpclib.const import Status
from grpclib.exceptions import GRPCError
from grpclib.health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse
from tests.building import run
from tests.buildkit_client import CONTROL, SEND, calling, client, files, nothing_left, streaming
from tests.engine_process import EngineProcess
from tests.waiting import until

from sampan.buildkit.proto import control_pb2 as control
from sampan.buildkit.proto import gateway_pb2 as gateway
from sampan.buildkit.proto.session_pb2 import Packet, Stat

pytestmark = pytest.mark.usefixtures("busybox")
DOCKERFILE = {"Frontend": "dockerfile.v0"}


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


@pytest.mark.parametrize("code", [0, 99])
async def test_an_error_of_a_client_with_a_code_that_is_none_is_told_all_the_same(
    engine: EngineProcess, code: int
) -> None:
    async with client(engine, {}) as one:
        going_on = asyncio.ensure_future(one.solve(f"code-{code}"))
        said = gateway.ReturnRequest()
        said.error.code, said.error.message = code, "changed my mind"
        await one.bridge(f"code-{code}", "Return", said, gateway.ReturnResponse)
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
    ("fields", "said"),
    [
        ({"Frontend": "gateway.v0"}, "no front end gateway.v0"),
        ({"Definition": {"def": [b"x"]}}, "LLB"),
        ({**DOCKERFILE, "FrontendAttrs": {"requestid": "frontend.outline"}}, "outline"),
        ({**DOCKERFILE, "FrontendAttrs": {"filename": "Missing"}}, "open Missing: no such"),
        ({**DOCKERFILE, "FrontendAttrs": {"target": "none"}}, "none"),
        ({**DOCKERFILE, "Exporters": [control.Exporter(Type="oci")]}, "oci is not served"),
    ],
)
async def test_what_is_not_there_is_refused(engine: EngineProcess, fields: dict[str, Any], said: str) -> None:
    async with client(engine, {"Dockerfile": b"FROM busybox\n"}) as one:
        with pytest.raises(GRPCError, match=said) as failure:
            await one.solve(f"refused-{said}", **fields)
        assert failure.value.status is Status.UNKNOWN, "clients show the bare sentence of that alone"
    await nothing_left(engine)


async def test_two_builds_at_once_share_a_session(engine: EngineProcess) -> None:
    dockerfile = b"FROM busybox\nARG N\nRUN echo $N >/n\n"
    async with client(engine, {"Dockerfile": dockerfile}) as one:
        answers = await asyncio.gather(*(one.build(f"both-{n}", f"both:{n}", **{"build-arg:N": n}) for n in "12"))
    assert len({answer["containerimage.digest"] for answer in answers}) == 2


async def test_a_named_context_comes_from_the_session_that_has_it(engine: EngineProcess) -> None:
    dockerfile = b"FROM scratch\nCOPY --from=other /f /f\n"
    async with client(engine, {"f": b"of the other"}) as other, client(engine, {"Dockerfile": dockerfile}) as one:
        where = {"context:other": "local:files", "local-sessionid:files": other.session}
        await one.build("two-sessions", **where)
        with pytest.raises(GRPCError, match="stat f"):
            await one.build("one-session", **{"context:other": "local:files"})


async def test_a_client_may_try_again_after_a_failure(engine: EngineProcess) -> None:
    async with client(engine, {"Dockerfile": b"FROM scratch\nCOPY Dockerfile /\n"}) as one:
        going_on = asyncio.ensure_future(one.solve("again", Exporters=[control.Exporter(Type="moby")]))
        bad = gateway.SolveRequest(Frontend="dockerfile.v0", FrontendOpt={"target": "none"})
        with pytest.raises(GRPCError, match="none"):
            await one.bridge("again", "Solve", bad, gateway.SolveResponse)
        wanted = gateway.SolveRequest(Frontend="dockerfile.v0", allowResultArrayRef=True)
        result = (await one.bridge("again", "Solve", wanted, gateway.SolveResponse)).result
        await one.bridge("again", "Return", gateway.ReturnRequest(result=result), gateway.ReturnResponse)
        assert (await going_on)["containerimage.digest"] == result.ref.id


async def test_files_of_an_image_are_sent_to_the_client(engine: EngineProcess) -> None:
    received: list[str] = []

    async def takes(stream: Any) -> None:
        async for packet in stream:
            if packet.type == Packet.PACKET_STAT and not packet.HasField("stat"):
                await stream.send_message(Packet(type=Packet.PACKET_FIN))
            elif packet.type == Packet.PACKET_STAT:
                received.append(os.fsdecode(packet.stat.path))

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
            Stat(path=os.fsencode(name), mode=0o644, size=len(content), modTime=times.get(name, 1))
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
    for description in ("something else", kept["Description"]):
        assert len(os.listdir(f"{engine.data_root}/contexts")) == 2
        filters = json.dumps({"description": [description]})
        engine.json("POST", f"/build/prune?{urlencode({'filters': filters})}")
    await asyncio.to_thread(until, lambda: not os.listdir(f"{engine.data_root}/contexts"))
    assert (await build("kept-6", {"b": 2}))[1] == ["Dockerfile", "Dockerfile", "b", "c"]
    await nothing_left(engine)


async def test_a_build_that_found_all_of_it_is_answered_by_the_list_of_its_files(engine: EngineProcess) -> None:
    """The third time: the first build makes what the second one finds. Small contexts are known by what is in them."""
    contents = {"Dockerfile": b"FROM busybox\nCOPY . /all\n", "large": os.urandom(3 << 20), "small": b"1"}

    async def build(ref: str, time_ns: int) -> tuple[str, str]:
        """The image, and the youngest kept context: a build that takes the files keeps another."""
        entries = [
            Stat(path=os.fsencode(name), mode=0o644, size=len(contents[name]), modTime=time_ns)
            for name in sorted(contents)
        ]
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
