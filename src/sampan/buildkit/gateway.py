"""What a client calls while a build of its goes on (moby.buildkit.v1.frontend.LLBBridge); a header says which."""

from __future__ import annotations

import json
from typing import Any

from grpclib.const import Cardinality, Handler

from sampan.buildkit import frontend
from sampan.buildkit.control import worker
from sampan.buildkit.errors import received, told
from sampan.buildkit.llb import definition_of, with_inputs
from sampan.buildkit.proto import gateway_pb2 as pb
from sampan.buildkit.solves import Solves
from sampan.buildkit.solving import Solve
from sampan.errors import InvalidArgument

_SERVICE = "/moby.buildkit.v1.frontend.LLBBridge"
_BUILD_ID = "buildkit-controlapi-buildid"
_FRONTEND_CAPS = (
    "solve.base solve.inlinereturn resolveimage resolveimage.resolvemode readfile readdir statfile return returnmap "
    "importcaches proto.refarray reference.output frontend.inputs gateway.solve.metadata frontend.caps "
    "gateway.solve.evaluate gateway.evaluate gateway.warnings"
)
_LLB_CAPS = (
    "source.image source.image.resolvemode source.local source.local.unique source.local.sessionid "
    "source.local.includepatterns source.local.followpaths source.local.excludepatterns source.local.sharedkeyhint "
    "source.git source.git.keepgitdir source.git.fullurl source.http source.http.checksum exec.meta.base "
    "exec.meta.network exec.meta.ulimit exec.mount.bind exec.mount.cache exec.mount.cache.sharing exec.mount.tmpfs "
    "exec.mount.secret exec.mount.ssh exec.secretenv file.base constraints platform meta.ignorecache "
    "meta.description mergeop exporter.multiple"
)


class Gateway:
    """The service, for every client alike."""

    def __init__(self, solves: Solves) -> None:
        self.solves = solves

    def __mapping__(self) -> dict[str, Handler]:
        """The handlers by their paths."""
        unary = Cardinality.UNARY_UNARY
        return {
            f"{_SERVICE}/Ping": Handler(self.ping, unary, pb.PingRequest, pb.PongResponse),
            f"{_SERVICE}/Inputs": Handler(self.inputs, unary, pb.InputsRequest, pb.InputsResponse),
            f"{_SERVICE}/Solve": Handler(self.solve, unary, pb.SolveRequest, pb.SolveResponse),
            f"{_SERVICE}/Evaluate": Handler(self.evaluate, unary, pb.EvaluateRequest, pb.EvaluateResponse),
            f"{_SERVICE}/Return": Handler(self.give_back, unary, pb.ReturnRequest, pb.ReturnResponse),
            f"{_SERVICE}/Warn": Handler(self.warn, unary, pb.WarnRequest, pb.WarnResponse),
        }

    @told
    async def ping(self, stream: Any) -> None:
        """What this gateway can do."""
        await self._of(stream)
        await received(stream)
        await stream.send_message(
            pb.PongResponse(
                FrontendAPICaps=[pb.APICap(ID=one, Enabled=True) for one in _FRONTEND_CAPS.split()],
                LLBCaps=[pb.APICap(ID=one, Enabled=True) for one in _LLB_CAPS.split()],
                Workers=[await worker(self.solves.engine)],
            )
        )

    @told
    async def inputs(self, stream: Any) -> None:
        """None: builds get their files from sessions."""
        await received(stream)
        await stream.send_message(pb.InputsResponse())

    @told
    async def solve(self, stream: Any) -> None:
        """Build from a Dockerfile; the answer names the result by the image's id."""
        solve = await self._of(stream)
        asked = await received(stream)
        frontend.refuse_others(asked.Frontend, getattr(asked.Definition, "def"))
        if not asked.Frontend:
            await stream.send_message(pb.SolveResponse(result=pb.Result()))
            return
        options = with_inputs(asked.FrontendOpt, asked.FrontendInputs)
        if asked.CacheImports:
            entries = [{"Type": one.Type, "Attrs": dict(one.Attrs)} for one in asked.CacheImports]
            options.setdefault("cache-imports", json.dumps(entries))
        if frontend.SUBREQUEST in options:
            result = pb.Result(metadata=await solve.answer(options))
            await stream.send_message(pb.SolveResponse(result=result))
            return
        await solve.build(options)
        if asked.allowResultArrayRef:
            result = pb.Result(ref=pb.Ref(id=solve.image_id, **{"def": definition_of(solve.image_id)}))
        else:
            result = pb.Result(refDeprecated=solve.image_id)
        await stream.send_message(pb.SolveResponse(result=result))

    @told
    async def evaluate(self, stream: Any) -> None:
        """Nothing: what is named has been built."""
        await received(stream)
        await stream.send_message(pb.EvaluateResponse())

    @told
    async def give_back(self, stream: Any) -> None:
        """The end of a build, as the client sees it: its result, or what went wrong."""
        solve = await self._of(stream)
        answer = await received(stream)
        if not solve.returned.done():
            solve.returned.set_result(answer)
        await stream.send_message(pb.ReturnResponse())

    @told
    async def warn(self, stream: Any) -> None:
        """A warning of the client's own, which shows it itself."""
        await received(stream)
        await stream.send_message(pb.WarnResponse())

    async def _of(self, stream: Any) -> Solve:
        """The build that a call belongs to. Raises InvalidArgument, NotFound."""
        ref = (stream.metadata or {}).get(_BUILD_ID, "")
        if not ref:
            raise InvalidArgument("no build is named", remedy=f"send the header {_BUILD_ID}")
        return await self.solves.get(str(ref))
