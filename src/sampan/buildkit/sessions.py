"""Sessions: clients that serve the daemon while their build goes on, each under an id that its builds name."""

from __future__ import annotations

import socket
from dataclasses import dataclass, field

from sampan.buildkit.arrivals import Arrivals
from sampan.buildkit.connections import Caller
from sampan.buildkit.offer import Offer
from sampan.errors import NotFound


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

    _open: Arrivals[Session] = field(default_factory=Arrivals)

    async def hold(self, sock: socket.socket, early: bytes, offer: Offer) -> None:
        """Keep a session open until its client leaves."""
        caller = Caller(sock, early)
        session = Session(offer.id, offer.methods, caller, offer.shared_key)
        try:
            await caller.connect()
            self._open.add(session.id, session)
            await caller.over
        finally:
            self._open.remove(session.id, session)
            caller.close()

    async def get(self, session_id: str) -> Session:
        """The session of this id, waited for. Raises NotFound when it does not come."""
        session_id = session_id.rpartition(":")[2]
        found = await self._open.get(session_id)
        if found is None:
            raise NotFound(f"no active session for {session_id}", remedy="keep it open during the build")
        return found
