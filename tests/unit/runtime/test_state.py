"""The containers of the OCI command line on disk, and what the kernel says of their processes."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from sampan.errors import Conflict, NotFound, SystemFailure
from sampan.linux.process import start_time
from sampan.runtime.state import CREATED, CREATING, RUNNING, STOPPED, Containers, ContainerState, is_alive

STATE = ContainerState(
    id="c1",
    bundle="/b",
    rootfs="/b/rootfs",
    cgroup_path="/c1",
    created="2026-01-01T00:00:00.000000000Z",
    oci_version="1.2.0",
    creator=os.getpid(),
    creator_start_time=start_time(os.getpid()),
    annotations=(("a", "b"), ("c", "")),
    made_directories=("/a/b", "/a"),
)


@pytest.fixture
def containers(tmp_path: Path) -> Containers:
    return Containers(str(tmp_path / "deep" / "root"))


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(["sleep", "1000"]) as process:
        yield process
        process.kill()


def test_what_is_saved_is_loaded(containers: Containers) -> None:
    containers.create(STATE, b"{}")
    assert containers.load("c1") == STATE
    assert containers.config("c1") == b"{}"
    containers.save(replace(STATE, pid=7))
    assert containers.load("c1").pid == 7
    assert sorted(os.listdir(containers.directory("c1"))) == ["config.json", "state.json"]


def test_an_id_is_taken_once(containers: Containers) -> None:
    containers.create(STATE, b"{}")
    with pytest.raises(Conflict, match="container with id exists: c1"):
        containers.create(STATE, b"other")
    assert containers.config("c1") == b"{}"


def test_ids_are_sorted_and_half_made_directories_are_none(containers: Containers) -> None:
    assert containers.ids() == []
    for name in ("b", "a"):
        containers.create(replace(STATE, id=name), b"{}")
    os.mkdir(containers.directory("half"))
    assert containers.ids() == ["a", "b"]


def test_a_container_can_be_forgotten_twice(containers: Containers) -> None:
    containers.create(STATE, b"{}")
    containers.remove("c1")
    containers.remove("c1")
    with pytest.raises(NotFound, match="container does not exist: c1"):
        containers.load("c1")
    with pytest.raises(NotFound):
        containers.config("c1")
    with pytest.raises(NotFound), containers.locked("c1"):
        pass


def test_a_failed_create_gives_the_id_back(containers: Containers, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_source: str, _target: str) -> None:
        raise OSError(28, "no space")

    monkeypatch.setattr(os, "rename", fail)
    with pytest.raises(OSError, match="no space"):
        containers.create(STATE, b"{}")
    monkeypatch.undo()
    containers.create(STATE, b"{}")


@pytest.mark.parametrize("content", [b"", b"{", b"{}", b'{"id": 5}', b"[]", b'{"annotations": 5}'])
def test_a_damaged_state_is_named(containers: Containers, content: bytes) -> None:
    containers.create(STATE, b"{}")
    Path(containers.directory("c1"), "state.json").write_bytes(content)
    with pytest.raises(SystemFailure, match=r"c1/state.json is damaged"):
        containers.load("c1")


def test_a_pid_counts_only_with_its_start_time(sleeper: subprocess.Popen[bytes]) -> None:
    started = start_time(sleeper.pid)
    assert is_alive(sleeper.pid, started)
    assert not is_alive(sleeper.pid, started + 1)
    sleeper.kill()
    os.waitid(os.P_PID, sleeper.pid, os.WEXITED | os.WNOWAIT)  # a zombie now
    assert not is_alive(sleeper.pid, started)
    sleeper.wait()
    assert not is_alive(sleeper.pid, started)


def test_the_status_follows_the_process_and_its_gate(containers: Containers, sleeper: subprocess.Popen[bytes]) -> None:
    containers.create(STATE, b"{}")
    assert containers.status(STATE) == CREATING
    assert containers.status(replace(STATE, creator_start_time=1)) == STOPPED
    born = STATE.born(sleeper.pid)
    assert containers.status(born) == RUNNING
    with containers.gate("c1") as path:
        Path(path).touch()
    assert containers.status(born) == CREATED
    with containers.taken_gate("c1") as path:
        assert Path(path).exists()
        assert containers.status(born) == RUNNING
    assert sorted(os.listdir(containers.directory("c1"))) == ["config.json", "state.json"]
    with pytest.raises(FileNotFoundError), containers.taken_gate("c1"):
        pass
    sleeper.kill()
    sleeper.wait()
    assert containers.status(born) == STOPPED


def test_a_process_that_has_ended_cannot_be_born(sleeper: subprocess.Popen[bytes]) -> None:
    sleeper.kill()
    sleeper.wait()
    with pytest.raises(ProcessLookupError):
        STATE.born(sleeper.pid)


def test_a_lock_keeps_others_out_until_it_is_given_back(containers: Containers) -> None:
    import fcntl

    containers.create(STATE, b"{}")
    other = os.open(containers.directory("c1"), os.O_RDONLY)
    try:
        with containers.locked("c1"), pytest.raises(BlockingIOError):
            fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
        fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
    finally:
        os.close(other)
