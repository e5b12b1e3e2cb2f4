"""Health checks: a program run in the container from time to time, and what is made of its exit codes.

Docker's rules (moby, daemon/health.go): exit code 0 is healthy, `retries` failures in a row are unhealthy, failures
within the start period do not count. Beyond Docker, an unhealthy container may be restarted, stopped or killed.
What was probed is remembered while the daemon runs; a new daemon begins with "starting".
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import secrets
import signal
import socket
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from sampan.engine.announcer import Announcer
from sampan.engine.config import Healthcheck
from sampan.engine.container import ContainerRecord, Created, Paused, Running
from sampan.engine.execs_plan import ExecConfig, exec_process
from sampan.engine.monitors import Monitor
from sampan.engine.store import ContainerStore
from sampan.errors import SampanError
from sampan.monitor.protocol import Attach, ExecPlan

DEFAULT_INTERVAL_NS = 30_000_000_000
DEFAULT_TIMEOUT_NS = 30_000_000_000
DEFAULT_START_INTERVAL_NS = 5_000_000_000
DEFAULT_RETRIES = 3
KEPT_RESULTS = 5
OUTPUT_BYTES = 4096
LAST_OUTPUT_S = 1.0
ACTIONS = frozenset({"", "none", "restart", "stop", "kill"})


@dataclass(frozen=True, slots=True)
class Probe:
    """One run of the check; -1 is the code of one that could not run or took too long."""

    started_ns: int
    ended_ns: int
    code: int
    output: str


@dataclass(frozen=True, slots=True)
class Health:
    """What the checks have shown so far."""

    status: str = "starting"
    failing_streak: int = 0
    probes: tuple[Probe, ...] = ()


def command_of(record: ContainerRecord) -> tuple[str, ...]:
    """The program of the check; () when there is none."""
    check = record.config.process.healthcheck
    match check.test if check else None:
        case ("CMD", *words):
            return tuple(words)
        case ("CMD-SHELL", *words):
            return (*(record.config.process.shell or ("/bin/sh", "-c")), *words)
        case _:
            return ()


def after(health: Health, probe: Probe, check: Healthcheck, *, starting: bool) -> Health:
    """The health after one more probe; `starting` is whether the start period still runs."""
    probes = (*health.probes, probe)[-KEPT_RESULTS:]
    if probe.code == 0:
        return Health("healthy", 0, probes)
    if starting and health.status == "starting":
        return dataclasses.replace(health, probes=probes)
    streak = health.failing_streak + 1
    status = "unhealthy" if streak >= (check.retries or DEFAULT_RETRIES) else health.status
    return Health(status, streak, probes)


@dataclass(slots=True)
class Healths:
    """Probes every running container that has a check."""

    store: ContainerStore
    announcer: Announcer
    monitors: dict[str, Monitor]
    act: Callable[[str, str], Awaitable[None]]  # (container id, one of ACTIONS)
    _healths: dict[str, Health] = field(default_factory=dict)
    _tasks: dict[str, asyncio.Task[None]] = field(default_factory=dict)
    _probes: dict[str, asyncio.Future[int]] = field(default_factory=dict)  # by exec id

    def of(self, record: ContainerRecord) -> Health | None:
        """What is known of a container; None when it has no check or never ran.

        One that has ended keeps its last health (Docker calls each of them unhealthy), but is starting no more.
        """
        if isinstance(record.state, Created) or not command_of(record):
            return None
        known = self._healths.get(record.id, Health())
        has_ended = record.running is None and known.status == "starting"
        return dataclasses.replace(known, status="unhealthy") if has_ended else known

    def watch(self, record: ContainerRecord) -> None:
        """Begin to probe a container that has just started, or was found again."""
        self.forget(record.id)
        if command_of(record):
            for container_id in [key for key in self._healths if self.store.get(key) is None]:
                del self._healths[container_id]
            self._healths[record.id] = Health()
            self._tasks[record.id] = asyncio.get_running_loop().create_task(self._probe_on(record))

    def forget(self, container_id: str) -> None:
        """Probe no more; the last health is kept until the next start."""
        task = self._tasks.pop(container_id, None)
        if task:
            task.cancel()

    def exec_exited(self, exec_id: str, code: int) -> bool:
        """Whether this exec was a probe of ours; it ended with `code`."""
        waiting = self._probes.pop(exec_id, None)
        if waiting and not waiting.done():
            waiting.set_result(code)
        return waiting is not None

    async def _probe_on(self, record: ContainerRecord) -> None:
        check = record.config.process.healthcheck or Healthcheck()
        interval_s = (check.interval_ns or DEFAULT_INTERVAL_NS) / 1e9
        start_interval_s = (check.start_interval_ns or DEFAULT_START_INTERVAL_NS) / 1e9
        start_ends = time.monotonic() + check.start_period_ns / 1e9
        while True:
            starting = time.monotonic() < start_ends and self._healths[record.id].status == "starting"
            await asyncio.sleep(min(start_interval_s, interval_s) if starting else interval_s)
            current = self.store.get(record.id)
            if current is None or not isinstance(current.state, Running | Paused):
                return
            if isinstance(current.state, Running):
                starting = time.monotonic() < start_ends
                self._take(current, await self._run(current, check), check, starting=starting)

    def _take(self, record: ContainerRecord, probe: Probe, check: Healthcheck, *, starting: bool) -> None:
        before = self._healths[record.id]
        now = after(before, probe, check, starting=starting)
        self._healths[record.id] = now
        if now.status != before.status:
            self.announcer.container(record, f"health_status: {now.status}")
            action = record.config.host.health_action
            if now.status == "unhealthy" and action not in {"", "none"}:
                task = asyncio.get_running_loop().create_task(self._act(record.id, action))
                self._tasks[f"{record.id} {action}"] = task
                task.add_done_callback(lambda _: self._tasks.pop(f"{record.id} {action}", None))

    async def _act(self, container_id: str, action: str) -> None:
        with contextlib.suppress(SampanError):  # it ended by itself meanwhile
            await self.act(container_id, action)

    async def _run(self, record: ContainerRecord, check: Healthcheck) -> Probe:
        """One probe, its output cut at 4 KiB, with dots then; killed when it takes longer than the timeout."""
        started_ns = time.time_ns()
        monitor = self.monitors.get(record.id)
        if monitor is None:
            return Probe(started_ns, time.time_ns(), -1, "the container does not run")
        exec_id = secrets.token_hex(32)
        plan = ExecPlan(exec_id, exec_process(record, ExecConfig(command_of(record))))
        ended: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._probes[exec_id] = ended
        self.announcer.exec(record, "exec_create", command_of(record), exec_id)
        self.announcer.exec(record, "exec_start", command_of(record), exec_id)
        ours, theirs = socket.socketpair()
        ours.setblocking(False)  # noqa: FBT003 -- the method has no keyword
        timeout_s = (check.timeout_ns or DEFAULT_TIMEOUT_NS) / 1e9
        try:
            with theirs:
                await monitor.exec(plan, [(Attach(target=exec_id, multiplexed=False), theirs.fileno())])
            content = bytearray()
            output = asyncio.ensure_future(_read(ours, content))
            try:
                code = await asyncio.wait_for(ended, timeout_s)
                await asyncio.wait([output], timeout=LAST_OUTPUT_S)  # a child of the probe may hold it open for good
                cut = "..." if len(content) > OUTPUT_BYTES else ""
                text = content[:OUTPUT_BYTES].decode(errors="replace") + cut
            except TimeoutError:
                monitor.signal(signal.SIGKILL, target=exec_id)
                code, text = -1, f"Health check exceeded timeout ({timeout_s:g}s)"
            finally:
                output.cancel()
        except SampanError as error:
            code, text = -1, str(error)
        finally:
            self._probes.pop(exec_id, None)
            ours.close()
        self.announcer.container(record, "exec_die", execID=exec_id, exitCode=str(code))
        return Probe(started_ns, time.time_ns(), code, text)


async def _read(connection: socket.socket, content: bytearray) -> None:
    """Read to the end, and keep the first 4 KiB, and one byte more when there is more."""
    with contextlib.suppress(ConnectionError):
        while piece := await asyncio.get_running_loop().sock_recv(connection, 65536):
            content += piece[: OUTPUT_BYTES + 1 - len(content)]
