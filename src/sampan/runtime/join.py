"""A further process in a running container (exec): the caller's child, in all of the container's namespaces.

It is cloned with the container's pid namespace as that of the caller's children, enters the others by one setns(2) on
the pidfd of pid 1, and then goes the same way as a first process does from there on (init.SETTLE).
"""

from __future__ import annotations

import errno
import os
from contextlib import ExitStack
from dataclasses import dataclass, field

from sampan.cgroup import open_cgroup
from sampan.cgroup.group import Cgroup, Entry
from sampan.errors import Kind
from sampan.linux.namespace import KINDS, CloneFlag, clone3, open_namespace, setns
from sampan.linux.process import block_signals, restore_signals
from sampan.runtime import init
from sampan.runtime.child import Child, foreign_ranges
from sampan.runtime.handshake import Channel, Disconnected, Say, StepFailed, failure
from sampan.runtime.launch_plan import LaunchPlan, ProcessPlan
from sampan.runtime.launched import (
    Launched,
    Stdio,
    end_process,
    explain_death,
    give_pipes,
    pass_gate,
    set_process_limits,
    shut_caller,
)
from sampan.runtime.prepare import is_mapped

_PID = int(CloneFlag.NEWPID)
_USER = int(CloneFlag.NEWUSER)


@dataclass(slots=True)
class _Join:
    """One exec under way."""

    pid: int
    pidfd: int
    plan: LaunchPlan
    process: ProcessPlan
    stdio: Stdio | None
    held: ExitStack  # given back in any case
    undo: ExitStack  # given back when it failed
    entry: Entry = field(default_factory=Entry)
    channel: Channel | None = None
    own_pid: int = 0
    own_pidfd: int = -1
    console: int = -1


def join(
    pid: int,
    pidfd: int,
    plan: LaunchPlan,
    process: ProcessPlan,
    stdio: Stdio | None,
    *,
    preserve: tuple[int, ...] = (),
    cgroup_path: str = "",
    die_with_parent: bool = False,
) -> Launched:
    """Run a program in the container whose first process is `pid`, known for sure by `pidfd`; returns when it runs.

    `plan` is what the container was launched with. The process enters the container's cgroup, or `cgroup_path` below
    every hierarchy's root. Raises StepFailed, with Kind.CONFLICT when the container has ended. The caller has one
    thread and becomes non-dumpable for good. The new process is its child: it reaps it, and closes pidfd and console.
    """
    with ExitStack() as undo, ExitStack() as held:
        job = _Join(pid, pidfd, plan, process, stdio, held, undo)
        step = "prepare_join"
        try:
            shut_caller()
            _enter_cgroup(job, cgroup_path or (plan.cgroup.path if plan.cgroup is not None else ""))
            child = _child_of(job, preserve)
            child.die_with_parent = die_with_parent
            child.foreign = foreign_ranges(child.inherited())
            step = "clone_child"
            channel = _clone(job, child)
            step = "await_ready"
            _follow(job, channel)
            step = "go"
            listener = pass_gate(channel)
        except Exception as error:
            raise _failure(step, error) from error
        undo.pop_all()
    return Launched(job.own_pid, job.own_pidfd, job.console, None, plan, listener=listener)


def _enter_cgroup(job: _Join, path: str) -> None:
    if path:
        cgroup: Cgroup = open_cgroup(path)
        job.held.callback(cgroup.close)
        job.entry = cgroup.entry(beside=job.pid)
        job.held.callback(job.entry.close)


def _child_of(job: _Join, preserve: tuple[int, ...]) -> Child:
    plan, stdio = job.plan, job.stdio
    job.channel, theirs = Channel.pair()
    job.held.callback(job.channel.close)
    job.held.callback(theirs.close)
    give_pipes(stdio, plan)
    child = Child(
        plan=plan,
        process=job.process,
        channel=theirs,
        task_fds=job.entry.task_fds,
        stdio=(stdio.stdin, stdio.stdout, stdio.stderr) if stdio is not None else None,
        preserve=preserve,
        target_fd=job.pidfd,
        target_flags=_flags(plan, job.pid),
        mapped=is_mapped(plan),
    )
    if not ("mnt" in plan.namespaces.new and plan.root.pivot):
        child.target_root_fd = os.open(f"/proc/{job.pid}/root", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        job.held.callback(os.close, child.target_root_fd)
    return child


def _flags(plan: LaunchPlan, pid: int) -> int:
    """The namespaces that the container does not share with the caller, its pid namespace excepted."""
    flags = 0
    for kind in _kinds(plan) - {"pid"}:
        flags |= int(KINDS[kind])
    if flags & _USER and os.stat("/proc/self/ns/user").st_ino == os.stat(f"/proc/{pid}/ns/user").st_ino:
        flags &= ~_USER  # the kernel refuses to enter it again
    return flags


def _kinds(plan: LaunchPlan) -> frozenset[str]:
    return plan.namespaces.new | {join.kind for join in plan.namespaces.join}


def _clone(job: _Join, child: Child) -> Channel:
    """Clone into the container's pid namespace, and have the caller's own back for its later children."""
    before = block_signals()
    try:
        with ExitStack() as back:
            if "pid" in _kinds(job.plan):
                own = open_namespace("self", "pid")
                back.callback(os.close, own)
                setns(job.pidfd, _PID)
                back.callback(setns, own, _PID)
            own_pid, own_pidfd = clone3(0, cgroup_fd=job.entry.clone_fd)
            if own_pid == 0:
                init.become(child, init.JOIN_STEPS)
            job.own_pid, job.own_pidfd = own_pid, own_pidfd
            job.undo.callback(end_process, own_pidfd)
    finally:
        restore_signals(before)
    child.channel.close()
    if job.channel is None:
        raise RuntimeError("no channel to the child")
    return job.channel


def _follow(job: _Join, channel: Channel) -> None:
    """Tell the child its pid, take the terminal, and limit it at its gate."""
    try:
        channel.tell(Say.BORN, str(job.own_pid))
        while True:
            heard = channel.expect(Say.CONSOLE, Say.READY)
            if heard.say is Say.READY:
                set_process_limits(job.own_pid, job.process, tuple(int(word) for word in heard.words))
                return
            job.console = heard.descriptors[0]
            job.undo.callback(os.close, job.console)
    except Disconnected:
        raise explain_death(job.own_pidfd, None) from None


def _failure(step: str, error: Exception) -> StepFailed:
    """As for a start, but a container that has ended is a conflict and not a fault."""
    found = failure(step, error)
    if isinstance(error, ProcessLookupError) or (found.step, found.errno) == ("join_namespaces", errno.ESRCH):
        return StepFailed(found.step, found.errno, "the container is not running", Kind.CONFLICT)
    return found
