"""The builds that clients have asked for, by the names that they gave them."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field

from grpclib.exceptions import GRPCError

from sampan.buildkit.arrivals import Arrivals
from sampan.buildkit.proto.control_pb2 import SolveRequest
from sampan.buildkit.solving import Engine, Solve
from sampan.buildkit.statuses import CANCELED, Statuses
from sampan.errors import Conflict, NotFound

REMEMBERED_S = 5.0  # a client may ask how a build went after it is over


@dataclass(slots=True)
class Solves:
    """Those that go on, and for a moment those that are over."""

    engine: Engine
    _known: Arrivals[Solve] = field(default_factory=Arrivals)

    @contextlib.asynccontextmanager
    async def going_on(self, asked: SolveRequest) -> AsyncGenerator[Solve]:
        """A build that is known until a moment after the block. Raises Conflict when there is one of this name."""
        if asked.Ref in self._known:
            raise Conflict(f"a build {asked.Ref} is known already", remedy="give another ref")
        solve = Solve(self.engine, asked, Statuses(asked.Ref))
        self._known.add(asked.Ref, solve)
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
            asyncio.get_running_loop().call_later(REMEMBERED_S, self._known.remove, asked.Ref, solve)

    async def get(self, ref: str) -> Solve:
        """A build by its name, waited for. Raises NotFound when it does not come."""
        found = await self._known.get(ref)
        if found is None:
            raise NotFound(f"no such job {ref}", remedy="ask for the build first")
        return found
