"""`init=True`: a reaper of ours above the program."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from sampan.linux import process
from sampan.runtime.handshake import StepFailed
from sampan.runtime.launch import launch
from sampan.runtime.launched import Launched, Stdio

if TYPE_CHECKING:
    from tests.runtime.conftest import Boat


def test_the_program_is_a_child_of_pid_1_and_its_code_is_the_containers(boat: Boat) -> None:
    outcome = boat.run(boat.plan("echo $$ $PPID; cat /proc/1/comm; exit 5", init=True))
    assert (outcome.code, outcome.lines) == (5, ["2 1", "sampan-init"])


def test_a_program_killed_by_a_signal_gives_128_and_the_signal(boat: Boat) -> None:
    assert boat.run(boat.plan("kill -TERM $$", init=True)).code == 128 + signal.SIGTERM


def test_orphans_are_reaped(boat: Boat) -> None:
    orphan = "(sleep 0.1 & echo $! > /orphan)"  # ended and not reaped it would be there as a zombie
    wait = "i=0; while [ -e /proc/$(cat /orphan) ] && [ $i -lt 600 ]; do sleep 0.1; i=$((i+1)); done"
    script = f"{orphan}; {wait}; grep -l '^State:.Z' /proc/[0-9]*/status; echo none"
    assert boat.run(boat.plan(script, init=True)).out == "none\n"


def test_signals_are_handed_to_the_program(boat: Boat) -> None:
    def both() -> tuple[int, bytes]:
        read_end, write_end = os.pipe()
        own = "trap 'echo usr; exit 44' USR1; echo ready; while :; do sleep 0.05; done"
        launched = launch(boat.plan(own, init=True), Stdio(read_end, write_end, write_end))
        launched.go()
        os.close(write_end)
        said = os.read(read_end, 100)
        process.pidfd_send_signal(launched.pidfd, signal.SIGUSR1)
        said += os.read(read_end, 100)
        return boat.finish(launched), said

    assert boat.call(both) == (44, b"ready\nusr\n")


def test_a_program_that_is_not_there_is_told(boat: Boat) -> None:
    (boat.root / "odd").write_text("\x7fx")
    (boat.root / "odd").chmod(0o755)
    with pytest.raises(StepFailed, match="exec /odd: exec format error"):
        boat.run(boat.plan(boat.process("/odd"), init=True))


def test_a_terminal_belongs_to_the_program(boat: Boat) -> None:
    def both() -> tuple[int, str]:
        own = boat.process("trap 'exit 7' INT; echo ready; while :; do sleep 0.05; done", terminal=True)
        launched = launch(boat.plan(own, init=True), None)
        launched.go()
        said = b""
        while b"ready" not in said:
            said += os.read(launched.console, 100)
        os.write(launched.console, b"\x03")
        return boat.finish(launched), said.decode()

    assert boat.call(both)[0] == 7


def test_the_reaper_is_shut(boat: Boat) -> None:
    """No descriptors, not dumpable, the program's ids and filter; its memory is closed to the container's root."""

    def look(launched: Launched) -> dict[str, str]:
        status = Path(f"/proc/{launched.pid}/status").read_text()
        found = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
        return {
            "fds": str(len(os.listdir(f"/proc/{launched.pid}/fd"))),
            "uid": found["Uid"].split()[0],
            "effective": found["CapEff"],
        }

    def both() -> tuple[dict[str, str], str]:
        own = boat.process("sleep 100", uid=1000, gid=1000)
        launched = boat.start(boat.plan(own, init=True))
        for _ in range(6000):
            if not os.listdir(f"/proc/{launched.pid}/fd"):
                break
            time.sleep(0.01)
        seen = look(launched)
        script = "cat /proc/1/environ; head -c 1 /proc/1/mem; ls /proc/1/fd; cat /proc/1/maps | wc -l"
        inside = boat.exec_here(launched, boat.process(script))
        boat.end(launched)
        return seen, inside.out + inside.err

    seen, inside = boat.call(both)
    assert seen == {"fds": "0", "uid": "1000", "effective": "00000000a80425fb"}
    assert inside.count("Permission denied") == 3
    assert inside.startswith("0\n")  # no descriptor's name before the count of lines
    assert "PATH" not in inside
