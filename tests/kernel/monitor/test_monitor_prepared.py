"""Monitors that are forked before there is a plan for them."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
from collections.abc import Iterator
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


@contextlib.contextmanager
def daemon_s_end[L: Launcher](harbour: Harbour, kind: type[L]) -> Iterator[tuple[L, int]]:
    """The engine's launcher over a process of its own, which serves by now, and that one's pid; in an event loop.

    One that is still on its way would fork what was asked of it when the engine has let that go again.
    """
    connection, popen = harbour.spawn()
    with handle.prepare(connection):
        until(lambda: bool(children(popen.pid)))
    until(lambda: not children(popen.pid))
    launcher = kind(lambda: (popen.pid, connection), Expectation(lambda name: str(harbour.directory / name), ""))
    launcher.warm()
    try:
        yield launcher, popen.pid
    finally:
        launcher.close()


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
        with daemon_s_end(harbour, Launcher) as (launcher, launcher_pid):
            launcher.created("0" * 64)
            until(lambda: bool(children(launcher_pid)))
            (pid,) = children(launcher_pid)
            os.kill(pid, signal.SIGKILL)
            until(lambda: not children(launcher_pid))
            monitor = launcher.launch(harbour.plan("true"), told)
            assert (await asyncio.wait_for(monitor.ready, PATIENCE_S)).monitor_pid != pid
            await monitor.go()
            await asyncio.wait_for(monitor.ended, PATIENCE_S)
        return told.codes

    assert asyncio.run(scene()) == [0]
