"""`create`: everything of a container but its program, which waits at the gate until `start`.

What `run` shares with it is here too: taking the id, launching, and undoing both.
"""

from __future__ import annotations

import os
import time
from contextlib import ExitStack, closing

from sampan.cgroup import open_cgroup
from sampan.errors import Conflict
from sampan.linux.process import start_time
from sampan.runtime.commands.bundle import Bundle, load_bundle
from sampan.runtime.commands.console import check_console, send_console
from sampan.runtime.commands.options import NUMBER, SWITCH, VALUE, Option, Words
from sampan.runtime.commands.parents import missing_parents, remove_parents
from sampan.runtime.commands.show import is_frozen
from sampan.runtime.commands.verb import Command, Verb, container_id
from sampan.runtime.launch import launch
from sampan.runtime.launch_plan import LaunchPlan
from sampan.runtime.launched import Launched, Stdio
from sampan.runtime.state import ContainerState, checked_id

OPTIONS = (
    Option("--bundle -b", VALUE, "directory of the bundle", "."),
    Option("--config -f", VALUE, "another name for config.json, relative to the bundle"),
    Option("--console-socket", VALUE, "unix socket that gets the master of the container's terminal"),
    Option("--pid-file", VALUE, "file to write the container's pid to"),
    Option("--preserve-fds", NUMBER, "pass on that many further descriptors, from 3 on", "0"),
    Option("--no-pivot", SWITCH, "change the root without pivot_root"),
    Option("--no-new-keyring", SWITCH, "keep the caller's session keyring"),
    Option("--no-subreaper", SWITCH, "taken for compatibility"),
)


def create(command: Command, words: Words) -> int:
    """Create a container (runtime.md, Create)."""
    name = checked_id(container_id(words))
    bundle = load_bundle(name, words)
    socket = words.text("console_socket")
    check_console(socket, has_terminal=bundle.plan.process.terminal, stays=False)
    with ExitStack() as undo:
        launched = begin(command, bundle, undo, has_gate=True)
        if launched.console >= 0:
            send_console(socket, launched.console)
        write_pid_file(words.text("pid_file"), launched.pid)
        launched.let_go()
        undo.pop_all()
    return 0


def begin(command: Command, bundle: Bundle, undo: ExitStack, *, has_gate: bool = False) -> Launched:
    """Take the container's id and launch it, up to its gate; `undo` takes all of it back.

    The state on disk names the cgroup before it is made, and the pid as soon as there is one. With `has_gate` another
    process can open the gate.
    """
    plan = bundle.plan
    state = _first_state(bundle, owns_cgroup=not _found_cgroup(command, plan))
    command.containers.create(state, bundle.config)
    undo.callback(command.containers.remove, plan.id)
    undo.callback(remove_parents, state.made_directories)
    stdio = None if plan.process.terminal else Stdio(0, 1, 2)
    command.report.debug(f"launching container {plan.id} of bundle {bundle.path}")
    with command.containers.gate(plan.id) as gate_path:
        path = gate_path if has_gate else ""
        launched = launch(plan, stdio, preserve=bundle.preserve, gate_path=path, in_order=True)
    undo.callback(launched.abort)
    command.containers.save(state.born(launched.pid))
    command.report.debug(f"container {plan.id} has pid {launched.pid} and stands at its gate")
    return launched


def _first_state(bundle: Bundle, *, owns_cgroup: bool) -> ContainerState:
    plan = bundle.plan
    now, rest = divmod(time.time_ns(), 1_000_000_000)
    creator = os.getpid()
    return ContainerState(
        id=plan.id,
        bundle=bundle.path,
        rootfs=plan.root.path,
        cgroup_path=plan.cgroup.path if plan.cgroup else "",
        owns_cgroup=owns_cgroup,
        made_directories=missing_parents(plan.cgroup.path if plan.cgroup else ""),
        created=time.strftime(f"%Y-%m-%dT%H:%M:%S.{rest:09}Z", time.gmtime(now)),
        oci_version=bundle.spec.oci_version,
        creator=creator,
        creator_start_time=start_time(creator),
        owner=_user_name(os.geteuid()),
        annotations=plan.annotations,
    )


def _found_cgroup(command: Command, plan: LaunchPlan) -> bool:
    """Whether the cgroup is there already: then it is not the container's to remove.

    Conflict when it is frozen: the first process would never move.
    """
    with closing(open_cgroup(plan.cgroup.path if plan.cgroup else "/")) as cgroup:
        if not cgroup.exists():
            return False
        command.containers.refuse_known(plan.id)  # then it is that container's, and nothing to warn of
        if is_frozen(cgroup):
            raise Conflict(
                f"container's cgroup unexpectedly frozen: {cgroup.path}",
                remedy="thaw it, or choose another cgroupsPath",
            )
        others = len(cgroup.processes())
        if others:
            command.report.warning(f"container's cgroup is not empty: {others} process(es) found")
        return True


def _user_name(uid: int) -> str:
    import pwd

    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"#{uid}"


def write_pid_file(path: str, pid: int) -> None:
    """Write the pid to the file that the caller asked for, whole or not at all."""
    if not path:
        return
    directory, name = os.path.split(os.path.abspath(path))
    temporary = os.path.join(directory, f".{name}.{os.getpid()}")
    with open(temporary, "w", encoding="ascii") as file:
        file.write(str(pid))
    os.rename(temporary, path)


VERBS = {"create": Verb(create, "[command options] <container-id>", OPTIONS)}
