"""What a daemon does when the machine has booted since the last one ran: starts containers as their policies ask.

A boot is told from a mere restart of the daemon by the kernel's boot id, which is kept in the state file, and by a
mark in the exec root, which a boot empties. Who is started in which order is `boot_order`'s matter.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from sampan.engine.boot_order import COMPLETED, HEALTHY, Need, Start, boot_order
from sampan.engine.container import ContainerRecord, Exited, Restarting
from sampan.engine.health import Healths
from sampan.engine.store import ContainerStore
from sampan.errors import SampanError

BOOT_ID_PATH = "/proc/sys/kernel/random/boot_id"
MARK = "boot_id"
POWER_LOSS_CODE = 255  # what moby records for a run whose end nobody saw
LONGEST_WAIT_S = 300.0
_LOOK_AGAIN_S = 0.1
_AT_ONCE = 4

log = logging.getLogger("sampan.engine")


class BootMark:
    """Whether the machine has booted since `remember` was last called for this state file."""

    def __init__(self, connection: sqlite3.Connection, exec_root: str) -> None:
        self._connection = connection
        self._path = f"{exec_root}/{MARK}"
        with open(BOOT_ID_PATH, encoding="ascii") as file:
            self._now = file.read().strip()
        connection.execute("CREATE TABLE IF NOT EXISTS boots (id TEXT PRIMARY KEY, at_ns INTEGER) WITHOUT ROWID")

    def has_booted(self) -> bool:
        """Whether the boot id is another, or the exec root was emptied; False for a state file that knows no boot."""
        row = self._connection.execute("SELECT id FROM boots").fetchone()
        return row is not None and (row[0] != self._now or self._marked() != self._now)

    def remember(self) -> None:
        """Note that what this boot asks for is on record."""
        with open(self._path, "w", encoding="ascii") as file:
            file.write(self._now)
        if self._connection.execute("SELECT id FROM boots").fetchall() != [(self._now,)]:
            self._connection.execute("DELETE FROM boots")
            self._connection.execute("INSERT INTO boots VALUES (?, ?)", (self._now, time.time_ns()))

    def _marked(self) -> str:
        try:
            with open(self._path, encoding="ascii") as file:
                return file.read()
        except FileNotFoundError:
            return ""


@dataclass(slots=True)
class BootStarts:
    """Starts containers whose records say Restarting, each when what it needs is so."""

    store: ContainerStore
    healths: Healths
    start: Callable[[str], Awaitable[ContainerRecord]]
    longest_wait_s: float = LONGEST_WAIT_S

    async def run(self, records: Sequence[ContainerRecord]) -> None:
        """All of them. One that cannot start holds up nobody: the others go on without it, and the log says so."""
        room = asyncio.Semaphore(_AT_ONCE)
        tasks: dict[str, asyncio.Task[None]] = {}
        for one in boot_order(records):
            before = [tasks[need.id] for need in one.needs]
            tasks[one.record.id] = asyncio.get_running_loop().create_task(self._one(one, before, room))
        if tasks:
            log.info("the machine has booted: starting %d containers", len(tasks))
            await asyncio.wait(tasks.values())

    async def _one(self, one: Start, before: Sequence[asyncio.Task[None]], room: asyncio.Semaphore) -> None:
        if before:
            await asyncio.wait(before)
        for need in one.needs:
            await self._fulfilled(one, need)
        async with room:
            current = self.store.get(one.record.id)
            if current is None or not isinstance(current.state, Restarting):
                return  # stopped, started or removed by its user meanwhile
            try:
                await self.start(one.record.id)
            except SampanError as error:  # the record says it too
                log.warning("container %s did not start after the boot: %s", one.record.name, error)
            except Exception:
                log.exception("container %s did not start after the boot", one.record.name)

    async def _fulfilled(self, one: Start, need: Need) -> None:
        """Wait until it is so, or can no longer come to be so, or for five minutes."""
        end = time.monotonic() + self.longest_wait_s
        while time.monotonic() < end:
            found = self._look(need)
            if found is None:
                await asyncio.sleep(_LOOK_AGAIN_S)
                continue
            if not found:
                break
            return
        log.warning("container %s starts although %s is not so of %s", one.record.name, need.condition, need.id[:12])

    def _look(self, need: Need) -> bool | None:
        """Whether it is so; None when that is not decided yet."""
        record = self.store.get(need.id)
        if record is None:
            return False
        if isinstance(record.state, Restarting):
            return None
        if need.condition == HEALTHY:
            health = self.healths.of(record)
            if record.running is None or health is None or health.status == "unhealthy":
                return False
            return True if health.status == "healthy" else None
        if need.condition == COMPLETED:
            if record.running is not None:
                return None
            return isinstance(record.state, Exited) and record.state.code == 0
        return record.running is not None or isinstance(record.state, Exited)
