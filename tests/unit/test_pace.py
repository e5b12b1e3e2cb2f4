"""Progress is told now and then, and what matters always."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sampan.engine.pace import Pace

Step = tuple[str, str, int]


@dataclass
class Clock:
    now: float = 0.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Told:
    clock: Clock = field(default_factory=Clock)
    steps: list[Step] = field(default_factory=list)

    def pace(self, interval_s: float = 0.1) -> Pace[Step]:
        return Pace(self.steps.append, lambda step: (step[0], step[1]), interval_s, self.clock)


def test_what_changes_fast_is_told_once_an_interval_and_at_last() -> None:
    told = Told()

    async def transfer() -> None:
        pace = told.pace(60.0)
        for count in range(6001):
            told.clock.now = count / 10
            pace.tell(("layer", "Downloading", count))
        pace.finish()

    asyncio.run(transfer())
    assert [count for _, _, count in told.steps] == [*range(0, 6001, 600)]


def test_another_status_is_told_at_once_and_makes_what_was_held_old() -> None:
    told = Told()

    async def transfer() -> None:
        pace = told.pace(60.0)
        for step in (("a", "Downloading", 1), ("a", "Downloading", 2), ("b", "Downloading", 1), ("a", "Complete", 3)):
            pace.tell(step)
        pace.finish()

    asyncio.run(transfer())
    assert told.steps == [("a", "Downloading", 1), ("b", "Downloading", 1), ("a", "Complete", 3)]


def test_what_is_held_is_told_when_nothing_more_comes() -> None:
    told = Told()

    async def transfer() -> None:
        pace = told.pace(0.001)  # by a clock that stands still
        pace.tell(("a", "Downloading", 1))
        pace.tell(("a", "Downloading", 2))
        while len(told.steps) < 2:  # noqa: ASYNC110 - what is awaited is the timer of the thing under test
            await asyncio.sleep(0)

    asyncio.run(asyncio.wait_for(transfer(), 30))
    assert told.steps == [("a", "Downloading", 1), ("a", "Downloading", 2)]


@pytest.mark.parametrize("interval_s", [0.0, 60.0])
@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("xy"), st.integers(0, 9))))
def test_the_last_step_of_each_thing_is_told_and_no_change_is_missed(interval_s: float, steps: list[Step]) -> None:
    told = Told()

    async def transfer() -> None:
        pace = told.pace(interval_s)
        for step in steps:
            pace.tell(step)
        pace.finish()

    asyncio.run(transfer())
    for thing in "abc":
        given_steps = [step for step in steps if step[0] == thing]
        shown = [step for step in told.steps if step[0] == thing]
        assert shown[-1:] == given_steps[-1:]
        assert _changes(shown) == _changes(given_steps)


def _changes(steps: list[Step]) -> list[str]:
    return [step[1] for before, step in zip([("", "", 0), *steps], steps, strict=False) if before[1] != step[1]]
