"""Links of endpoints that were given up: mostly they go with their namespace; those that do not are deleted.

A namespace outlives its owner when somebody joined it or holds a descriptor of it. The ledger knows the ids until the
links are gone, so that a daemon that comes after a crash deletes what is left.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence

from sampan.errors import SampanError
from sampan.network.definitions import Endpoint
from sampan.network.ledger import Ledger

SWEEP_DELAY_S = 2.0


class Departures:
    """Those whose links are not known to be gone; on the event loop. `delete` deletes links by their names."""

    def __init__(self, ledger: Ledger, delete: Callable[[tuple[Endpoint, ...]], Awaitable[None]]) -> None:
        self._ledger = ledger
        self._delete = delete
        self._gone: list[Endpoint] = []
        self._timer: asyncio.TimerHandle | None = None
        self._sweeping: asyncio.Task[None] | None = None

    def add(self, endpoints: Sequence[Endpoint]) -> None:
        """Forget endpoints but for their links, which are swept a moment later."""
        for endpoint in endpoints:
            self._ledger.depart(endpoint)
        self._gone.extend(endpoints)
        if self._gone and self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(SWEEP_DELAY_S, self.sweep)

    def sweep(self) -> None:
        """Delete them, now."""
        gone, self._gone, self._timer = tuple(self._gone), [], None
        self._sweeping = asyncio.get_running_loop().create_task(self._delete_links(gone))

    async def _delete_links(self, gone: tuple[Endpoint, ...]) -> None:
        with contextlib.suppress(SampanError):  # the next daemon does it
            await self._delete(gone)
            self._ledger.forget_departed(endpoint.id for endpoint in gone)

    async def close(self) -> None:
        """Finish the sweep that goes on; what waits for one is the next daemon's."""
        if self._timer is not None:
            self._timer.cancel()
        if self._sweeping is not None:
            await self._sweeping
