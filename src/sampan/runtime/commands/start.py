"""`start`: opens the gate of a created container, and runs its poststart hooks."""

from __future__ import annotations

from sampan.errors import Conflict
from sampan.runtime.commands.options import Words
from sampan.runtime.commands.verb import Command, Verb, container_id
from sampan.runtime.hooks import state_document, try_hooks
from sampan.runtime.launched import open_gate
from sampan.runtime.state import CREATED, STOPPED, ContainerState, mentions


def start(command: Command, words: Words) -> int:
    """Execute the program of a created container (runtime.md, Start)."""
    name = container_id(words)
    with command.containers.locked(name):
        state = command.containers.load(name)
        status = command.containers.status(state)
        if status == STOPPED:
            raise Conflict(f"cannot start a container that has stopped: {name}", remedy="delete it and create it again")
        if status != CREATED:
            raise Conflict(f"cannot start an already running container: {name} is {status}")
        command.report.debug(f"opening the gate of container {name}")
        with command.containers.taken_gate(name) as gate_path:
            open_gate(gate_path)
        config = command.containers.config(name)
        if mentions(config, "poststart"):  # else there is nothing to read it for
            _run_poststart(command, state, config)
    return 0


def _run_poststart(command: Command, state: ContainerState, config: bytes) -> None:
    """Run the hooks; what fails is a warning (runtime.md, Lifecycle, step 9)."""
    from sampan.oci.runtime_documents import decode_spec
    from sampan.runtime.plan import plan_launch

    plan = plan_launch(decode_spec(config), id=state.id, bundle=state.bundle)
    for warning in try_hooks("poststart", plan.hooks.poststart, state_document(plan, "running", state.pid)):
        command.report.warning(warning)


VERBS = {"start": Verb(start, "<container-id>")}
