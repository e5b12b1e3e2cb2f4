"""What comes after a run: removal for `--rm`, another start for a restart policy, or nothing.

The delay doubles from 100 ms to one minute and begins anew when a run has lasted ten seconds (moby, restartmanager).
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Protocol

from sampan.engine.container import ContainerRecord, Exited, Restarting
from sampan.engine.store import ContainerStore
from sampan.engine.waiting import Locks
from sampan.errors import SampanError

FIRST_DELAY_S = 0.1
LONGEST_DELAY_S = 60.0
STEADY_NS = 10_000_000_000


class Removes(Protocol):
    """Removal, as `containers` does it."""

    async def remove(self, reference: str, *, volumes: bool = False) -> None:
        """Remove a container that does not run."""


def wants_restart(record: ContainerRecord, code: int) -> bool:
    """Whether the policy asks for another run after one that ended with `code`."""
    policy = record.config.host.restart_policy
    match policy.name:
        case "always":
            return not record.stopped_by_user
        case "unless-stopped":
            return not record.stopped_by_user
        case "on-failure":
            within = not policy.maximum_retries or record.restart_count < policy.maximum_retries
            return code != 0 and within and not record.stopped_by_user
        case _:
            return False


def left_s(waiting: Restarting) -> float:
    """How long it still waits for its start: no longer than any may, as the clock may have been set back meanwhile."""
    return min(max(0.0, (waiting.due_at_ns - time.time_ns()) / 1e9), LONGEST_DELAY_S)


@dataclass(slots=True)
class Aftermath:
    """Called with every settled end."""

    store: ContainerStore
    locks: Locks
    containers: Removes
    start: Callable[[str], Awaitable[ContainerRecord]]
    _delays: dict[str, float] = field(default_factory=dict)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    def following(self, record: ContainerRecord) -> ContainerRecord:
        """An Exited record as it is to be saved: Restarting when its policy asks for another run."""
        ended = record.state
        if not isinstance(ended, Exited) or record.config.host.auto_remove or not wants_restart(record, ended.code):
            self._delays.pop(record.id, None)
            return record
        due_at_ns = time.time_ns() + int(self._delay_s(record, ended) * 1e9)
        return dataclasses.replace(record, state=Restarting(ended, due_at_ns), restart_count=record.restart_count + 1)

    async def after_exit(self, record: ContainerRecord) -> None:
        """Remove it, have it start again when it is due, or leave it."""
        if record.config.host.auto_remove:
            with contextlib.suppress(SampanError):  # the record says what is left
                await self.containers.remove(record.id, volumes=True)
        elif isinstance(record.state, Restarting):
            self.resume(record)

    def _delay_s(self, record: ContainerRecord, ended: Exited) -> float:
        if ended.finished_at_ns - ended.started_at_ns >= STEADY_NS:
            self._delays.pop(record.id, None)
        delay_s = self._delays.get(record.id, FIRST_DELAY_S)
        self._delays[record.id] = min(delay_s * 2, LONGEST_DELAY_S)
        return delay_s

    def resume(self, record: ContainerRecord) -> None:
        """Start a Restarting container when it is due, in a task of its own; also after a daemon's restart."""
        task = asyncio.get_running_loop().create_task(self._start_when_due(record))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _start_when_due(self, record: ContainerRecord) -> None:
        assert isinstance(record.state, Restarting)  # noqa: S101 -- both callers have seen it
        await asyncio.sleep(left_s(record.state))
        current = self.store.get(record.id)
        if current is None or current.state != record.state:
            return
        with contextlib.suppress(SampanError):  # the record says why, and what follows
            await self.start(record.id)
