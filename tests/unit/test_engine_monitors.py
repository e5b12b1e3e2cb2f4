"""The engine's end of a monitor that leaves while it is spoken to."""

from __future__ import annotations

import asyncio
import os
import signal
import socket

import pytest

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
