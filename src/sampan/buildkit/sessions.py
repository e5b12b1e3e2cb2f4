"""Sessions: clients that serve the daemon while their build goes on, each under an id that its builds name."""

from __future__ import annotations

import asyncio
import socket
from dataclasses import dataclass, field

from sampan.buildkit.connections import Caller
from sampan.buildkit.door import Offer
from sampan.errors import NotFound

ARRIVES_S = 15.0  # a build may be asked for before its session is there


@dataclass(frozen=True, slots=True)
class Session:
    """One client: its id, the methods that it serves, in lower case, and by what its directories are known again."""

    id: str
    methods: frozenset[str]
    caller: Caller
    shared_key: str = ""

    def serves(self, method: str) -> bool:
        """Whether it has a method, as in `/moby.filesync.v1.FileSync/DiffCopy`."""
        return method.lower() in self.methods


@dataclass(slots=True)
class Sessions:
    """Those that are open."""

    _open: dict[str, Session] = field(default_factory=dict)
    _came: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def hold(self, sock: socket.socket, early: bytes, offer: Offer) -> None:
        """Keep a session open until its client leaves."""
        caller = Caller(sock, early)
        session = Session(offer.id, offer.methods, caller, offer.shared_key)
        try:
            await caller.connect()
            async with self._came:
                self._open[session.id] = session
                self._came.notify_all()
            await caller.over
        finally:
            if self._open.get(session.id) is session:
                del self._open[session.id]
            caller.close()

    async def get(self, session_id: str) -> Session:
        """The session of this id, waited for. Raises NotFound when it does not come."""
        session_id = session_id.rpartition(":")[2]
        try:
            async with asyncio.timeout(ARRIVES_S), self._came:
                await self._came.wait_for(lambda: session_id in self._open)
                return self._open[session_id]
        except TimeoutError:
            raise NotFound(f"no active session for {session_id}", remedy="keep it open during the build") from None
