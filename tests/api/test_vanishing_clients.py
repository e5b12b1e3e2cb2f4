"""Clients that leave in the middle of a verb: what they asked for is done all the same, and whole."""

from __future__ import annotations

import time
from typing import Any

import pytest
from tests.engine_process import EngineProcess
from tests.raw_http import connect, request
from tests.waiting import until


def ask_and_leave(engine: EngineProcess, method: str, path: str, after_s: float) -> None:
    with connect(engine) as client:
        client.sendall(request(method, path))
        time.sleep(after_s)  # any instant will do


def state(engine: EngineProcess, name: str) -> Any:
    return engine.inspect(name)["State"]


@pytest.mark.parametrize("round_number", range(10))
def test_a_start_goes_on_without_its_client(engine: EngineProcess, round_number: int) -> None:
    name = f"started{round_number}"
    engine.create(name, "sleep", "600")
    ask_and_leave(engine, "POST", f"/containers/{name}/start", round_number * 0.004)
    until(lambda: engine.has_started(name))
    exec_id = engine.json("POST", f"/containers/{name}/exec", {"Cmd": ["true"]}, expect=201)["Id"]
    engine.json("POST", f"/exec/{exec_id}/start", {"Detach": True}, expect=200)  # its monitor is there
    ask_and_leave(engine, "DELETE", f"/containers/{name}?force=1", round_number * 0.002)
    until(lambda: engine.request("GET", f"/containers/{name}/json")[0] == 404)


def test_a_pause_goes_on_without_its_client(engine: EngineProcess) -> None:
    engine.run("stilled", "sleep", "600")
    for number in range(10):
        ask_and_leave(engine, "POST", "/containers/stilled/pause", number * 0.001)
        until(lambda: state(engine, "stilled")["Paused"])
        ask_and_leave(engine, "POST", "/containers/stilled/unpause", number * 0.001)
        until(lambda: not state(engine, "stilled")["Paused"])


def test_a_stop_goes_on_without_its_client(engine: EngineProcess) -> None:
    engine.run("deaf", "sh", "-c", "trap '' TERM; while :; do sleep 0.1; done")
    ask_and_leave(engine, "POST", "/containers/deaf/stop?t=1", 0.0)
    until(lambda: state(engine, "deaf")["Status"] == "exited", 30)
