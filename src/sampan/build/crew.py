"""The stages of a build at work: each as soon as those that it needs are done, side by side where they can be.

Which those are is `graph`'s matter, but for stages that only a base image's triggers (ONBUILD) take files from: these
are built when the image is known, in the turn of the stage that it is the base of.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from sampan.build.graph import StagePlan
from sampan.build.instructions import Instruction
from sampan.build.moving import reads_context
from sampan.build.progress import StageEnds, Tell, Voices
from sampan.build.stage_build import StageBuild
from sampan.build.workshop import Workshop

_FEWEST_AT_ONCE = 4


def _limit() -> asyncio.Semaphore:
    return asyncio.Semaphore(max(_FEWEST_AT_ONCE, 2 * (os.cpu_count() or 1)))


@dataclass(slots=True)
class Crew:
    """Builds the stages of one graph. `steps_of` gives a stage's instructions, with those that it got on the way."""

    workshop: Workshop
    voices: Voices
    steps_of: Callable[[StagePlan], tuple[Instruction, ...]]
    _done: dict[int, asyncio.Event] = field(default_factory=dict)
    _places: dict[int, int] = field(default_factory=dict)  # whose turn to speak is a stage's
    _limit: asyncio.Semaphore = field(default_factory=_limit)

    async def build(self, first: int, total: int) -> None:
        """All stages; `first` is the number of the first one's FROM among all steps. Raises what failed first."""
        works = []
        for place, plan in enumerate(self.workshop.graph.stages):
            self._done[plan.index], self._places[plan.index] = asyncio.Event(), place
            steps = self.steps_of(plan)
            tell = self.voices.of(place, plan.stage.name)
            works.append(StageBuild(self.workshop, plan, steps, first, total, tell, self))
            first += 1 + len(steps)
        try:
            async with asyncio.TaskGroup() as group:
                for work in works:
                    group.create_task(self._build_one(work))
        except BaseExceptionGroup as failures:
            raise _first(failures) from None

    async def _build_one(self, stage: StageBuild) -> None:
        place = self._places[stage.plan.index]
        await self._wait(stage.plan.needs)
        async with self._limit:
            try:
                await self._finish(stage)
            except Exception:
                self.voices.interrupt(place)
                raise
        self.voices.end(place)

    async def _finish(self, stage: StageBuild) -> None:
        self.workshop.results[stage.plan.index] = await stage.build()
        stage.tell(StageEnds(stage.state.image_id))
        self._done[stage.plan.index].set()

    async def _wait(self, stages: Iterable[int]) -> None:
        for index in stages:
            await self._done[index].wait()

    def enlist(self, plan: StagePlan, triggers: tuple[Instruction, ...]) -> list[int]:
        """Take on the stages that nobody builds and these triggers of a stage's base need; `build_late` does them."""
        graph = self.workshop.graph
        late = graph.with_needs(graph.taken_from(plan.index, triggers), self._done)
        for index in late:
            self._done[index], self._places[index] = asyncio.Event(), self._places[plan.index]
            self.workshop.uses.left += sum(map(reads_context, graph.plans[index].stage.instructions))
            self.workshop.uses.unknown += 1
        return late

    async def build_late(self, plan: StagePlan, triggers: tuple[Instruction, ...], late: list[int]) -> None:
        """Build what was enlisted, and wait for all that the triggers take files from."""
        wanted = self.workshop.graph.taken_from(plan.index, triggers)
        if not wanted:
            return
        self._limit.release()  # those that are waited for may need the place
        try:
            for index in late:
                await self._wait(self.workshop.graph.plans[index].needs)
                async with self._limit:
                    await self._finish(self._late(index))
            await self._wait(wanted)
        finally:
            await self._limit.acquire()

    def _late(self, index: int) -> StageBuild:
        plan = self.workshop.graph.plans[index]
        steps = self.steps_of(plan)
        tell: Tell = self.voices.of(self._places[index], plan.stage.name, len(self.workshop.graph.plans) + index)
        return StageBuild(self.workshop, plan, steps, 1, 1 + len(steps), tell, self)


def _first(failures: BaseExceptionGroup[BaseException]) -> BaseException:
    found: BaseException = failures
    while isinstance(found, BaseExceptionGroup):
        found = found.exceptions[0]
    return found
