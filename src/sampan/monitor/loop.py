"""The one event loop of a monitor and of the launcher: descriptors and timers, nothing else.

select.epoll underneath, without the layers of `selectors` and `asyncio`: a monitor is resident for as long as its
container runs, so what it imports and allocates counts. Nothing here knows what the descriptors are.
"""

from __future__ import annotations

import heapq
import select
import time
from collections.abc import Callable

READABLE = select.EPOLLIN
WRITABLE = select.EPOLLOUT
# Reported whether asked for or not (epoll_ctl(2)).
HUNG_UP = select.EPOLLHUP | select.EPOLLERR

_MOST_EVENTS = 64
_MANY_TIMERS = 32  # so many are looked through for cancelled ones


class Timer:
    """A call that is due once; `cancel` may be called at any time."""

    __slots__ = ("callback", "due")

    def __init__(self, due: float, callback: Callable[[], None]) -> None:
        self.due = due
        self.callback: Callable[[], None] | None = callback

    def cancel(self) -> None:
        """Never call."""
        self.callback = None

    def __lt__(self, other: Timer) -> bool:
        return self.due < other.due


class Loop:
    """Calls back when a descriptor is ready or a time has come, until it is stopped.

    Descriptors are level-triggered. A callback gets the epoll mask and may watch and forget any descriptor, its own
    too: an event that was already fetched for a descriptor number which has since been reused is dropped.
    """

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._watched: dict[int, tuple[Callable[[int], None], int]] = {}
        self._timers: list[Timer] = []
        self._many_timers = _MANY_TIMERS
        self._round = 0
        self._running = True

    def watch(self, descriptor: int, events: int, callback: Callable[[int], None]) -> None:
        """Call `callback(mask)` whenever one of `events`, a hang-up or an error is there."""
        self._epoll.register(descriptor, events)
        self._watched[descriptor] = (callback, self._round)

    def change(self, descriptor: int, events: int) -> None:
        """Wait for other events of a watched descriptor; 0 leaves hang-ups and errors."""
        self._epoll.modify(descriptor, events)

    def forget(self, descriptor: int) -> None:
        """Watch it no more; fine when it is not watched. To be called before the descriptor is closed."""
        if self._watched.pop(descriptor, None) is not None:
            self._epoll.unregister(descriptor)

    def after(self, seconds: float, callback: Callable[[], None]) -> Timer:
        """Call once, `seconds` from now."""
        if len(self._timers) >= self._many_timers:
            self._drop_cancelled()
        timer = Timer(time.monotonic() + seconds, callback)
        heapq.heappush(self._timers, timer)
        return timer

    def run(self) -> None:
        """Serve until `stop`, or until nothing is watched and no timer is left."""
        while self._running and (self._watched or self._timers):
            self.step()

    def stop(self) -> None:
        """Make `run` return after the present callback, or not begin."""
        self._running = False

    def step(self) -> None:
        """Wait for one round of events and timers and serve it."""
        events = self._epoll.poll(self._patience(), _MOST_EVENTS)
        self._round += 1
        for descriptor, mask in events:
            entry = self._watched.get(descriptor)
            if entry is not None and entry[1] != self._round:
                entry[0](mask)
        self._call_due()

    def close(self) -> None:
        """Close the epoll descriptor."""
        self._epoll.close()

    def _drop_cancelled(self) -> None:
        self._timers = [timer for timer in self._timers if timer.callback is not None]
        heapq.heapify(self._timers)
        self._many_timers = max(_MANY_TIMERS, 2 * len(self._timers))

    def _patience(self) -> float:
        while self._timers and self._timers[0].callback is None:
            heapq.heappop(self._timers)
        if not self._timers:
            return -1
        return max(0.0, self._timers[0].due - time.monotonic())

    def _call_due(self) -> None:
        while self._timers and self._timers[0].due <= time.monotonic():
            callback = heapq.heappop(self._timers).callback
            if callback is not None:
                callback()
