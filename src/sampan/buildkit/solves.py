"""The builds that clients have asked for, by the names that they gave them."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field

from grpclib.exceptions import GRPCError

from sampan.buildkit.proto.control_pb2 import SolveRequest
from sampan.buildkit.solving import Engine, Solve
from sampan.buildkit.statuses import CANCELED, Statuses
from sampan.errors import Conflict, NotFound

ARRIVES_S = 15.0  # a client may ask how a build goes before it asks for it
REMEMBERED_S = 5.0  # and after it is over


@dataclass(slots=True)
class Solves:
    """Those that go on, and for a moment those that are over."""

    engine: Engine
    _known: dict[str, Solve] = field(default_factory=dict)
    _came: asyncio.Condition = field(default_factory=asyncio.Condition)

    @contextlib.asynccontextmanager
    async def going_on(self, asked: SolveRequest) -> AsyncGenerator[Solve]:
        """A build that is known as long as the context lasts. Raises Conflict when there is one of this name."""
        if asked.Ref in self._known:
            raise Conflict(f"a build {asked.Ref} is known already", remedy="give another ref")
        solve = Solve(self.engine, asked, Statuses(asked.Ref))
        async with self._came:
            self._known[asked.Ref] = solve
            self._came.notify_all()
        try:
            yield solve
        except Exception as error:
            solve.statuses.close(str(error.message if isinstance(error, GRPCError) else error))
            raise
        except asyncio.CancelledError:
            solve.statuses.close(CANCELED)
            raise
        finally:
            solve.statuses.close()
            asyncio.get_running_loop().call_later(REMEMBERED_S, self._known.pop, asked.Ref, None)

    async def get(self, ref: str) -> Solve:
        """A build by its name, waited for. Raises NotFound when it does not come."""
        try:
            async with asyncio.timeout(ARRIVES_S), self._came:
                await self._came.wait_for(lambda: ref in self._known)
                return self._known[ref]
        except TimeoutError:
            raise NotFound(f"no such job {ref}", remedy="ask for the build first") from None
