"""The daemon killed at random points of everything that it does: what a client was told is so afterwards.

`--kills N` says how many times; the suite itself makes do with some.
"""

from __future__ import annotations

import http.client
import random
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from tests.engine_process import EngineProcess
from tests.groups import groups_matching
from tests.waiting import until

_GONE = (OSError, http.client.HTTPException)


@dataclass
class Told:
    """What the client was told, and what it asked for without an answer."""

    here: dict[str, str] = field(default_factory=dict)  # id -> name, as created or renamed
    gone: set[str] = field(default_factory=set)  # removal was confirmed
    unsure: set[str] = field(default_factory=set)  # a removal or rename was cut off
    running: set[str] = field(default_factory=set)  # start was confirmed, nothing later asked


class Client(threading.Thread):
    """Does one thing after the other to containers of its own until the daemon dies."""

    def __init__(self, engine: EngineProcess, told: Told, seed: int) -> None:
        super().__init__(daemon=True)
        self.engine, self.told, self.random, self.number = engine, told, random.Random(seed), seed
        self.count = 0

    def run(self) -> None:
        try:
            while True:
                self._one_life()
        except _GONE:
            pass

    def _one_life(self) -> None:
        self.count += 1
        name = f"c{self.number}-{self.count}"
        status, body = self.engine.request("POST", f"/containers/create?name={name}", _BODY)
        assert status == 201, body
        container_id = body.decode().split('"Id":"')[1][:64]
        self.told.here[container_id] = name
        for act in self.random.sample((self._start, self._exec, self._rename, self._pause), 3):
            act(container_id)
        if self.random.random() < 0.8:
            self._stop(container_id)
            self._remove(container_id)

    def _start(self, container_id: str) -> None:
        if self.engine.request("POST", f"/containers/{container_id}/start")[0] == 204:
            self.told.running.add(container_id)

    def _exec(self, container_id: str) -> None:
        status, body = self.engine.request("POST", f"/containers/{container_id}/exec", {"Cmd": ["true"]})
        if status == 201:
            exec_id = body.decode().split('"Id":"')[1][:64]
            self.engine.request("POST", f"/exec/{exec_id}/start", {"Detach": True})

    def _rename(self, container_id: str) -> None:
        self.told.unsure.add(container_id)
        name = f"{self.told.here[container_id]}-renamed"
        if self.engine.request("POST", f"/containers/{container_id}/rename?name={name}")[0] == 204:
            self.told.here[container_id] = name
            self.told.unsure.discard(container_id)

    def _pause(self, container_id: str) -> None:
        self.engine.request("POST", f"/containers/{container_id}/pause")
        self.engine.request("POST", f"/containers/{container_id}/unpause")

    def _stop(self, container_id: str) -> None:
        self.told.running.discard(container_id)
        self.engine.request("POST", f"/containers/{container_id}/stop?t=0")

    def _remove(self, container_id: str) -> None:
        self.told.unsure.add(container_id)
        if self.engine.request("DELETE", f"/containers/{container_id}?force=1")[0] == 204:
            self.told.gone.add(container_id)


_BODY = {"Image": "host", "Cmd": ["sleep", "600"], "HostConfig": {"NetworkMode": "none"}}


def _check(engine: EngineProcess, told: Told) -> None:
    listed = {entry["Id"]: entry for entry in engine.json("GET", "/containers/json?all=1")}
    sure = set(told.here) - told.unsure - told.gone
    assert sure <= set(listed), "a container that the client was told of is not there"
    assert not told.gone & set(listed), "a container that was removed is there again"
    for container_id in sure:
        assert listed[container_id]["Names"] == [f"/{told.here[container_id]}"]
    for container_id in told.running & sure:
        state = engine.inspect(container_id)["State"]
        assert state["Status"] in {"running", "paused"}, (told.here[container_id], state)
    for container_id, entry in listed.items():
        pid = engine.inspect(container_id)["State"]["Pid"]
        assert bool(pid) == (entry["State"] in {"running", "paused"})
        assert not pid or Path(f"/proc/{pid}").exists()
    ids = {path.name for path in (Path(engine.data_root) / "containers").iterdir()}
    assert ids == set(listed), "folders and records differ"
    runs = {path.name for path in Path(engine.exec_root).iterdir() if len(path.name) == 64}
    assert runs <= {container_id for container_id, entry in listed.items() if entry["State"] in {"running", "paused"}}


def _cgroups(told: Told) -> set[str]:
    return {path.name for path in groups_matching("sampan/*") if path.name in told.here}


def test_what_was_told_is_so_after_kills_at_random_points(engine: EngineProcess, pytestconfig: pytest.Config) -> None:
    chance = random.Random(7)
    for round_number in range(int(pytestconfig.getoption("--kills"))):
        told = Told()
        _use_and_kill(engine, told, round_number, chance.uniform(0.05, 0.8))
        engine.start()
        _check(engine, told)
        _remove_all(engine, told)


def _use_and_kill(engine: EngineProcess, told: Told, round_number: int, after_s: float) -> None:
    clients = [Client(engine, told, round_number * 10 + number) for number in range(3)]
    for client in clients:
        client.start()
    time.sleep(after_s)
    engine.kill()
    for client in clients:
        client.join(60)


def _remove_all(engine: EngineProcess, told: Told) -> None:
    for container_id in told.here:
        engine.request("DELETE", f"/containers/{container_id}?force=1")
    until(lambda: not _cgroups(told))
