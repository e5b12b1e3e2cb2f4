"""What an exec takes from its container, and what is told of it."""

from __future__ import annotations

from typing import Any

import pytest
from tests.engine_process import EngineProcess
from tests.hijack import Hijacked, demultiplex
from tests.waiting import until


def _output(engine: EngineProcess, name: str, *command: str, **asked: Any) -> str:
    body = {"Cmd": command, "AttachStdout": True, **asked}
    exec_id = engine.json("POST", f"/containers/{name}/exec", body, expect=201)["Id"]
    told = Hijacked(engine, f"/exec/{exec_id}/start", {"Detach": False, "Tty": bool(asked.get("Tty"))}).read_all()
    return (told if asked.get("Tty") else demultiplex(told)[1]).decode().strip()


def test_an_exec_is_as_dear_to_the_kernel_as_its_container(engine: EngineProcess) -> None:
    for score in (300, 0):
        engine.run(f"score-{score}", "sleep", "300", host={"OomScoreAdj": score})
        assert _output(engine, f"score-{score}", "cat", "/proc/self/oom_score_adj") == str(score)


@pytest.mark.parametrize("of_container", [False, True])
def test_an_exec_has_the_variable_of_a_terminal_with_one_of_its_own_alone(
    engine: EngineProcess, *, of_container: bool
) -> None:
    name = f"terminal-{of_container}"
    engine.run(name, "sleep", "300", Tty=of_container)
    assert _output(engine, name, "sh", "-c", "echo ${TERM-none}", Tty=True) == "xterm"
    assert "TERM=" not in _output(engine, name, "env")


def test_an_exec_has_the_terminal_that_its_container_was_told_of(engine: EngineProcess) -> None:
    engine.run("told-of", "sleep", "300", Env=["TERM=vt100"])
    for tty in (False, True):
        assert "TERM=vt100" in _output(engine, "told-of", "env", Tty=tty).splitlines()


@pytest.mark.parametrize(("user", "told"), [("", "1:1"), ("0", "0")])
def test_an_exec_is_told_with_the_user_it_runs_as(engine: EngineProcess, user: str, told: str) -> None:
    engine.run(f"of-a-user-{user}", "sleep", "300", User="1:1")
    body = {"Cmd": ["true"], "User": user}
    exec_id = engine.json("POST", f"/containers/of-a-user-{user}/exec", body, expect=201)["Id"]
    assert engine.json("GET", f"/exec/{exec_id}/json")["ProcessConfig"]["user"] == told
    engine.json("POST", f"/exec/{exec_id}/start", {"Detach": True})
    until(lambda: engine.json("GET", f"/exec/{exec_id}/json")["ExitCode"] == 0)
    assert engine.json("GET", f"/exec/{exec_id}/json")["CanRemove"] is False
