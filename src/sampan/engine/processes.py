"""Which processes a container has, as the host's ps(1) shows them: Docker's top."""

from __future__ import annotations

import asyncio
import shlex
from dataclasses import dataclass

from sampan.cgroup import open_cgroup
from sampan.engine.container import ContainerRecord
from sampan.engine.not_running import not_running
from sampan.engine.spec import cgroup_path
from sampan.errors import InvalidArgument, NotImplementedHere, SystemFailure

DEFAULT_ARGUMENTS = "-ef"


@dataclass(frozen=True, slots=True)
class ProcessTable:
    """Column titles, and a row a process."""

    titles: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


async def processes(record: ContainerRecord, cgroup_parent: str, arguments: str) -> ProcessTable:
    """The container's processes as `ps` with these arguments shows them.

    Raises Conflict when it does not run, InvalidArgument for arguments that ps refuses or that hide the PID column.
    """
    if record.running is None:
        raise not_running(record)
    cgroup = open_cgroup(cgroup_path(record, cgroup_parent))
    try:
        pids = {str(pid) for pid in cgroup.processes()}
    finally:
        cgroup.close()
    return _select(await _ps(arguments or DEFAULT_ARGUMENTS), pids)


async def _ps(arguments: str) -> str:
    try:
        words = shlex.split(arguments)
        process = await asyncio.create_subprocess_exec(
            "ps",
            *words,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
    except ValueError as error:
        raise InvalidArgument(f"ps arguments {arguments!r}: {error}", remedy="as in ?ps_args=aux") from error
    except FileNotFoundError as error:
        raise NotImplementedHere("top needs ps(1) on the host", remedy="apt-get install procps") from error
    output, problem = await process.communicate()
    if process.returncode:
        text = problem.decode(errors="replace").strip().splitlines()
        raise InvalidArgument(f"error running ps: {text[0] if text else process.returncode}", remedy="see man 1 ps")
    return output.decode(errors="replace")


def _select(text: str, pids: set[str]) -> ProcessTable:
    lines = text.splitlines()
    titles = tuple(lines[0].split()) if lines else ()
    if "PID" not in titles:
        raise InvalidArgument("Couldn't find PID field in ps output", remedy="let ps show the column PID")
    column = titles.index("PID")
    rows = []
    for line in lines[1:]:
        words = line.split(None, len(titles) - 1)
        if len(words) <= column:
            raise SystemFailure(f"cannot read ps output: {line!r}")
        if words[column] in pids:
            rows.append(tuple(words))
    return ProcessTable(titles, tuple(rows))
