"""A runtime without containers, for tests of the monitor: processes of the host with the stdio that they are given.

As a program it is a launcher whose monitors use it: `plain_runtime.py DESCRIPTOR [NAME=VALUE…]`, the names being
constants of `outlet` and `client` that a test wants smaller.
"""

from __future__ import annotations

import os
import resource
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from sampan.cgroup.group import Cgroup
from sampan.errors import Kind
from sampan.launcher.forking import serve
from sampan.linux import process, terminal
from sampan.linux.memory import Ranges
from sampan.monitor import client, outlet
from sampan.monitor.container import Launched, StdioEnds
from sampan.runtime.handshake import Disconnected, StepFailed
from sampan.runtime.launch_plan import LaunchPlan, ProcessPlan


@dataclass
class PlainProcess:
    """A forked child at its gate, which is a pipe; a second one tells of a failed execve by its errno."""

    pid: int
    pidfd: int
    console: int
    gate: int
    verdict: int
    home: str = ""
    cgroup: Cgroup | None = field(default=None)
    listener: int = -1
    marks: tuple[tuple[str, str, int], ...] = ()

    def go(self) -> None:
        try:
            os.write(self.gate, b"g")
        except BrokenPipeError:
            self.abort()
            raise Disconnected("the far end is gone") from None
        if failed := os.read(self.verdict, 16):
            self.abort()
            number = int(failed)
            raise StepFailed("execute", number, os.strerror(number).lower(), Kind.COMMAND_NOT_FOUND)
        os.close(self.gate)
        os.close(self.verdict)
        self.gate = -1

    def abort(self) -> None:
        if self.gate < 0:
            return
        for descriptor in (self.gate, self.verdict, self.console):
            if descriptor >= 0:
                os.close(descriptor)
        self.gate = -1
        process.wait_pidfd(self.pidfd)
        os.close(self.pidfd)
        leave_mark(self.home, "aborted")


def leave_mark(home: str, word: str) -> None:
    if home:
        with open(f"{home}/{word}", "w", encoding="ascii"):
            pass


class PlainRuntime:
    """Forks; `LaunchPlan.bundle` is a directory where aborted and released containers leave a file that says so."""

    def prepare(self, model: LaunchPlan, pages: Ranges) -> None:
        """Nothing needs time."""

    def drop(self) -> None:
        """Nothing is there."""

    def keep(self, _plan: LaunchPlan, _first: Launched) -> None:
        """Nothing is of use to another."""

    def kept(self) -> tuple[int, ...]:
        """Nothing is."""
        return ()

    def launch(
        self, plan: LaunchPlan, stdio: StdioEnds | None, meanwhile: Callable[[Cgroup | None], None]
    ) -> PlainProcess:
        if plan.hostname == "fail":
            raise StepFailed("pivot", 22, "invalid argument: /nowhere")
        made = _fork(plan.process, stdio)
        made.home = plan.bundle
        try:
            meanwhile(None)
        except BaseException:
            made.abort()
            raise
        return made

    def join(self, _first: Launched, _plan: LaunchPlan, program: ProcessPlan, stdio: StdioEnds | None) -> PlainProcess:
        made = _fork(program, stdio)
        made.go()
        return made

    def release(self, plan: LaunchPlan, _first: Launched) -> None:
        time.sleep(0.05)  # so that what is told too early is seen
        leave_mark(plan.bundle, "released")


def _fork(program: ProcessPlan, stdio: StdioEnds | None) -> PlainProcess:
    gate, ours = os.pipe2(os.O_CLOEXEC)
    verdict, theirs = os.pipe2(os.O_CLOEXEC)
    console, slave = terminal.open_pty() if program.terminal else (-1, -1)
    if program.terminal and program.console_height:
        terminal.set_window_size(console, program.console_height, program.console_width)
    pid = os.fork()
    if pid == 0:
        try:
            os.close(ours)
            if not os.read(gate, 1):
                os._exit(1)
            _become(program, stdio or (slave, slave, slave))
        except OSError as error:
            os.write(theirs, str(error.errno).encode())
        finally:
            os._exit(127)
    for descriptor in (gate, theirs, slave):
        if descriptor >= 0:
            os.close(descriptor)
    return PlainProcess(pid, os.pidfd_open(pid), console, ours, verdict)


def _become(program: ProcessPlan, stdio: StdioEnds) -> None:
    os.setsid()
    found = [os.dup(descriptor) if descriptor >= 0 else os.open(os.devnull, os.O_RDWR) for descriptor in stdio]
    for number, descriptor in enumerate(found):
        os.dup2(descriptor, number)
    if program.terminal:
        terminal.make_controlling(0)
    process.set_parent_death_signal(signal.SIGKILL)
    process.reset_signals()
    os.execvpe(program.argv[0], program.argv, dict(pair.split("=", 1) for pair in program.environment))


if __name__ == "__main__":
    for setting in sys.argv[2:]:
        name, _, value = setting.partition("=")
        module = outlet if hasattr(outlet, name) else client
        setattr(module, name, type(getattr(module, name))(value))
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))  # as launcher.main does: execs have descriptors
    serve(int(sys.argv[1]), PlainRuntime())
    os._exit(0)
