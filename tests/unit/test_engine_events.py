from __future__ import annotations

import asyncio
import time

import pytest

from sampan.engine import events as module
from sampan.engine.events import KEPT, Event, Events


def _publish(events: Events, count: int) -> None:
    for number in range(count):
        events.publish("container", f"act{number}", "c", {})


async def _collect(events: Events) -> list[Event]:
    return [event async for event in events.stream(lambda _: True)]


def test_the_last_events_are_kept_and_no_more() -> None:
    events = Events()
    _publish(events, KEPT + 50)
    told = asyncio.run(_past(events))
    assert [event.action for event in told] == [f"act{number}" for number in range(50, KEPT + 50)]


def test_an_end_without_a_beginning_means_all_that_are_kept_up_to_it() -> None:
    events = Events()
    _publish(events, 2)
    end = time.time_ns()

    async def scene() -> list[str]:
        return [event.action async for event in events.stream(lambda _: True, until_ns=end)]

    assert asyncio.run(scene()) == ["act0", "act1"]


async def _past(events: Events) -> list[Event]:
    found: list[Event] = []
    async for event in events.stream(lambda _: True, since_ns=1):
        found.append(event)
        if len(found) == KEPT:
            break
    return found


def test_who_falls_far_behind_is_cut_off_after_what_was_kept_for_him(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "QUEUED", 10)
    events = Events()

    async def scene() -> list[Event]:
        listening = asyncio.ensure_future(_collect(events))
        await asyncio.sleep(0)  # it listens now
        assert events.listeners == 1
        _publish(events, 1000)
        assert not events.listeners
        return await asyncio.wait_for(listening, 30)

    assert [event.action for event in asyncio.run(scene())] == [f"act{number}" for number in range(10)]


def test_who_leaves_is_forgotten() -> None:
    events = Events()

    async def scene() -> None:
        listening = asyncio.ensure_future(_collect(events))
        await asyncio.sleep(0)  # it listens now
        assert events.listeners == 1
        listening.cancel()
        await asyncio.wait([listening])

    asyncio.run(scene())
    assert not events.listeners
