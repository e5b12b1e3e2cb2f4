"""Which stages a target needs, and which of them need each other: the graph of a Dockerfile.

A stage needs its base, the stages that COPY and ADD take files from, and those that RUN mounts. What an image's ONBUILD
triggers need is not known before the image is; they may name any stage before theirs, which is then built too late to
be side by side, but built.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass

from sampan.build import instructions as said
from sampan.build.instructions import Dockerfile, Stage
from sampan.build.scopes import GlobalScope
from sampan.errors import InvalidArgument


@dataclass(frozen=True, slots=True)
class StagePlan:
    """A stage that is built: its base is another stage, or an image's name ("scratch" for nothing)."""

    index: int
    stage: Stage
    base: str
    base_stage: int | None
    platform: str
    needs: frozenset[int]


@dataclass(frozen=True, slots=True)
class Graph:
    """The needed stages in the order of the Dockerfile; the last is the target."""

    stages: tuple[StagePlan, ...]
    names: dict[str, int]

    @property
    def target(self) -> StagePlan:
        """The stage that becomes the image."""
        return self.stages[-1]


def plan_stages(dockerfile: Dockerfile, scope: GlobalScope, target: str, *, replaced: Collection[str] = ()) -> Graph:
    """The graph of what the target needs; stages whose names are `replaced` are images to those that need them.

    Raises InvalidArgument for a target or a base that cannot be.
    """
    names: dict[str, int] = {}
    for index, stage in enumerate(dockerfile.stages):
        if stage.name:
            names[stage.name] = index
    last = _target(dockerfile, names, target)
    names = {name: index for name, index in names.items() if name not in replaced}
    plans = [_plan(index, stage, names, scope) for index, stage in enumerate(dockerfile.stages[: last + 1])]
    needed: set[int] = set()
    pending = [last]
    while pending:
        index = pending.pop()
        if index not in needed:
            needed.add(index)
            pending += plans[index].needs
    return Graph(tuple(plans[index] for index in sorted(needed)), names)


def find_stage(names: dict[str, int], origin: str, before: int) -> int | None:
    """The number of an earlier stage by its name or number."""
    known = names.get(origin.lower())
    if known is not None and known < before:
        return known
    if origin.isascii() and origin.isdigit() and len(origin) < 6 and int(origin) < before:
        return int(origin)
    return None


def _target(dockerfile: Dockerfile, names: dict[str, int], target: str) -> int:
    if not target:
        return len(dockerfile.stages) - 1
    found = find_stage(names, target, len(dockerfile.stages))
    if found is None:
        raise InvalidArgument(
            f"failed to reach build target {target} in Dockerfile",
            remedy=f"stages are {', '.join(names)}" if names else "name a stage with FROM … AS NAME",
        )
    return found


def _plan(index: int, stage: Stage, names: dict[str, int], scope: GlobalScope) -> StagePlan:
    base = scope.expand(stage.base, stage.position).text
    if not base:
        raise stage.position.refusal(
            f"base name ({stage.base}) should not be blank", remedy="give the ARG a default, or pass --build-arg"
        )
    platform = scope.expand(stage.platform, stage.position).text
    base_stage = names.get(base.lower())
    if base_stage is not None and base_stage >= index:
        base_stage = None
    needs = {found for origin in _origins(stage) if (found := find_stage(names, origin, index)) is not None}
    if base_stage is not None:
        needs.add(base_stage)
    return StagePlan(index, stage, base, base_stage, platform, frozenset(needs))


def _origins(stage: Stage) -> Iterator[str]:
    for instruction in stage.instructions:
        match instruction:
            case said.Copy(origin=origin) if origin:
                yield origin
            case said.Run(mounts=mounts):
                yield from (mount.origin for mount in mounts if mount.origin)
            case _:
                pass
