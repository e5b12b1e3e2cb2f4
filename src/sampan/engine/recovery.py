"""What a new daemon does before it serves: finds its containers again, and removes what a crash left half-way.

Everything here works from what is on disk and in the kernel. Monitors that live are adopted; containers that ended
meanwhile are settled from their exit records; those whose monitor died are ended and reported; folders, run
directories and cgroups without a record are removed.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import logging
import os
import shutil
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from sampan.cgroup import open_cgroup
from sampan.engine.boot import POWER_LOSS_CODE, BootMark, BootStarts
from sampan.engine.boot_order import starts_at_boot
from sampan.engine.container import (
    ContainerRecord,
    Created,
    Dead,
    Exited,
    Paused,
    Removing,
    Restarting,
    Running,
    State,
)
from sampan.engine.containers import Containers
from sampan.engine.lifecycle import Lifecycle
from sampan.engine.monitors import Monitor, connect
from sampan.engine.restarts import Aftermath
from sampan.engine.run_ends import LOST_CODE, lost_exit
from sampan.engine.spec import cgroup_path
from sampan.errors import SampanError
from sampan.image.tree import place_apart
from sampan.monitor.protocol import Status

ADOPT_TIMEOUT_S = 60.0  # for a monitor that lives: what does not answer then is ended
_ID_LENGTH = 64

log = logging.getLogger("sampan.engine")


@dataclass(slots=True)
class Recovery:
    """Makes record, disk and kernel agree again."""

    lifecycle: Lifecycle
    containers: Containers
    aftermath: Aftermath
    boot: BootMark
    boot_starts: BootStarts

    async def recover(self) -> None:
        """All of it; called once, before the first request is served."""
        place_apart(self.lifecycle.layout.containers)
        self._remove_strays()
        await self.lifecycle.networks.recover()
        records = self.lifecycle.store.all()
        has_booted = self.boot.has_booted()
        recover = self._after_boot if has_booted else self._recover
        await asyncio.gather(*(self._surely(recover, record) for record in reversed(records)))
        self.boot.remember()
        if has_booted:
            due = [record for record in self.lifecycle.store.all() if isinstance(record.state, Restarting)]
            self.lifecycle.spawn(self.boot_starts.run(due))

    @staticmethod
    async def _surely(recover: Callable[[ContainerRecord], Awaitable[None]], record: ContainerRecord) -> None:
        """One container that cannot be recovered keeps the engine from nothing else."""
        try:
            await recover(record)
        except Exception:
            log.exception("container %s could not be recovered", record.id)

    async def _after_boot(self, record: ContainerRecord) -> None:
        """Nothing runs any more. Those that are to start are Restarting, so that no crash loses sight of them."""
        starts = starts_at_boot(record)
        match record.state:
            case Running() | Paused():
                await self._find_again(record, lambda ended: Restarting(ended, time.time_ns()) if starts else ended)
            case (Exited() as ended) | Restarting(exited=ended):
                await self._release_leftovers(record)
                state = Restarting(ended, time.time_ns()) if starts else ended
                if type(state) is not type(record.state):
                    self.lifecycle.store.save(record.with_state(state))
            case _:
                await self._recover(record)

    async def _recover(self, record: ContainerRecord) -> None:
        if record.build_step:
            await self._discard(record)
            return
        match record.state:
            case Running() | Paused():
                await self._find_again(record)
            case Restarting():
                self.aftermath.resume(record)
            case Removing():
                with contextlib.suppress(SampanError):  # it is Dead then, and says why
                    await self.containers.remove(record.id, volumes=record.config.host.auto_remove)
            case Created() | Exited() | Dead():
                await self._release_leftovers(record)

    async def _discard(self, record: ContainerRecord) -> None:
        """A step of a build that nobody waits for any more; its record does not tell whether it runs."""
        with contextlib.suppress(SampanError):  # it is Dead then, and says why
            await self._release_leftovers(record)
            await self.lifecycle.volumes.unmount(record)
            await self.containers.remove(record.id, volumes=True)

    async def _find_again(self, record: ContainerRecord, following: Callable[[Exited], State] | None = None) -> None:
        """Adopt its monitor; without one it has ended, and `following` decides on what it is then."""
        lifecycle = self.lifecycle
        monitor: Monitor | None = None
        try:
            monitor = connect(record.id, lifecycle.layout.run(record.id), lifecycle)
            lifecycle.monitors[record.id] = monitor
            status = await asyncio.wait_for(monitor.status, ADOPT_TIMEOUT_S)
        except (OSError, SampanError, TimeoutError):
            if monitor:
                monitor.close()
            code = POWER_LOSS_CODE if following else LOST_CODE
            await lifecycle.settle(record.id, lost_exit(lifecycle.layout.container(record.id), code), following)
            return
        self._adopt(record, status)

    def _adopt(self, record: ContainerRecord, status: Status) -> None:
        self.lifecycle.execs.adopt(record.id, status.execs, status.exits)
        self.lifecycle.healths.watch(record)
        running = record.running
        if running and status.phase == "running" and not running.started_at_ns:
            started = dataclasses.replace(running, started_at_ns=status.started_at_ns)
            self.lifecycle.store.save(record.with_state(started))

        self._agree_on_pause(record.id)

    def _agree_on_pause(self, container_id: str) -> None:
        """A crash in the middle of a pause, or of a commit, which lets a container stand still for a while."""
        record = self.lifecycle.store.find(container_id)
        cgroup = open_cgroup(cgroup_path(record, self.lifecycle.settings.cgroup_parent))
        try:
            is_frozen = cgroup.frozen()
            match record.state:
                case Running() if is_frozen:
                    cgroup.thaw()
                case Paused(running=running) if not is_frozen:
                    self.lifecycle.store.save(record.with_state(running))
        except OSError:
            log.exception("whether container %s stands still is not known", container_id)
        finally:
            cgroup.close()

    async def _release_leftovers(self, record: ContainerRecord) -> None:
        """A start that a crash cut off before its record said Running."""
        await self.lifecycle.networks.release(record.id)
        await self.lifecycle.release_run(record)
        os.makedirs(self.lifecycle.layout.container(record.id), mode=0o710, exist_ok=True)

    def _remove_strays(self) -> None:
        """Folders, run directories and cgroups whose container has no record.

        Only ids that have a folder of ours: other engines may keep theirs below the same cgroup.
        """
        layout, store = self.lifecycle.layout, self.lifecycle.store
        for container_id in {*_ids_in(layout.containers), *_ids_in(layout.exec_root)}:
            if store.get(container_id) is None:
                self._remove_cgroup(f"{self.lifecycle.settings.cgroup_parent}/{container_id}")
                self.lifecycle.roots.release(container_id)
                shutil.rmtree(layout.run(container_id), ignore_errors=True)

    @staticmethod
    def _remove_cgroup(path: str) -> None:
        cgroup = open_cgroup(path)
        with contextlib.suppress(OSError):  # the next start of the daemon tries again
            if cgroup.exists():
                cgroup.kill_all()
                cgroup.remove()
        cgroup.close()


def _ids_in(folder: str) -> list[str]:
    try:
        names = os.listdir(folder)
    except FileNotFoundError:
        return []
    return [name for name in names if len(name) == _ID_LENGTH and set(name) <= set("0123456789abcdef")]
