"""What is done to containers that run: stop, kill, pause, attach, resize, wait.

Each verb says what it refuses in Docker's words; the end of a run is settled by `lifecycle`.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import errno
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from sampan.cgroup import open_cgroup
from sampan.cgroup.group import Cgroup
from sampan.engine.admission import no_signal
from sampan.engine.announcer import Announcer
from sampan.engine.container import (
    ContainerRecord,
    Created,
    Dead,
    Exited,
    Paused,
    Removing,
    Restarting,
    Running,
)
from sampan.engine.lifecycle import Lifecycle
from sampan.engine.monitors import Monitor
from sampan.engine.not_running import not_running
from sampan.engine.spec import cgroup_path
from sampan.engine.store import ContainerStore
from sampan.engine.waiting import Ending
from sampan.errors import Conflict, InvalidArgument, NotModified, SampanError, SystemFailure, of_kind, reason_of
from sampan.linux.signals import is_known, signal_number
from sampan.monitor.protocol import Attach

DEFAULT_STOP_TIMEOUT_S = 10
LONGEST_STOP_S = 10**9  # event loops know no longer times
KILL_TIMEOUT_S = 10.0
UNASKED_STOP_S = 2  # until a program is killed whose stop signal the kernel does not have, as in Docker


@dataclass(slots=True)
class Control:
    """Acts on running containers."""

    store: ContainerStore
    lifecycle: Lifecycle
    announcer: Announcer

    async def stop(self, reference: str, *, timeout_s: int | None = None, signal_name: str = "") -> None:
        """Ask the program to end, and kill it when it has not after the timeout (-1: wait for ever).

        Raises NotModified when it does not run.
        """
        record = self.store.find(reference)
        if await self._gave_up_restart(record):
            return
        record = self.store.find(record.id)
        if record.running is None:
            raise NotModified(f"container {record.id[:12]} is already stopped")
        process = record.config.process
        wanted = signal_name or process.stop_signal or "SIGTERM"
        number = signal_number(wanted)
        if not number:
            raise no_signal(wanted)
        record = self.store.save(dataclasses.replace(record, stopped_by_user=True))
        if timeout_s is None:
            timeout_s = process.stop_timeout_s if process.stop_timeout_s is not None else DEFAULT_STOP_TIMEOUT_S
        ended = self.lifecycle.waits.exit(record.id)
        try:
            if is_known(number):
                with contextlib.suppress(Conflict):  # it has just ended
                    await self._signal(record, number)
            else:
                timeout_s = UNASKED_STOP_S
            done, _ = await asyncio.wait([ended], timeout=None if timeout_s < 0 else min(timeout_s, LONGEST_STOP_S))
            if not done:
                with contextlib.suppress(Conflict):
                    await self._signal(record, signal.SIGKILL)
                done, _ = await asyncio.wait([ended], timeout=KILL_TIMEOUT_S)
            if not done:
                raise SystemFailure(
                    f"cannot stop container: {reference}: tried to kill container, but did not receive an exit event",
                    remedy="a process of it hangs in the kernel; see /proc/PID/stack",
                )
        finally:
            ended.cancel()
        self.announcer.container(record, "stop")

    async def _gave_up_restart(self, record: ContainerRecord) -> bool:
        """Whether it was waiting to be started again, which it is no more; False when that start came first."""
        if not isinstance(record.state, Restarting):
            return False
        async with self.lifecycle.locks.of(record.id):
            record = self.store.find(record.id)
            if not isinstance(record.state, Restarting):
                return False
            stopped = dataclasses.replace(record, state=record.state.exited, stopped_by_user=True)
            self.announcer.container(self.store.save(stopped), "stop")
            return True

    async def kill(self, reference: str, signal_name: str = "") -> None:
        """Send a signal; SIGKILL is the default, and its end is waited for. Raises Conflict when it does not run.

        One that asks it to end takes its restart policy away until it is started anew, as `stop` does, and is all that
        one needs that waits for its next start.
        """
        try:
            record = self.store.find(reference)
            number = _sendable(signal_name or "SIGKILL")
        except SampanError as error:
            raise of_kind(error.kind, f"cannot kill container: {reference}: {error}", remedy=error.remedy) from error
        if _asks_to_end(record, number):
            if await self._gave_up_restart(record):
                return
            record = self.store.find(record.id)
        if record.running is None:
            raise Conflict(
                f"cannot kill container: {reference}: container {record.id} is not running",
                remedy="`sampan ps` lists those that run",
            )
        if _asks_to_end(record, number):
            record = self.store.save(dataclasses.replace(record, stopped_by_user=True))
        if number == signal.SIGKILL:
            ended = self.lifecycle.waits.exit(record.id)
            try:
                await self._signal(record, number)
                await asyncio.wait([ended], timeout=KILL_TIMEOUT_S)
            finally:
                ended.cancel()
        else:
            await self._signal(record, number)

    async def act(self, container_id: str, action: str) -> None:
        """What an unhealthy container gets: "restart", "stop" or "kill"."""
        match action:
            case "restart":
                await self.restart(container_id)
            case "stop":
                await self.stop(container_id)
            case "kill":
                await self.kill(container_id)

    async def end(self, reference: str) -> None:
        """Make sure that it does not run, before a forced removal. Raises NotFound when it is gone by then."""
        record = self.store.find(reference)
        if await self._gave_up_restart(record):
            return
        async with self.lifecycle.locks.of(record.id):
            pass  # a start that is under way comes first
        if self.store.find(record.id).running is not None:
            with contextlib.suppress(Conflict):
                await self.kill(record.id)

    async def _signal(self, record: ContainerRecord, number: int) -> None:
        """Once it is neither being started nor being settled, as then nobody would get the signal.

        Raises Conflict when it does not run any more.
        """
        async with self.lifecycle.locks.of(record.id):
            self._monitor(record).signal(number)
            record = self.store.find(record.id)
        self.announcer.container(record, "kill", signal=str(int(number)))
        if isinstance(record.state, Paused):
            with contextlib.suppress(Conflict):  # somebody else let it go on, or it has ended
                await self.unpause(record.id)

    def _monitor(self, record: ContainerRecord) -> Monitor:
        monitor = self.lifecycle.monitors.get(record.id)
        if monitor is None:
            raise not_running(record)
        return monitor

    def monitor_of(self, reference: str) -> Monitor:
        """The monitor of a container that runs. Raises Conflict when it does not."""
        return self._monitor(self.store.find(reference))

    async def restart(self, reference: str, *, timeout_s: int | None = None, signal_name: str = "") -> None:
        """Stop when it runs, then start."""
        record = self.store.find(reference)
        if record.running is not None or isinstance(record.state, Restarting):
            with contextlib.suppress(NotModified):
                await self.stop(record.id, timeout_s=timeout_s, signal_name=signal_name)
        record = await self.lifecycle.start(record.id)
        self.announcer.container(record, "restart")

    async def pause(self, reference: str) -> None:
        """Freeze the cgroup. Raises Conflict when it does not run or is paused."""
        container_id = self.store.find(reference).id
        async with self.lifecycle.locks.of(container_id):
            record = self.store.find(container_id)
            match record.state:
                case Paused():
                    raise Conflict(f"Container {record.id} is already paused", remedy=f"sampan unpause {record.name}")
                case Running() as running:
                    with self._cgroup(record) as cgroup:
                        await asyncio.to_thread(cgroup.freeze)
                    record = self.store.save(record.with_state(Paused(running)))
                case _:
                    raise not_running(record)
        self.announcer.container(record, "pause")

    async def unpause(self, reference: str) -> None:
        """Let a paused container go on. Raises Conflict when it is not paused."""
        container_id = self.store.find(reference).id
        async with self.lifecycle.locks.of(container_id):
            record = self.store.find(container_id)
            if not isinstance(record.state, Paused):
                raise Conflict(f"Container {record.id} is not paused", remedy="only paused containers are unpaused")
            with self._cgroup(record) as cgroup:
                await asyncio.to_thread(cgroup.thaw)
            record = self.store.save(record.with_state(record.state.running))
        self.announcer.container(record, "unpause")

    @contextmanager
    def _cgroup(self, record: ContainerRecord) -> Iterator[Cgroup]:
        cgroup = open_cgroup(cgroup_path(record, self.lifecycle.settings.cgroup_parent))
        try:
            yield cgroup
        except OSError as error:
            if error.errno in {errno.ENOENT, errno.ENODEV}:  # its monitor has released it, its end is being told
                raise not_running(record) from error
            raise SystemFailure(
                f"the freezer of {cgroup.path} failed: {reason_of(error)}", remedy="see the kernel's log"
            ) from error
        finally:
            cgroup.close()

    def check_attach(self, record: ContainerRecord) -> None:
        """Raise Conflict when nobody can attach now."""
        match record.state:
            case Paused():
                raise Conflict(
                    f"container {record.name} is paused, unpause the container before attach",
                    remedy=f"sampan unpause {record.name}",
                )
            case Removing() | Dead():
                raise Conflict(f"container {record.name} is marked for removal", remedy="attach to another one")
            case _:
                return

    def attach(self, reference: str, attach: Attach, client: int) -> None:
        """Give a client's socket to the container: to its monitor, or to the one that its next start will have.

        `client` stays the caller's. Raises as `check_attach`.
        """
        record = self.store.find(reference)
        self.check_attach(record)
        monitor = self.lifecycle.monitors.get(record.id)  # there is one from just before the program runs
        if monitor is not None:
            monitor.attach(attach, client)
        else:
            self.lifecycle.early.add(record.id, attach, os.dup(client))
        self.announcer.container(record, "attach")

    def resize(self, reference: str, height: int, width: int) -> None:
        """Give the container's terminal a size. Raises Conflict when it does not run."""
        if not (0 <= height < 65536 and 0 <= width < 65536):
            raise InvalidArgument(f"invalid terminal size {height} x {width}", remedy="0 to 65535 rows and columns")
        record = self.store.find(reference)
        if record.running is None:
            raise not_running(record)
        self._monitor(record).resize(height, width)
        self.announcer.container(record, "resize", height=str(height), width=str(width))

    def wait(self, reference: str, condition: str = "") -> asyncio.Future[Ending]:
        """Wait for "not-running" (the default: at once when it does not run), "next-exit" or "removed".

        A condition that there is not is refused when it is called, not when it is awaited.
        """
        record = self.store.find(reference)
        match condition:
            case "" | "not-running":
                return self._not_running(record)
            case "next-exit":
                return self.lifecycle.waits.exit(record.id)
            case "removed":
                return self.lifecycle.waits.removal(record.id)
        raise InvalidArgument(f'invalid condition: "{condition}"', remedy="use not-running, next-exit or removed")

    def _not_running(self, record: ContainerRecord) -> asyncio.Future[Ending]:
        if record.running is not None or isinstance(record.state, Restarting):
            return self.lifecycle.waits.exit(record.id)
        ended: asyncio.Future[Ending] = asyncio.get_running_loop().create_future()
        ended.set_result(Ending(exit_code(record)))
        return ended


def exit_code(record: ContainerRecord) -> int:
    """The code of the last run, 0 when there was none."""
    match record.state:
        case Created(exit_code=code):
            return code
        case Exited(code=code) | Restarting(exited=Exited(code=code)) | Removing(code=code) | Dead(code=code):
            return code
        case Running() | Paused():
            return 0


def _asks_to_end(record: ContainerRecord, number: int) -> bool:
    """SIGKILL and the container's own stop signal; any where it has none, as in moby (daemon/kill.go)."""
    own = record.config.process.stop_signal
    return number == signal.SIGKILL or not own or number == signal_number(own)


def _sendable(text: str) -> int:
    """The number of a signal to send. Raises InvalidArgument for what is none, or none of the kernel's."""
    number = signal_number(text)
    if not number:
        raise no_signal(text)
    if not is_known(number):
        raise InvalidArgument(f"the linux daemon does not support signal {number}", remedy="`kill -l` lists them")
    return number
