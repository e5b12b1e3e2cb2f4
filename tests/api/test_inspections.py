"""An inspect that was asked before tells what is so now: the kept document against one that is made anew."""

from __future__ import annotations

from typing import Any

import pytest
from tests.engine_process import EngineProcess
from tests.waiting import until

ATTACHED = {"AttachStdout": True, "Cmd": ["sleep", "300"]}


def _kept_and_new(engine: EngineProcess, name: str, version: str = "1.45") -> tuple[Any, Any]:
    """What is told twice in a row, and what is told with sizes, which is never kept."""
    first = engine.json("GET", f"/v{version}/containers/{name}/json")
    kept = engine.json("GET", f"/v{version}/containers/{name}/json")
    new = engine.json("GET", f"/v{version}/containers/{name}/json?size=1")
    assert first == kept
    del new["SizeRw"], new["SizeRootFs"]
    return kept, new


def _check(engine: EngineProcess, name: str) -> Any:
    kept, new = _kept_and_new(engine, name)
    assert kept == new
    return kept


def test_it_follows_a_container_through_its_life(engine: EngineProcess) -> None:
    engine.create("life", "sleep", "300")
    assert _check(engine, "life")["State"]["Status"] == "created"
    engine.json("POST", "/containers/life/start")
    pid = _check(engine, "life")["State"]["Pid"]
    assert pid > 0
    engine.json("POST", "/containers/life/pause")
    assert _check(engine, "life")["State"]["Paused"]
    engine.json("POST", "/containers/life/unpause")
    assert not _check(engine, "life")["State"]["Paused"]
    engine.json("POST", "/containers/life/update", {"RestartPolicy": {"Name": "always"}, "CpuShares": 512})
    assert _check(engine, "life")["HostConfig"]["CpuShares"] == 512
    engine.json("POST", "/containers/life/rename?name=living")
    assert _check(engine, "living")["Name"] == "/living"
    engine.json("POST", "/containers/living/restart?t=0")
    assert _check(engine, "living")["State"]["Pid"] not in {0, pid}
    engine.json("POST", "/containers/living/stop?t=0")
    stopped = _check(engine, "living")["State"]
    assert (stopped["Status"], stopped["Pid"], stopped["ExitCode"]) == ("exited", 0, 137)
    engine.request("DELETE", "/containers/living?force=1")
    assert engine.request("GET", "/containers/living/json")[0] == 404


def test_a_container_of_the_same_name_is_another(engine: EngineProcess) -> None:
    first = engine.create("again", "true")
    assert _check(engine, "again")["Id"] == first
    engine.request("DELETE", "/containers/again")
    second = engine.create("again", "false")
    assert (_check(engine, "again")["Id"], engine.inspect("again")["Path"]) == (second, "false")


def test_it_tells_the_execs_that_run(engine: EngineProcess) -> None:
    engine.run("busy", "sleep", "300")
    assert _check(engine, "busy")["ExecIDs"] is None
    exec_id = engine.json("POST", "/containers/busy/exec", ATTACHED)["Id"]
    assert _check(engine, "busy")["ExecIDs"] is None
    engine.json("POST", f"/exec/{exec_id}/start", {"Detach": True})
    assert _check(engine, "busy")["ExecIDs"] == [exec_id]
    engine.json("POST", "/containers/busy/kill")
    until(lambda: engine.inspect("busy")["ExecIDs"] is None, 30)
    until(lambda: engine.inspect("busy")["State"]["Status"] == "exited", 30)
    assert _check(engine, "busy")["State"]["ExitCode"] == 137


def test_it_tells_each_probe_of_the_health(engine: EngineProcess) -> None:
    check = {"Test": ["CMD", "false"], "Interval": 50_000_000, "Timeout": 60_000_000_000, "Retries": 3}
    engine.run("probed", "sleep", "300", Healthcheck=check)
    seen: dict[int, str] = {}

    def is_seen_often() -> bool:
        health = engine.inspect("probed")["State"]["Health"]
        seen[health["FailingStreak"]] = health["Status"]
        return len(seen) > 3 and health["Status"] == "unhealthy"

    until(is_seen_often)
    assert all(status == ("unhealthy" if streak >= 3 else "starting") for streak, status in seen.items())


@pytest.mark.parametrize("order", [("1.44", "1.45"), ("1.45", "1.44")])
def test_each_version_has_its_shape(engine: EngineProcess, order: tuple[str, str]) -> None:
    name, network = f"shaped-{order[0]}", f"users-{order[0]}"
    engine.json("POST", "/networks/create", {"Name": network, "Driver": "macvlan"}, expect=201)
    try:
        short_id = engine.create(name, "true", host={"NetworkMode": network})[:12]
        for version in (*order, *order):
            kept, new = _kept_and_new(engine, name, version)
            assert kept == new
            aliases = kept["NetworkSettings"]["Networks"][network]["Aliases"]
            assert aliases == ([short_id] if version == "1.44" else None), version
    finally:
        engine.request("DELETE", f"/containers/{name}")
        assert engine.request("DELETE", f"/networks/{network}")[0] == 204
