"""Messages on their way to a log server, in bounded memory: sent when there is room, dropped and counted when not.

A container is never held up by where its log goes. A server that went away is looked for again, ever less often; what
is dropped meanwhile is counted, and said in the stream itself as soon as the server takes messages again.
"""

from __future__ import annotations

import errno
from collections import deque
from collections.abc import Callable

from sampan.monitor.log_channel import Channel, Lookup, host_and_port, is_literal, open_channel, tls_wrapper
from sampan.monitor.log_plan import SendPlan
from sampan.monitor.loop import HUNG_UP, READABLE, Loop, Timer

FIRST_PAUSE_S = 0.1
LONGEST_PAUSE_S = 10.0
LAST_PATIENCE_S = 5.0
_PIECE_BYTES = 32768
_REMOTE = ("udp:", "tcp:", "tcp+tls:")
_LOSABLE = {errno.ECONNREFUSED, errno.EMSGSIZE, errno.ENOBUFS}  # of a datagram, that costs this one alone


class Sender:
    """A queue of whole messages for one server, at most `plan.buffer_bytes` of them.

    `lost` makes the message that says how many were dropped. `on_trouble` is told when a server is lost, and at the
    end of what never arrived. OSError when it cannot begin: there is no such socket on this machine, or no certificate.
    """

    def __init__(
        self, loop: Loop, plan: SendPlan, lost: Callable[[int], bytes], on_trouble: Callable[[str], None]
    ) -> None:
        self._loop = loop
        self._plan = plan
        self._lost = lost
        self._on_trouble = on_trouble
        self._queue: deque[bytes] = deque()
        self._size = 0
        self._sent = 0  # of the first in the queue
        self._dropped = 0
        self._channel: Channel | None = None
        self._mask = 0
        self._retry: Timer | None = None
        self._pause_s = FIRST_PAUSE_S
        self._last: Timer | None = None
        self._on_drained: Callable[[], None] | None = None
        self._untried: list[str] = []  # further addresses of the server's name
        self.drained = False
        self._host, self._port = host_and_port(plan.address) if plan.address.startswith(_REMOTE) else ("", 0)
        self._wrap = tls_wrapper(plan) if plan.address.startswith("tcp+tls:") else None
        if self._host:
            self._connect()
        else:
            self._watch(open_channel(plan))

    def offer(self, message: bytes) -> None:
        """Send it now or later, or drop it when too much waits."""
        if self._size + len(message) > self._plan.buffer_bytes:
            if not self._dropped:
                self._on_trouble(f"log lines are dropped: {self._plan.address or '/dev/log'} does not keep up")
            self._dropped += 1
            return
        self._put(message)
        if self._channel is not None and self._channel.ready and len(self._queue) == 1:
            self._attempt()

    def close(self, on_drained: Callable[[], None]) -> None:
        """There is no more: what waits is sent if that can be in a few seconds; `on_drained` is called then."""
        self._on_drained = on_drained
        if self._queue and not self.drained:
            self._last = self._loop.after(LAST_PATIENCE_S, self._finish)
        else:
            self._finish()

    def _put(self, message: bytes) -> None:
        self._queue.append(message)
        self._size += len(message)

    def _connect(self) -> None:
        self._retry = None
        if self._host and not is_literal(self._host):
            Lookup(self._loop, self._host, self._open)
        else:
            self._open([self._host])

    def _open(self, addresses: list[str]) -> None:
        """Connect to the first of them; when it is not there, to the next, as a name may stand for v6 and v4."""
        if self.drained:
            return
        host, self._untried = addresses[0] if addresses else "", addresses[1:]
        try:
            if self._host and not host:
                raise OSError(errno.EHOSTUNREACH, f"there is no host {self._host}")
            self._watch(open_channel(self._plan, (host, self._port), self._wrap))
        except OSError as error:
            self._fail(error)

    def _watch(self, channel: Channel) -> None:
        if channel.is_datagram:
            channel.proceed()  # there is nobody to wait for
        self._channel = channel
        self._mask = channel.wants
        self._loop.watch(channel.fileno(), self._mask, self._ready)

    def _ready(self, mask: int) -> None:
        channel = self._channel
        if channel is None:
            return
        try:
            if not channel.ready:
                channel.proceed()
            elif mask & (READABLE | HUNG_UP):
                channel.look()
        except OSError as error:
            self._fail(error)
            return
        self._attempt()

    def _attempt(self) -> None:
        """Send what the server takes now, and watch for what it will."""
        try:
            self._send()
        except OSError as error:
            self._fail(error)
        channel = self._channel
        if channel is not None:
            mask = 0 if channel.is_datagram else READABLE
            if self._queue or not channel.ready:
                mask |= channel.wants
            if mask != self._mask:
                self._mask = mask
                self._loop.change(channel.fileno(), mask)
        if self._on_drained is not None and not self._queue and not self._dropped:
            self._finish()

    def _send(self) -> None:
        channel = self._channel
        if channel is None or not channel.ready:
            return
        while self._queue:
            try:
                self._taken(channel.send(self._next(channel)))
            except BlockingIOError:
                return
            except OSError as error:
                if not (channel.is_datagram and error.errno in _LOSABLE and self._host):
                    raise
                self._taken(len(self._queue[0]))
            if not self._queue and self._dropped:
                self._put(self._lost(self._dropped))
                self._dropped = 0

    def _next(self, channel: Channel) -> bytes:
        """A message, or of a stream as many as make a fair piece."""
        if channel.is_datagram:
            return self._queue[0]
        pieces, size = [], -self._sent
        for message in self._queue:
            pieces.append(message)
            size += len(message)
            if size >= _PIECE_BYTES:
                break
        return b"".join(pieces)[self._sent :]

    def _taken(self, count: int) -> None:
        self._sent += count
        self._pause_s = FIRST_PAUSE_S
        while self._queue and self._sent >= len(self._queue[0]):
            size = len(self._queue.popleft())
            self._sent -= size
            self._size -= size

    def _fail(self, error: OSError) -> None:
        """The server is not there, or not any more: try its name's other addresses, and again later."""
        connected = self._channel is not None and self._channel.ready
        if self._channel is not None:
            self._loop.forget(self._channel.fileno())
            self._channel.close()
            self._channel = None
        self._sent = 0
        if self._untried and not connected and not self.drained:
            self._open(self._untried)
            return
        if self._pause_s == FIRST_PAUSE_S:
            self._on_trouble(
                f"the log server {self._plan.address or '/dev/log'} is not reached: {error.strerror or error}"
            )
        if not self.drained:
            self._retry = self._loop.after(self._pause_s, self._connect)
            self._pause_s = min(self._pause_s * 2, LONGEST_PAUSE_S)

    def _finish(self) -> None:
        if self.drained:
            return
        self.drained = True
        left = self._dropped + len(self._queue)
        if left:
            self._on_trouble(f"{left} log lines never reached {self._plan.address or '/dev/log'}")
        for timer in (self._retry, self._last):
            if timer is not None:
                timer.cancel()
        if self._channel is not None:
            self._loop.forget(self._channel.fileno())
            self._channel.close()
            self._channel = None
        self._queue.clear()
        if self._on_drained is not None:
            self._on_drained()
