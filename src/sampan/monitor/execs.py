"""The further processes of a monitor's container: from their first client to the last one served."""

from __future__ import annotations

import gc
import os
import signal
import socket
import time
from collections import deque
from collections.abc import Callable
from dataclasses import replace

from sampan.linux.process import Exit
from sampan.monitor.container import Launched, Runtime
from sampan.monitor.log import NoLog
from sampan.monitor.loop import Loop
from sampan.monitor.protocol import (
    Attach,
    Detached,
    ExecPlan,
    Exited,
    Failed,
    Message,
    MonitorPlan,
    Resize,
    Started,
    Status,
)
from sampan.monitor.target import Target
from sampan.runtime.handshake import StepFailed, failure
from sampan.runtime.launch_plan import ProcessPlan

# What is told of a process that was killed and did not end in time.
KILLED = Exit(0, 0, signal.SIGKILL, core_dumped=False)

# What a client reads that attached to an exec which could not be run: Docker's words.
_REFUSAL = "OCI runtime exec failed: exec failed: unable to start container process: {}: unknown\r\n"

_REMEMBERED = 128  # codes of ended execs, for daemons that were not there
_MOST_EXPECTED = 64  # execs that were announced by a client or a size and have not come
_IN_ONE_STATUS = 200
_COLLECT_EVERY = 64  # CPython keeps 2000 tuples of each size for reuse, until a full collection


class Expected:
    """What came for an exec before it did."""

    def __init__(self) -> None:
        self.clients: list[tuple[Attach, socket.socket]] = []
        self.announced_by: object = None
        self.size: Resize | None = None

    def drop(self) -> None:
        """Close the clients: it did not come."""
        for _, connection in self.clients:
            connection.close()


class Execs:
    """All execs of one container; `tell` says to every daemon what became of them."""

    def __init__(
        self,
        loop: Loop,
        plan: MonitorPlan,
        runtime: Runtime,
        tell: Callable[[Message], None],
        on_change: Callable[[], None],
        listen: Callable[[int], None] = lambda _: None,
    ) -> None:
        self._loop = loop
        self._plan = plan
        self._runtime = runtime
        self._tell = tell
        self._on_change = on_change
        self._listen = listen
        self._targets: dict[str, Target] = {}
        self._expected: dict[str, Expected] = {}
        self._served = 0
        self._ended: deque[tuple[str, int]] = deque(maxlen=_REMEMBERED)

    @property
    def running(self) -> bool:
        """Whether any has not ended."""
        return any(not target.ended for target in self._targets.values())

    @property
    def served(self) -> bool:
        """Whether none has a client left."""
        return not self._targets

    def find(self, exec_id: str) -> Target | None:
        """The exec of this id, until its last client has been served."""
        return self._targets.get(exec_id)

    def add_to(self, status: Status) -> list[Status]:
        """`status` with all execs in it, in as many packets as they need."""
        running = [(target.id, target.pid) for target in self._targets.values() if not target.ended]
        packets: list[Status] = []
        while running or not packets:
            exits = () if packets else tuple(self._ended)
            packets.append(replace(status, execs=tuple(running[:_IN_ONE_STATUS]), exits=exits))
            del running[:_IN_ONE_STATUS]
        return packets

    def attach(self, attach: Attach, client: socket.socket, daemon: object) -> None:
        """Serve a client of an exec, now or when the exec comes; it will not when `daemon` goes away before."""
        target = self._targets.get(attach.target)
        if target is not None:
            target.attach(attach, client)
        elif expected := self._expect(attach.target):
            expected.clients.append((attach, client))
            expected.announced_by = daemon
        else:
            client.close()

    def forget(self, daemon: object) -> None:
        """A daemon went away: the execs that it announced will not come."""
        for exec_id, expected in tuple(self._expected.items()):
            if expected.announced_by is daemon:
                expected.drop()
                del self._expected[exec_id]

    def resize(self, resize: Resize) -> None:
        """Give its terminal a size, now or when it comes."""
        target = self._targets.get(resize.target)
        if target is not None:
            target.resize(resize.height, resize.width)
        elif expected := self._expect(resize.target):
            expected.size = resize

    def start(self, first: Launched, plan: ExecPlan) -> None:
        """Run it with all that was expected of it, and tell Started or Failed."""
        expected = self._expected.pop(plan.id, None) or Expected()
        if expected.size:
            plan = _sized(plan, expected.size)
        target = Target(
            self._loop,
            plan.id,
            NoLog(),
            self,
            terminal=plan.process.terminal,
            open_stdin=plan.open_stdin,
            stdin_once=True,
            spool_directory=self._plan.state_directory,
        )
        self._targets[plan.id] = target
        try:
            joined = self._join(first, plan, target)
        except StepFailed as error:
            self._refuse(target, error, expected)
            return
        target.started(joined.pid, joined.pidfd, joined.console)
        close_descriptors(joined)
        self._listen(joined.listener)
        self._tell(Started(joined.pid, plan.id, time.time_ns()))
        for attach, connection in expected.clients:
            target.attach(attach, connection)
        target.watch_for_exit()

    def refuse(self, exec_id: str, error: StepFailed) -> None:
        """It cannot be started at all."""
        if expected := self._expected.pop(exec_id, None):
            expected.drop()
        self._tell(failed(error, exec_id))

    def end(self) -> None:
        """The container is over: read what is there, and expect no more."""
        for target in tuple(self._targets.values()):
            target.give_up()
        for expected in self._expected.values():
            expected.drop()
        self._expected.clear()

    # what targets tell

    def target_exited(self, _target: Target) -> None:
        """Its output may go on for a while."""

    def target_ended(self, target: Target) -> None:
        """Tell its code, before its clients read the end and ask for it."""
        ended = target.exit or KILLED
        self._ended.append((target.id, ended.status))
        self._tell(Exited(ended.status, ended.signal, at_ns=time.time_ns(), exec_id=target.id, pid=target.pid))
        target.finish_clients()
        self.target_served(target)

    def target_served(self, target: Target) -> None:
        """Forget it when it has ended and its last client is gone."""
        if target.ended and not target.has_clients and self._targets.pop(target.id, None) is not None:
            self._served += 1
            if self._served % _COLLECT_EVERY == 0:
                gc.collect()
        self._on_change()

    def target_detached(self, target: Target) -> None:
        """Tell of it."""
        self._tell(Detached(target.id))

    def _join(self, first: Launched, plan: ExecPlan, target: Target) -> Launched:
        try:
            return self._runtime.join(first, self._plan.launch, self._filtered(plan.process), target.child_ends())
        except OSError as error:
            raise failure("join", error) from error

    def _filtered(self, process: ProcessPlan) -> ProcessPlan:
        """With the container's own filter, when it has one whose calls are answered and the exec has any."""
        own = self._plan.launch.process.seccomp
        if process.seccomp is None or own is None or not own.answered:
            return process
        return replace(process, seccomp=own)

    def _refuse(self, target: Target, error: StepFailed, expected: Expected) -> None:
        target.close()
        target.ended = True
        self._tell(failed(error, target.id))
        for attach, connection in expected.clients:
            target.attach(attach, connection, last_words=_refusal(error).encode())
        self.target_served(target)

    def _expect(self, exec_id: str) -> Expected | None:
        if exec_id not in self._expected and len(self._expected) >= _MOST_EXPECTED:
            return None
        return self._expected.setdefault(exec_id, Expected())


def _sized(plan: ExecPlan, size: Resize) -> ExecPlan:
    """With a terminal that has its size before the program looks at it."""
    process = replace(plan.process, console_height=size.height, console_width=size.width)
    return replace(plan, process=process)


def _refusal(error: StepFailed) -> str:
    """Who the program would be is looked up by Docker's daemon, before its runtime is asked."""
    return f"{error.text}\r\n" if error.step == "resolve_user" else _REFUSAL.format(error.text)


def failed(error: StepFailed, exec_id: str = "") -> Failed:
    """The packet that tells of a failed step."""
    return Failed(error.step, error.errno, error.text, error.kind.name, error.remedy, exec_id)


def close_descriptors(launched: Launched) -> None:
    """Close those that a process came with, once it runs."""
    for descriptor in (launched.pidfd, launched.console):
        if descriptor >= 0:
            os.close(descriptor)
