"""The way out to one attached client: direct while it keeps up, over a spool on disk while it does not.

Three speeds (docs/decisions/slow-clients.md):

- It takes what is offered: bytes go straight to its socket.
- It is a moment behind: the remainder of one chunk is kept, and the container's pipe is not read (`holds_back`) for at
  most PACE_S. So a client that is merely slower than a flood paces it, as a pipe would.
- It is further behind: everything goes through the spool, and the container is held back no more, until the spool is
  full. Then it is held back at the client's pace; a client that takes nothing for STUCK_S is given up.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable

from sampan.monitor.loop import Loop, Timer
from sampan.monitor.spool import Spool

PACE_S = 0.01
STUCK_S = 30.0
SPOOL_LIMIT_BYTES = 256 * 1024 * 1024

_ONE_TURN_BYTES = 1024 * 1024


class Outlet:
    """Bytes in order to one non-blocking stream socket, which its owner watches and closes.

    `on_room` is called when `holds_back` turned false; `on_stuck` when the client has taken nothing for too long. Any
    OSError of the socket comes out of `offer` and `flush`: the client is gone.
    """

    def __init__(
        self,
        loop: Loop,
        connection: socket.socket,
        spool_directory: str,
        on_room: Callable[[], None],
        on_stuck: Callable[[], None],
    ) -> None:
        self._loop = loop
        self._connection = connection
        self._spool_directory = spool_directory
        self._on_room = on_room
        self._on_stuck = on_stuck
        self._kept: list[memoryview] = []  # newer than all that is in the spool
        self._spool: Spool | None = None
        self._pace: Timer | None = None
        self._stall: Timer | None = None
        self._last_patience_s = 0.0  # not 0: nothing more will be offered
        self._moved_at = 0.0

    @property
    def holds_back(self) -> bool:
        """Whether nothing more should be offered for now."""
        return bool(self._kept)

    @property
    def empty(self) -> bool:
        """Whether the client has been sent everything."""
        return not self._kept and not self._spooled

    def offer(self, pieces: list[bytes]) -> None:
        """Send the pieces, or keep them: nothing offered is ever dropped."""
        waiting = [memoryview(piece) for piece in pieces]
        if self.empty:
            waiting = self._send(waiting)
            if waiting:
                self._kept = waiting
                self._pace = self._loop.after(PACE_S, self._spill)
        elif self._kept or self._spool is None or not self._spool.append(waiting):
            self._kept.extend(waiting)
            self._watch_for_stall()

    def flush(self) -> None:
        """Send more; to be called when the socket is writable and this is not `empty`."""
        held_back = self.holds_back
        if self._spool is not None and self._spool.size:
            self._send_spooled(self._spool)
            if self._kept and self._spool.size and self._spool.append(self._kept):
                self._kept = []
        if self._kept and not self._spooled:
            self._kept = self._send(self._kept)
        if held_back and not self._kept:
            self._cancel_pace()
            self._on_room()

    def last(self, patience_s: float) -> None:
        """Nothing more will be offered: call `on_stuck` when the client takes nothing for so long before it has all."""
        self._last_patience_s = patience_s
        self._cancel_stall()
        self._watch_for_stall()

    def drop(self) -> None:
        """Forget all that waits, and call nobody back any more."""
        self._on_room = self._on_stuck = _do_nothing
        self._cancel_pace()
        self._cancel_stall()
        self._kept = []
        if self._spool is not None:
            self._spool.close()
            self._spool = None

    @property
    def _spooled(self) -> bool:
        return self._spool is not None and self._spool.size > 0

    def _send(self, waiting: list[memoryview]) -> list[memoryview]:
        """Send what the socket takes; the rest."""
        while waiting:
            try:
                sent = self._connection.sendmsg(waiting, [], socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)
            except BlockingIOError:
                break
            self._moved_at = time.monotonic()
            while waiting and sent >= len(waiting[0]):
                sent -= len(waiting[0])
                del waiting[0]
            if sent:
                waiting[0] = waiting[0][sent:]
        return waiting

    def _send_spooled(self, spool: Spool) -> None:
        moved = 0
        while spool.size and moved < _ONE_TURN_BYTES:
            try:
                moved += spool.send(self._connection)
            except BlockingIOError:
                break
        if moved:
            self._moved_at = time.monotonic()

    def _spill(self) -> None:
        """The client did not take a remainder in time: from here on the spool has it."""
        self._pace = None
        if not self._kept:
            return
        try:
            if self._spool is None:
                self._spool = Spool(self._spool_directory, SPOOL_LIMIT_BYTES)
            taken = self._spool.append(self._kept)
        except OSError:
            taken = False
        if taken:
            self._kept = []
            self._on_room()
        else:
            self._watch_for_stall()

    def _cancel_pace(self) -> None:
        if self._pace is not None:
            self._pace.cancel()
            self._pace = None

    def _cancel_stall(self) -> None:
        if self._stall is not None:
            self._stall.cancel()
            self._stall = None

    def _watch_for_stall(self) -> None:
        if self._stall is None:
            self._moved_at = time.monotonic()
            self._stall = self._loop.after(self._last_patience_s or STUCK_S, self._check_stall)

    def _check_stall(self) -> None:
        self._stall = None
        if self.empty or not (self._kept or self._last_patience_s):
            return
        patience_s = self._last_patience_s or STUCK_S
        if time.monotonic() - self._moved_at >= patience_s:
            self._on_stuck()
        else:
            self._stall = self._loop.after(patience_s, self._check_stall)


def _do_nothing() -> None:
    pass
