"""A run of a container: start, and what comes of its end.

`Lifecycle` is told by monitors how runs end (`Listener`), settles the record, and hands over to the aftermath, which
decides on restart and removal. Signals and stops are `control`'s; creation and removal are `containers`'.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import logging
import os
import shutil
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Protocol

from sampan.engine import identity, links, logs, spec_resources
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
    State,
)
from sampan.engine.execs import Execs
from sampan.engine.health import Healths
from sampan.engine.launching import Launcher
from sampan.engine.layout import OWN_CGROUP, Layout
from sampan.engine.monitors import Monitor
from sampan.engine.parts import Networks, Place, Roots, Volumes, prepare_root
from sampan.engine.run_ends import lost_exit, memory_kills, released, remove_cgroup
from sampan.engine.spec import Surroundings, cgroup_path, launch_plan, neighbours, refuse_join
from sampan.engine.spec_sources import known_sources, matched_ids
from sampan.engine.store import ContainerStore
from sampan.engine.tracing import Trace
from sampan.engine.views import View, Views
from sampan.engine.volume_addresses import with_addresses
from sampan.engine.waiting import EarlyClients, Locks, Waits
from sampan.errors import Conflict, Kind, NotModified, SampanError, SystemFailure
from sampan.linux.filesystem import make_directory
from sampan.monitor import protocol
from sampan.monitor.protocol import MonitorPlan

RELEASE_AGAIN_S = (1.0, 5.0, 30.0, 120.0, 600.0)

log = logging.getLogger("sampan.engine")


@dataclass(frozen=True, slots=True)
class Settings:
    """What the daemon was told about all containers."""

    cgroup_parent: str = OWN_CGROUP
    init: bool = False


class Aftermath(Protocol):
    """What becomes of a container whose run has ended."""

    def following(self, record: ContainerRecord) -> ContainerRecord:
        """The record to save in place of this Exited one."""

    async def after_exit(self, record: ContainerRecord) -> None:
        """Act on what was saved."""


@dataclass(slots=True)
class Lifecycle:
    """Starts containers and settles their ends."""

    store: ContainerStore
    layout: Layout
    settings: Settings
    roots: Roots
    networks: Networks
    launcher: Launcher
    announcer: Announcer
    waits: Waits
    early: EarlyClients
    locks: Locks
    execs: Execs
    views: Views
    aftermath: Aftermath = field(init=False)
    healths: Healths = field(init=False)
    volumes: Volumes = field(init=False)
    monitors: dict[str, Monitor] = field(default_factory=dict)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    async def start(self, reference: str, trace: Trace | None = None) -> ContainerRecord:
        """Run a container that does not run; `trace` gets the marks of all steps.

        Raises NotModified when it runs already, Conflict when it cannot, and the error of the step that failed; the
        record then keeps what failed.
        """
        container_id = self.store.find(reference).id
        async with self.locks.alone(container_id):
            record = self.store.find(container_id)
            refuse_start(record, is_condemned=self.locks.is_condemned(container_id))
            try:
                return await self._start(dataclasses.replace(record, stopped_by_user=False), trace)
            except SampanError as error:
                failed = self._start_failed(record, error)
                reason = error
            except Exception as error:  # a fault of ours: clients that wait for its output must not wait for ever
                self._start_failed(record, SystemFailure(f"the start broke off: {error!r}", remedy="see the log"))
                raise
        if failed.config.host.auto_remove:
            await self.aftermath.after_exit(failed)
        raise reason

    async def _start(self, record: ContainerRecord, trace: Trace | None) -> ContainerRecord:
        mark = _unmarked if trace is None else trace.mark
        self.views.expect(record.config.host)
        async with AsyncExitStack() as undo:
            mark("join its networks")
            undo.push_async_callback(self.volumes.unmount, record)
            record = await self.volumes.mount(record)
            undo.push_async_callback(self.networks.release, record.id)
            place = await self.networks.attach(record)
            record = identity.placed(record, place, self.store)
            undo.push_async_callback(self.release_run, record)
            mark("find its view of resources")
            view = await self.views.of(record)
            mark("prepare root, files and plan")
            monitor = await self._launch(await with_addresses(record), place, view, traced=trace is not None)
            undo.push_async_callback(self._abandon, monitor)
            ready, started = await self._run(record, monitor, mark, at_once=record.build_step and not place.namespace)
            running = Running(ready.pid, ready.monitor_pid, started_at_ns=started.at_ns)
            mark("tell of it")
            record = self.store.save(record.with_state(running))
            undo.pop_all()
        self._started(record, view)
        if trace is not None:
            trace.marks.extend(ready.marks)
            mark("end")
        return record

    async def _run(
        self, record: ContainerRecord, monitor: Monitor, mark: Callable[[str], None], *, at_once: bool
    ) -> tuple[protocol.Ready, protocol.Started]:
        """Let the program run when all is made and it is on disk that it does; `at_once` where it never is."""
        if not at_once:
            mark("wait for the container")
            ready = await monitor.ready
            mark("complete its networks")
            await self.networks.complete(record.id)
            mark("record that it runs")
            self.store.foretell(record.with_state(Running(ready.pid, ready.monitor_pid, started_at_ns=0)))
        self._hand_over_clients(record, monitor)
        self.monitors[record.id] = monitor
        mark("let its program run")
        started = await monitor.go()
        return await monitor.ready, started

    def _started(self, record: ContainerRecord, view: View | None) -> None:
        """Tell the world, and look after it."""
        self.views.started(record, view)
        self.announcer.networks(record, "connect", self.networks.drivers(record))
        self.announcer.volumes(record, "mount")
        self.announcer.container(record, "start")
        self.healths.watch(record)
        links.refresh(record, self.store, self.layout)

    async def _launch(self, record: ContainerRecord, place: Place, view: View | None, *, traced: bool) -> Monitor:
        devices = await spec_resources.devices_beside(record.config.host)  # the launcher removes idle run directories
        root = prepare_root(self.roots, record)
        directory, run = self.layout.container(record.id), self.layout.run(record.id)
        if not place.identity_of:
            self._write_identity(record, place)
        shared = self.layout.container(place.identity_of or record.id)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(f"{directory}/exit.json")
        make_directory(run, 0o700)
        resources = record.config.host.resources
        around = Surroundings(
            devices=devices,
            root=root,
            bundle=directory,
            network_namespace=place.namespace,
            neighbours=self._neighbours(record),
            engine_files=tuple((f"{shared}/{name}", target) for name, target in identity.TARGETS),
            known=dataclasses.replace(
                known_sources(record, self.store, self.roots), ids=matched_ids(record, self.roots)
            ),
            cgroup_parent=self.settings.cgroup_parent,
            init=self.settings.init if resources.init is None else resources.init,
            view=view,
        )
        process = record.config.process
        log_plan = logs.log_plan(record, self.layout)
        if log_plan.path:
            os.makedirs(os.path.dirname(log_plan.path), mode=0o710, exist_ok=True)
        plan = MonitorPlan(
            launch=dataclasses.replace(launch_plan(record, around), traced=traced),
            run_directory=run,
            state_directory=directory,
            log=log_plan,
            open_stdin=process.open_stdin,
            stdin_once=process.stdin_once,
            durable=not record.config.host.auto_remove,
            transient=record.build_step,
        )
        return self.launcher.launch(plan, self)

    def _write_identity(self, record: ContainerRecord, place: Place) -> None:
        host = record.config.host
        resolver = identity.resolver_of(host, own_network=place.namespace is not None, embedded=place.name_server)
        texts = {
            "hostname": f"{record.config.process.hostname}\n",
            "hosts": identity.hosts(record, gateway=place.host_gateway),
            "resolv.conf": identity.resolv_conf(resolver),
        }
        identity.write(self.layout.container(record.id), texts)

    def _neighbours(self, record: ContainerRecord) -> dict[str, int]:
        pids = {}
        for reference in neighbours(record.config.host):
            other = self.store.find(reference)
            refuse_join(record.config.host, other)
            pids[reference] = other.pid
        return pids

    def _hand_over_clients(self, record: ContainerRecord, monitor: Monitor) -> None:
        for attach, client in self.early.take(record.id):
            monitor.attach(attach, client)
            os.close(client)

    async def _abandon(self, monitor: Monitor) -> None:
        self.monitors.pop(monitor.container_id, None)
        monitor.close()

    async def release_run(self, record: ContainerRecord) -> None:
        """End and remove whatever a run has left: processes, cgroup, run directory. Idempotent."""
        await remove_cgroup(cgroup_path(record, self.settings.cgroup_parent))
        if not record.build_step:  # its run directory goes with the container, which is soon
            shutil.rmtree(self.layout.run(record.id), ignore_errors=True)

    def _start_failed(self, record: ContainerRecord, error: SampanError) -> ContainerRecord:
        """Keep in the record why it did not start."""
        self.early.drop(record.id)
        code = error.kind.exit_code if error.kind in {Kind.NOT_EXECUTABLE, Kind.COMMAND_NOT_FOUND} else 128
        match record.state:
            case (Exited() as exited) | Restarting(exited=exited):
                state: State = dataclasses.replace(exited, code=code, error=str(error))
            case _:
                state = Created(str(error), code)
        record = self.store.save(record.with_state(state))
        self.waits.exited(record.id, code)
        return record

    # -- what monitors tell

    def exited(self, container_id: str, exit_record: protocol.Exited) -> None:
        """Settle the end of a run, in a task of its own."""
        self.spawn(self.settle(container_id, exit_record))

    def exec_exited(self, container_id: str, exit_record: protocol.Exited) -> None:
        """Remember an exec's exit code."""
        record = self.store.get(container_id)
        if record and not self.healths.exec_exited(exit_record.exec_id, exit_record.code):
            self.execs.exited(record, exit_record)

    def out_of_memory(self, container_id: str, told: protocol.OutOfMemory) -> None:
        """Remember who was killed when memory ran out, and tell the world."""
        record = self.store.get(container_id)
        if record is None or not told.count:
            return
        attributes = {}
        if told.kills:
            latest = told.kills[-1]
            attributes = {"pid": str(latest.pid), "program": latest.program, "memory": str(latest.usage_bytes)}
            record = self.store.save(dataclasses.replace(record, memory_kills=memory_kills(told.kills)))
        self.announcer.container(record, "oom", **attributes)

    def detached(self, container_id: str, exec_id: str) -> None:
        """Tell the world that a client has left by its keys."""
        record = self.store.get(container_id)
        if record and exec_id:
            self.announcer.container(record, "exec_detach", execID=exec_id)
        elif record:
            self.announcer.container(record, "detach")

    def troubled(self, container_id: str, text: str) -> None:
        """Have it in our own log."""
        log.warning("container %s: %s", container_id[:12], text)

    def lost(self, container_id: str) -> None:
        """A monitor died: its container is ended and reported as killed."""
        record = self.store.get(container_id)
        if record and (record.running or container_id in self.monitors):  # or it is just starting
            self.spawn(self.settle(container_id, lost_exit(self.layout.container(container_id))))

    def spawn(self, work: Coroutine[None, None, None]) -> None:
        """Run it beside everything else; a failure is reported by the loop's exception handler."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _release_all(self, record: ContainerRecord) -> ContainerRecord:
        """Release what a run took that is over; what fails is logged, and tried again later. The record without it.

        The run of a build's step goes with its container.
        """
        try:
            await self.networks.release(record.id)
        except Exception:
            log.exception("the network of container %s was not released", record.id)
        if not record.build_step:
            await self.release_run_or_log(record)
        try:
            record = await self.volumes.unmount(record)
        except Exception:
            log.exception("the volumes of container %s were not unmounted", record.id)
        return record

    async def release_run_or_log(self, record: ContainerRecord) -> None:
        """`release_run`; what fails is logged, and tried again later."""
        try:
            await self.release_run(record)
        except Exception:
            log.exception("the run of container %s was not released", record.id)
            self.spawn(self._release_later(record))

    async def _release_later(self, record: ContainerRecord) -> None:
        """Try again to release a run, also when its container is gone by then; not when it runs again."""
        for pause_s in RELEASE_AGAIN_S:
            await asyncio.sleep(pause_s)
            async with self.locks.of(record.id):
                current = self.store.get(record.id)
                if current is not None and current.running is not None:
                    return
                with contextlib.suppress(SampanError, OSError):
                    await self.release_run(record)
                    return

    async def settle(
        self, container_id: str, exit_record: protocol.Exited, following: Callable[[Exited], State] | None = None
    ) -> None:
        """From Running to Exited: release what the run took, save, tell, and hand over to the aftermath.

        With `following` that decides on the state, and what comes of it is the caller's.
        """
        async with self.locks.of(container_id):
            record = self.store.get(container_id)
            if record is None or record.running is None:
                return
            self.monitors.pop(container_id, None)
            self.healths.forget(container_id)
            ended = Exited(
                code=exit_record.code,
                started_at_ns=record.running.started_at_ns,
                finished_at_ns=exit_record.at_ns,
                oom_killed=exit_record.oom_killed,
            )
            record = await self._release_all(record)
            record = dataclasses.replace(
                record,
                state=ended,
                stopped_by_user=(self.store.get(container_id) or record).stopped_by_user,  # it may come meanwhile
                endpoints=released(record),
                memory_kills=memory_kills(exit_record.kills) or record.memory_kills,
            )
            after = record.with_state(following(ended)) if following else self.aftermath.following(record)
            record = self.store.save(after)
            self.execs.forget_running(record.id)
            self.announcer.networks(record, "disconnect", self.networks.drivers(record))
            self.announcer.volumes(record, "unmount")
            self.announcer.died(record, ended)
        self.waits.exited(container_id, ended.code)
        if following is None or record.config.host.auto_remove:
            await self.aftermath.after_exit(record)


def refuse_start(record: ContainerRecord, *, is_condemned: bool) -> None:
    """Raise when the state does not allow a start (moby, `containerStart`), or it is about to be removed."""
    if is_condemned or isinstance(record.state, (Removing, Dead)):
        raise Conflict(
            "container is marked for removal and cannot be started", remedy=f"remove it: sampan rm -f {record.name}"
        )
    match record.state:
        case Running():
            raise NotModified(f"container {record.id[:12]} is already running")
        case Paused():
            raise Conflict(
                "cannot start a paused container, try unpause instead", remedy=f"sampan unpause {record.name}"
            )
        case _:
            return


def _unmarked(_: str) -> None:
    """A start that nobody traces."""
