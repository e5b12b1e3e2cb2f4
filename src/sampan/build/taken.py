"""What the steps of a build take from the context, as far as the Dockerfile says it: nothing else need come."""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Iterator

from sampan.build import instructions as said
from sampan.build.graph import Graph
from sampan.build.instructions import Instruction, MountType, MountWord, Position
from sampan.build.mounts import read_mount
from sampan.build.request import NOTHING
from sampan.build.sources import is_remote
from sampan.errors import InvalidArgument

_UNKNOWN = frozenset("$'\"\\`")  # what is expanded or quoted is known when its step is carried out


def taken_from_context(graph: Graph, may_have_triggers: Callable[[str], bool]) -> tuple[str, ...] | None:
    """The paths that steps take, with wildcards; None when any may be taken.

    `may_have_triggers` says of a base image whether steps may come with it (ONBUILD).
    """
    found = set()
    for plan in graph.stages:
        if plan.base_stage is None and plan.base != NOTHING and may_have_triggers(plan.base):
            return None
        for instruction in plan.stage.instructions:
            for source in _sources(instruction):
                path = posixpath.normpath(f"/{source}").lstrip("/")
                if not path or not _UNKNOWN.isdisjoint(source):
                    return None
                found.add(path)
    return tuple(sorted(found))


def _sources(instruction: Instruction) -> Iterator[str]:
    match instruction:
        case said.Copy(origin="", sources=sources):
            yield from sources
        case said.Add(sources=sources):
            yield from (source for source in sources if not is_remote(source))
        case said.Onbuild(instruction=trigger):  # for a later stage of the same file
            yield from _sources(trigger)
        case said.Run(mounts=mounts):
            for word in mounts:
                yield from _mounted(word, instruction.position)


def _mounted(word: MountWord, where: Position) -> Iterator[str]:
    try:
        mount = read_mount(word, lambda text: text, where)
    except InvalidArgument:  # of its kind, or a number, it is a variable that is to say it
        yield word.text
        return
    if mount.type is MountType.BIND and not mount.origin:
        yield mount.source
