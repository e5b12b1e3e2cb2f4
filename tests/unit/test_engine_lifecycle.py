from __future__ import annotations

import asyncio
import dataclasses
import os
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from sampan.engine import lifecycle as module
from sampan.engine import spec_resources
from sampan.engine.config import ContainerConfig, HostConfig
from sampan.engine.container import ContainerRecord, Created, Exited, Running, State
from sampan.engine.layout import Layout
from sampan.engine.lifecycle import Lifecycle
from sampan.engine.monitors import Monitor
from sampan.engine.parts import Place
from sampan.engine.store import ContainerStore, open_database
from sampan.engine.waiting import EarlyClients, Locks, Waits
from sampan.errors import SystemFailure
from sampan.monitor import protocol
from sampan.monitor.protocol import Ready, Started


class Stubborn(Lifecycle):
    """Releases at the third try."""

    tries = 0

    async def release_run(self, record: ContainerRecord) -> None:
        del record
        Stubborn.tries += 1
        if Stubborn.tries < 3:
            raise SystemFailure("cannot remove the cgroup")


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    opened = open_database(str(tmp_path / "sampan.db"))
    yield opened
    opened.close()


@pytest.mark.parametrize(("state", "tries"), [(Exited(0, 1, 2), 3), (Running(1, 2, 3), 0)])
def test_what_a_run_took_is_released_later_unless_it_runs_again(
    connection: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch, state: State, tries: int
) -> None:
    monkeypatch.setattr(module, "RELEASE_AGAIN_S", (0.0,) * 5)
    monkeypatch.setattr(Stubborn, "tries", 0)
    record = _box(state)
    lifecycle = Stubborn.__new__(Stubborn)
    lifecycle.locks, lifecycle.store = Locks(), ContainerStore(connection)
    lifecycle.store.add(record)
    asyncio.run(lifecycle._release_later(record))
    assert Stubborn.tries == tries


class Quick(Lifecycle):
    """Launches a monitor that looks around when it is told to go."""

    monitor: Any

    async def _launch(self, *_arguments: Any, **_options: Any) -> Monitor:
        return cast("Monitor", self.monitor)

    def _started(self, *_arguments: Any) -> None:
        pass

    async def release_run(self, record: ContainerRecord) -> None:
        del record


async def _nothing(*_arguments: Any) -> None:
    pass


def _start(connection: sqlite3.Connection, go: Callable[[ContainerStore], Started]) -> ContainerStore:
    """Start the container `box` of a store, with `go` in place of what the monitor does when its program is to run."""
    store = ContainerStore(connection)
    lifecycle = Quick.__new__(Quick)
    lifecycle.store, lifecycle.locks, lifecycle.early, lifecycle.waits = store, Locks(), EarlyClients(), Waits()
    lifecycle.monitors = {}

    async def start() -> None:
        async def mount(record: ContainerRecord) -> ContainerRecord:
            return record

        async def attach(record: ContainerRecord) -> Place:
            return Place(None, record.endpoints, ports={"80/tcp": (("0.0.0.0", "8080"),)})

        async def look_and_go() -> Started:
            return go(store)

        parts: Any = lifecycle
        parts.views = SimpleNamespace(expect=lambda _host: None, of=_nothing)
        parts.volumes = SimpleNamespace(mount=mount, unmount=_nothing)
        parts.networks = SimpleNamespace(attach=attach, release=_nothing, complete=_nothing)
        ready: asyncio.Future[Ready] = asyncio.get_running_loop().create_future()
        ready.set_result(Ready(7, 8))
        lifecycle.monitor = SimpleNamespace(
            container_id="c" * 64, ready=ready, go=look_and_go, close=lambda: None, attach=lambda *_: None
        )
        await lifecycle.start("box")

    asyncio.run(start())
    return store


def test_a_start_has_made_no_run_directory_yet_when_it_looks_for_devices(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    lifecycle: Any = Lifecycle.__new__(Lifecycle)
    lifecycle.layout = Layout(str(tmp_path), str(tmp_path))
    lifecycle.roots = SimpleNamespace(prepare=lambda *_, **__: None)

    async def look(_host: HostConfig) -> None:
        assert os.listdir(tmp_path) == []
        raise SystemFailure("looked")

    monkeypatch.setattr(spec_resources, "devices_beside", look)
    monkeypatch.setattr(Lifecycle, "_write_identity", lambda *_: None)
    with pytest.raises(SystemFailure, match="looked"):
        asyncio.run(lifecycle._launch(_box(Created()), Place(None, {}), None, traced=False))


def test_a_stop_that_comes_while_an_end_is_settled_is_remembered(
    connection: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = ContainerStore(connection)
    store.add(_box(Running(7, 8, 9)))
    lifecycle: Any = Lifecycle.__new__(Lifecycle)
    lifecycle.store, lifecycle.locks, lifecycle.waits, lifecycle.monitors = store, Locks(), Waits(), {}
    nothing = SimpleNamespace(
        **dict.fromkeys(("forget", "forget_running", "networks", "volumes", "died", "drivers"), lambda *_: None)
    )
    lifecycle.healths = lifecycle.execs = lifecycle.announcer = lifecycle.networks = nothing
    after: list[ContainerRecord] = []

    def following(record: ContainerRecord) -> ContainerRecord:
        after.append(record)
        return record

    async def release(_lifecycle: Lifecycle, record: ContainerRecord) -> ContainerRecord:
        store.save(dataclasses.replace(record, stopped_by_user=True))
        return record

    lifecycle.aftermath = SimpleNamespace(following=following, after_exit=_nothing)
    monkeypatch.setattr(Lifecycle, "_release_all", release)
    asyncio.run(lifecycle.settle("c" * 64, protocol.Exited(3)))
    assert [record.stopped_by_user for record in after] == [True]


@pytest.mark.parametrize("before", [Created(), Exited(3, 1, 2)])
def test_the_disk_says_that_it_runs_before_its_program_does_and_everybody_else_when_it_is_known_since_when(
    connection: sqlite3.Connection, before: State
) -> None:
    seen: list[State] = []

    def look(store: ContainerStore) -> Started:
        seen.extend(one.find("box").state for one in (store, ContainerStore(connection)))
        return Started(7, "", 99)

    ContainerStore(connection).add(_box(before))
    store = _start(connection, look)
    assert seen == [before, Running(7, 8, 0)]
    assert store.find("box").state == ContainerStore(connection).find("box").state == Running(7, 8, 99)


def test_after_a_program_that_could_not_run_disk_and_memory_say_the_same(connection: sqlite3.Connection) -> None:
    def fail(_store: ContainerStore) -> Started:
        raise SystemFailure("no such program")

    ContainerStore(connection).add(_box(Exited(3, 1, 2)))
    with pytest.raises(SystemFailure):
        _start(connection, fail)
    after = ContainerStore(connection).find("box")
    assert after.state == Exited(128, 1, 2, error="no such program")
    assert after.ports == {}


def test_a_start_that_breaks_off_by_a_fault_of_ours_keeps_what_it_was_and_makes_nobody_wait(
    connection: sqlite3.Connection,
) -> None:
    def fail(_store: ContainerStore) -> Started:
        raise ZeroDivisionError("one by none")

    ContainerStore(connection).add(_box(Created()))
    with pytest.raises(ZeroDivisionError):
        _start(connection, fail)
    after = ContainerStore(connection).find("box").state
    assert isinstance(after, Created)
    assert "one by none" in after.error


def _box(state: State) -> ContainerRecord:
    return ContainerRecord(id="c" * 64, name="box", created_at_ns=1, image_id="", config=ContainerConfig(), state=state)
