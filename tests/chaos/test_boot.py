"""The machine goes down and comes up again: everything that ran is gone, and so is the exec root."""

from __future__ import annotations

import contextlib
import json
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.engine_process import EngineProcess, send_signal
from tests.waiting import until

LABEL = "com.docker.compose."


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EngineProcess]:
    with EngineProcess(tmp_path_factory.mktemp("boots")) as running:
        yield running


@pytest.fixture
def engine(shared: EngineProcess) -> Iterator[EngineProcess]:
    """One for all, emptied after each test."""
    yield shared
    for container in shared.json("GET", "/containers/json?all=1"):
        shared.request("DELETE", f"/containers/{container['Id']}?force=1&v=1")


def power_loss(engine: EngineProcess) -> None:
    """Kill the daemon, every monitor and with it every container; and empty what a boot empties."""
    running = [found for found in engine.json("GET", "/containers/json") if found["State"] != "restarting"]
    pids = [(engine.monitor_pid(found["Id"]), engine.inspect(found["Id"])["State"]["Pid"]) for found in running]
    engine.kill()
    for monitor, pid in pids:
        send_signal(monitor, signal.SIGKILL)
        with contextlib.suppress(ProcessLookupError):  # it has gone with its monitor
            send_signal(pid, signal.SIGKILL)
    until(lambda: not any(Path(f"/proc/{pid}").exists() for pair in pids for pid in pair), 30)
    shutil.rmtree(engine.exec_root)


def status(engine: EngineProcess, name: str) -> str:
    found: str = engine.inspect(name)["State"]["Status"]
    return found


def policy(name: str, **more: Any) -> dict[str, Any]:
    return {"RestartPolicy": {"Name": name}, **more}


def test_restart_policies_decide_what_runs_after_a_boot(engine: EngineProcess) -> None:
    for name in ("always", "unless-stopped", "on-failure", "no"):
        engine.run(name, "sleep", "600", host=policy(name))
    for name in ("always", "unless-stopped"):
        engine.run(f"{name}-stopped", "sleep", "600", host=policy(name))
        engine.json("POST", f"/containers/{name}-stopped/stop?t=0", expect=204)
    engine.create("never-ran", "sleep", "600", host=policy("always"))
    fleeting = engine.run("fleeting", "sleep", "600", host={"AutoRemove": True})
    power_loss(engine)
    engine.start()
    for name in ("always", "unless-stopped", "on-failure", "always-stopped"):
        until(lambda name=name: status(engine, name) == "running", 30)  # type: ignore[misc]
        assert engine.inspect(name)["RestartCount"] == 0
    assert status(engine, "unless-stopped-stopped") == "exited"
    assert status(engine, "never-ran") == "created"
    state = engine.inspect("no")["State"]
    assert (state["Status"], state["ExitCode"]) == ("exited", 255)
    until(lambda: engine.request("GET", f"/containers/{fleeting}/json")[0] == 404, 30)


def test_a_daemon_that_only_restarts_starts_nothing_that_was_stopped(engine: EngineProcess) -> None:
    engine.run("stopped", "sleep", "600", host=policy("always"))
    engine.json("POST", "/containers/stopped/stop?t=0", expect=204)
    engine.kill()
    engine.start()
    assert status(engine, "stopped") == "exited"


def service(engine: EngineProcess, name: str, script: str, depends_on: str, **config: Any) -> None:
    labels = {f"{LABEL}project": "shop", f"{LABEL}service": name, f"{LABEL}depends_on": depends_on}
    engine.run(name, "sh", "-c", script, host=policy("always"), Labels=labels, **config)


def test_what_depends_on_another_starts_after_it_and_waits_for_its_health(
    engine: EngineProcess, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    gate.mkdir()
    (gate / "open").touch()
    check = {"Test": ["CMD", "test", "-e", "/gate/open"], "Interval": 10**8, "Retries": 10**6}
    bound = [f"{gate}:/gate"]
    labels = {f"{LABEL}project": "shop", f"{LABEL}service": "db"}
    engine.run("db", "sleep", "600", host=policy("always", Binds=bound), Labels=labels, Healthcheck=check)
    service(engine, "api", "sleep 600", "db:service_healthy:false")
    service(engine, "web", "sleep 600", "api:service_started:false")
    until(lambda: engine.inspect("db")["State"]["Health"]["Status"] == "healthy", 30)
    power_loss(engine)
    (gate / "open").unlink()
    engine.start()
    until(lambda: engine.inspect("db")["State"]["Health"]["FailingStreak"] >= 3, 30)
    assert [status(engine, name) for name in ("db", "api", "web")] == ["running", "restarting", "restarting"]
    (gate / "open").touch()
    until(lambda: engine.has_started("web"), 30)
    started = [engine.inspect(name)["State"]["StartedAt"] for name in ("db", "api", "web")]
    assert started == sorted(started)


def test_a_kill_in_the_middle_of_a_boot_loses_nobody(engine: EngineProcess) -> None:
    check = {"Test": ["CMD", "false"], "Interval": 10**8, "Retries": 10**6}
    labels = {f"{LABEL}project": "shop", f"{LABEL}service": "db"}
    engine.run("db", "sleep", "600", host=policy("always"), Labels=labels, Healthcheck=check)
    service(engine, "api", "sleep 600", "db:service_healthy:false")
    power_loss(engine)
    engine.start()
    until(lambda: status(engine, "db") == "running", 30)
    assert status(engine, "api") == "restarting"
    engine.kill()
    engine.start()
    until(lambda: status(engine, "api") == "running", 30)


def test_a_container_that_cannot_start_after_a_boot_keeps_nobody_waiting(engine: EngineProcess, tmp_path: Path) -> None:
    (tmp_path / "gone").mkdir()
    mount = {"Type": "bind", "Source": str(tmp_path / "gone"), "Target": "/gone"}
    labels = {f"{LABEL}project": "shop", f"{LABEL}service": "db"}
    engine.run("db", "sleep", "600", host=policy("always", Mounts=[mount]), Labels=labels)
    service(engine, "api", "sleep 600", "db:service_started:false")
    power_loss(engine)
    (tmp_path / "gone").rmdir()
    engine.start()
    until(lambda: status(engine, "api") == "running", 30)
    state = engine.inspect("db")["State"]
    assert state["Status"] == "exited"
    assert "gone" in state["Error"], json.dumps(state)
