from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event, Semaphore

import pytest
from tests.engine_process import EngineProcess, send_signal
from tests.groups import groups_matching
from tests.raw_http import connect, receive_head, request
from tests.waiting import until


def test_a_container_runs_prints_and_exits_with_its_code(engine: EngineProcess) -> None:
    engine.run("talker", "sh", "-c", "echo out; echo err >&2; exit 7")
    assert engine.wait("talker") == 7
    assert sorted(engine.output("talker")) == ["err", "out"]
    state = engine.inspect("talker")["State"]
    assert (state["Status"], state["ExitCode"], state["Pid"]) == ("exited", 7, 0)


def test_a_container_has_namespaces_and_a_hostname_of_its_own(engine: EngineProcess) -> None:
    kinds = "cgroup ipc mnt net pid uts"
    container_id = engine.run(
        "apart", "sh", "-c", f"for k in {kinds}; do readlink /proc/self/ns/$k; done; cat /etc/hostname"
    )
    engine.wait("apart")
    *namespaces, hostname = engine.output("apart")
    host = [str(Path(f"/proc/self/ns/{kind}").readlink()) for kind in kinds.split()]
    assert len(namespaces) == len(host)
    assert not set(namespaces) & set(host)
    assert hostname == container_id[:12]


def test_what_a_container_writes_is_not_on_the_host_and_stays_in_the_container(engine: EngineProcess) -> None:
    engine.run("writer", "sh", "-c", "cat /written; echo something > /written")
    engine.wait("writer")
    assert not Path("/written").exists()
    engine.json("POST", "/containers/writer/start", expect=204)
    engine.wait("writer")
    assert "something" in engine.output("writer")


@pytest.mark.parametrize("name", ["no-such-program", ""])
def test_a_program_that_is_not_there_is_named_and_the_container_stays_created(engine: EngineProcess, name: str) -> None:
    lost = engine.create(f"lost_{name}", name, "word")
    answer = engine.json("POST", f"/containers/{lost}/start", expect=400)
    assert f'exec: "{name}": executable file not found in $PATH' in answer["message"]
    assert answer["remedy"]
    inspected = engine.inspect(lost)
    assert (inspected["Path"], inspected["Args"]) == (name, ["word"])
    assert (inspected["State"]["Status"], inspected["State"]["ExitCode"]) == ("created", 127)
    assert f'exec: "{name}"' in inspected["State"]["Error"]


def test_a_directory_is_no_program(engine: EngineProcess) -> None:
    engine.create("directory", "/etc")
    engine.json("POST", "/containers/directory/start", expect=400)
    assert engine.inspect("directory")["State"]["ExitCode"] == 126


def test_a_container_that_fails_to_start_and_is_to_be_removed_is_gone(engine: EngineProcess) -> None:
    engine.create("fleeting", "no-such-program", host={"AutoRemove": True})
    engine.json("POST", "/containers/fleeting/start", expect=400)
    engine.json("GET", "/containers/fleeting/json", expect=404)


def test_starting_and_stopping_twice_changes_nothing(engine: EngineProcess) -> None:
    engine.run("twice", "sleep", "60")
    engine.json("POST", "/containers/twice/start", expect=304)
    engine.json("POST", "/containers/twice/stop?t=0", expect=204)
    engine.json("POST", "/containers/twice/stop", expect=304)
    assert engine.inspect("twice")["State"]["ExitCode"] == 137


def test_stop_asks_first_and_kills_after_the_timeout(engine: EngineProcess) -> None:
    for name, act, patience_s, code in (("polite", "exit 5", 60, 5), ("deaf", "", 1, 137)):
        engine.run(name, "sh", "-c", f"trap '{act}' TERM; echo ready; while :; do sleep 0.05; done")
        until(lambda name=name: engine.output(name) == ["ready"])  # type: ignore[misc]
        engine.json("POST", f"/containers/{name}/stop?t={patience_s}", expect=204)
        assert engine.inspect(name)["State"]["ExitCode"] == code


def test_a_stop_signal_that_the_kernel_does_not_have_is_as_good_as_none(engine: EngineProcess) -> None:
    container = engine.run("", "sleep", "infinity", StopSignal="99", StopTimeout=-1)
    refusal = engine.json("POST", f"/containers/{container}/kill?signal=99", expect=400)["message"]
    assert "the linux daemon does not support signal 99" in refusal
    engine.json("POST", f"/containers/{container}/stop", expect=204)
    assert engine.inspect(container)["State"]["ExitCode"] == 137
    engine.json("DELETE", f"/containers/{container}", expect=204)


def test_kill_sends_the_signal_that_is_named(engine: EngineProcess) -> None:
    engine.run("signalled", "sh", "-c", "trap 'echo got usr1' USR1; echo ready; while :; do sleep 0.05; done")
    until(lambda: engine.output("signalled") == ["ready"])
    engine.json("POST", "/containers/signalled/kill?signal=USR1", expect=204)
    until(lambda: "got usr1" in engine.output("signalled"))
    assert engine.json("POST", "/containers/signalled/kill?signal=NOSUCH", expect=400)["message"]
    engine.json("POST", "/containers/signalled/kill", expect=204)
    assert engine.inspect("signalled")["State"]["ExitCode"] == 137
    engine.json("POST", "/containers/signalled/kill", expect=409)


def run_for_ever(engine: EngineProcess, name: str, stop_signal: str = "") -> None:
    script = "trap 'exit 3' INT TERM; trap : HUP; echo ready; while :; do sleep 0.05; done"
    engine.run(name, "sh", "-c", script, StopSignal=stop_signal, host={"RestartPolicy": {"Name": "always"}})
    until(lambda: engine.output(name) == ["ready"])


def is_started_again(engine: EngineProcess, name: str) -> bool:
    """After an end that nobody asked for."""
    waiting = engine.inspect(name)
    send_signal(waiting["State"]["Pid"])
    until(lambda: not engine.has_started(name) or engine.inspect(name)["RestartCount"] > waiting["RestartCount"])
    return bool(engine.inspect(name)["RestartCount"])


def test_a_refused_stop_leaves_the_restart_policy(engine: EngineProcess) -> None:
    run_for_ever(engine, "kept")
    engine.json("POST", "/containers/kept/stop?signal=NOSUCH", expect=400)
    assert is_started_again(engine, "kept")


def test_one_that_was_told_to_end_by_a_signal_is_not_started_again(engine: EngineProcess) -> None:
    for name, stop_signal, sent in (("usual", "", "TERM"), ("own", "INT", "INT")):
        run_for_ever(engine, name, stop_signal)
        engine.json("POST", f"/containers/{name}/kill?signal={sent}", expect=204)
        assert engine.wait(name) == 3
        state = engine.inspect(name)
        assert (state["State"]["Status"], state["RestartCount"]) == ("exited", 0)


def test_a_signal_that_is_not_its_stop_signal_leaves_the_restart_policy(engine: EngineProcess) -> None:
    run_for_ever(engine, "reloaded", "INT")
    engine.json("POST", "/containers/reloaded/kill?signal=HUP", expect=204)
    assert is_started_again(engine, "reloaded")


def test_one_that_waits_for_its_next_start_is_killed_by_giving_that_up(engine: EngineProcess) -> None:
    engine.run("in-a-loop", "false", host={"RestartPolicy": {"Name": "always"}})
    until(lambda: engine.inspect("in-a-loop")["RestartCount"] > 5, 60)  # so that it mostly waits
    until(lambda: engine.inspect("in-a-loop")["State"]["Status"] == "restarting")
    engine.json("POST", "/containers/in-a-loop/kill", expect=204)
    assert engine.inspect("in-a-loop")["State"]["Status"] == "exited"
    engine.json("POST", "/containers/in-a-loop/kill", expect=409)


def test_one_that_ends_for_a_signal_while_no_daemon_is_there_is_not_started_again(tmp_path: Path) -> None:
    with EngineProcess(tmp_path) as running:
        running.run(
            "slow",
            *("sh", "-c", "trap 'echo told' TERM; echo ready; until [ -e /go ]; do sleep 0.05; done"),
            host={"RestartPolicy": {"Name": "always"}},
        )
        until(lambda: running.output("slow") == ["ready"])
        running.json("POST", "/containers/slow/kill?signal=TERM", expect=204)
        until(lambda: running.output("slow") == ["ready", "told"])
        pid = running.inspect("slow")["State"]["Pid"]
        running.kill()
        Path(f"/proc/{pid}/root/go").touch()
        until(lambda: not Path(f"/proc/{pid}").exists())
        running.start()
        state = running.inspect("slow")
        assert (state["State"]["Status"], state["RestartCount"]) == ("exited", 0)


def test_a_paused_container_stands_still(engine: EngineProcess) -> None:
    engine.run("paused", "sh", "-c", "while :; do echo tick; sleep 0.02; done")
    engine.json("POST", "/containers/paused/pause", expect=204)
    before = 0

    def stands_still() -> bool:
        nonlocal before
        before = len(engine.output("paused"))
        time.sleep(0.3)
        return len(engine.output("paused")) == before

    until(stands_still)  # what it wrote before the pause may still be on its way to the log
    assert engine.inspect("paused")["State"]["Status"] == "paused"
    engine.json("POST", "/containers/paused/pause", expect=409)
    engine.json("POST", "/containers/paused/unpause", expect=204)
    until(lambda: len(engine.output("paused")) > before + 3)
    engine.json("POST", "/containers/paused/unpause", expect=409)


def test_a_name_is_taken_once_and_can_be_changed(engine: EngineProcess) -> None:
    engine.create("taken", "true")
    answer = engine.json("POST", "/containers/create?name=taken", {"Image": "host"}, expect=409)
    assert 'The container name "/taken" is already in use' in answer["message"]
    engine.json("POST", "/containers/taken/rename?name=renamed", expect=204)
    engine.json("GET", "/containers/taken/json", expect=404)
    assert engine.inspect("renamed")["Name"] == "/renamed"


def test_a_running_container_is_removed_only_by_force(engine: EngineProcess) -> None:
    container_id = engine.run("runner", "sleep", "60")
    assert groups_matching(f"sampan/{container_id}")
    assert "stop the container" in engine.json("DELETE", "/containers/runner", expect=409)["message"]
    engine.json("DELETE", "/containers/runner?force=1", expect=204)
    engine.json("GET", "/containers/runner/json", expect=404)
    assert not (Path(engine.data_root) / "containers" / container_id).exists()
    assert not groups_matching(f"sampan/{container_id}")


def test_one_that_others_restart_again_and_again_is_removed_by_force(engine: EngineProcess) -> None:
    enough = Event()

    def restart_until_it_is_gone(name: str) -> tuple[int, bytes]:
        status, body = 204, b""
        while status in {204, 304} and not enough.is_set():  # 304: another one was quicker
            restarted.release()
            status, body = engine.request("POST", f"/containers/{name}/restart?t=0")
        return status, body

    for number in range(5):
        restarted = Semaphore(0)
        engine.run(f"wanted{number}", "sleep", "1000")
        with ThreadPoolExecutor(3) as others:
            ends = [others.submit(restart_until_it_is_gone, f"wanted{number}") for _ in range(3)]
            try:
                for _ in range(9):
                    assert restarted.acquire(timeout=60)
                engine.json("DELETE", f"/containers/wanted{number}?force=1", expect=204)
            except AssertionError:
                enough.set()  # or else they went on for ever
                raise
            for end in ends:
                status, body = end.result(60)
                assert status in {404, 409}, body
        engine.json("GET", f"/containers/wanted{number}/json", expect=404)


def test_wait_tells_the_next_exit_and_the_removal(engine: EngineProcess) -> None:
    engine.create("awaited", "sh", "-c", "exit 3", host={"AutoRemove": True})
    waiters = [connect(engine) for _ in range(2)]
    for waiter, condition in zip(waiters, ("next-exit", "removed"), strict=True):
        waiter.sendall(request("POST", f"/containers/awaited/wait?condition={condition}", Connection="close"))
        assert receive_head(waiter)[0] == 200  # it waits from now on
    engine.json("POST", "/containers/awaited/start", expect=204)
    for waiter in waiters:
        with waiter, waiter.makefile("rb") as answer:
            assert b'"StatusCode":3' in answer.read()
    engine.json("GET", "/containers/awaited/json", expect=404)


def test_a_policy_starts_an_ended_container_again_until_it_is_stopped(engine: EngineProcess) -> None:
    engine.run("again", "sh", "-c", "echo run; exit 1", host={"RestartPolicy": {"Name": "always"}})
    until(lambda: len(engine.output("again")) >= 3)
    engine.json("POST", "/containers/again/stop")
    assert engine.inspect("again")["RestartCount"] >= 2
    runs = len(engine.output("again"))
    time.sleep(0.8)
    assert len(engine.output("again")) == runs


def test_a_policy_of_two_retries_gives_up_after_the_third_run(engine: EngineProcess) -> None:
    policy = {"Name": "on-failure", "MaximumRetryCount": 2}
    engine.run("trier", "sh", "-c", "echo run; exit 1", host={"RestartPolicy": policy})
    until(lambda: engine.inspect("trier")["State"]["Status"] == "exited" and len(engine.output("trier")) == 3)
    time.sleep(0.5)
    assert len(engine.output("trier")) == 3
