"""`state` and `list`: what the containers below --root are doing, as JSON and as a table."""

from __future__ import annotations

from contextlib import closing
from typing import Any

from sampan.cgroup import Cgroup, open_cgroup
from sampan.errors import InvalidArgument, NotFound
from sampan.runtime.commands.options import SWITCH, VALUE, Option, Words
from sampan.runtime.commands.report import answer
from sampan.runtime.commands.verb import Command, Verb, container_id
from sampan.runtime.json_text import dumps
from sampan.runtime.state import CREATED, PAUSED, RUNNING, STOPPED, Containers, ContainerState

_COLUMN = 12
_GAP = 3


def status_of(containers: Containers, state: ContainerState) -> str:
    """The status, of which being paused is one."""
    status = containers.status(state)
    if status not in {RUNNING, CREATED}:
        return status
    with closing(open_cgroup(state.cgroup_path)) as cgroup:
        return PAUSED if is_frozen(cgroup) else status


def is_frozen(cgroup: Cgroup) -> bool:
    """Whether the group is frozen; one that is not there in every hierarchy is not."""
    try:
        return cgroup.frozen()
    except FileNotFoundError:
        return False


def show_state(command: Command, words: Words) -> int:
    """Answer with the state of one container (runtime.md, Query State)."""
    state = command.containers.load(container_id(words))
    answer(dumps(_document(command.containers, state), 2) + "\n")
    return 0


def list_containers(command: Command, words: Words) -> int:
    """Answer with the containers: their ids, a table or one line of JSON."""
    form = words.text("format", "table")
    if form not in {"table", "json"}:
        raise InvalidArgument(f"invalid format option {form!r}", remedy="use table or json")
    if words.has("quiet"):
        answer("".join(f"{name}\n" for name in command.containers.ids()))
        return 0
    documents = [_document(command.containers, state) for state in _states(command)]
    if form == "json":
        answer(dumps(documents) + "\n")
        return 0
    head = ("ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER")
    rows = [head, *(tuple(str(document[name.lower()]) for name in head) for document in documents)]
    answer(table(rows))
    return 0


def _states(command: Command) -> list[ContainerState]:
    """All that are still there when it is their turn."""
    found = []
    for name in command.containers.ids():
        try:
            found.append(command.containers.load(name))
        except NotFound:
            continue
    return found


def _document(containers: Containers, state: ContainerState) -> dict[str, Any]:
    """The state as runc writes it, in its order."""
    status = status_of(containers, state)
    return {
        "ociVersion": state.oci_version,
        "id": state.id,
        "pid": 0 if status == STOPPED else state.pid,
        "status": status,
        "bundle": state.bundle,
        "rootfs": state.rootfs,
        "created": state.created,
        **({"annotations": dict(state.annotations)} if state.annotations else {}),
        "owner": state.owner,
    }


def table(rows: list[tuple[str, ...]]) -> str:
    """Rows in columns as Go's tabwriter sets them with runc's numbers: at least 12 wide, 3 between."""
    widths = [max(_COLUMN, *(len(cell) + _GAP for cell in column)) for column in zip(*rows, strict=True)]
    lines = ("".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows)
    return "".join(f"{line}\n" for line in lines)


VERBS = {
    "state": Verb(show_state, "<container-id>"),
    "list": Verb(
        list_containers,
        "[command options]",
        (
            Option("--format -f", VALUE, "table or json", "table"),
            Option("--quiet -q", SWITCH, "show only ids"),
        ),
    ),
}
