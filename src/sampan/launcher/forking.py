"""What the launcher's process does: warm up, then fork monitors and reap them until its daemon's connection ends.

It imports only what a start needs, freezes its heap, and never does anything else. What a monitor does is not known
here.
"""

from __future__ import annotations

import contextlib
import gc
import os
import resource
import signal
import socket
import sys

from sampan.errors import SampanError
from sampan.linux.memory import Ranges, populate
from sampan.linux.process import close_range, set_name, set_title
from sampan.monitor import heap, protocol
from sampan.monitor.container import Runtime
from sampan.monitor.loop import READABLE, Loop
from sampan.monitor.monitor import TROUBLE_NAME, Monitor
from sampan.monitor.oci import OciRuntime
from sampan.monitor.protocol import Expect, Failed, Forked, Gone, Launch, MonitorPlan, Prepare, Waiting
from sampan.monitor.rehearsal import rehearse
from sampan.runtime.handshake import StepFailed


class Launcher:
    """Forks monitors as the daemon at the other end of `connection` asks, until that goes away."""

    def __init__(self, connection: socket.socket, runtime: Runtime, pages: Ranges = ()) -> None:
        """`pages` are those that every monitor writes to."""
        self._connection = connection
        self._runtime = runtime
        self._pages = pages
        self._loop = Loop()
        self._monitors: dict[int, str] = {}
        self._wakeup, self._alarm = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)

    def run(self) -> None:
        """Serve the daemon."""
        signal.set_wakeup_fd(self._alarm, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        self._loop.watch(self._wakeup, READABLE, self._reap)
        self._loop.watch(self._connection.fileno(), READABLE, self._receive)
        self._loop.run()

    def _receive(self, _mask: int) -> None:
        try:
            packet = protocol.receive(self._connection)
        except (OSError, ValueError):
            packet = None
        if packet is None:
            self._loop.stop()
            return
        match packet:
            case Launch(id=container), [plan, control]:
                self._fork(container, control, plan)
            case Prepare(), [control]:
                self._fork("", control)
            case _, descriptors:
                protocol.close_all(descriptors)

    def _fork(self, container: str, control: int, *plan: int) -> None:
        """As little as possible between here and the child's first own step: each page written is a page copied."""
        try:
            pid = os.fork()
        except OSError as error:
            _refuse(control, error)
            protocol.close_all([*plan])
            return
        if pid == 0:
            become_monitor(control, plan, self._runtime, self._pages)
        protocol.close_all([*plan, control])
        self._monitors[pid] = container
        if container:
            self._tell(Forked(container, pid))

    def _reap(self, _mask: int) -> None:
        with contextlib.suppress(BlockingIOError):
            while os.read(self._wakeup, 4096):
                pass
        with contextlib.suppress(ChildProcessError):
            while (ended := os.waitpid(-1, os.WNOHANG))[0]:
                pid, status = ended
                self._tell(Gone(self._monitors.pop(pid, ""), pid, status))

    def _tell(self, message: Forked | Gone) -> None:
        with contextlib.suppress(OSError):  # its end will be read
            protocol.send(self._connection, message)


def become_monitor(control: int, plan_descriptor: tuple[int, ...], runtime: Runtime, pages: Ranges) -> None:
    """In the forked child: keep nothing of the launcher's but its memory, serve one container, and exit.

    Without a plan it waits for one. Where its daemon asked for it, it does not exit but waits for the next plan. Never
    returns: the launcher's objects must not be finalized here, their descriptors are closed already.
    """
    status = 1
    try:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        os.setsid()
        set_name("sampan-monitor")
        _keep_only(*plan_descriptor, control)
        set_title("sampan-monitor")
        connection = socket.socket(fileno=control)
        plan = plan_descriptor[0] if plan_descriptor else _await_plan(connection, runtime, pages)
        while plan >= 0 and (control := _serve(plan, connection, runtime)) >= 0:
            connection = _begin_anew(control, runtime)
            plan = _await_plan(connection, runtime, pages)
        status = 0
    finally:
        os._exit(status)


def _serve(plan_descriptor: int, connection: socket.socket, runtime: Runtime) -> int:
    """Serve one container; where to wait for the next, or -1."""
    directory = ""
    try:
        plan: MonitorPlan = protocol.unseal(plan_descriptor)
        directory = plan.run_directory
        set_title(f"sampan-monitor {plan.launch.id}")
        monitor = Monitor(plan, connection, runtime)
        monitor.run()
    except BaseException:  # the last word of this process; there is no one above to tell
        _note_crash(directory)
        raise
    return monitor.next_control


def _begin_anew(control: int, runtime: Runtime) -> socket.socket:
    """Keep nothing of the container that was served but what the runtime does, and tell so."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    gc.collect()  # no object may be finalized later that believes to own a descriptor
    gc.disable()
    _keep_only(*runtime.kept(), control)
    set_title("sampan-monitor")
    connection = socket.socket(fileno=control)
    with contextlib.suppress(OSError):  # its end will be read
        protocol.send(connection, Waiting())
    return connection


def _await_plan(control: socket.socket, runtime: Runtime, pages: Ranges) -> int:
    """The descriptor of the plan that comes with Launch, or -1 when the daemon wants no monitor any more.

    Meanwhile what the monitor is going to write to is copied, and what is to be expected made ready; what is not ready
    when the plan comes is made then.
    """
    try:
        while True:
            with contextlib.suppress(OSError):
                populate(pages)
            match protocol.receive(control):
                case (Launch(), [plan]):
                    return plan
                case (Expect(), [model]):
                    with contextlib.suppress(OSError, SampanError, StepFailed):
                        runtime.prepare(protocol.unseal(model), pages)
                case _:
                    break
    except OSError:
        pass
    runtime.drop()
    return -1


def _keep_only(*descriptors: int) -> None:
    """Close every other descriptor but /dev/null as 0, 1 and 2 (close_range(2) between them)."""
    os.dup2(0, 1)
    os.dup2(0, 2)
    first = 3
    for descriptor in sorted(descriptors):
        if descriptor > first:
            close_range(first, descriptor - 1)
        first = descriptor + 1
    close_range(first)


def _refuse(control: int, error: OSError) -> None:
    with socket.socket(fileno=control) as connection, contextlib.suppress(OSError):
        protocol.send(connection, Failed("fork", error.errno or 0, f"fork: {error.strerror}"))


def _note_crash(directory: str) -> None:
    if directory:
        with contextlib.suppress(OSError), open(f"{directory}/{TROUBLE_NAME}", "a") as file:
            sys.stderr = file
            sys.excepthook(*sys.exc_info())


def main(descriptor: int) -> None:
    """What a spawned launcher runs, with its daemon's connection as `descriptor`."""
    os.chdir("/")
    set_name("sampan-launcher")
    set_title("sampan-launcher")
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))  # an exec has four descriptors in its monitor
    try:
        serve(descriptor, OciRuntime())
    except BaseException:  # noqa: BLE001 -- what follows os._exit is nobody's
        sys.excepthook(*sys.exc_info())
    finally:
        os._exit(0)  # the heap is settled: nothing in it may be finalized


def _rehearse_both(runtime: Runtime) -> None:
    for ahead in (False, True):
        rehearse(runtime, ahead=ahead)


def serve(descriptor: int, runtime: Runtime) -> None:
    """Make what monitors share as large as it can be, then fork them until the daemon's connection ends."""
    gc.disable()
    try:
        heap.gather_code(lambda: _rehearse_both(runtime))
    except (OSError, SampanError) as error:
        sys.stderr.write(f"sampan-launcher: the rehearsal failed: {error}\n")
    pages: Ranges = ()
    heap.settle()
    with contextlib.suppress(OSError):
        pages = heap.written_by(lambda note: rehearse(runtime, ahead=True, note=note))
    Launcher(socket.socket(fileno=descriptor), runtime, pages).run()
