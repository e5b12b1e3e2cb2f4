"""lxcfs that comes and goes beside our own server: whoever dies, containers that run have their own values again.

Engine and lxcfs (a stand-in for it) are in a mount namespace of their own, for it is everybody's who sees its mount.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest
from tests.engine_process import SOURCE, EngineProcess
from tests.waiting import until

from sampan.linux.apart import in_mounts_of, in_private_mounts

MEGABYTE = 1024 * 1024
PATIENCE_S = 60.0
OWN = f"{256 * 1024} ".encode()
OURS, LXCFS = "sampan-view", "lxcfs"
READER = """
import time
while True:
    try:
        with open("/proc/meminfo") as file:
            found = file.read().split()[1]
    except OSError as error:
        found = f"errno {error.errno}"
    print(found, "kB", flush=True)
    time.sleep(0.05)
"""

type Starter = Callable[[], AbstractContextManager[subprocess.Popen[bytes]]]


@pytest.fixture
def mounts() -> Iterator[int]:
    """A mount namespace that nothing leaves, open."""
    namespace = in_private_mounts(lambda: os.open("/proc/thread-self/ns/mnt", os.O_RDONLY | os.O_CLOEXEC))
    try:
        yield namespace
    finally:
        os.close(namespace)


@pytest.fixture
def apart(mounts: int, tmp_path: Path) -> Iterator[EngineProcess]:
    """An engine that alone sees the lxcfs of these tests."""
    engine = EngineProcess(tmp_path)
    in_mounts_of(mounts, engine.start)
    try:
        yield engine
    finally:
        in_mounts_of(mounts, engine.close)


@pytest.fixture
def lxcfs(mounts: int, tmp_path: Path) -> Starter:
    """Starts one beside the engine; it answers when the block begins, and is dead after it."""
    target = tmp_path / "lxcfs"
    target.mkdir()
    words = [sys.executable, "-m", "tests.chaos.stand_in_lxcfs", str(target)]
    environment = {**os.environ, "PYTHONPATH": f"{SOURCE}:{SOURCE.parent}"}

    @contextmanager
    def start() -> Iterator[subprocess.Popen[bytes]]:
        process = in_mounts_of(mounts, lambda: subprocess.Popen(words, env=environment))
        try:
            until(lambda: in_mounts_of(mounts, lambda: _is_read(target / "proc/meminfo")), PATIENCE_S)
            yield process
        finally:
            process.kill()
            process.wait()

    return start


def _is_read(path: Path) -> bool:
    try:
        return bool(path.read_bytes())
    except OSError:
        return False


def _start(engine: EngineProcess, name: str) -> tuple[int, Path]:
    """A container of 256 MB that reads its memory again and again: its first process, and its log."""
    engine.run(name, "/usr/bin/python3", "-c", READER, host={"Memory": 256 * MEGABYTE})
    found = engine.inspect(name)
    return found["State"]["Pid"], Path(found["LogPath"])


def _provider(pid: int) -> str:
    """Whose file lies over a container's /proc/meminfo; no more than one may be there, whoever died before."""
    found = _mounts_over(pid, "/proc/meminfo")
    return found[0] if len(found) == 1 else f"{len(found)} mounts"


def _mounts_over(pid: int, path: str) -> list[str]:
    """The sources of what is mounted there in a container."""
    mounts = [line.split() for line in Path(f"/proc/{pid}/mountinfo").read_text().splitlines()]
    return [fields[fields.index("-") + 2] for fields in mounts if fields[4] == path]


def _server_of(pid: int) -> int:
    """The view process that a container's files are from: the one whose own mount is of the same file system."""
    device = next(
        line.split()[2] for line in Path(f"/proc/{pid}/mountinfo").read_text().splitlines() if OURS in line.split()
    )
    for process in Path("/proc").iterdir():
        try:
            if process.name.isdigit() and (process / "comm").read_text() == "sampan-view\n":
                mounts = (process / "mountinfo").read_text().splitlines()
                if any(line.split()[2] == device for line in mounts):
                    return int(process.name)
        except OSError:
            continue
    raise AssertionError(f"nobody serves the files of {pid}")


def _comes_to_read_its_own(log: Path) -> None:
    """Wait until what it reads from now on is its own."""
    length = log.stat().st_size
    until(lambda: OWN in log.read_bytes()[length:].partition(b"\n")[2], PATIENCE_S)


def _until_it_has_files_of(provider: str, pid: int, log: Path) -> None:
    until(lambda: _provider(pid) == provider, PATIENCE_S)
    _comes_to_read_its_own(log)


def test_files_of_an_lxcfs_that_came_later_replace_those_of_our_server_when_that_dies(
    apart: EngineProcess, lxcfs: Starter
) -> None:
    pid, log = _start(apart, "early")
    _until_it_has_files_of(OURS, pid, log)
    with lxcfs():
        os.kill(_server_of(pid), signal.SIGKILL)
        _until_it_has_files_of(LXCFS, pid, log)
        until(lambda: not _mounts_over(pid, "/proc/diskstats"), PATIENCE_S)  # which this lxcfs does not have
        late = _start(apart, "late")
        _until_it_has_files_of(LXCFS, *late)
    for each in ((pid, log), late):
        _until_it_has_files_of(OURS, *each)
    until(lambda: _mounts_over(pid, "/proc/diskstats") == [OURS], PATIENCE_S)


def test_our_server_takes_the_place_of_an_lxcfs_that_dies_and_keeps_it(apart: EngineProcess, lxcfs: Starter) -> None:
    with lxcfs():
        pid, log = _start(apart, "one")
        _until_it_has_files_of(LXCFS, pid, log)
    _until_it_has_files_of(OURS, pid, log)
    with lxcfs():
        other = _start(apart, "other")
        _until_it_has_files_of(OURS, *other)
        assert _provider(pid) == OURS


def test_a_new_daemon_keeps_to_the_server_that_its_containers_have(
    apart: EngineProcess, lxcfs: Starter, mounts: int
) -> None:
    pid, log = _start(apart, "one")
    _until_it_has_files_of(OURS, pid, log)
    server = _server_of(pid)
    with lxcfs():
        apart.stop()
        in_mounts_of(mounts, apart.start)
        other = _start(apart, "other")
        _until_it_has_files_of(OURS, *other)
        assert _server_of(other[0]) == server


def test_a_new_daemon_renews_what_died_while_there_was_none(apart: EngineProcess, lxcfs: Starter, mounts: int) -> None:
    pid, log = _start(apart, "one")
    _until_it_has_files_of(OURS, pid, log)
    server = _server_of(pid)
    with lxcfs():
        apart.kill()
        os.kill(server, signal.SIGKILL)
        in_mounts_of(mounts, apart.start)
        _until_it_has_files_of(LXCFS, pid, log)
