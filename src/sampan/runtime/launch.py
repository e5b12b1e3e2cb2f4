"""Starting a container, the parent's half: from a LaunchPlan to a process that waits at its gate, and past it.

The caller has one thread. Everything taken on the way is registered for its release before the next act; when any act
or any step of the child fails, all of it is given back and StepFailed names what did not work. What the child does is
in `init`; how both talk, in `handshake`.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass, field

from sampan.cgroup import open_cgroup
from sampan.cgroup.group import Cgroup, Entry
from sampan.linux.namespace import open_namespace, write_id_map
from sampan.linux.process import block_signals, restore_signals
from sampan.runtime import init
from sampan.runtime.child import Child, Sources, foreign_ranges
from sampan.runtime.handshake import Channel, Disconnected, Mark, Say, failure
from sampan.runtime.hooks import run_hooks, state_document
from sampan.runtime.launch_plan import IdMap, LaunchPlan
from sampan.runtime.launched import (
    Launched,
    Stdio,
    end_process,
    explain_death,
    give_pipes,
    set_process_limits,
    shut_caller,
)
from sampan.runtime.prepare import apply_own_idmaps, is_mapped, needs_own_idmap, prepare_sources
from sampan.runtime.spawn import check_kinds, open_joined, spawn

TYPE_CHECKING = False
if TYPE_CHECKING:
    from sampan.runtime.ahead import Ahead


@dataclass(slots=True)
class Start:
    """One start under way; the acts below fill it in."""

    plan: LaunchPlan
    stdio: Stdio | None
    preserve: tuple[int, ...]
    gate_path: str
    die_with_parent: bool
    in_order: bool
    meanwhile: Callable[[Cgroup | None], None] | None
    held: ExitStack  # given back in any case when the start is over: descriptors
    undo: ExitStack  # given back when it failed
    ahead: Ahead | None = None  # the child, cloned before it was known for what
    stray: Ahead | None = None  # one that does not suit; to be discarded when there is time
    cgroup: Cgroup | None = None
    entry: Entry = field(default_factory=Entry)
    sources: Sources = field(default_factory=Sources)
    channel: Channel | None = None
    gate_fd: int = -1
    pid: int = 0
    pidfd: int = -1
    console: int = -1
    refused_rlimits: tuple[int, ...] = ()
    marks: list[Mark] = field(default_factory=list)
    child_marks: tuple[Mark, ...] = ()


def launch(
    plan: LaunchPlan,
    stdio: Stdio | None,
    *,
    preserve: tuple[int, ...] = (),
    gate_path: str = "",
    die_with_parent: bool = False,
    in_order: bool = False,
    meanwhile: Callable[[Cgroup | None], None] | None = None,
    ahead: Ahead | None = None,
) -> Launched:
    """Make the container and bring its first process to its gate; the program runs after Launched.go().

    `stdio` None keeps the caller's 0, 1 and 2; with a terminal it is not used. `preserve` become the descriptors
    3, 4, …. With `gate_path` the process listens on a unix socket there and the gate is opened by open_gate(), from
    whichever process; otherwise the process dies when the caller does before go(). With `die_with_parent` it is killed
    when the caller ends later, too (not when its program is set-id). With `in_order` mounts have ids in the plan's
    order, by which /proc/self/mountinfo lists them since Linux 6.8; that leaves more to the child. `meanwhile` is
    called while the child is at work, with the container's cgroup. `ahead` is the child, where the plan suits it; else
    it is discarded. Raises StepFailed; then nothing is left behind.

    The caller becomes non-dumpable for good, so that nobody in the container ever sees its child dumpable.
    """
    with ExitStack() as undo:
        with ExitStack() as held:
            start = Start(plan, stdio, preserve, gate_path, die_with_parent, in_order, meanwhile, held, undo, ahead)
            if ahead is not None:
                undo.callback(ahead.undo.close)
                undo.callback(ahead.held.close)
            for act in ACTS:
                _do(act, start)
        channel = start.channel if not gate_path else None
        return Launched(
            start.pid,
            start.pidfd,
            start.console,
            start.cgroup,
            plan,
            marks=(*(("monitor", *mark) for mark in start.marks), *(("pid 1", *mark) for mark in start.child_marks)),
            _channel=channel,
            _gate_path=gate_path,
            _spare=start.ahead.held if start.ahead is not None else ExitStack(),
            _undo=undo.pop_all(),
        )


def release(cgroup_path: str) -> None:
    """Give back what a start that was not undone has taken: end whoever is in the cgroup, and remove it. Idempotent."""
    with closing(open_cgroup(cgroup_path)) as cgroup:
        cgroup.kill_all()
        cgroup.remove()


def prepare_caller(start: Start) -> None:
    """Shut the caller, unless that was done for the child that is there, and know the kinds of namespaces asked for."""
    if start.ahead is None:
        shut_caller()
    check_kinds(start.plan.namespaces)


def take_child(start: Start) -> None:
    """Tell a child that is there already what it is going to be, if it suits the plan; else be rid of it."""
    ahead = start.ahead
    if ahead is None:
        return
    if start.in_order or start.gate_path or start.preserve or not ahead.suits(start.plan):
        start.ahead = None
        if start.plan.cgroup is not None and start.plan.cgroup.path == ahead.cgroup.path:
            ahead.discard()
        else:
            ahead.kill()
            start.stray = ahead
        return
    start.channel, start.pid, start.pidfd = ahead.channel, ahead.pid, ahead.pidfd
    ahead.hand_plan(start.plan)


def make_cgroup(start: Start) -> None:
    """Make the cgroup, limit it, and open the way in."""
    wanted = start.plan.cgroup
    if wanted is None:
        return
    if start.ahead is not None:
        start.cgroup = start.ahead.cgroup
        start.cgroup.apply(start.ahead.limits(wanted.limits))
        return
    start.cgroup = open_cgroup(wanted.path)
    start.undo.callback(start.cgroup.close)
    if start.cgroup.create():
        start.undo.callback(start.cgroup.remove)
        start.undo.callback(start.cgroup.kill_all)
    start.cgroup.apply(wanted.limits)
    start.entry = start.cgroup.entry()
    start.held.callback(start.entry.close)


def make_sources(start: Start) -> None:
    """Make the detached mounts."""
    common = start.ahead.common if start.ahead is not None else None
    start.sources = prepare_sources(start.plan, start.cgroup, start.held, in_order=start.in_order, common=common)


def make_gate(start: Start) -> None:
    """Listen at the gate's path, for the child."""
    if not start.gate_path:
        return
    gate = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    start.held.callback(gate.close)
    start.undo.callback(_unlink, start.gate_path)
    before = os.umask(0o177)
    try:
        gate.bind(start.gate_path)
    finally:
        os.umask(before)
    gate.listen(4)
    start.gate_fd = gate.fileno()


def clone_child(start: Start) -> None:
    """Clone; the child goes through init.STEPS from here. One that is there already gets what it lacks."""
    if start.ahead is not None:
        _hand_over(start, start.ahead)
        return
    start.channel, theirs = Channel.pair()
    start.undo.callback(start.channel.close)
    start.held.callback(theirs.close)
    child = _child_of(start, theirs)
    give_pipes(start.stdio, start.plan)
    child.foreign = foreign_ranges(child.inherited())
    before = block_signals()
    try:
        pid, pidfd = spawn(start.plan.namespaces, start.entry.clone_fd)
        if pid == 0:
            init.become(child, init.STEPS)
        start.pid, start.pidfd = pid, pidfd
        start.undo.callback(end_process, pidfd)
    finally:
        restore_signals(before)
    theirs.close()


def map_ids(start: Start) -> None:
    """Write the user namespace's maps, map the ids of mounts that use it, and tell the child that it is born."""
    names = start.plan.namespaces
    if "user" in names.new:
        write_id_map(start.pid, "uid", _lines(names.uid_maps))
        write_id_map(start.pid, "gid", _lines(names.gid_maps))
    if any(needs_own_idmap(mount) for mount in start.plan.mounts):
        userns_fd = open_namespace(start.pid, "user")
        try:
            apply_own_idmaps(start.plan, start.sources, userns_fd)
        finally:
            os.close(userns_fd)
    _channel(start).tell(Say.BORN, str(start.pid))


def use_the_time(start: Start) -> None:
    """Let the caller do what it has to do anyway while the child makes the container."""
    if start.meanwhile is not None:
        start.meanwhile(start.cgroup)
    if start.stray is not None:
        with suppress(OSError):  # who was to start it removes what is left of it
            start.stray.discard()


def await_ready(start: Start) -> None:
    """Follow the child to its gate; run the hooks of the runtime's namespace on the way."""
    channel, hooks = _channel(start), start.plan.hooks
    while True:
        heard = channel.expect(Say.CONSOLE, Say.PREPARED, Say.READY)
        if heard.say is Say.CONSOLE:
            start.console = heard.descriptors[0]
            start.undo.callback(os.close, start.console)
        elif heard.say is Say.PREPARED:
            # prestart hooks are older than the status "creating", which runtime.md has for the step before them
            run_hooks("prestart", hooks.prestart, state_document(start.plan, "created", start.pid))
            run_hooks("createRuntime", hooks.create_runtime, state_document(start.plan, "creating", start.pid))
            channel.tell(Say.HOOKED)
        else:
            start.refused_rlimits = tuple(int(word) for word in heard.words if word.isdigit())
            start.child_marks = tuple(_mark(word) for word in heard.words if not word.isdigit())
            return


def set_limits(start: Start) -> None:
    """Resource limits and scheduling of the process, which only the host's root may widen."""
    set_process_limits(start.pid, start.plan.process, start.refused_rlimits)


def _hand_over(start: Start, ahead: Ahead) -> None:
    network_fd = open_joined(start.plan.namespaces, "net")
    if network_fd >= 0:
        start.held.callback(os.close, network_fd)
    child = _child_of(start, ahead.channel)
    give_pipes(start.stdio, start.plan)
    ahead.hand_sources(child, network_fd)


ACTS: tuple[Callable[[Start], None], ...] = (
    prepare_caller,
    take_child,
    make_cgroup,
    make_sources,
    make_gate,
    clone_child,
    map_ids,
    use_the_time,
    await_ready,
    set_limits,
)


def _mark(word: str) -> Mark:
    name, began = word.split(" ")
    return name, int(began)


def _do(act: Callable[[Start], None], start: Start) -> None:
    if start.plan.traced:
        start.marks.append((act.__name__, time.monotonic_ns()))
    try:
        act(start)
    except Disconnected:
        raise explain_death(start.pidfd, start.cgroup) from None
    except Exception as error:
        raise failure(act.__name__, error) from error


def _child_of(start: Start, channel: Channel) -> Child:
    joined = {kind: open_joined(start.plan.namespaces, kind) for kind in ("mnt", "cgroup")}
    for fd in joined.values():
        if fd >= 0:
            start.held.callback(os.close, fd)
    stdio = start.stdio
    return Child(
        plan=start.plan,
        process=start.plan.process,
        channel=channel,
        sources=start.sources,
        task_fds=start.entry.task_fds,
        stdio=(stdio.stdin, stdio.stdout, stdio.stderr) if stdio is not None else None,
        preserve=start.preserve,
        gate_fd=start.gate_fd,
        mount_namespace_fd=joined["mnt"],
        cgroup_namespace_fd=joined["cgroup"],
        mapped=is_mapped(start.plan),
        die_with_parent=start.die_with_parent,
    )


def _channel(start: Start) -> Channel:
    if start.channel is None:
        raise RuntimeError("no child was cloned yet")
    return start.channel


def _lines(maps: tuple[IdMap, ...]) -> list[tuple[int, int, int]]:
    return [(line.inside, line.outside, line.count) for line in maps]


def _unlink(path: str) -> None:
    with suppress(FileNotFoundError):
        os.unlink(path)
