"""`delete`: what a container holds is released, its poststop hooks are run, it is forgotten."""

from __future__ import annotations

import os
import signal
import time
from contextlib import closing, suppress

from sampan.cgroup import open_cgroup
from sampan.errors import Conflict, NotFound, SampanError, SystemFailure
from sampan.linux.process import pidfd_open, pidfd_send_signal
from sampan.runtime.commands.options import SWITCH, Option, Words
from sampan.runtime.commands.parents import remove_parents
from sampan.runtime.commands.show import is_frozen
from sampan.runtime.commands.verb import REGEX, Command, Verb, container_id, container_ids
from sampan.runtime.hooks import state_document, try_hooks
from sampan.runtime.state import STOPPED, ContainerState, is_alive, mentions

_PATIENCE_S = 10.0
_STRAYED_S = 0.2


def delete(command: Command, words: Words) -> int:
    """Delete a stopped container, with --force any container (runtime.md, Delete)."""
    for name in container_ids(command, container_id(words), is_regex=words.has("regex")):
        _delete(command, name, force=words.has("force"))
    return 0


def _delete(command: Command, name: str, *, force: bool) -> None:
    try:
        with command.containers.locked(name):
            state = command.containers.load(name)
            status = command.containers.status(state)
            if status != STOPPED and not force:
                raise Conflict(
                    f"cannot delete container {name} that is not stopped: {status}",
                    remedy="kill it first, or use --force",
                )
            destroy(command, state)
    except NotFound:
        if not force:
            raise
        command.containers.remove(name)  # a `create` that was killed before it wrote a state leaves the id taken


def destroy(command: Command, state: ContainerState) -> None:
    """End what still runs, remove the cgroup, run the poststop hooks, forget the container; repeatable at any point."""
    end_all(state)
    _run_poststop(command, state)
    command.containers.remove(state.id)


def end_all(state: ContainerState) -> None:
    """Kill the first process and everything in the cgroup, and remove the cgroup.

    In a cgroup that was there before the container nobody is killed, and it stays when it is not empty.
    """
    if state.pid and is_alive(state.pid, state.start_time):
        _kill(state)
    with closing(open_cgroup(state.cgroup_path)) as cgroup:
        if cgroup.exists():
            if state.owns_cgroup:
                cgroup.kill_all()
            if state.owns_cgroup or not cgroup.processes():
                cgroup.remove()
    remove_parents(state.made_directories)


def _kill(state: ContainerState) -> None:
    """SIGKILL, and wait until the process is gone."""
    try:
        pidfd = pidfd_open(state.pid)
    except ProcessLookupError:
        return
    if is_alive(state.pid, state.start_time):  # asked again: only now the descriptor is surely of that process
        pidfd_send_signal(pidfd, signal.SIGKILL)
    _thaw(state)
    begun = time.monotonic()
    is_home = False
    while is_alive(state.pid, state.start_time):
        waited = time.monotonic() - begun
        if waited > _STRAYED_S and not is_home:
            _bring_home(state)
            is_home = True
        if waited > _PATIENCE_S:
            raise SystemFailure(
                f"the first process of container {state.id} (pid {state.pid}) does not end",
                remedy="it hangs in the kernel: look at its wchan in /proc",
            )
        time.sleep(0.002)


def _bring_home(state: ContainerState) -> None:
    """Put the process back into the container's own cgroup: someone has moved it into one that is frozen."""
    with closing(open_cgroup(state.cgroup_path)) as cgroup, suppress(OSError), cgroup.entry() as entry:
        for fd in entry.task_fds:
            os.write(fd, str(state.pid).encode())


def _thaw(state: ContainerState) -> None:
    """A frozen process does not die on v1."""
    with closing(open_cgroup(state.cgroup_path)) as cgroup:
        if cgroup.exists() and is_frozen(cgroup):
            cgroup.thaw()


def _run_poststop(command: Command, state: ContainerState) -> None:
    """Run the poststop hooks; what fails is a warning (runtime.md, Lifecycle, step 13)."""
    try:
        config = command.containers.config(state.id)
        if not mentions(config, "poststop"):  # then there is nothing to read it for
            return
        from sampan.oci.runtime_documents import decode_spec
        from sampan.runtime.plan import plan_launch

        plan = plan_launch(decode_spec(config), id=state.id, bundle=state.bundle)
    except SampanError as error:
        command.report.warning(f"poststop hooks of container {state.id} are not run: {error}")
        return
    for warning in try_hooks("poststop", plan.hooks.poststop, state_document(plan, "stopped", 0)):
        command.report.warning(warning)


VERBS = {
    "delete": Verb(
        delete,
        "[command options] <container-id>",
        (Option("--force -f", SWITCH, "kill the container when it still runs; fine when it does not exist"), REGEX),
    )
}
