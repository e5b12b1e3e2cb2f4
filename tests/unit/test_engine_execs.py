from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from sampan.engine import execs as module
from sampan.engine.announcer import Announcer
from sampan.engine.config import ContainerConfig
from sampan.engine.container import ContainerRecord, Running
from sampan.engine.events import Events
from sampan.engine.execs import Execs
from sampan.engine.execs_plan import ExecConfig
from sampan.engine.store import ContainerStore, open_database
from sampan.errors import NotFound
from sampan.monitor.protocol import Exited


@pytest.fixture
def record() -> ContainerRecord:
    config = ContainerConfig()
    return ContainerRecord(id="c" * 64, name="box", created_at_ns=1, image_id="", config=config, state=Running(1, 2, 3))


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    opened = open_database(str(tmp_path / "sampan.db"))
    yield opened
    opened.close()


@pytest.fixture
def execs(connection: sqlite3.Connection, record: ContainerRecord) -> Execs:
    store = ContainerStore(connection)
    store.add(record)
    return Execs(store, Announcer(Events()))


def _ended(execs: Execs, record: ContainerRecord) -> str:
    exec_id = execs.create("box", ExecConfig(("true",))).id
    execs.exited(record, Exited(0, exec_id=exec_id))
    return exec_id


def test_of_very_many_that_have_ended_the_oldest_are_forgotten(
    execs: Execs, record: ContainerRecord, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "KEPT", 10)
    ids = [_ended(execs, record) for _ in range(30)]
    with pytest.raises(NotFound):
        execs.find(ids[0])
    assert execs.find(ids[-1]).code == 0
    assert len(execs._execs) <= 12


def test_those_that_ended_long_ago_are_forgotten(
    execs: Execs, record: ContainerRecord, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = _ended(execs, record)
    now = time.monotonic() + module.KEPT_S + 1
    monkeypatch.setattr(time, "monotonic", lambda: now)
    new = _ended(execs, record)
    execs.create("box", ExecConfig(("true",)))
    with pytest.raises(NotFound):
        execs.find(old)
    assert execs.find(new).code == 0


def test_with_their_container_go_those_that_never_started(execs: Execs, record: ContainerRecord) -> None:
    never = execs.create("box", ExecConfig(("true",))).id
    execs.adopt(record.id, (("running", 7),), ())
    execs.forget_running(record.id)
    with pytest.raises(NotFound):
        execs.find(never)
    assert execs.find("running").code == 137
