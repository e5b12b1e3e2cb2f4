from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Iterator

import pytest

from sampan.engine import lifecycle as module
from sampan.engine.config import ContainerConfig
from sampan.engine.container import ContainerRecord, Exited, Running, State
from sampan.engine.lifecycle import Lifecycle
from sampan.engine.store import ContainerStore, open_database
from sampan.engine.waiting import Locks
from sampan.errors import SystemFailure


class Stubborn(Lifecycle):
    """Releases at the third try."""

    tries = 0

    async def release_run(self, record: ContainerRecord) -> None:
        del record
        Stubborn.tries += 1
        if Stubborn.tries < 3:
            raise SystemFailure("cannot remove the cgroup")


@pytest.fixture
def connection() -> Iterator[sqlite3.Connection]:
    opened = open_database(":memory:")
    yield opened
    opened.close()


@pytest.mark.parametrize(("state", "tries"), [(Exited(0, 1, 2), 3), (Running(1, 2, 3), 0)])
def test_what_a_run_took_is_released_later_unless_it_runs_again(
    connection: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch, state: State, tries: int
) -> None:
    monkeypatch.setattr(module, "RELEASE_AGAIN_S", (0.0,) * 5)
    monkeypatch.setattr(Stubborn, "tries", 0)
    record = ContainerRecord(
        id="c" * 64, name="box", created_at_ns=1, image_id="", config=ContainerConfig(), state=state
    )
    lifecycle = Stubborn.__new__(Stubborn)
    lifecycle.locks, lifecycle.store = Locks(), ContainerStore(connection)
    lifecycle.store.add(record)
    asyncio.run(lifecycle._release_later(record))
    assert Stubborn.tries == tries
