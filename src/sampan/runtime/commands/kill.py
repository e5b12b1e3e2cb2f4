"""`kill`: a signal for a container's first process, or with --all for every process of it."""

from __future__ import annotations

import os
import signal
from contextlib import closing, suppress

from sampan.cgroup import open_cgroup
from sampan.errors import Conflict, InvalidArgument
from sampan.linux.process import pidfd_open, pidfd_send_signal
from sampan.runtime.commands.options import SWITCH, Option, Words
from sampan.runtime.commands.verb import REGEX, Command, Verb, container_ids
from sampan.runtime.state import CREATING, STOPPED, ContainerState, is_alive


def kill(command: Command, words: Words) -> int:
    """Send a signal (runtime.md, Kill)."""
    if not 1 <= len(words.positional) <= 2:
        raise InvalidArgument("kill wants a container id and at most one signal")
    pattern, *rest = words.positional
    number = signal_number(rest[0] if rest else "TERM")
    for name in container_ids(command, pattern, is_regex=words.has("regex")):
        state = command.containers.load(name)
        if words.has("all"):
            _signal_all(state, number)
        else:
            _check_running(command, state)
            _signal_first(state, number)
    return 0


def _check_running(command: Command, state: ContainerState) -> None:
    status = command.containers.status(state)
    if status in {STOPPED, CREATING}:
        raise Conflict(f"container not running: {state.id} is {status}")


def _signal_first(state: ContainerState, number: int) -> None:
    try:
        pidfd = pidfd_open(state.pid)
        try:
            if not is_alive(state.pid, state.start_time):  # the pid was given to another process meanwhile
                raise ProcessLookupError
            pidfd_send_signal(pidfd, number)
        finally:
            os.close(pidfd)
    except ProcessLookupError:
        raise Conflict(f"container not running: {state.id} has just ended") from None


def _signal_all(state: ContainerState, number: int) -> None:
    """Everything in the cgroup; a container without processes is fine, as its processes may end any time."""
    with closing(open_cgroup(state.cgroup_path)) as cgroup:
        if not cgroup.exists():
            return
        if number == signal.SIGKILL:
            cgroup.kill_all()
            return
        for pid in cgroup.processes():
            with suppress(ProcessLookupError):
                os.kill(pid, number)


def signal_number(text: str) -> int:
    """The number of a signal given as a number or a name, with or without SIG: "9", "KILL", "SIGKILL", "RTMIN+3"."""
    is_number = text.isascii() and text.isdigit()
    number = int(text) if is_number else _by_name(text.upper().removeprefix("SIG"))
    if not 0 <= number <= signal.SIGRTMAX:
        raise InvalidArgument(f"unknown signal {text!r}", remedy="kill -l lists the signals")
    return number


def _by_name(name: str) -> int:
    for base, sign in (("RTMIN", 1), ("RTMAX", -1)):
        rest = name.removeprefix(base)
        if rest != name and rest[:1] in {"", "+", "-"} and rest[1:].isdigit() == bool(rest):
            start = int(signal.SIGRTMIN if sign > 0 else signal.SIGRTMAX)
            return start + (int(rest) if rest else 0)
    return int(getattr(signal, f"SIG{name}", -1)) if name.isalnum() else -1


VERBS = {
    "kill": Verb(
        kill,
        "[command options] <container-id> [signal]",
        (Option("--all -a", SWITCH, "send the signal to all processes of the container"), REGEX),
    )
}
