"""One attached client: its socket, what it types, what it is sent, and its end.

What the bytes mean to the container (end of input, detaching, who else is attached) is decided by its owner, a
`target`; the way out with all its waiting is an `Outlet`.
"""

from __future__ import annotations

import socket
import struct
import time
from typing import Protocol

from sampan.monitor.detach import DetachKeys
from sampan.monitor.loop import HUNG_UP, READABLE, WRITABLE, Loop, Timer
from sampan.monitor.outlet import Outlet
from sampan.monitor.protocol import Attach

STDOUT = 1
STDERR = 2

QUIET_S = 1.0  # `finish_when_quiet`
LAST_PATIENCE_S = 600.0  # how long a client may rest before it has taken the last of a finished target's output
CLOSE_GRACE_S = 1.0  # how long a finished client gets to close its end

_ONE_READ = 65536
_HEADER = struct.Struct(">BxxxL")


class ClientOwner(Protocol):
    """What a client tells."""

    def client_typed(self, content: bytes) -> None:
        """One sent this for the standard input."""

    def client_ended_input(self, client: Client) -> None:
        """It will send no more."""

    def client_detached(self) -> None:
        """One typed its detach keys, and leaves."""

    def client_has_room(self) -> None:
        """One no longer holds the output back."""

    def client_left(self, client: Client) -> None:
        """Its socket is closed."""


class Client:
    """A client's connected stream socket, which becomes this object's own; begins to read at once."""

    def __init__(
        self,
        loop: Loop,
        connection: socket.socket,
        attach: Attach,
        owner: ClientOwner,
        *,
        keys: bytes,
        spool_directory: str,
    ) -> None:
        self.wants_stdin = attach.stdin
        self._streams = {STDOUT: attach.stdout, STDERR: attach.stderr}
        self._multiplexed = attach.multiplexed
        self._loop = loop
        self._connection = connection
        self._owner = owner
        self._keys = DetachKeys(keys)
        self._outlet = Outlet(loop, connection, spool_directory, owner.client_has_room, self._leave)
        self._reading = True
        self._input_open = True
        self._finishing = False
        self._left = False
        self._offered_at = 0.0
        self._hung_up = False
        self._watched: int | None = None
        self._closing: Timer | None = None
        connection.settimeout(0)
        self._watch()

    @property
    def holds_back(self) -> bool:
        """Whether it should not be offered more for now."""
        return self._outlet.holds_back

    def take_early(self, content: bytes) -> None:
        """What it sent before we had its socket."""
        if content:
            self._take(content)

    def offer(self, stream: int, chunk: bytes) -> None:
        """Send it a chunk of STDOUT or STDERR, if it asked for that; in Docker's frames when multiplexed."""
        if self._left or self._finishing or not self._streams[stream]:
            return
        self._offered_at = time.monotonic()
        try:
            self._outlet.offer([_HEADER.pack(stream, len(chunk)), chunk] if self._multiplexed else [chunk])
        except OSError:
            self._leave()
        else:
            self._watch()

    def set_reading(self, *, reading: bool) -> None:
        """Stop or go on taking what it sends."""
        self._reading = reading
        self._watch()

    def finish(self) -> None:
        """There will be no more output: send what waits, then end the connection."""
        if self._finishing or self._left:
            return
        self._finishing = True
        self._reading = True  # and drop it: unread bytes would turn our close into a reset
        self._outlet.last(LAST_PATIENCE_S)
        self._end_output_when_sent()
        self._watch()

    def finish_when_quiet(self) -> None:
        """Finish once there has been no output for a while (docs/decisions/half-closed-clients.md)."""
        self._offered_at = time.monotonic()
        self._loop.after(QUIET_S, self._check_quiet)

    def _check_quiet(self) -> None:
        still_s = time.monotonic() - self._offered_at
        if still_s >= QUIET_S and self._outlet.empty:
            self.finish()
        elif not self._left:
            self._loop.after(max(QUIET_S - still_s, QUIET_S / 4), self._check_quiet)

    def _ready(self, mask: int) -> None:
        if mask & WRITABLE and not self._outlet.empty:
            self._flush()
        if mask & (READABLE | HUNG_UP) and self._reading and self._input_open and not self._left:
            self._read()
        elif mask & HUNG_UP:
            self._hang_up()
        self._watch()

    def _flush(self) -> None:
        try:
            self._outlet.flush()
        except OSError:
            self._leave()
        else:
            self._end_output_when_sent()

    def _read(self) -> None:
        try:
            content = self._connection.recv(_ONE_READ)
        except BlockingIOError:
            return
        except OSError:
            self._leave()
            return
        if content:
            self._take(content)
            return
        self._input_open = False
        if self._finishing:
            self._end_output_when_sent()
            return
        if self.wants_stdin:
            if held := self._keys.held_back():
                self._owner.client_typed(held)
            self._owner.client_ended_input(self)

    def _take(self, content: bytes) -> None:
        if not self.wants_stdin or self._finishing:
            return
        content, detached = self._keys.filter(content)
        if content:
            self._owner.client_typed(content)
        if detached:
            self._owner.client_detached()
            self.finish()

    def _hang_up(self) -> None:
        """The far end is gone; what it sent before may still be unread, while the process has no room for it."""
        if not self._input_open or self._finishing:
            self._leave()
            return
        self._hung_up = True
        held_back = self._outlet.holds_back
        self._outlet.drop()
        self._streams = {STDOUT: False, STDERR: False}
        if held_back:
            self._owner.client_has_room()

    def _end_output_when_sent(self) -> None:
        if not self._finishing or not self._outlet.empty or self._left:
            return
        if not self._input_open:
            self._leave()
        elif self._closing is None:
            try:
                self._connection.shutdown(socket.SHUT_WR)
            except OSError:
                self._leave()
            else:
                self._closing = self._loop.after(CLOSE_GRACE_S, self._leave)

    def _leave(self) -> None:
        """Close the socket and tell the owner, once."""
        if self._left:
            return
        self._left = True
        if self._closing is not None:
            self._closing.cancel()
        self._loop.forget(self._connection.fileno())
        held_back = self._outlet.holds_back
        self._outlet.drop()
        self._connection.close()
        self._owner.client_left(self)
        if held_back:
            self._owner.client_has_room()

    def _watch(self) -> None:
        """Wait for just what can be done next; a hung-up socket that is not read now would wake us without end."""
        if self._left:
            return
        reading = self._reading and self._input_open
        events = (READABLE if reading else 0) | (0 if self._outlet.empty else WRITABLE)
        wanted = None if self._hung_up and not reading else events
        if wanted == self._watched:
            return
        if wanted is None:
            self._loop.forget(self._connection.fileno())
        elif self._watched is None:
            self._loop.watch(self._connection.fileno(), wanted, self._ready)
        else:
            self._loop.change(self._connection.fileno(), wanted)
        self._watched = wanted
