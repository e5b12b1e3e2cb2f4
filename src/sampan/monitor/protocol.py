"""What is said between daemon, launcher and monitor: one message a packet on a SOCK_SEQPACKET unix socket.

A packet is a JSON object whose "say" names the message, with descriptors beside it by SCM_RIGHTS. Whatever may grow
(a plan, an environment) travels pickled in a sealed memfd, never in the packet: both ends are the same program run by
the same user, on a socket pair or on a socket of mode 0600 whose peer credentials were checked.

Start of a container, D daemon, L launcher, M monitor:

    D→L  Launch [plan memfd, M's end of a socket pair]     L forks M
    M→D  Ready | Failed                                    pid 1 waits at its gate, monitor.sock is there
    D→M  Attach* [client socket]                           clients that came before the start
    D→M  Go                                                the record says Running
    M→D  Started | Failed                                  execve worked, or which step did not and why
    M→D  Exited                                            exit.json is on disk, output is drained to the log, the
                                                           cgroup is removed (but see MonitorPlan.transient)

A daemon may have a monitor forked before there is a plan: Prepare [M's end] to the launcher, and in time Launch [plan
memfd] to the monitor itself, on the connection that is its own. It outlives its launcher; it leaves when the connection
ends. Before Launch it may be told what is likely to come: Expect [memfd with a model of the plan].

A monitor that is told Prepare [M's end] itself does not leave when all is over: it says Waiting on that connection, and
is from then on one that was forked before there is a plan.

Later daemons connect to monitor.sock and get Status first. When the first connection ends before Go, the monitor ends
its container. A monitor leaves when its container has exited, the exit record is on disk, its attached clients are
served and the cgroup is removed; an orderly leave closes every connection after Exited.
"""

from __future__ import annotations

import _pickle  # the C part alone: what `pickle` adds to it is memory in every monitor
import array
import fcntl
import os
import socket
from dataclasses import dataclass, fields, replace
from typing import Any, NamedTuple

from sampan.monitor.log_plan import LogPlan
from sampan.runtime import json_text
from sampan.runtime.launch_plan import LaunchPlan, ProcessPlan

MAX_PACKET = 65536
MAX_DESCRIPTORS = 16
_MOST_EARLY = 4096  # bytes in an Attach: JSON makes six of some, and a packet must fit into a socket's buffer


@dataclass(frozen=True, slots=True)
class MonitorPlan:
    """What a monitor is started with; it travels pickled in the memfd of Launch."""

    launch: LaunchPlan
    run_directory: str  # holds monitor.sock; exists, 0700
    state_directory: str  # holds exit.json; exists
    log: LogPlan
    open_stdin: bool = False
    stdin_once: bool = False
    durable: bool = True  # the exit record waits for the disk; of no use when the container goes with its end
    transient: bool = False  # no daemon will look for it: no socket, no exit record, and its end is told at once


@dataclass(frozen=True, slots=True)
class ExecPlan:
    """A further process in a running container; it travels pickled in the memfd of Exec."""

    id: str
    process: ProcessPlan
    open_stdin: bool = False
    detach_keys: bytes = b"\x10\x11"


@dataclass(frozen=True, slots=True)
class Launch:
    """D→L. Descriptors: the plan's memfd, the monitor's end of the control connection."""

    id: str


@dataclass(frozen=True, slots=True)
class Prepare:
    """D→L, D→M. Descriptor: a monitor's end of its control connection.

    One that is forked, or this one in its next life, waits there for its Launch.
    """


@dataclass(frozen=True, slots=True)
class Waiting:
    """M→D, the first on the connection of its next life: nothing is left of the one before."""


@dataclass(frozen=True, slots=True)
class Expect:
    """D→M, to a prepared one. Descriptor: the memfd of a LaunchPlan, the model of what `runtime.ahead` can make."""


@dataclass(frozen=True, slots=True)
class Forked:
    """L→D. The monitor's pid. L→D also Gone, when a monitor has been reaped."""

    id: str
    pid: int


@dataclass(frozen=True, slots=True)
class Gone:
    """L→D. A monitor ended, `status` as waitpid(2) has it."""

    id: str
    pid: int
    status: int


@dataclass(frozen=True, slots=True)
class Ready:
    """M→D. The container is made; pid 1 waits for Go. Pids are those of the monitor's pid namespace.

    `marks` are of a traced start: whose step, its name, and when it began (nanoseconds of CLOCK_MONOTONIC).
    """

    pid: int
    monitor_pid: int
    marks: tuple[tuple[str, str, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Go:
    """D→M. Execute the user's program."""


@dataclass(frozen=True, slots=True)
class Started:
    """M→D. The program of the container ("") or of exec `exec_id` is running."""

    pid: int
    exec_id: str = ""
    at_ns: int = 0  # realtime clock


@dataclass(frozen=True, slots=True)
class Failed:
    """M→D. A step of the start (of an exec, with `exec_id`) failed; `kind` is the name of an errors.Kind."""

    step: str
    errno: int
    text: str
    kind: str = "SYSTEM"
    remedy: str = ""
    exec_id: str = ""


class Kill(NamedTuple):
    """A process that the kernel killed for want of memory, and its group's memory at that moment."""

    pid: int
    program: str
    size_bytes: int
    usage_bytes: int
    limit_bytes: int
    at_ns: int


@dataclass(frozen=True, slots=True)
class Exited:
    """M→D, and the content of exit.json. `code` is 128 + signal when a signal ended it."""

    code: int
    signal: int = 0
    oom_killed: bool = False
    at_ns: int = 0
    exec_id: str = ""
    pid: int = 0
    kills: tuple[Kill, ...] = ()


@dataclass(frozen=True, slots=True)
class Attach:
    """D→M. Descriptor: the client's socket, its answer already sent.

    `target` is "" for the container or an exec id. `multiplexed` frames the output as Docker does, else it is raw;
    `early` are bytes the client sent behind its request, in latin-1; many of them come in a memfd, as a second
    descriptor (`early_apart`). The monitor closes the socket when the target has
    ended and all output is flushed, or when the client detaches or leaves.
    """

    target: str = ""
    stdin: bool = False
    stdout: bool = True
    stderr: bool = True
    multiplexed: bool = True
    detach_keys: str = "\x10\x11"
    early: str = ""


@dataclass(frozen=True, slots=True)
class Exec:
    """D→M. Descriptor: the ExecPlan's memfd. Attach packets for it may precede.

    Answered by Started, later Exited, or by Failed.
    """

    exec_id: str


@dataclass(frozen=True, slots=True)
class Resize:
    """D→M. The terminal of the target gets this size."""

    height: int
    width: int
    target: str = ""


@dataclass(frozen=True, slots=True)
class Signal:
    """D→M. Send `number` to the target's process; with `everyone` to every process of the container."""

    number: int
    target: str = ""
    everyone: bool = False


@dataclass(frozen=True, slots=True)
class Detached:
    """M→D. A client of the target typed its detach keys and has been let go."""

    target: str = ""


@dataclass(frozen=True, slots=True)
class Trouble:
    """M→D. What the daemon's log should say: something went wrong that no client can be told of."""

    text: str


@dataclass(frozen=True, slots=True)
class OutOfMemory:
    """M→D. The cgroup's oom_kill counter rose to `count`; `kills` are the latest, as far as they are known."""

    count: int
    kills: tuple[Kill, ...] = ()


@dataclass(frozen=True, slots=True)
class Status:
    """M→D, first on every later connection. `phase` is "ready", "running" or "exited"; execs are (id, pid).

    More execs than a packet holds come in further Status packets right behind the first.
    """

    id: str
    phase: str
    pid: int
    monitor_pid: int
    execs: tuple[tuple[str, int], ...] = ()
    exits: tuple[tuple[str, int], ...] = ()  # execs that ended lately, told before or not: (id, code)
    started_at_ns: int = 0


Message = (
    Launch
    | Prepare
    | Waiting
    | Expect
    | Forked
    | Gone
    | Ready
    | Go
    | Started
    | Failed
    | Exited
    | Attach
    | Exec
    | Resize
    | Signal
    | Detached
    | Trouble
    | OutOfMemory
    | Status
)
_BY_NAME: dict[str, type[Any]] = {kind.__name__: kind for kind in Message.__args__}


def encode(message: Message) -> bytes:
    """The packet of `message`."""
    content = {"say": type(message).__name__}
    for field in fields(message):
        content[field.name] = getattr(message, field.name)
    return json_text.dumps(content).encode()


def decode(packet: bytes) -> Message:
    """The message of `packet`; ValueError when it is not one of ours. Unknown fields are ignored."""
    content = json_text.loads(packet)
    kind = _BY_NAME.get(content.pop("say", "")) if isinstance(content, dict) else None
    if kind is None:
        raise ValueError(f"not a message of the monitor protocol: {packet[:80]!r}")
    known = {field.name for field in fields(kind)}
    values = {name: _frozen(value) for name, value in content.items() if name in known}
    if "kills" in values:
        values["kills"] = tuple(Kill(*each) for each in values["kills"])
    message: Message = kind(**values)
    return message


def _frozen(value: Any) -> Any:
    return tuple(_frozen(item) for item in value) if isinstance(value, list) else value


def send(connection: socket.socket, message: Message, descriptors: tuple[int, ...] = ()) -> None:
    """Send one packet; the descriptors stay open here. OSError as sendmsg(2) raises it."""
    rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors))] if descriptors else []
    connection.sendmsg([encode(message)], rights, socket.MSG_NOSIGNAL)


def receive(connection: socket.socket) -> tuple[Message, list[int]] | None:
    """The next packet and its descriptors (close-on-exec, the caller's to close), or None at the end.

    ValueError for a packet that is not one of ours.
    """
    room = socket.CMSG_SPACE(MAX_DESCRIPTORS * 4)
    try:
        packet, ancillary, flags, _ = connection.recvmsg(MAX_PACKET, room, socket.MSG_CMSG_CLOEXEC)
    except ConnectionResetError:
        # The far end closed with packets of ours unread. That is reported once, before what it had sent itself.
        packet, ancillary, flags, _ = connection.recvmsg(MAX_PACKET, room, socket.MSG_CMSG_CLOEXEC)
    descriptors: list[int] = []
    for level, kind, content in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            numbers = array.array("i")
            numbers.frombytes(content[: len(content) - len(content) % numbers.itemsize])
            descriptors.extend(numbers)
    if not packet:
        close_all(descriptors)
        return None
    if flags & (socket.MSG_TRUNC | socket.MSG_CTRUNC):
        close_all(descriptors)
        raise ValueError("a packet of the monitor protocol was cut off")
    try:
        return decode(packet), descriptors
    except (ValueError, TypeError) as error:
        close_all(descriptors)
        raise ValueError(f"not a message of the monitor protocol: {packet[:80]!r}") from error


def close_all(descriptors: list[int]) -> None:
    """Close every one of them."""
    for descriptor in descriptors:
        os.close(descriptor)


def early_apart(attach: Attach) -> tuple[Attach, int]:
    """The packet, and a memfd with its early bytes when they are too many for it, else -1; the caller closes it."""
    if len(attach.early) <= _MOST_EARLY:
        return attach, -1
    descriptor = os.memfd_create("sampan-early", os.MFD_CLOEXEC)
    with os.fdopen(os.dup(descriptor), "wb") as file:
        file.write(attach.early.encode("latin-1"))
    return replace(attach, early=""), descriptor


def with_early(attach: Attach, descriptor: int) -> Attach:
    """The packet as it was before `early_apart`; closes the descriptor."""
    with os.fdopen(descriptor, "rb") as file:
        file.seek(0)
        return replace(attach, early=file.read().decode("latin-1"))


def seal(plan: MonitorPlan | ExecPlan | LaunchPlan) -> int:
    """A memfd with the pickled plan, sealed; the caller closes it."""
    descriptor = os.memfd_create("sampan-plan", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.write(descriptor, _pickle.dumps(plan, protocol=5))
    fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE)
    return descriptor


def unseal(descriptor: int) -> Any:
    """The plan in a memfd of `seal`; closes the descriptor."""
    with os.fdopen(descriptor, "rb") as file:
        file.seek(0)
        return _pickle.load(file)  # our own process wrote it, see the module's docstring
