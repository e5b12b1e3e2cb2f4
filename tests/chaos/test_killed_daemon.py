"""kill -9 of the daemon, of the launcher, of a monitor: what goes on, and what is told afterwards."""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path

from tests.chaos.soak.disasters import children
from tests.engine_process import EngineProcess
from tests.groups import groups_matching
from tests.waiting import until

from sampan.cgroup import open_cgroup

COUNTER = 'i=0; while [ $i -lt {} ]; do echo "line $i"; i=$((i+1)); done; exit 7'
TICKER = 'i=0; while :; do echo "line $i"; i=$((i+1)); read -t 0.001 x < /dev/zero; done'


def _launcher_of(engine: EngineProcess) -> int:
    """The daemon's child that forks monitors."""
    (found,) = children(engine.pid, "sampan-launcher")
    return found


def _numbers(lines: list[str]) -> list[int]:
    return [int(line.split()[1]) for line in lines]


def test_twenty_containers_go_on_when_the_daemon_is_killed(engine: EngineProcess) -> None:
    for number in range(19):
        engine.run(f"sleeper{number}", "sleep", "300")
    engine.run("ticker", "bash", "-c", TICKER)
    until(lambda: len(engine.output("ticker")) > 20)
    pids = {f"sleeper{number}": engine.inspect(f"sleeper{number}")["State"]["Pid"] for number in range(19)}
    engine.kill()
    time.sleep(0.5)
    assert all(Path(f"/proc/{pid}").exists() for pid in pids.values())
    engine.start()
    assert {name: engine.inspect(name)["State"]["Pid"] for name in pids} == pids
    lines = len(engine.output("ticker"))
    until(lambda: len(engine.output("ticker")) > lines)
    numbers = _numbers(engine.output("ticker"))
    assert numbers == list(range(len(numbers)))


def test_what_exits_while_no_daemon_runs_has_its_code_and_all_its_lines(engine: EngineProcess) -> None:
    engine.run("counter", "sh", "-c", "sleep 1; " + COUNTER.format(5000))
    pid = engine.inspect("counter")["State"]["Pid"]
    engine.kill()
    until(lambda: not Path(f"/proc/{pid}").exists())
    engine.start()
    until(lambda: engine.inspect("counter")["State"]["Status"] == "exited")  # its monitor may be about to tell it
    state = engine.inspect("counter")["State"]
    assert state["ExitCode"] == 7
    assert not state["FinishedAt"].startswith("0001")
    assert _numbers(engine.output("counter")) == list(range(5000))


def test_exec_and_stop_work_after_a_restart(engine: EngineProcess) -> None:
    engine.run("served", "sleep", "300")
    engine.kill()
    engine.start()
    created = engine.json("POST", "/containers/served/exec", {"Cmd": ["sh", "-c", "exit 9"]}, expect=201)
    engine.json("POST", f"/exec/{created['Id']}/start", {"Detach": True}, expect=200)
    until(lambda: engine.json("GET", f"/exec/{created['Id']}/json")["ExitCode"] == 9)
    engine.json("POST", "/containers/served/stop?t=0", expect=204)
    assert engine.inspect("served")["State"]["ExitCode"] == 137


def test_a_container_to_be_removed_that_exits_while_no_daemon_runs_is_removed(
    engine: EngineProcess, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    gate.mkdir()
    script = "until [ -e /gate/open ]; do sleep 0.05; done"
    host = {"AutoRemove": True, "Binds": [f"{gate}:/gate"]}
    container_id = engine.run("leaver", "sh", "-c", script, host=host)
    pid = engine.inspect("leaver")["State"]["Pid"]
    engine.kill()
    (gate / "open").touch()
    until(lambda: not Path(f"/proc/{pid}").exists())
    engine.start()
    until(lambda: engine.request("GET", f"/containers/{container_id}/json")[0] == 404)
    until(lambda: not (Path(engine.data_root) / "containers" / container_id).exists())


def test_a_killed_launcher_harms_no_container_and_is_replaced(engine: EngineProcess) -> None:
    engine.run("before", "sleep", "300")
    launcher = _launcher_of(engine)
    os.kill(launcher, signal.SIGKILL)
    until(lambda: not Path(f"/proc/{launcher}").exists())
    engine.run("after", "sh", "-c", "exit 4")
    assert engine.wait("after") == 4
    assert engine.inspect("before")["State"]["Status"] == "running"
    engine.json("POST", "/containers/before/stop?t=0", expect=204)


def test_a_container_whose_monitor_is_killed_is_ended_and_reported(engine: EngineProcess) -> None:
    container_id = engine.run("orphan", "sh", "-c", "sleep 300 & sleep 300")
    pid = engine.inspect("orphan")["State"]["Pid"]
    os.kill(engine.monitor_pid("orphan"), signal.SIGKILL)
    until(lambda: engine.inspect("orphan")["State"]["Status"] == "exited")
    assert engine.inspect("orphan")["State"]["ExitCode"] == 137
    until(lambda: not Path(f"/proc/{pid}").exists())
    until(lambda: not groups_matching(f"sampan/{container_id}"))
    until(lambda: not (Path(engine.exec_root) / container_id).exists())
    engine.json("POST", "/containers/orphan/start", expect=204)
    engine.json("POST", "/containers/orphan/stop?t=0", expect=204)


def test_monitor_and_daemon_killed_together_leave_nothing_running(engine: EngineProcess) -> None:
    container_id = engine.run("lost", "sleep", "300")
    pid, monitor = engine.inspect("lost")["State"]["Pid"], engine.monitor_pid("lost")
    engine.kill()
    os.kill(monitor, signal.SIGKILL)
    engine.start()
    assert engine.inspect("lost")["State"]["Status"] == "exited"
    until(lambda: not Path(f"/proc/{pid}").exists())
    until(lambda: not groups_matching(f"sampan/{container_id}"))


def test_a_daemon_that_ends_in_order_leaves_its_containers_running(engine: EngineProcess) -> None:
    engine.run("staying", "sleep", "300")
    pid = engine.inspect("staying")["State"]["Pid"]
    engine.stop()
    assert Path(f"/proc/{pid}").exists()
    engine.start()
    assert engine.inspect("staying")["State"]["Pid"] == pid


def test_a_container_that_a_crash_left_standing_still_goes_on(engine: EngineProcess) -> None:
    """As when the daemon dies in a commit, or before a pause is on record; and the other way round."""
    still = engine.run("still", "sleep", "600")
    going = engine.run("going", "sleep", "600")
    engine.json("POST", "/containers/going/pause", expect=204)
    engine.kill()
    groups = [open_cgroup(f"/sampan/{container_id}") for container_id in (still, going)]
    groups[0].freeze(timeout_s=30)
    groups[1].thaw()
    assert [group.frozen() for group in groups] == [True, False]
    engine.start()
    assert [group.frozen() for group in groups] == [False, False]
    for group, name in zip(groups, ("still", "going"), strict=True):
        group.close()
        state = engine.inspect(name)["State"]
        assert (state["Status"], state["Paused"]) == ("running", False)


def test_a_container_can_be_removed_by_force_at_any_instant_of_its_start(engine: EngineProcess) -> None:
    for number in range(15):
        container_id = engine.create(f"born{number}", "sleep", "600")
        starting = threading.Thread(target=engine.request, args=("POST", f"/containers/{container_id}/start"))
        starting.start()
        time.sleep(number * 0.002)
        status, body = engine.request("DELETE", f"/containers/{container_id}?force=1")
        starting.join(60)
        assert status == 204, body
        assert engine.request("GET", f"/containers/{container_id}/json")[0] == 404
