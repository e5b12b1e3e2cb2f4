"""kill -9 of who serves containers' own values, and of the daemon beside it: readers get on, values come back."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path

from tests.engine_process import EngineProcess
from tests.waiting import until

MEGABYTE = 1024 * 1024
PATIENCE_S = 60.0
# Every read as a line: what it gave, and whether it hung (a second is the promise; a loaded machine may add to it).
READER = """
import time
while True:
    began = time.monotonic()
    try:
        with open("/proc/meminfo") as file:
            found = file.read().split()[1]
    except OSError as error:
        found = f"errno {error.errno}"
    print(found, "hung" if time.monotonic() - began > 10 else "fine", flush=True)
    time.sleep(0.01)
"""


def _server_of(engine: EngineProcess) -> int:
    """The pid of the view process of this engine, 0 when there is none."""
    for process in Path("/proc").iterdir():
        try:
            if process.name.isdigit() and (process / "comm").read_text() == "sampan-view\n":
                words = (process / "cmdline").read_bytes().split(b"\0")
                if f"{engine.exec_root}/view".encode() in words and (process / "stat").read_text().split()[2] != "Z":
                    return int(process.name)
        except OSError:
            continue
    return 0


def _start_readers(engine: EngineProcess) -> dict[str, Path]:
    """Two containers that read, and their logs, which tell what they read without a daemon to ask."""
    for number in range(2):
        engine.run(f"reader{number}", "/usr/bin/python3", "-c", READER, host={"Memory": 256 * MEGABYTE})
    logs = {name: Path(engine.inspect(name)["LogPath"]) for name in ("reader0", "reader1")}
    for log in logs.values():
        _reads_own_anew(log)
    return logs


def _lines(log: Path) -> list[str]:
    whole = log.read_text().splitlines(keepends=True)
    return [json.loads(line)["log"].rstrip() for line in whole if line.endswith("\n")]


def _reads_own_anew(log: Path) -> None:
    count = len(_lines(log))
    own = f"{256 * 1024} "
    until(lambda: len(lines := _lines(log)) > count + 2 and lines[-1].startswith(own), PATIENCE_S)


def _is_replaced(engine: EngineProcess, before: int) -> Callable[[], bool]:
    return lambda: _server_of(engine) not in {0, before}


def test_readers_get_on_and_see_their_own_again_when_the_server_is_killed(engine: EngineProcess) -> None:
    logs = _start_readers(engine)
    pids = {name: engine.inspect(name)["State"]["Pid"] for name in logs}
    for _ in range(2):
        before = _server_of(engine)
        os.kill(before, signal.SIGKILL)
        until(_is_replaced(engine, before), PATIENCE_S)
        for log in logs.values():
            _reads_own_anew(log)
    for name, log in logs.items():
        assert engine.inspect(name)["State"]["Pid"] == pids[name]
        assert not [line for line in _lines(log) if line.endswith("hung")]
        mounts = Path(f"/proc/{pids[name]}/mountinfo").read_text().splitlines()
        assert len([line for line in mounts if line.split()[4] == "/proc/meminfo"]) == 1


def test_a_server_that_hangs_is_ended_and_replaced(engine: EngineProcess) -> None:
    logs = _start_readers(engine)
    before = _server_of(engine)
    os.kill(before, signal.SIGSTOP)
    until(_is_replaced(engine, before), PATIENCE_S)
    for log in logs.values():
        _reads_own_anew(log)


def test_a_new_daemon_finds_the_server_and_containers_notice_nothing(engine: EngineProcess) -> None:
    logs = _start_readers(engine)
    before = _server_of(engine)
    engine.kill()
    for log in logs.values():
        _reads_own_anew(log)
    engine.start()
    engine.run("another", "cat", "/proc/meminfo", host={"Memory": 128 * MEGABYTE})
    assert engine.wait("another") == 0
    assert engine.output("another")[0].split()[1] == str(128 * 1024)
    assert _server_of(engine) == before
    for log in logs.values():
        assert {line.split()[0] for line in _lines(log)} == {str(256 * 1024)}


def test_a_daemon_that_finds_no_server_gives_its_containers_a_new_one(engine: EngineProcess) -> None:
    logs = _start_readers(engine)
    server = _server_of(engine)
    engine.kill()
    os.kill(server, signal.SIGKILL)
    until(lambda: _lines(logs["reader0"])[-1].startswith("errno"), PATIENCE_S)
    engine.start()
    for log in logs.values():
        _reads_own_anew(log)


def test_the_server_ends_with_the_last_container_when_there_is_no_daemon(engine: EngineProcess) -> None:
    engine.run("last", "sleep", "300", host={"Memory": 256 * MEGABYTE})
    pid = engine.inspect("last")["State"]["Pid"]
    server = _server_of(engine)
    engine.stop()
    assert Path(f"/proc/{pid}/root/proc/meminfo").read_text()
    assert _server_of(engine) == server
    os.kill(pid, signal.SIGKILL)
    until(lambda: _server_of(engine) == 0, PATIENCE_S)
