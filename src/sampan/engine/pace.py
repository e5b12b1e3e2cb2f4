"""How often a transfer tells how far it is: what changes fast is told now and then, what matters always."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field

INTERVAL_S = 0.1


@dataclass(slots=True)
class Pace[P]:
    """Passes steps on to `deliver`, for each thing at most one an interval while its status stays the same.

    `key` says which thing a step is of, and its status; a step with another status is passed on at once. What is held
    back is passed on when the interval is over or by `finish`, unless a later step of the same thing has made it old.
    For the event loop's thread only.
    """

    deliver: Callable[[P], None]
    key: Callable[[P], tuple[Hashable, str]]
    interval_s: float = INTERVAL_S
    clock: Callable[[], float] = time.monotonic
    _told: dict[Hashable, tuple[str, float]] = field(default_factory=dict)
    _held: dict[Hashable, P] = field(default_factory=dict)
    _timer: asyncio.TimerHandle | None = None

    def tell(self, step: P) -> None:
        """One more step."""
        thing, status = self.key(step)
        last = self._told.get(thing)
        now = self.clock()
        if last is not None and last[0] == status and now - last[1] < self.interval_s:
            self._held[thing] = step
            if self._timer is None:
                self._timer = asyncio.get_running_loop().call_later(self.interval_s, self._flush)
            return
        self._held.pop(thing, None)
        self._told[thing] = (status, now)
        self.deliver(step)

    def finish(self) -> None:
        """Pass on what is held back; no step comes after it."""
        if self._timer is not None:
            self._timer.cancel()
        self._flush()

    def _flush(self) -> None:
        self._timer = None
        held = dict(self._held)
        self._held.clear()
        now = self.clock()
        for thing, step in held.items():
            self._told[thing] = (self.key(step)[1], now)
            self.deliver(step)
