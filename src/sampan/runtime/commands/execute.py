"""`exec`: a further process in a container, from words or from a process.json."""

from __future__ import annotations

import os

import msgspec

from sampan.errors import Conflict, InvalidArgument, NotImplementedHere
from sampan.linux.process import pidfd_open
from sampan.oci.runtime_documents import decode_process, decode_spec
from sampan.oci.runtime_spec import Capabilities, Process, RuntimeSpec, User
from sampan.runtime.commands.bundle import preserved_descriptors
from sampan.runtime.commands.console import check_console, keep_line_feeds, send_console
from sampan.runtime.commands.create import write_pid_file
from sampan.runtime.commands.options import LIST, NUMBER, SWITCH, VALUE, Option, Words
from sampan.runtime.commands.show import status_of
from sampan.runtime.commands.verb import Command, Verb
from sampan.runtime.commands.waiting import Signals, stand_by
from sampan.runtime.join import join
from sampan.runtime.launch_plan import LaunchPlan, ProcessPlan
from sampan.runtime.launched import Launched, Stdio
from sampan.runtime.plan import plan_launch
from sampan.runtime.plan_process import plan_process
from sampan.runtime.state import CREATING, PAUSED, STOPPED, ContainerState, is_alive

OPTIONS = (
    Option("--process -p", VALUE, "file with the process as JSON"),
    Option("--tty -t", SWITCH, "give the process a terminal"),
    Option("--detach -d", SWITCH, "do not wait for the process's end"),
    Option("--console-socket", VALUE, "unix socket that gets the master of the process's terminal"),
    Option("--pid-file", VALUE, "file to write the process's pid to"),
    Option("--cwd", VALUE, "working directory inside the container"),
    Option("--env -e", LIST, "set an environment variable"),
    Option("--user -u", VALUE, "numbers: uid[:gid]"),
    Option("--additional-gids -g", LIST, "a further group, as a number"),
    Option("--cap -c", LIST, "add a capability"),
    Option("--no-new-privs", SWITCH, "the process gains no privileges"),
    Option("--process-label", VALUE, "SELinux label"),
    Option("--apparmor", VALUE, "AppArmor profile"),
    Option("--preserve-fds", NUMBER, "pass on that many further descriptors, from 3 on", "0"),
    Option("--cgroup", LIST, "a cgroup below the container's to put the process into"),
    Option("--ignore-paused", SWITCH, "also in a paused container"),
)


def execute(command: Command, words: Words) -> int:
    """Execute a process in a container; the exit code is its own, 255 when it could not be started."""
    if not words.positional:
        raise InvalidArgument("exec wants a container id")
    name, *arguments = words.positional
    state = command.containers.load(name)
    _check_status(command, state, words)
    spec = decode_spec(command.containers.config(name))
    process = _process(spec, words, arguments)
    plan = plan_launch(spec, id=name, bundle=state.bundle)
    planned = plan_process(process, seccomp=plan.process.seccomp)
    socket, detach = words.text("console_socket"), words.has("detach")
    check_console(socket, has_terminal=process.terminal, stays=not detach)
    _, preserve = preserved_descriptors(words.number("preserve_fds"))
    _check_pid_file(words.text("pid_file"))
    signals = None if detach else Signals()
    launched = _join(state, plan, planned, preserve, words.list("cgroup"))
    console = launched.console
    write_pid_file(words.text("pid_file"), launched.pid)
    if console >= 0 and socket:
        send_console(socket, console)
        console = -1
    if console >= 0:
        keep_line_feeds(console)
    return 0 if signals is None else stand_by(launched.pidfd, signals, console)


def _check_status(command: Command, state: ContainerState, words: Words) -> None:
    status = status_of(command.containers, state)
    if status == STOPPED:
        raise _stopped(state)
    if status == CREATING:
        raise Conflict(f"cannot exec in a {status} container: {state.id}")
    if status == PAUSED and not words.has("ignore_paused"):
        raise Conflict(f"cannot exec in a paused container: {state.id}", remedy="resume it, or use --ignore-paused")


def _check_pid_file(path: str) -> None:
    """Before anything runs: a pid file that cannot be written later would leave a process nobody knows."""
    directory = os.path.dirname(os.path.abspath(path))
    if path and not os.access(directory, os.W_OK):
        raise InvalidArgument(f"cannot write --pid-file {path!r}: no writable directory {directory}")


def _process(spec: RuntimeSpec, words: Words, arguments: list[str]) -> Process:
    """What to execute: the process.json with the container's own security where it says nothing, or the words."""
    own = spec.process or Process()
    path = words.text("process")
    if path:
        given = decode_process(_read(path), path)
        process = msgspec.structs.replace(
            given,
            capabilities=given.capabilities or own.capabilities,
            rlimits=given.rlimits or own.rlimits,
            apparmor_profile=given.apparmor_profile or own.apparmor_profile,
            selinux_label=given.selinux_label or own.selinux_label,
            no_new_privileges=given.no_new_privileges or own.no_new_privileges,
        )
    elif arguments:
        process = msgspec.structs.replace(own, args=tuple(arguments), terminal=False, console_size=None)
    else:
        raise InvalidArgument(
            "exec wants the program to execute", remedy="name it after the container id, or use --process"
        )
    return _with_options(process, words)


def _with_options(process: Process, words: Words) -> Process:
    """The options on top of it."""
    changes: dict[str, object] = {"env": _environment(process.env, words.list("env"))}
    if words.given("tty"):
        changes["terminal"] = words.has("tty")
    if words.has("no_new_privs"):
        changes["no_new_privileges"] = True
    for option, field in (("cwd", "cwd"), ("apparmor", "apparmor_profile"), ("process_label", "selinux_label")):
        if words.text(option):
            changes[field] = words.text(option)
    user = _user(process.user, words.text("user"), words.list("additional_gids"))
    capabilities = _with_capabilities(process.capabilities, words.list("cap"))
    return msgspec.structs.replace(process, user=user, capabilities=capabilities, **changes)


def _environment(own: tuple[str, ...], more: tuple[str, ...]) -> tuple[str, ...]:
    """`more` on top of `own`: of two entries of one name getenv(3) would take the first."""
    names = {entry.partition("=")[0] for entry in more}
    return (*(entry for entry in own if entry.partition("=")[0] not in names), *more)


def _user(user: User, text: str, gids: tuple[str, ...]) -> User:
    numbers = text.split(":") if text else []
    for number in (*numbers, *gids):
        if not (number.isascii() and number.isdigit()):
            raise InvalidArgument(f"user and groups must be numbers, not {number!r}", remedy="as in --user 1000:1000")
    if len(numbers) > 2:
        raise InvalidArgument(f"invalid user {text!r}", remedy="as in --user 1000:1000")
    more = (*user.additional_gids, *(int(gid) for gid in gids))
    user = msgspec.structs.replace(user, additional_gids=more)
    if numbers:
        user = msgspec.structs.replace(user, uid=int(numbers[0]), gid=int(numbers[1]) if len(numbers) > 1 else user.gid)
    return user


def _with_capabilities(sets: Capabilities | None, names: tuple[str, ...]) -> Capabilities | None:
    """Bounding, effective and permitted get them, ambient too when something is inheritable: as runc does."""
    if not names:
        return sets
    sets = sets or Capabilities()
    return msgspec.structs.replace(
        sets,
        bounding=(*sets.bounding, *names),
        effective=(*sets.effective, *names),
        permitted=(*sets.permitted, *names),
        ambient=(*sets.ambient, *names) if sets.inheritable else sets.ambient,
    )


def _join(
    state: ContainerState, plan: LaunchPlan, process: ProcessPlan, preserve: tuple[int, ...], groups: tuple[str, ...]
) -> Launched:
    """Start it, in the container's cgroup or the one asked for."""
    path = _cgroup_below(state.cgroup_path, groups)
    stdio = None if process.terminal else Stdio(0, 1, 2)
    try:
        pidfd = pidfd_open(state.pid)
    except ProcessLookupError:
        raise _stopped(state) from None
    try:
        if not is_alive(state.pid, state.start_time):  # the pid was given to another process meanwhile
            raise _stopped(state)
        return join(state.pid, pidfd, plan, process, stdio, preserve=preserve, cgroup_path=path)
    finally:
        os.close(pidfd)


def _stopped(state: ContainerState) -> Conflict:
    return Conflict(f"cannot exec in a stopped container: {state.id}")


def _cgroup_below(own: str, wanted: tuple[str, ...]) -> str:
    """The cgroup asked for, a path below the container's own."""
    if not wanted:
        return own
    path = wanted[-1]
    if ":" in path or len(wanted) > 1:
        raise NotImplementedHere(
            f"a process cannot be put into a cgroup of single controllers ({', '.join(wanted)})",
            remedy="give one path, without a controller, that all hierarchies have",
        )
    parts = [part for part in path.split("/") if part]
    if ".." in parts:
        raise InvalidArgument(f"{path} is not a sub cgroup path", remedy="name a cgroup below the container's")
    return "/".join([own, *parts])


def _read(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read()


VERBS = {
    "exec": Verb(
        execute,
        "[command options] <container-id> <command> [arguments...] | --process FILE <container-id>",
        OPTIONS,
        mixed=False,
        failure=255,
    )
}
