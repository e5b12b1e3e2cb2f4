"""Who serves containers' own values is there when a container needs it, and not before."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.engine_process import EngineProcess
from tests.waiting import until

MEGABYTE = 1024 * 1024
LOOK = ("sh", "-c", "grep MemTotal /proc/meminfo; exec sleep 300")
OWN = f"{256 * 1024} kB"


@pytest.fixture
def idle(tmp_path: Path) -> Iterator[EngineProcess]:
    with EngineProcess(tmp_path) as running:
        yield running


def _servers(engine: EngineProcess) -> list[int]:
    found = []
    for process in Path("/proc").iterdir():
        try:
            words = (process / "cmdline").read_bytes().split(b"\0") if process.name.isdigit() else []
            is_alive = words and (process / "stat").read_text().rpartition(")")[2].split()[0] != "Z"
        except OSError:
            continue
        if is_alive and f"{engine.exec_root}/view".encode() in words:
            found.append(int(process.name))
    return found


def _first_look(engine: EngineProcess, name: str) -> str:
    engine.run(name, *LOOK, host={"Memory": 256 * MEGABYTE})
    until(lambda: bool(engine.output(name)), 30)
    return engine.output(name)[0]


def test_it_comes_with_the_first_container_that_sees_itself_and_stays(idle: EngineProcess) -> None:
    idle.run("machine", "true", host={"ResourceView": "host"})
    assert idle.wait("machine") == 0
    assert _servers(idle) == []
    assert OWN in _first_look(idle, "own")
    until(lambda: len(_servers(idle)) == 1, 30)
    before = _servers(idle)
    idle.json("DELETE", "/containers/own?force=1")
    assert OWN in _first_look(idle, "another")
    until(lambda: _servers(idle) == before, 30)


def test_it_is_there_when_a_container_has_been_made(idle: EngineProcess) -> None:
    idle.create("made", "true")
    until(lambda: len(_servers(idle)) == 1, 30)


def test_a_new_daemon_has_one_only_for_containers_that_run(idle: EngineProcess) -> None:
    assert OWN in _first_look(idle, "own")
    until(lambda: len(_servers(idle)) == 1, 30)
    before = _servers(idle)
    idle.kill()
    idle.start()
    until(lambda: bool(idle.inspect("own")["State"]["Running"]), 30)
    until(lambda: _servers(idle) == before, 30)  # who renews files in a container is its fork, for a moment
    idle.json("POST", "/containers/own/stop?t=0")
    idle.stop()
    until(lambda: not _servers(idle), 30)
    idle.start()
    assert _servers(idle) == []


def test_one_that_was_killed_with_the_daemon_comes_again_for_those_who_run(idle: EngineProcess) -> None:
    assert OWN in _first_look(idle, "own")
    until(lambda: len(_servers(idle)) == 1, 30)
    (before,) = _servers(idle)
    idle.kill()
    os.kill(before, 9)
    until(lambda: not _servers(idle), 30)
    idle.start()
    until(lambda: len(_servers(idle)) == 1, 30)
    until(lambda: _sees_itself(idle, "own"), 30)


def _sees_itself(engine: EngineProcess, name: str) -> bool:
    command = ["grep", "-q", f"MemTotal: .*{OWN}", "/proc/meminfo"]
    exec_id = engine.json("POST", f"/containers/{name}/exec", {"Cmd": command})["Id"]
    engine.json("POST", f"/exec/{exec_id}/start", {"Detach": True})
    until(lambda: engine.json("GET", f"/exec/{exec_id}/json")["Running"] is False, 30)
    return bool(engine.json("GET", f"/exec/{exec_id}/json")["ExitCode"] == 0)
