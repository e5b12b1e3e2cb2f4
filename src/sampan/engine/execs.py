"""Further processes in running containers: Docker's exec, from create to inspect.

Execs live in memory, as Docker's do: the monitor runs them, and tells a new daemon which of them it still has.
"""

from __future__ import annotations

import asyncio
import dataclasses
import secrets
import time
from collections import deque
from dataclasses import dataclass, field

from sampan.engine.announcer import Announcer
from sampan.engine.container import ContainerRecord, Paused, Running
from sampan.engine.execs_plan import ExecConfig, exec_process
from sampan.engine.monitors import Monitor
from sampan.engine.not_running import not_running
from sampan.engine.store import ContainerStore
from sampan.errors import Conflict, InvalidArgument, NotFound, SampanError
from sampan.monitor import protocol
from sampan.monitor.protocol import Attach, ExecPlan

KEPT_S = 300.0
KEPT = 4096
_NOT_STARTED = 126  # whatever the reason, as Docker with runc says of an exec


@dataclass(frozen=True, slots=True)
class Exec:
    """An exec: not yet started (`pid` 0, no code), running (`pid`), or ended (`code`)."""

    id: str
    container_id: str
    config: ExecConfig
    started: bool = False
    pid: int = 0
    code: int | None = None

    @property
    def running(self) -> bool:
        """Whether its process lives."""
        return self.started and self.code is None


@dataclass(slots=True)
class Execs:
    """All execs that anybody may still ask about.

    Ended ones are forgotten after five minutes, or when there are very many; those never started when their container
    ends.
    """

    store: ContainerStore
    announcer: Announcer
    _execs: dict[str, Exec] = field(default_factory=dict)
    _endings: dict[str, asyncio.Event] = field(default_factory=dict)
    _ended: deque[tuple[float, str]] = field(default_factory=deque)  # when (monotonic clock) and which, oldest first

    def create(self, reference: str, config: ExecConfig) -> Exec:
        """Remember what is to be run. Raises Conflict when the container does not run.

        Raises InvalidArgument for what cannot be planned: Docker's CLI does not show what an attached start is refused.
        """
        record = self.store.find(reference)
        _refuse(record)
        if not config.command:
            raise InvalidArgument("No exec command specified", remedy="say what to run")
        exec_process(record, config)
        self._forget_old()
        user = config.user or record.config.process.user
        new = Exec(secrets.token_hex(32), record.id, dataclasses.replace(config, user=user))
        self._execs[new.id] = new
        self.announcer.exec(record, "exec_create", config.command, new.id)
        return new

    def find(self, exec_id: str) -> Exec:
        """The exec of this id. Raises NotFound."""
        found = self._execs.get(exec_id)
        if found is None:
            raise NotFound(f"No such exec instance: {exec_id}", remedy="execs are forgotten when their container ends")
        return found

    def of_container(self, container_id: str) -> list[str]:
        """The ids of a container's running execs."""
        return [key for key, value in self._execs.items() if value.container_id == container_id and value.running]

    def plan(self, exec_id: str, console_size: tuple[int, int] | None = None) -> ExecPlan:
        """What the monitor will run, its terminal of `console_size` if given (rows, columns).

        Raises Conflict when it cannot start now, InvalidArgument for what cannot be.
        """
        found = self.find(exec_id)
        if found.started:
            state = "is already running" if found.running else "has already run"
            raise Conflict(f"exec command {found.id} {state}", remedy="create another exec")
        record = self.store.find(found.container_id)
        _refuse(record)
        config = dataclasses.replace(found.config, console_size=console_size or found.config.console_size)
        return ExecPlan(exec_id, exec_process(record, config), open_stdin=config.attach_stdin)

    async def start(self, plan: ExecPlan, monitor: Monitor, clients: list[tuple[Attach, int]]) -> Exec:
        """Run it, with `clients` attached from the first byte.

        Raises the error of the step that failed; the clients have been told by the monitor then.
        """
        found = self.find(plan.id)
        record = self.store.find(found.container_id)
        self._execs[plan.id] = dataclasses.replace(found, started=True)
        self.announcer.exec(record, "exec_start", found.config.command, plan.id)
        try:
            started = await monitor.exec(plan, clients)
        except SampanError:
            self._end(plan.id, _NOT_STARTED)
            raise
        current = self._execs.get(plan.id, found)
        if current.code is None:
            current = dataclasses.replace(current, pid=started.pid)
            self._execs[plan.id] = current
        return current

    def exited(self, record: ContainerRecord, exit_record: protocol.Exited) -> None:
        """A monitor told of an exec's end."""
        if exit_record.exec_id not in self._execs:
            return
        self._end(exit_record.exec_id, exit_record.code)
        self.announcer.container(record, "exec_die", execID=exit_record.exec_id, exitCode=str(exit_record.code))

    async def end(self, exec_id: str) -> Exec:
        """Wait until it has ended."""
        found = self.find(exec_id)
        if found.code is None:
            await self._endings.setdefault(exec_id, asyncio.Event()).wait()
        return self.find(exec_id)

    def adopt(
        self, container_id: str, running: tuple[tuple[str, int], ...], ended: tuple[tuple[str, int], ...]
    ) -> None:
        """Take over what a monitor has run under an earlier daemon."""
        unknown = ExecConfig(command=())
        for exec_id, pid in running:
            self._execs[exec_id] = Exec(exec_id, container_id, unknown, started=True, pid=pid)
        for exec_id, code in ended:
            self._execs[exec_id] = Exec(exec_id, container_id, unknown, started=True, code=code)
            self._ended.append((time.monotonic(), exec_id))

    def forget_running(self, container_id: str) -> None:
        """The container ended, and with it all that ran in it."""
        for exec_id, found in list(self._execs.items()):
            if found.container_id == container_id and found.running:
                self._end(exec_id, 137)
            elif found.container_id == container_id and not found.started:
                del self._execs[exec_id]

    def _end(self, exec_id: str, code: int) -> None:
        found = self._execs[exec_id]
        if found.code is None:
            self._execs[exec_id] = dataclasses.replace(found, started=True, pid=0, code=code)
            self._ended.append((time.monotonic(), exec_id))
        event = self._endings.pop(exec_id, None)
        if event:
            event.set()

    def _forget_old(self) -> None:
        limit = time.monotonic() - KEPT_S
        while self._ended and (self._ended[0][0] < limit or len(self._ended) > KEPT):
            self._execs.pop(self._ended.popleft()[1], None)


def _refuse(record: ContainerRecord) -> None:
    match record.state:
        case Running():
            return
        case Paused():
            raise Conflict(
                f"Container {record.name} is paused, unpause the container before exec",
                remedy=f"sampan unpause {record.name}",
            )
    raise not_running(record)
