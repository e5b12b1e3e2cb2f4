"""What happened, told to whoever listens: Docker's events, the last 256 of them kept.

An event is published after the fact is on disk. Filters and time windows are asked for by subscribers; how an event
looks in JSON is api's matter.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

KEPT = 256
QUEUED = 4096


@dataclass(frozen=True, slots=True)
class Event:
    """One event: `kind` is "container", "image", "network", "volume", "daemon" or "builder"."""

    kind: str
    action: str
    actor: str
    attributes: dict[str, str] = field(default_factory=dict)
    time_ns: int = 0
    scope: str = "local"


class Events:
    """The ring of past events and the subscribers to those that come."""

    def __init__(self) -> None:
        self._past: deque[Event] = deque(maxlen=KEPT)
        self._queues: set[asyncio.Queue[Event | None]] = set()

    @property
    def listeners(self) -> int:
        """How many subscribers there are."""
        return len(self._queues)

    def publish(self, kind: str, action: str, actor: str, attributes: dict[str, str]) -> None:
        """Tell everybody, now. A subscriber that is more than 4096 events behind is cut off."""
        event = Event(kind, action, actor, dict(attributes), time.time_ns())
        self._past.append(event)
        for queue in list(self._queues):
            if queue.qsize() >= QUEUED:
                self._queues.discard(queue)
                queue.put_nowait(None)
            else:
                queue.put_nowait(event)

    async def stream(
        self, wanted: Callable[[Event], bool], *, since_ns: int | None = None, until_ns: int | None = None
    ) -> AsyncIterator[Event]:
        """Past events from `since_ns` on, then those to come, until `until_ns` (realtime clock).

        Without either there are no past ones; with `until_ns` alone all that are kept, as Docker has it.
        """
        queue: asyncio.Queue[Event | None] = asyncio.Queue()
        self._queues.add(queue)
        try:
            first_ns = since_ns if since_ns is not None or until_ns is None else 0
            past = [event for event in self._past if first_ns is not None and event.time_ns >= first_ns]
            for event in past:
                if (until_ns is None or event.time_ns <= until_ns) and wanted(event):
                    yield event
            while True:
                event_or_end = await _next(queue, until_ns)
                if event_or_end is None:
                    return
                if wanted(event_or_end):
                    yield event_or_end
        finally:
            self._queues.discard(queue)


async def _next(queue: asyncio.Queue[Event | None], until_ns: int | None) -> Event | None:
    if until_ns is None:
        return await queue.get()
    left_s = (until_ns - time.time_ns()) / 1e9
    if left_s <= 0:
        return None
    try:
        return await asyncio.wait_for(queue.get(), left_s)
    except TimeoutError:
        return None
