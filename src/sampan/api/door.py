"""A connection over a unix socket before anybody has asked for more than small questions.

Most connections are made for one of them, and what aiohttp makes for a connection costs more than the answer. So a
door answers what can be answered at once, and with the first request that cannot it gives its place to a
`server.Connection`, which is handed the very same bytes.
"""

from __future__ import annotations

import asyncio
from typing import Protocol, cast

from sampan.api.at_once import AtOnce


class House(Protocol):
    """Where the door is."""

    at_once: AtOnce
    doors: set[Door]

    def admit(self, transport: asyncio.Transport) -> bool:
        """Whether there is room for one more; who is turned away is told so."""

    def inside(self) -> asyncio.Protocol:
        """A connection that can do everything."""


class Door(asyncio.Protocol):
    """Answers small questions, and opens for others."""

    __slots__ = ("_closes_at", "_house", "_loop", "_patience_s", "_timer", "_transport")

    def __init__(self, house: House, loop: asyncio.AbstractEventLoop, patience_s: float) -> None:
        """Who says nothing for `patience_s` is sent away."""
        self._house = house
        self._loop = loop
        self._patience_s = patience_s
        self._closes_at = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Wait for what it wants, unless there are too many."""
        stream = cast("asyncio.Transport", transport)
        self._house.doors.add(self)
        if not self._house.admit(stream):
            return
        self._transport = stream
        self._closes_at = self._loop.time() + self._patience_s
        self._timer = self._loop.call_at(self._closes_at, self._look_at_the_clock)

    def data_received(self, data: bytes) -> None:
        """Answer, or open."""
        transport = self._transport
        if transport is None:
            return
        said = self._house.at_once(data)
        if said is None:
            self._forget()
            connection = self._house.inside()
            transport.set_protocol(connection)
            connection.connection_made(transport)
            connection.data_received(data)
            return
        transport.write(said.content)
        if said.keep_alive:
            self._closes_at = self._loop.time() + self._patience_s
        else:
            self.close()

    def pause_writing(self) -> None:
        """Read nothing from who does not read."""
        if self._transport is not None:
            self._transport.pause_reading()

    def resume_writing(self) -> None:
        """Go on."""
        if self._transport is not None:
            self._transport.resume_reading()

    def connection_lost(self, error: Exception | None) -> None:
        """Forget it."""
        del error
        self._forget()

    def close(self) -> None:
        """Close it when all has been sent; until then it counts."""
        if self._transport is not None:
            self._transport.close()
            self._transport = None

    def _look_at_the_clock(self) -> None:
        if self._loop.time() < self._closes_at:
            self._timer = self._loop.call_at(self._closes_at, self._look_at_the_clock)
        else:
            self.close()

    def _forget(self) -> None:
        self._house.doors.discard(self)
        self._transport = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
