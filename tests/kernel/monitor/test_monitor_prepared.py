"""Monitors that are forked before there is a plan for them."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import time
from pathlib import Path

from tests.kernel.monitor.conftest import PATIENCE_S, Harbour, Session, until

from sampan.engine.ahead import Expectation
from sampan.engine.launching import Launcher
from sampan.monitor import handle
from sampan.monitor.protocol import Exited, OutOfMemory


class Told:
    """A listener that nothing is to be told to but exits."""

    def __init__(self) -> None:
        self.codes: list[int] = []

    def exited(self, _container_id: str, exit_record: Exited) -> None:
        self.codes.append(exit_record.code)

    def exec_exited(self, container_id: str, exit_record: Exited) -> None: ...

    def out_of_memory(self, container_id: str, told: OutOfMemory) -> None: ...

    def lost(self, container_id: str) -> None: ...

    def detached(self, container_id: str, exec_id: str) -> None: ...

    def troubled(self, container_id: str, text: str) -> None: ...


def prepared(harbour: Harbour) -> tuple[socket.socket, int]:
    """A prepared monitor's connection, and its pid."""
    before = children(harbour.launcher.pid)
    connection = handle.prepare(harbour.connection)
    until(lambda: bool(children(harbour.launcher.pid) - before))
    return connection, (children(harbour.launcher.pid) - before).pop()


def children(pid: int) -> set[int]:
    """The monitors that a launcher has forked, when they are monitors already and still there."""
    found = {int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()}
    return {one for one in found if name_of(one) == "sampan-monitor"}


def daemon_s_end[L: Launcher](harbour: Harbour, kind: type[L]) -> tuple[L, int]:
    """The engine's launcher over a process of its own, warm, and that one's pid."""
    connection, popen = harbour.spawn()
    launcher = kind(lambda: (popen.pid, connection), Expectation(lambda name: str(harbour.directory / name), ""))
    launcher.warm()
    return launcher, popen.pid


def name_of(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except (FileNotFoundError, ProcessLookupError):
        return ""


def start(harbour: Harbour, connection: socket.socket, *argv: str) -> Session:
    plan = harbour.plan(*argv)
    handle.launch_prepared(connection, plan)
    connection.settimeout(PATIENCE_S)
    session = Session(connection, plan)
    harbour.sessions.append(session)
    session.ready()
    return session


def test_a_prepared_monitor_serves_the_plan_that_it_is_given(harbour: Harbour) -> None:
    connection, pid = prepared(harbour)
    session = start(harbour, connection, "sh", "-c", "echo said; exit 3")
    assert session.monitor_pid == pid
    session.go()
    assert session.exited().code == 3
    assert "said" in session.log.read_text()


def test_a_prepared_monitor_that_is_not_wanted_any_more_leaves(harbour: Harbour) -> None:
    connection, pid = prepared(harbour)
    connection.close()
    gone = harbour.gone(pid)
    assert (gone.id, os.waitstatus_to_exitcode(gone.status)) == ("", 0)


def test_a_prepared_monitor_outlives_its_launcher(harbour: Harbour) -> None:
    connection, pid = prepared(harbour)
    harbour.launcher.kill()
    harbour.launcher.wait()
    session = start(harbour, connection, "true")
    assert session.monitor_pid == pid
    session.go()
    assert session.exited().code == 0


def test_a_prepared_monitor_has_no_descriptor_but_its_connection(harbour: Harbour) -> None:
    first, _ = prepared(harbour)
    second, pid = prepared(harbour)
    until(lambda: len(os.listdir(f"/proc/{pid}/fd")) == 4)
    first.close()
    second.close()


def test_when_the_prepared_monitor_was_killed_another_is_forked(harbour: Harbour) -> None:
    async def scene() -> list[int]:
        told = Told()
        launcher, launcher_pid = daemon_s_end(harbour, Launcher)
        launcher.created("0" * 64)
        deadline = time.monotonic() + PATIENCE_S
        while not (waiting := children(launcher_pid)):
            assert time.monotonic() < deadline
            await asyncio.sleep(0.01)
        (pid,) = waiting
        os.kill(pid, signal.SIGKILL)
        while children(launcher_pid):
            assert time.monotonic() < deadline
            await asyncio.sleep(0.01)
        monitor = launcher.launch(harbour.plan("true"), told)
        assert (await asyncio.wait_for(monitor.ready, PATIENCE_S)).monitor_pid != pid
        await monitor.go()
        await asyncio.wait_for(monitor.ended, PATIENCE_S)
        launcher.close()
        return told.codes

    assert asyncio.run(scene()) == [0]
