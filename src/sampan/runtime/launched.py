"""A process that was launched: at its gate, past it, or ended again; and what its parent does for it in between.

Shared by `launch` (pid 1 of a container) and `join` (a further process).
"""

from __future__ import annotations

import errno
import os
import signal
import socket
import stat
from collections.abc import Callable, Collection
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field

from sampan.cgroup.group import Cgroup
from sampan.errors import Kind
from sampan.linux import process
from sampan.linux.limit import prlimit
from sampan.runtime.filesystems import outside
from sampan.runtime.handshake import Channel, Disconnected, Say, StepFailed
from sampan.runtime.hooks import state_document, try_hooks
from sampan.runtime.launch_plan import LaunchPlan, ProcessPlan

LISTENER_PATIENCE_S = 10.0
_LAST_STANDARD = 2


@dataclass(frozen=True, slots=True)
class Stdio:
    """Descriptors that become 0, 1 and 2 of the program; they stay open in the caller. -1 is its own /dev/null."""

    stdin: int
    stdout: int
    stderr: int


@dataclass(slots=True)
class Launched:
    """A process that is ready, or (after go) runs its program. `pid`, `pidfd` and `console` are the caller's.

    `console` is the terminal's master or -1, `listener` that of a seccomp filter whose calls the caller answers, or -1;
    `cgroup` is what the process is in when the plan names one, `marks` what a traced start tells: whose step, its name
    and when it began. Reaping the process and releasing the cgroup are the caller's once go() has returned; until then
    abort() does both.
    """

    pid: int
    pidfd: int
    console: int
    cgroup: Cgroup | None
    plan: LaunchPlan
    warnings: tuple[str, ...] = ()
    listener: int = -1
    marks: tuple[tuple[str, str, int], ...] = ()
    _channel: Channel | None = None
    _gate_path: str = ""
    _spare: ExitStack = field(default_factory=ExitStack)  # descriptors that nobody needs; closing them takes time
    _undo: ExitStack = field(default_factory=ExitStack)

    def go(self) -> None:
        """Open the gate and return when the program runs; StepFailed, everything released, when it does not.

        Then poststart hooks run; one that fails leaves a sentence in `warnings`.
        """
        try:
            if self._channel is None:
                open_gate(self._gate_path)
            else:
                self.listener = pass_gate(self._channel, self._spare.close)
                self._channel.close()
        except BaseException:
            self.abort()
            raise
        self._undo.pop_all()
        hooks = self.plan.hooks.poststart
        if hooks:
            self.warnings = try_hooks("poststart", hooks, state_document(self.plan, "running", self.pid))

    def let_go(self) -> None:
        """Leave the process at its gate for another to open (gate_path); this object releases nothing any more."""
        self._undo.pop_all()

    def abort(self) -> None:
        """End and reap the process and release all that the start took; idempotent, nothing after a successful go()."""
        self._undo.close()


def open_gate(path: str) -> None:
    """Let the process that listens at `path` go, and return when its program runs (OCI `start`).

    Raises StepFailed when a step behind the gate fails, FileNotFoundError or ConnectionRefusedError when nobody waits.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as connection:
        connection.connect(path)
        pass_gate(Channel(connection))


def shut_caller() -> None:
    """Be non-dumpable, so that no child is ever seen dumpable (CVE-2016-9962), and have 0, 1 and 2 taken."""
    process.set_dumpable(False)
    while (fd := os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)) <= _LAST_STANDARD:
        pass
    os.close(fd)


def set_process_limits(pid: int, own: ProcessPlan, refused: Collection[int]) -> None:
    """Set what a parent sets for its child at the gate: scheduling, CPUs, oom_score_adj, and the refused rlimits."""
    for rlimit in own.rlimits:
        if rlimit.resource not in refused:
            continue
        prlimit(pid, rlimit.resource, rlimit.soft, rlimit.hard)
    if own.oom_score_adj is not None:
        fd = os.open(f"/proc/{pid}/oom_score_adj", os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.write(fd, str(own.oom_score_adj).encode())
        except OSError as error:
            error.filename = f"oom_score_adj {own.oom_score_adj}"
            raise
        finally:
            os.close(fd)
    if own.io_priority is not None:
        process.ioprio_set(own.io_priority, pid)
    if own.cpu_affinity:
        process.sched_setaffinity(own.cpu_affinity, pid)
    if own.scheduler is not None:
        wanted = own.scheduler
        process.sched_setattr(
            wanted.policy,
            flags=wanted.flags,
            nice=wanted.nice,
            priority=wanted.priority,
            runtime=wanted.runtime,
            deadline=wanted.deadline,
            period=wanted.period,
            pid=pid,
        )


def give_pipes(stdio: Stdio | None, plan: LaunchPlan) -> None:
    """Make the container's root the owner of pipes, where it is another than the host's: it may give them on."""
    if stdio is None or not plan.namespaces.uid_maps:
        return
    owner = outside(plan.namespaces.uid_maps, 0), outside(plan.namespaces.gid_maps, 0)
    for fd in (stdio.stdin, stdio.stdout, stdio.stderr):
        if fd >= 0 and stat.S_ISFIFO(os.fstat(fd).st_mode):
            os.fchown(fd, *owner)


def end_process(pidfd: int) -> None:
    """Kill and reap the child behind `pidfd`, and close it."""
    with suppress(ProcessLookupError):
        process.pidfd_send_signal(pidfd, signal.SIGKILL)
    with suppress(ChildProcessError):
        process.wait_pidfd(pidfd)
    os.close(pidfd)


def explain_death(pidfd: int, cgroup: Cgroup | None) -> StepFailed:
    """What a child that said nothing more died of; it is reaped."""
    try:
        end = process.wait_pidfd(pidfd)
    except ChildProcessError:
        end = None
    if cgroup is not None and cgroup.oom_kills():
        return StepFailed(
            "start", 0, "the container's memory limit is too low to start its process", remedy="raise the memory limit"
        )
    how = "ended" if end is None else f"was killed by signal {end.signal}" if end.signal else f"exited with {end.code}"
    return StepFailed("start", 0, f"the container's first process {how} before it was ready")


def pass_gate(channel: Channel, meanwhile: Callable[[], None] = lambda: None) -> int:
    """Say GO and follow the child until execve has closed its end; a listener of our own, or -1."""
    own = -1
    channel.tell(Say.GO)
    meanwhile()
    try:
        while True:
            try:
                heard = channel.expect(Say.FILTERING, Say.LISTENER, Say.UNHEARD)
            except Disconnected:
                return own
            if heard.say is Say.FILTERING:
                _await_listener(channel)
            elif heard.say is Say.LISTENER:
                path, state = heard.words
                if path:
                    _deliver(path, state, heard.descriptors)
                else:
                    own = heard.descriptors[0]
    except BaseException:
        if own >= 0:
            os.close(own)
        raise


def _await_listener(channel: Channel) -> None:
    """A filter that holds back even the message with its own listener would hold it for ever."""
    if not channel.wait(LISTENER_PATIENCE_S):
        raise StepFailed(
            "load_filter",
            errno.ETIMEDOUT,
            "the seccomp filter holds back the message that carries its listener",
            Kind.INVALID,
            "let the profile allow sendmsg",
        )


def _deliver(path: str, state: str, descriptors: tuple[int, ...]) -> None:
    """Send a seccomp listener's descriptor to who waits for it ("The Container Process State" of the specification)."""
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as agent:
            agent.connect(path)
            socket.send_fds(agent, [state.encode()], list(descriptors), socket.MSG_NOSIGNAL)
    except OSError as error:
        reason = os.strerror(error.errno or 0).lower()
        raise StepFailed(
            "load_filter", error.errno or 0, f"failed to connect with seccomp agent {path}: {reason}"
        ) from None
    finally:
        for fd in descriptors:
            os.close(fd)
