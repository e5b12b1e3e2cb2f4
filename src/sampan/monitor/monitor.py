"""The monitor of one container: parent of its pid 1 and of every exec, from launch to the last byte of output.

Here is what happens when: the conversation of `protocol` with daemons, and what an end leads to. Bytes are `target`'s
and `client`'s matter, packets `connections`', further processes `execs`', how a process is made `container`'s.
"""

from __future__ import annotations

import contextlib
import gc
import os
import signal
import socket
import time

from sampan.cgroup.group import Cgroup
from sampan.errors import Kind, SampanError
from sampan.monitor import exit_record, heap, protocol
from sampan.monitor.answers import Answers
from sampan.monitor.connections import Connection, Listener
from sampan.monitor.container import Launched, Runtime
from sampan.monitor.execs import KILLED, Execs, failed
from sampan.monitor.log import Log, NoLog, open_log
from sampan.monitor.loop import Loop
from sampan.monitor.oom import OomCounter
from sampan.monitor.protocol import (
    Attach,
    Detached,
    Exec,
    Exited,
    Go,
    Message,
    MonitorPlan,
    OutOfMemory,
    Prepare,
    Ready,
    Resize,
    Signal,
    Started,
    Status,
    Trouble,
)
from sampan.monitor.target import Target
from sampan.runtime.handshake import Disconnected, StepFailed, failure

TROUBLE_NAME = "monitor.log"

# How long a daemon that reads nothing is waited for; it finds the exit record on disk.
_TELL_PATIENCE_S = 5.0
# How long processes that were killed may take to be reaped before the end of the container is told all the same.
_REAP_PATIENCE_S = 10.0
# Whoever lives that long gives back what its start needed.
_TRIM_AFTER_S = 1.0
_GONE = StepFailed("go", 0, "the container's process ended before its program was to run")


class Monitor:
    """One container's monitor; `run` returns when there is nothing left to do.

    `next_control` is a descriptor then: where this process is to wait for another container's plan, or -1.
    """

    def __init__(self, plan: MonitorPlan, control: socket.socket, runtime: Runtime) -> None:
        self.next_control = -1
        self._plan = plan
        self._runtime = runtime
        self._loop = Loop()
        self._first = Connection(self._loop, control, self)
        self._connections = [self._first]
        self._answers = Answers(self._loop, plan.launch)
        self._execs = Execs(self._loop, plan, runtime, self._tell, self._check_over, self._answers.add)
        self._listener: Listener | None = None
        self._log: Log | None = None
        self._target: Target | None = None
        self._launched: Launched | None = None
        self._oom: OomCounter | None = None
        self._phase = "ready"
        self._started_at_ns = 0
        self._last_trouble = ""

    def run(self) -> None:
        """Launch the container, tell, and serve until all is over."""
        try:
            self._launch()
        except StepFailed as error:
            self._abandon()
            self._tell(failed(error))
            self._part()
        signal.signal(signal.SIGTERM, self._pass_on)
        self._loop.run()
        self._loop.close()

    # the start

    def _launch(self) -> None:
        plan, began = self._plan, time.monotonic_ns()
        try:
            self._target = Target(
                self._loop,
                "",
                NoLog(),  # until _prepare_to_serve
                self,
                terminal=plan.launch.process.terminal,
                open_stdin=plan.open_stdin,
                stdin_once=plan.stdin_once,
                spool_directory=plan.state_directory,
            )
            ends = self._target.child_ends()
            self._launched = launched = self._runtime.launch(plan.launch, ends, self._prepare_to_serve)
            self._target.started(launched.pid, launched.pidfd, launched.console)
        except (OSError, ValueError, SampanError) as error:
            raise failure("monitor", error) from error
        marks = launched.marks
        if plan.launch.traced:
            marks = (("monitor", "open_streams", began), *marks, ("monitor", "tell_ready", time.monotonic_ns()))
        self._first.tell(Ready(launched.pid, os.getpid(), marks))

    def _prepare_to_serve(self, cgroup: Cgroup | None) -> None:
        """What needs no process yet, while that is being made: it has written nothing before its gate."""
        exit_record.remove(self._plan.state_directory)
        self._log = open_log(self._plan.log, self._loop, self._note, self._check_over)
        if self._target is not None:
            self._target.log = self._log
        if cgroup is not None:
            self._oom = OomCounter(self._loop, cgroup, self._out_of_memory)
        if not self._plan.transient:
            self._listener = Listener(self._loop, self._plan.run_directory, self._welcome)

    def _go(self) -> None:
        launched, target = self._launched, self._target
        if self._phase != "ready" or launched is None or target is None:
            return
        try:
            launched.go()
        except (StepFailed, Disconnected) as error:
            self._abandon()
            self._tell(failed(error if isinstance(error, StepFailed) else _GONE))
            self._part()
            return
        self._answers.add(launched.listener)
        self._phase = "running"
        self._started_at_ns = time.time_ns()
        self._tell(Started(launched.pid, "", self._started_at_ns))
        target.watch_for_exit()
        self._loop.after(_TRIM_AFTER_S, heap.trim)  # what the start alone needed
        gc.enable()  # for what comes and goes with clients and execs; the launcher's heap is frozen

    def _abandon(self) -> None:
        """The container will not run: end and release what there is of it, and let clients go."""
        self._phase = "exited"
        self._close_watches()
        if self._target is not None:
            self._target.ended = True
            self._target.close()
            self._target.finish_clients()
        self._execs.end()
        if self._log is not None:
            self._log.close()
        if self._launched is not None:
            self._launched.abort()

    # what daemons say

    def heard(self, connection: Connection, message: Message, descriptors: list[int]) -> None:
        """Do what a packet asks for."""
        match message, descriptors:
            case Attach(), [client]:
                descriptors = []
                self._attach(message, socket.socket(fileno=client), connection)
            case Attach(), [client, early]:
                descriptors = []
                self._attach(protocol.with_early(message, early), socket.socket(fileno=client), connection)
            case Exec(exec_id), [plan]:
                descriptors = []
                self._exec(exec_id, plan)
            case Go(), _ if connection is self._first:
                self._go()
            case Prepare(), [control] if self.next_control < 0:
                descriptors = []
                self._go_on_with(control)
            case Resize(height, width, ""), _:
                if self._target is not None:
                    self._target.resize(height, width)
            case Resize(), _:
                self._execs.resize(message)
            case Signal(), _:
                self._signal(message)
        protocol.close_all(descriptors)

    def ended(self, connection: Connection) -> None:
        """A daemon went away. Without a Go the container was its alone."""
        self._connections.remove(connection)
        self._execs.forget(connection)
        if connection is self._first and self._phase == "ready":
            self._abandon()
            self._part()
        self._check_over()

    def _go_on_with(self, control: int) -> None:
        """There will be another container when this one is over."""
        self.next_control = control
        if self._launched is not None:
            self._runtime.keep(self._plan.launch, self._launched)

    def _welcome(self, connection: socket.socket) -> None:
        """A later daemon: what is the case comes first."""
        later = Connection(self._loop, connection, self)
        self._connections.append(later)
        pid = self._target.pid if self._target else 0
        status = Status(self._plan.launch.id, self._phase, pid, os.getpid(), started_at_ns=self._started_at_ns)
        for packet in self._execs.add_to(status):
            later.tell(packet)

    def _attach(self, attach: Attach, client: socket.socket, connection: Connection) -> None:
        if attach.target:
            self._execs.attach(attach, client, connection)
        elif self._target is not None:
            self._target.attach(attach, client)
        else:
            client.close()

    def _exec(self, exec_id: str, descriptor: int) -> None:
        plan = protocol.unseal(descriptor)
        if self._phase == "running" and self._launched is not None:
            self._execs.start(self._launched, plan)
        else:
            self._execs.refuse(exec_id, StepFailed("join", 0, "the container is not running", Kind.CONFLICT))

    def _signal(self, message: Signal) -> None:
        target = self._execs.find(message.target) if message.target else self._target
        if self._phase != "running":
            return
        if message.everyone and self._launched is not None and self._launched.cgroup is not None:
            for pid in self._launched.cgroup.processes():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, message.number)
        elif target is not None:
            target.signal(message.number)

    def _pass_on(self, number: int, _frame: object) -> None:
        """SIGTERM means the container: whoever ends all processes of a machine wants it to stop in order."""
        if self._target is not None:
            self._target.signal(number)

    # what the container's own process tells

    def target_exited(self, _target: Target) -> None:
        """Pid 1 has ended; where the kernel does not end the others with it (a shared pid namespace), we do."""
        cgroup = self._launched.cgroup if self._launched else None
        if cgroup is not None and "pid" not in self._plan.launch.namespaces.new:
            try:
                if cgroup.processes():
                    cgroup.kill_all()
            except OSError as error:
                self._note(f"processes live on: {error}")
        self._loop.after(_REAP_PATIENCE_S, self._settle)

    def target_ended(self, _target: Target) -> None:
        """Its output is complete."""
        self._check_over()

    def target_served(self, _target: Target) -> None:
        """Its last client has left."""
        self._check_over()

    def target_detached(self, _target: Target) -> None:
        """Tell of it."""
        self._tell(Detached())

    def _out_of_memory(self, count: int) -> None:
        self._tell(OutOfMemory(count, self._oom.kills if self._oom is not None else ()))

    # the end

    def _check_over(self) -> None:
        """Go one step further towards the end, if it is time for it."""
        if self._phase == "running" and self._target is not None and self._target.ended and not self._execs.running:
            self._settle()
        elif self._phase == "exited" and not self._connections and self._execs.served and not self._is_busy:
            self._loop.stop()

    @property
    def _is_busy(self) -> bool:
        """Whether clients have not read all, or a log server has not."""
        has_clients = self._target is not None and self._target.has_clients
        return has_clients or not (self._log is None or self._log.drained)

    def _settle(self) -> None:
        """Record, release, tell, in this order; then clients may take the time they need.

        Of a transient container there is no record, and whoever waits for its end goes on while it is released.
        """
        target, launched = self._target, self._launched
        if self._phase != "running" or target is None or launched is None or self._log is None:
            return
        self._phase = "exited"
        self._execs.end()
        target.give_up()
        if self._oom is not None:
            self._oom.check()
        record = self._exit_record(target)
        self._log.close()
        if self._plan.transient:
            self._tell(record)
            target.finish_clients()
        else:
            self._write(record)
        self._close_watches()
        self._release(launched)
        if not self._plan.transient:
            self._tell(record)
            target.finish_clients()
        self._part()

    def _write(self, record: Exited) -> None:
        try:
            exit_record.write(record, self._plan.state_directory, durable=self._plan.durable)
        except OSError as error:
            self._note(f"the exit record was not written: {error}")

    def _exit_record(self, target: Target) -> Exited:
        ended = target.exit or KILLED
        return Exited(
            code=ended.status,
            signal=ended.signal,
            oom_killed=self._oom is not None and self._oom.count > 0,
            at_ns=time.time_ns(),
            pid=target.pid,
            kills=self._oom.kills if self._oom is not None else (),
        )

    def _close_watches(self) -> None:
        """Nobody finds us any more, so that a next run may have the same names; those who just knocked get Status."""
        if self._listener is not None:
            self._listener.close()
        if self._oom is not None:
            self._oom.close()
        self._answers.close()

    def _release(self, launched: Launched) -> None:
        try:
            self._runtime.release(self._plan.launch, launched)
        except (OSError, StepFailed, SampanError) as error:
            self._note(f"the container was not released: {error}")

    def _part(self) -> None:
        """Close every connection when its daemon has read what was told."""
        for connection in tuple(self._connections):
            connection.hear_all()
        for connection in tuple(self._connections):
            connection.close_when_told(_TELL_PATIENCE_S)
        self._check_over()

    def _tell(self, message: Message) -> None:
        for connection in tuple(self._connections):
            connection.tell(message)

    def _note(self, text: str) -> None:
        """Keep the first trouble that no client can be told of, and tell daemons of each that is another."""
        if text != self._last_trouble:
            self._tell(Trouble(text))
        is_first, self._last_trouble = not self._last_trouble, text
        if not is_first:
            return
        with contextlib.suppress(OSError), open(f"{self._plan.run_directory}/{TROUBLE_NAME}", "a") as file:
            file.write(f"{text}\n")
