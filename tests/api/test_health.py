"""Health checks, probed for real."""

from __future__ import annotations

from typing import Any

import pytest
from tests.engine_process import EngineProcess
from tests.raw_http import ask
from tests.waiting import until

QUICK = {"Interval": 100_000_000, "Timeout": 1_000_000_000, "Retries": 2}
PATIENT = {**QUICK, "Timeout": 60_000_000_000}


def _health(engine: EngineProcess, name: str) -> dict[str, Any]:
    found: dict[str, Any] = engine.inspect(name)["State"]["Health"]
    return found


def test_a_check_that_succeeds_makes_a_container_healthy(engine: EngineProcess) -> None:
    engine.run("fine", "sleep", "300", Healthcheck={"Test": ["CMD-SHELL", "echo all well"], **PATIENT})
    assert _health(engine, "fine")["Status"] in {"starting", "healthy"}
    until(lambda: _health(engine, "fine")["Status"] == "healthy")
    assert _health(engine, "fine")["Log"][0]["Output"] == "all well\n"
    listed = engine.json("GET", '/containers/json?filters={"health":["healthy"]}')
    (entry,) = [entry for entry in listed if entry["Names"] == ["/fine"]]
    assert entry["Status"].endswith("(healthy)")


@pytest.mark.parametrize(("size", "shown"), [(5000, "x" * 4096 + "..."), (4096, "x" * 4096)])
def test_the_output_of_a_check_that_is_cut_ends_in_dots(engine: EngineProcess, size: int, shown: str) -> None:
    name = f"says-{size}"
    check = ["CMD-SHELL", f"head -c {size} /dev/zero | tr '\\0' x"]
    engine.run(name, "sleep", "300", Healthcheck={"Test": check, **PATIENT})
    until(lambda: _health(engine, name)["Log"])
    assert _health(engine, name)["Log"][0]["Output"] == shown


def test_a_container_that_ended_keeps_its_last_health(engine: EngineProcess) -> None:
    engine.run("ended", "sleep", "300", Healthcheck={"Test": ["CMD", "true"], **PATIENT})
    until(lambda: _health(engine, "ended")["Status"] == "healthy")
    engine.json("POST", "/containers/ended/kill", expect=204)
    engine.wait("ended")
    assert _health(engine, "ended")["Status"] == "healthy"


def test_a_container_that_never_ran_has_no_health_and_one_that_ended_is_starting_no_more(engine: EngineProcess) -> None:
    def listed(health: str) -> bool:
        found = engine.json("GET", f'/containers/json?all=1&filters={{"health":["{health}"]}}')
        return any(entry["Names"] == ["/new"] for entry in found)

    engine.create("new", "true", Healthcheck={"Test": ["CMD", "true"]})
    assert "Health" not in engine.inspect("new")["State"]
    assert (listed("starting"), listed("none")) == (False, True)
    engine.json("POST", "/containers/new/start", expect=204)
    engine.wait("new")
    assert _health(engine, "new")["Status"] == "unhealthy"
    assert (listed("starting"), listed("unhealthy")) == (False, True)


def test_failures_in_a_row_make_it_unhealthy(engine: EngineProcess) -> None:
    engine.run("ailing", "sleep", "300", Healthcheck={"Test": ["CMD", "false"], **QUICK})
    until(lambda: _health(engine, "ailing")["Status"] == "unhealthy")
    assert _health(engine, "ailing")["FailingStreak"] >= 2


def test_failures_within_the_start_period_do_not_count(engine: EngineProcess) -> None:
    check = {"Test": ["CMD", "false"], **QUICK, "StartPeriod": 60_000_000_000, "StartInterval": 50_000_000}
    engine.run("booting", "sleep", "300", Healthcheck=check)
    until(lambda: len(_health(engine, "booting")["Log"]) >= 4)
    assert (_health(engine, "booting")["Status"], _health(engine, "booting")["FailingStreak"]) == ("starting", 0)


def test_a_check_that_takes_too_long_is_killed_and_counts_as_a_failure(engine: EngineProcess) -> None:
    check = {"Test": ["CMD", "sleep", "250"], **QUICK, "Timeout": 100_000_000}
    engine.run("stuck", "sleep", "300", Healthcheck=check)
    until(lambda: _health(engine, "stuck")["Status"] == "unhealthy")
    assert "exceeded timeout" in _health(engine, "stuck")["Log"][0]["Output"]
    until(lambda: "sleep 250" not in str(engine.json("GET", "/containers/stuck/top")["Processes"][:-1]))


def test_an_unhealthy_container_is_restarted_when_that_was_asked(engine: EngineProcess) -> None:
    engine.run(
        "healed",
        *("sh", "-c", "echo run; exec sleep 300"),
        Healthcheck={"Test": ["CMD", "false"], **QUICK},
        host={"HealthAction": "restart"},
        StopSignal="SIGKILL",
    )
    until(lambda: len(engine.output("healed")) >= 2)


def test_a_check_that_is_one_string_is_refused_as_no_list(engine: EngineProcess) -> None:
    body = {"Image": "host", "Cmd": ["true"], "Healthcheck": {"Test": "CMD true"}}
    refused = ask(engine, "POST", "/containers/create", body)
    assert (refused.status, refused.message.startswith("invalid JSON: ")) == (400, True)


def test_none_switches_the_check_off(engine: EngineProcess) -> None:
    engine.run("unchecked", "sleep", "300", Healthcheck={"Test": ["NONE"]})
    assert "Health" not in engine.inspect("unchecked")["State"]


def test_a_probe_that_leaves_a_child_behind_counts_by_its_own_code(engine: EngineProcess) -> None:
    check = {"Test": ["CMD-SHELL", "sleep 600 & echo fine"], "Interval": 10**8, "Timeout": 60 * 10**9}
    engine.run("parent", "sleep", "600", Healthcheck=check)
    until(lambda: engine.inspect("parent")["State"]["Health"]["Status"] == "healthy", 30)
    log = engine.inspect("parent")["State"]["Health"]["Log"]
    assert (log[0]["ExitCode"], log[0]["Output"]) == (0, "fine\n")
