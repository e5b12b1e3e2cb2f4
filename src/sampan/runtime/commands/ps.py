"""`ps`: the processes of a container, by the host's ps(1) or as a list of pids."""

from __future__ import annotations

import subprocess
from contextlib import closing

from sampan.cgroup import open_cgroup
from sampan.errors import InvalidArgument, SystemFailure
from sampan.runtime.commands.options import VALUE, Option, Words
from sampan.runtime.commands.report import answer
from sampan.runtime.commands.verb import Command, Verb
from sampan.runtime.json_text import dumps


def ps(command: Command, words: Words) -> int:
    """Answer with ps(1)'s lines about the container's processes, or with their pids as JSON."""
    if not words.positional:
        raise InvalidArgument("ps wants a container id")
    form = words.text("format", "table")
    if form not in {"table", "json"}:
        raise InvalidArgument(f"invalid format option {form!r}", remedy="use table or json")
    name, *options = words.positional
    state = command.containers.load(name)
    with closing(open_cgroup(state.cgroup_path)) as cgroup:
        pids = sorted(cgroup.processes()) if cgroup.exists() else []
    answer(dumps(pids) + "\n" if form == "json" else _table(frozenset(pids), options or ["-ef"]))
    return 0


def _table(pids: frozenset[int], options: list[str]) -> str:
    """ps(1) takes a hundred options of its own: it is asked for all, and the lines of others are left out."""
    done = subprocess.run(["ps", *options], capture_output=True, text=True, errors="replace", check=False)
    if done.returncode:
        raise SystemFailure(f"ps {' '.join(options)} failed: {done.stderr.strip()}", remedy="see ps(1) for its options")
    head, *lines = done.stdout.splitlines() or [""]
    titles = head.split()
    if "PID" not in titles:
        raise InvalidArgument(f"ps {' '.join(options)} has no column PID", remedy="choose options that show it")
    column = titles.index("PID")
    kept = [head, *(line for line in lines if _pid(line, column) in pids)]
    return "".join(f"{line}\n" for line in kept)


def _pid(line: str, column: int) -> int:
    words = line.split(None, column + 1)
    return int(words[column]) if len(words) > column and words[column].isdigit() else -1


VERBS = {
    "ps": Verb(
        ps,
        "[command options] <container-id> [ps options]",
        (Option("--format -f", VALUE, "table or json", "table"),),
        mixed=False,
    )
}
