"""A start that tells where its time went."""

from __future__ import annotations

from tests.engine_process import EngineProcess


def test_a_traced_start_tells_the_steps_of_engine_monitor_and_first_process(engine: EngineProcess) -> None:
    engine.create("traced", "sleep", "1000")
    phases = engine.json("POST", "/containers/traced/start?trace=1", expect=200)["Phases"]
    began = [phase["Began"] for phase in phases]
    assert began == sorted(began)
    assert all(phase["Took"] >= 0 for phase in phases)
    steps = {(phase["Process"], phase["Name"]) for phase in phases}
    assert steps >= {
        ("engine", "prepare root, files and plan"),
        ("engine", "let its program run"),
        ("monitor", "make_cgroup"),
        ("monitor", "clone_child"),
        ("pid 1", "enter_root"),
        ("pid 1", "wait_at_gate"),
    }
    made = engine.json("POST", "/containers/traced/exec", {"Cmd": ["true"]})["Id"]
    assert engine.request("POST", f"/exec/{made}/start", {"Detach": True})[0] == 200
    engine.json("DELETE", "/containers/traced?force=1", expect=204)


def test_a_start_that_is_not_traced_answers_as_dockers(engine: EngineProcess) -> None:
    engine.create("plain", "true")
    assert engine.request("POST", "/containers/plain/start") == (204, b"")
    engine.json("DELETE", "/containers/plain?force=1", expect=204)


def test_a_traced_start_that_fails_says_what_any_would(engine: EngineProcess) -> None:
    engine.create("broken", "/no/such/program")
    status, content = engine.request("POST", "/containers/broken/start?trace=1")
    assert status in {400, 404}, content
    assert b"no such file or directory" in content
    engine.json("DELETE", "/containers/broken?force=1", expect=204)
