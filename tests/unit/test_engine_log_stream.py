"""A log that is read right after a start: a run that ends within a moment is let come to its end."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator

import pytest

from sampan.engine.config import ContainerConfig
from sampan.engine.container import ContainerRecord, Running
from sampan.engine.log_stream import let_end
from sampan.engine.store import ContainerStore, open_database
from sampan.engine.waiting import Waits

NAME = "c" * 64
NOW_NS = 1_800_000_000 * 10**9


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> Iterator[ContainerStore]:
    """A store, at a time that stands still."""
    monkeypatch.setattr(time, "time_ns", lambda: NOW_NS)
    opened = open_database(":memory:")
    yield ContainerStore(opened)
    opened.close()


def begun(ago_s: float) -> ContainerRecord:
    state = Running(1, 2, NOW_NS - int(ago_s * 1e9))
    return ContainerRecord(NAME, "box", created_at_ns=1, image_id="", config=ContainerConfig(), state=state)


async def waits_for_the_end(record: ContainerRecord, store: ContainerStore) -> bool:
    """Whether a reader of the log of `record` waits until the run ends."""
    waits = Waits()
    reader = asyncio.ensure_future(let_end(record, store, waits))
    await asyncio.sleep(0)
    is_waiting = not reader.done()
    waits.exited(NAME, 0)
    await asyncio.wait_for(reader, 60)
    return is_waiting


def test_who_reads_the_log_of_a_run_that_has_just_begun_waits_for_its_end(store: ContainerStore) -> None:
    store.add(begun(0))
    assert asyncio.run(waits_for_the_end(begun(0), store))


@pytest.mark.parametrize("ago_s", [1.0, -1.0], ids=["a second ago", "by a clock that was set back"])
def test_of_another_run_nobody_waits_for_the_end(store: ContainerStore, ago_s: float) -> None:
    store.add(begun(ago_s))
    assert not asyncio.run(waits_for_the_end(begun(ago_s), store))


def test_nobody_waits_for_a_run_that_is_over_or_for_a_container_that_is_gone(store: ContainerStore) -> None:
    assert not asyncio.run(waits_for_the_end(begun(0), store))
    store.add(begun(1))
    assert not asyncio.run(waits_for_the_end(begun(0), store))


def test_who_reads_waits_no_longer_than_a_moment(store: ContainerStore) -> None:
    store.add(begun(0))
    asyncio.run(asyncio.wait_for(let_end(begun(0), store, Waits()), 60))
