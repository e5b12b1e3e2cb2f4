"""The next container is made ready before it is asked for, and nothing of it is left when nobody asks."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from tests.engine_process import EngineProcess
from tests.groups import groups_matching
from tests.waiting import until

ID_LENGTH = 64


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[EngineProcess]:
    with EngineProcess(tmp_path) as running:
        yield running


def expected(engine: EngineProcess) -> list[str]:
    """The ids that have a run directory and no record."""
    known = {one["Id"] for one in engine.json("GET", "/containers/json?all=1")}
    return [name for name in os.listdir(engine.exec_root) if len(name) == ID_LENGTH and name not in known]


def cgroups(container_id: str) -> list[Path]:
    return [path for path in Path("/sys/fs/cgroup").glob(f"**/sampan/{container_id}") if path.is_dir()]


def members(container_id: str) -> set[int]:
    """The processes in the cgroup, in whichever hierarchy."""
    found = set()
    for path in cgroups(container_id):
        try:
            found |= {int(line) for line in (path / "cgroup.procs").read_text().split()}
        except OSError:  # it is being removed
            continue
    return found


def kill_monitors(of: set[int]) -> None:
    """kill -9 the parents of these processes, unless they have left meanwhile, as they do by themselves."""
    for pid in of:
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            os.kill(int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1]), signal.SIGKILL)


def start_one(engine: EngineProcess, name: str) -> str:
    """The id of the container that is made ready after one that ran, whose first process waits in its cgroup already.

    Nobody comes for it: it is let go after two seconds, on a busy machine before it is seen here. Then once more.
    """
    for number in range(30):
        engine.run(f"{name}-{number}", "true")
        engine.wait(f"{name}-{number}")
        end = time.monotonic() + 3
        while time.monotonic() < end:
            for next_id in expected(engine):
                if members(next_id):
                    return next_id
    raise AssertionError("none was made ready")


def test_the_next_container_gets_the_id_that_is_made_ready_and_its_process(engine: EngineProcess) -> None:
    def is_same(number: int) -> bool:
        """What is made ready is let go after two seconds, which a busy machine may take between two lines here."""
        next_id = start_one(engine, f"first{number}")
        pids = members(next_id)
        created = engine.run(f"second{number}", "sleep", "1000")
        pid = engine.inspect(created)["State"]["Pid"]
        assert members(created) == {pid}
        return created == next_id and pids == {pid}

    assert any(is_same(number) for number in range(20))


def test_nothing_is_made_in_a_cgroup_that_somebody_else_named(engine: EngineProcess) -> None:
    parent = f"/sampan-test-parent-{os.getpid()}"
    for number in range(3):
        engine.run(f"one{number}", "true", host={"CgroupParent": parent})
        engine.wait(f"one{number}")
    groups = groups_matching(parent.strip("/"))
    assert groups
    until(lambda: not [path for group in groups for path in group.iterdir() if len(path.name) == ID_LENGTH])
    for group in groups:
        group.rmdir()
    assert expected(engine) == []


def test_when_nobody_comes_nothing_is_left(engine: EngineProcess) -> None:
    next_id = start_one(engine, "first")
    until(lambda: not cgroups(next_id))
    engine.run("second", "true")
    engine.wait("second")
    until(lambda: next_id not in os.listdir(engine.exec_root))


def test_a_created_container_that_is_not_started_keeps_no_process(engine: EngineProcess) -> None:
    start_one(engine, "first")
    created = engine.create("second", "true")
    until(lambda: not cgroups(created) and created not in os.listdir(engine.exec_root))
    engine.json("POST", "/containers/second/start", expect=204)
    assert engine.wait("second") == 0
    until(lambda: not cgroups(created))


def test_another_container_may_be_started_instead(engine: EngineProcess) -> None:
    other = engine.create("other", "sleep", "1000")
    next_id = start_one(engine, "first")
    engine.json("POST", "/containers/other/start", expect=204)
    assert members(other) == {engine.inspect("other")["State"]["Pid"]}
    until(lambda: not cgroups(next_id))


def test_containers_that_are_restarted_at_the_same_time_leave_each_other_alone(engine: EngineProcess) -> None:
    for number in range(10):
        start_one(engine, f"first{number}")
        names = [f"{name}{number}" for name in ("one", "two", "three")]
        ids = [engine.create(name, "sleep", "1000") for name in names]
        with ThreadPoolExecutor(len(ids)) as pool:
            for turn in (ids[::-1], ids):
                requests = [pool.submit(engine.request, "POST", f"/containers/{one}/restart?t=0") for one in turn]
                assert [request.result() for request in requests] == [(204, b"")] * len(ids)
        assert [engine.inspect(name)["State"]["Status"] for name in names] == ["running"] * len(ids)
        assert [members(one) for one in ids] == [{engine.inspect(one)["State"]["Pid"]} for one in ids]


def test_one_that_is_started_as_it_is_given_up_starts(engine: EngineProcess) -> None:
    for number in range(8):
        start_one(engine, f"first{number}")
        created = engine.create(f"second{number}", "sleep", "1000")
        until(lambda: not members(created))  # it is being given up just now  # noqa: B023
        engine.json("POST", f"/containers/{created}/start", expect=204)
        assert members(created) == {engine.inspect(created)["State"]["Pid"]}


def test_a_monitor_killed_while_it_keeps_one_ready_fails_no_start(engine: EngineProcess) -> None:
    next_id = start_one(engine, "first")
    kill_monitors(members(next_id))
    until(lambda: not members(next_id))
    engine.run("second", "true")
    assert engine.wait("second") == 0
    engine.run("third", "true")
    assert engine.wait("third") == 0
    until(lambda: not cgroups(next_id))


@pytest.mark.parametrize("kills_all", [False, True], ids=["daemon", "daemon and monitor"])
def test_after_a_kill_the_next_daemon_removes_what_was_made_ready(engine: EngineProcess, *, kills_all: bool) -> None:
    next_id = start_one(engine, "first")
    engine.kill()
    if kills_all:
        kill_monitors(members(next_id))
    engine.start()
    until(lambda: not cgroups(next_id))
    assert next_id not in os.listdir(engine.exec_root)


def test_a_daemon_that_stops_leaves_nothing_of_it(engine: EngineProcess) -> None:
    next_id = start_one(engine, "first")
    engine.stop()
    assert next_id not in os.listdir(engine.exec_root)
    until(lambda: not cgroups(next_id))


def test_terminals_have_their_names_in_containers_that_were_made_ahead_and_others(engine: EngineProcess) -> None:
    for number in range(4):
        engine.run(f"t{number}", "readlink", "/proc/self/fd/0", "/proc/self/fd/1", Tty=True)
        assert engine.wait(f"t{number}") == 0
        assert [line.rstrip("\r") for line in engine.output(f"t{number}")] == ["/dev/pts/0"] * 2
