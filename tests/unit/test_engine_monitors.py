"""The engine's end of a monitor that leaves while it is spoken to."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from pathlib import Path

import pytest

from sampan.engine import launching
from sampan.engine.ahead import Expectation
from sampan.engine.launching import Launcher
from sampan.engine.monitors import MOST_WAITING, Monitor
from sampan.errors import SystemFailure, Unavailable
from sampan.monitor.protocol import Exited, OutOfMemory


class Told:
    """A listener that writes down what it is told."""

    def __init__(self) -> None:
        self.lost_ids: list[str] = []

    def exited(self, container_id: str, exit_record: Exited) -> None: ...

    def exec_exited(self, container_id: str, exit_record: Exited) -> None: ...

    def out_of_memory(self, container_id: str, told: OutOfMemory) -> None: ...

    def detached(self, container_id: str, exec_id: str) -> None: ...

    def troubled(self, container_id: str, text: str) -> None: ...

    def lost(self, container_id: str) -> None:
        self.lost_ids.append(container_id)


async def vanishing() -> tuple[Monitor, Told]:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    told = Told()
    monitor = Monitor("c" * 64, ours, told)
    theirs.close()
    return monitor, told


def test_a_signal_to_a_monitor_that_just_left_is_lost_and_its_end_is_told() -> None:
    async def scene() -> list[str]:
        monitor, told = await vanishing()
        monitor.signal(signal.SIGKILL)
        await asyncio.wait_for(monitor.ended, 30)
        monitor.signal(signal.SIGKILL)
        monitor.resize(1, 1)
        return told.lost_ids

    assert asyncio.run(scene()) == ["c" * 64]


@pytest.mark.parametrize("is_noticed", [False, True])
def test_a_start_at_a_monitor_that_just_left_says_so(*, is_noticed: bool) -> None:
    async def scene() -> None:
        monitor, _ = await vanishing()
        if is_noticed:
            await asyncio.wait_for(monitor.ended, 30)
        await monitor.go()

    with pytest.raises(SystemFailure, match="went away"):
        asyncio.run(scene())


def test_packets_for_a_monitor_that_does_not_read_are_bounded() -> None:
    async def scene() -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        monitor = Monitor("c" * 64, ours, Told())
        try:
            with pytest.raises(Unavailable):
                for _ in range(100 * MOST_WAITING):
                    monitor.resize(1, 1)
        finally:
            monitor.close()
            theirs.close()

    asyncio.run(scene())


def test_a_launcher_that_dies_at_once_is_not_spawned_again_and_again() -> None:
    spawned: list[int] = []

    def spawn() -> tuple[int, socket.socket]:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        theirs.close()
        spawned.append(os.posix_spawn("/bin/true", ["true"], {}))
        return spawned[-1], ours

    async def scene() -> None:
        launcher = Launcher(spawn, Expectation(str, "/sampan"))
        launcher.warm()
        for _ in range(50):
            await asyncio.sleep(0)
        launcher.close()

    asyncio.run(scene())
    assert len(spawned) == 1


def warmed_and_closed(*words: str) -> int:
    """The pid of a launcher that is this program, its connection as descriptor 3, and is ended when it has begun."""
    spawned: list[int] = []

    def spawn() -> tuple[int, socket.socket]:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            actions = [(os.POSIX_SPAWN_DUP2, theirs.fileno(), 3)]
            spawned.append(os.posix_spawn(words[0], words, {}, file_actions=actions))
        return spawned[-1], ours

    async def scene() -> None:
        launcher = Launcher(spawn, Expectation(str, "/sampan"))
        launcher.warm()
        launcher.close()

    asyncio.run(scene())
    return spawned[0]


def test_a_launcher_that_is_ended_in_its_rehearsal_finishes_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launching, "_END_PATIENCE_S", 60.0)
    tidied = tmp_path / "tidied"
    # as a launcher does: it learns that nobody is there any more, and only then tidies up
    program = f"import socket, time; socket.socket(fileno=3).recv(1); time.sleep(0.3); open({str(tidied)!r}, 'w')"
    pid = warmed_and_closed(sys.executable, "-I", "-c", program)
    assert tidied.exists()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_a_launcher_that_hangs_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launching, "_END_PATIENCE_S", 0.1)
    pid = warmed_and_closed("/bin/sleep", "1000")
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
