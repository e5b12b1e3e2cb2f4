"""Which stages a target needs, and which of them need each other: the graph of a Dockerfile.

A stage needs its base, the stages that COPY and ADD take files from, and those that RUN mounts. What an image's ONBUILD
triggers need is not known before the image is; they may name any stage before theirs, which is then built late, but
built (`crew`).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Container, Iterable, Iterator
from dataclasses import dataclass, replace

from sampan.build import instructions as said
from sampan.build.instructions import Dockerfile, Instruction, Position, Stage
from sampan.build.request import NOTHING
from sampan.build.scopes import GlobalScope
from sampan.errors import InvalidArgument
from sampan.image.platforms import parse_platform


@dataclass(frozen=True, slots=True)
class StagePlan:
    """A stage that is built: its base is another stage, or an image's name, or NOTHING's."""

    index: int
    stage: Stage
    base: str
    base_stage: int | None
    platform: str
    needs: frozenset[int]


@dataclass(frozen=True, slots=True)
class Graph:
    """The needed stages in the order of the Dockerfile; the last is the target.

    `plans` are those of all stages up to it, each at its number; names that are `replaced` mean images.
    """

    stages: tuple[StagePlan, ...]
    names: dict[str, int]
    plans: tuple[StagePlan, ...]
    replaced: frozenset[str]

    @property
    def target(self) -> StagePlan:
        """The stage that becomes the image."""
        return self.stages[-1]

    def taken_from(self, index: int, instructions: Iterable[Instruction]) -> set[int]:
        """The stages that these instructions, carried out in the stage with this number, take files from."""
        found = (find_stage(self.names, origin, index) for origin, _ in _origins(instructions))
        return {stage for stage in found if stage is not None}

    def with_needs(self, indexes: Iterable[int], known: Container[int]) -> list[int]:
        """These stages and those that they need, without any that are known already, lowest first.

        Raises InvalidArgument for one that takes something from where there is nothing.
        """
        found: set[int] = set()
        pending = list(indexes)
        while pending:
            index = pending.pop()
            if index not in known and index not in found:
                found.add(index)
                pending += self.plans[index].needs
                _check_origins(self.plans[index], self.names, self.replaced)
        return sorted(found)


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
    earlier: dict[str, int] = {}  # a name that is given twice means, to a FROM, the stage that had it last
    plans = []
    for index, stage in enumerate(dockerfile.stages[: last + 1]):
        plans.append(_plan(index, stage, names, earlier, scope))
        if stage.name in names:
            earlier[stage.name] = index
    graph = Graph((), names, tuple(plans), frozenset(replaced))
    return replace(graph, stages=tuple(plans[index] for index in graph.with_needs([last], ())))


def _check_origins(plan: StagePlan, names: dict[str, int], replaced: Container[str]) -> None:
    for origin, where in _origins(plan.stage.instructions):
        if origin.lower() in replaced:
            continue
        try:
            refuse_origin(names, origin, plan.index)
        except InvalidArgument as error:
            raise where.refusal(error.sentence, remedy=error.remedy) from None


def find_stage(names: dict[str, int], origin: str, before: int) -> int | None:
    """The number of an earlier stage by its name or number."""
    known = names.get(origin.lower())
    if known is not None and known < before:
        return known
    if origin.isascii() and origin.isdigit() and len(origin) < 6 and int(origin) < before:
        return int(origin)
    return None


def refuse_origin(names: dict[str, int], origin: str, index: int) -> None:
    """Refuse what is no stage that the one with this number could take something from, and no image either.

    Raises InvalidArgument in Docker's words.
    """
    meant = names.get(origin.lower())
    if re.fullmatch(r"-?\d{1,9}", origin, re.ASCII):
        meant = int(origin)
    if origin.lower() == NOTHING:
        reason, remedy = "'scratch' is a reserved name", "there is nothing in it to be copied"
    elif meant == index:
        reason, remedy = "refers to current build stage", "a stage has its own files already; name another, or an image"
    elif meant is not None and not 0 <= meant < index:
        reason = "index out of bounds" if origin.lower() not in names else "the stage is defined after this one"
        remedy = "move that stage to before this one" if origin.lower() in names else _stages_before(index)
    else:
        return
    raise InvalidArgument(f"invalid from flag value {origin}: {reason}", remedy=remedy)


def _stages_before(index: int) -> str:
    if not index:
        return "there is no stage before this one"
    before = "only stage 0 is" if index == 1 else f"0 to {index - 1} are"
    return f"stages are counted from 0, and {before} before this one"


def _target(dockerfile: Dockerfile, names: dict[str, int], target: str) -> int:
    if not target:
        return len(dockerfile.stages) - 1
    found = find_stage(names, target, len(dockerfile.stages))
    if found is None:
        raise InvalidArgument(
            f'target stage "{target}" could not be found',
            remedy=f"stages are {', '.join(names)}" if names else "name a stage with FROM … AS NAME",
        )
    return found


def _plan(index: int, stage: Stage, names: dict[str, int], earlier: dict[str, int], scope: GlobalScope) -> StagePlan:
    base = scope.expand(stage.base, stage.position).text
    if not base:
        raise stage.position.refusal(
            f"base name ({stage.base}) should not be blank", remedy="give the ARG a default, or pass --build-arg"
        )
    platform = _platform(stage, scope)
    base_stage = earlier.get(base.lower())
    origins = _origins(stage.instructions)
    needs = {found for origin, _ in origins if (found := find_stage(names, origin, index)) is not None}
    if base_stage is not None:
        needs.add(base_stage)
    return StagePlan(index, stage, base, base_stage, platform, frozenset(needs))


def _platform(stage: Stage, scope: GlobalScope) -> str:
    if not stage.platform:
        return ""
    platform = scope.expand(stage.platform, stage.position).text
    if not platform:
        raise stage.position.refusal(
            f"empty platform value from expression {stage.platform}",
            remedy="give the ARG a default before the first FROM, or pass --build-arg",
        )
    try:
        parse_platform(platform)
    except InvalidArgument as error:
        raise stage.position.refusal(f"failed to parse platform: {error.sentence}", remedy=error.remedy) from None
    return platform


def _origins(instructions: Iterable[Instruction]) -> Iterator[tuple[str, Position]]:
    """Where the instructions take files from, and which say so."""
    for instruction in instructions:
        match instruction:
            case said.Copy(position=where, origin=origin) if origin:
                yield origin, where
            case said.Run(position=where, mounts=mounts):
                yield from ((mount.origin, where) for mount in mounts if mount.origin)
            case _:
                pass
