"""`pause` and `resume`: the freezer of a container's cgroup."""

from __future__ import annotations

from contextlib import closing

from sampan.cgroup import open_cgroup
from sampan.errors import Conflict
from sampan.runtime.commands.options import Words
from sampan.runtime.commands.show import is_frozen, status_of
from sampan.runtime.commands.verb import Command, Verb, container_id
from sampan.runtime.state import CREATED, RUNNING


def pause(command: Command, words: Words) -> int:
    """Suspend every process of the container."""
    name = container_id(words)
    with command.containers.locked(name):
        state = command.containers.load(name)
        status = status_of(command.containers, state)
        if status not in {RUNNING, CREATED}:
            raise Conflict(f"container not running: {name} is {status}")
        with closing(open_cgroup(state.cgroup_path)) as cgroup:
            cgroup.freeze()
    return 0


def resume(command: Command, words: Words) -> int:
    """Let them go on."""
    name = container_id(words)
    with command.containers.locked(name):
        state = command.containers.load(name)
        with closing(open_cgroup(state.cgroup_path)) as cgroup:
            if not is_frozen(cgroup):
                raise Conflict(f"container not paused: {name} is {status_of(command.containers, state)}")
            cgroup.thaw()
    return 0


VERBS = {"pause": Verb(pause, "<container-id>"), "resume": Verb(resume, "<container-id>")}
