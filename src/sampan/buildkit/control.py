"""What a client calls of a BuildKit daemon (moby.buildkit.v1.Control): workers, builds, how they go, what they keep."""

from __future__ import annotations

import contextlib
import time
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp
from grpclib.const import Cardinality, Handler, Status
from grpclib.exceptions import GRPCError

from sampan.buildkit import frontend, prunes
from sampan.buildkit.errors import received, told
from sampan.buildkit.exports import export
from sampan.buildkit.llb import with_inputs
from sampan.buildkit.proto import control_pb2 as pb
from sampan.buildkit.proto.pb_pb2 import Platform
from sampan.buildkit.solves import Solves
from sampan.buildkit.solving import Engine, Solve
from sampan.engine.build_prunes import MOUNT
from sampan.engine.build_records import BuildRecord, build_records
from sampan.image.platforms import parse_platform
from sampan.version import VERSION

_SERVICE = "/moby.buildkit.v1.Control"
_DOCKERFILE_VERSION = "1.20"  # of the language that the parser reads
_WORKER = "sampan"
_HOST_GATEWAY = "org.mobyproject.buildkit.worker.moby.host-gateway-ip"


class Control:
    """The service, for every client alike."""

    def __init__(self, engine: Engine, solves: Solves) -> None:
        self.engine = engine
        self.solves = solves

    def __mapping__(self) -> dict[str, Handler]:
        """The handlers by their paths."""
        unary, stream = Cardinality.UNARY_UNARY, Cardinality.UNARY_STREAM
        return {
            f"{_SERVICE}/ListWorkers": Handler(self.list_workers, unary, pb.ListWorkersRequest, pb.ListWorkersResponse),
            f"{_SERVICE}/Info": Handler(self.info, unary, pb.InfoRequest, pb.InfoResponse),
            f"{_SERVICE}/Solve": Handler(self.solve, unary, pb.SolveRequest, pb.SolveResponse),
            f"{_SERVICE}/Status": Handler(self.status, stream, pb.StatusRequest, pb.StatusResponse),
            f"{_SERVICE}/DiskUsage": Handler(self.disk_usage, unary, pb.DiskUsageRequest, pb.DiskUsageResponse),
            f"{_SERVICE}/Prune": Handler(self.prune, stream, pb.PruneRequest, pb.UsageRecord),
        }

    @told
    async def list_workers(self, stream: Any) -> None:
        """The one worker that there is, which is this engine."""
        await received(stream)
        await stream.send_message(pb.ListWorkersResponse(record=[await worker(self.engine)]))

    @told
    async def info(self, stream: Any) -> None:
        """Which version this is."""
        await received(stream)
        await stream.send_message(pb.InfoResponse(buildkitVersion=_version()))

    @told
    async def solve(self, stream: Any) -> None:
        """A build, until it is over: carried out when it names a front end, else by its client's calls of LLBBridge."""
        asked = await received(stream)
        frontend.refuse_others(asked.Frontend, getattr(asked.Definition, "def"))
        async with self.solves.going_on(asked) as solve:
            if asked.Frontend:
                await solve.build(with_inputs(asked.FrontendAttrs, asked.FrontendInputs))
            else:
                await _returned(solve)
            answer = await export(solve) if solve.image_id else {}
        await stream.send_message(pb.SolveResponse(ExporterResponse=answer))

    @told
    async def status(self, stream: Any) -> None:
        """How a build goes, until it is over; one that is not known yet is waited for."""
        asked = await received(stream)
        solve = await self.solves.get(asked.Ref)
        await stream.send_initial_metadata()
        async with contextlib.aclosing(solve.statuses.read()) as responses:
            async for response in responses:
                await stream.send_message(response)

    @told
    async def disk_usage(self, stream: Any) -> None:
        """What is kept for later builds: contexts, and the directories of cache mounts."""
        asked = await received(stream)
        builds = self.engine.builds
        records = await build_records(builds.kept, builds.caches, prunes.of_filters(asked.filter))
        await stream.send_message(pb.DiskUsageResponse(record=map(_usage, records)))

    @told
    async def prune(self, stream: Any) -> None:
        """Remove what is kept for later builds, and tell what that was."""
        asked = await received(stream)
        pruned = await self.engine.builds.prune(prunes.of_request(asked, time.time()))
        for number, one in enumerate(pruned.ids):
            await stream.send_message(pb.UsageRecord(ID=one, Size=0 if number else pruned.freed_bytes))


async def _returned(solve: Solve) -> None:
    """Wait until the client has said what came of it. Raises GRPCError with what went wrong, if anything did."""
    answer = await solve.returned
    if answer.HasField("error"):
        raise solve.failure or GRPCError(_code(answer.error.code), answer.error.message)


def _code(number: int) -> Status:
    """The code of an error; UNKNOWN for a number that is none."""
    codes = {one.value: one for one in Status if one is not Status.OK}
    return codes.get(number, Status.UNKNOWN)


async def worker(engine: Engine) -> pb.WorkerRecord:
    """The engine as a worker; clients put its address in place of `--add-host NAME:host-gateway`."""
    system, architecture, variant = parse_platform("")
    platform = Platform(OS=system, Architecture=architecture, Variant=variant)
    gateway = await engine.host_gateway()
    labels = {_HOST_GATEWAY: gateway} if gateway else {}
    return pb.WorkerRecord(ID=_WORKER, Labels=labels, platforms=[platform], version=_version())


def _version() -> pb.BuildkitVersion:
    return pb.BuildkitVersion(
        package="sampan", version=f"v{VERSION}", revision="", dockerfileVersion=_DOCKERFILE_VERSION
    )


def _usage(one: BuildRecord) -> pb.UsageRecord:
    return pb.UsageRecord(
        ID=one.id,
        Mutable=one.kind == MOUNT,
        InUse=one.in_use,
        Size=one.size_bytes,
        CreatedAt=Timestamp(seconds=int(one.created_s)),
        LastUsedAt=Timestamp(seconds=int(one.used_s)),
        UsageCount=one.uses,
        Description=one.description,
        RecordType=one.kind,
    )
