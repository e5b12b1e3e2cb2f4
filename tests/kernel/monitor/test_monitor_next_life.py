"""Monitors that serve one container after another, as those of a build's steps do."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
from pathlib import Path

import pytest
from tests.kernel.monitor.conftest import PATIENCE_S, Ear, Harbour, Session, until
from tests.kernel.monitor.test_monitor_prepared import Told, daemon_s_end, start

from sampan.engine.step_launcher import StepLauncher
from sampan.monitor import exit_record, handle
from sampan.monitor.protocol import Failed, Go, Waiting


def asked_back(session: Session) -> socket.socket:
    """Where the session's monitor is going to wait for its next container."""
    connection = handle.prepare(session.connection)
    connection.settimeout(PATIENCE_S)
    return connection


def waiting(session: Session) -> socket.socket:
    """The same when it does wait."""
    connection = asked_back(session)
    assert isinstance(Ear(connection).next(), Waiting)
    return connection


def descriptors(pid: int) -> list[str]:
    return sorted(os.listdir(f"/proc/{pid}/fd"))


def title(pid: int) -> str:
    """That of a monitor that waits says no container; one that is gone has none."""
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        return Path(f"/proc/{pid}/cmdline").read_bytes().rstrip(b"\0").decode()
    return ""


def test_a_monitor_that_is_asked_back_serves_another_container(harbour: Harbour) -> None:
    first = harbour.start("sh", "-c", "echo one; exit 3")
    connection = asked_back(first)
    assert first.exited().code == 3
    assert isinstance(Ear(connection).next(), Waiting)
    second = start(harbour, connection, "sh", "-c", "echo two; exit 4")
    assert second.monitor_pid == first.monitor_pid
    second.go()
    assert second.exited().code == 4
    assert ("one" in first.log.read_text(), "one" in second.log.read_text()) == (True, False)
    assert harbour.gone(first.monitor_pid).status == 0


def test_a_monitor_serves_many_containers_and_gathers_no_descriptors(harbour: Harbour) -> None:
    session = harbour.start("true")
    seen = []
    for _ in range(20):
        connection = waiting(session)
        seen.append((session.monitor_pid, len(descriptors(session.monitor_pid)), title(session.monitor_pid)))
        session = start(harbour, connection, "cat", "/dev/null")
        session.go()
    assert set(seen) == {(session.monitor_pid, 4, "sampan-monitor")}
    assert session.exited().code == 0


def test_a_monitor_is_not_back_before_its_container_has_ended(harbour: Harbour) -> None:
    session = harbour.start("sleep", "1000")
    connection = asked_back(session)
    connection.settimeout(0)
    assert not handle.waits(connection)
    os.kill(session.pid, signal.SIGKILL)
    assert session.exited().signal == signal.SIGKILL
    until(lambda: handle.waits(connection))
    connection.settimeout(PATIENCE_S)
    second = start(harbour, connection, "true")
    second.go()
    assert (second.exited().code, second.monitor_pid) == (0, session.monitor_pid)


def test_a_monitor_whose_start_failed_comes_back_too(harbour: Harbour) -> None:
    session = harbour.launch("/no/such/program")
    connection = asked_back(session)
    session.say(Go())
    assert session.wait(Failed).step
    assert isinstance(Ear(connection).next(), Waiting)
    second = start(harbour, connection, "true")
    second.go()
    assert second.exited().code == 0


def test_a_monitor_that_nobody_waits_for_any_more_leaves(harbour: Harbour) -> None:
    session = harbour.start("true")
    waiting(session).close()
    assert harbour.gone(session.monitor_pid).status == 0


def test_a_monitor_that_nobody_wants_back_leaves_when_its_container_has_ended(harbour: Harbour) -> None:
    session = harbour.start("sleep", "1000")
    asked_back(session).close()
    os.kill(session.pid, signal.SIGKILL)
    assert harbour.gone(session.monitor_pid).status == 0


def test_a_monitor_that_waits_again_ends_by_sigterm(harbour: Harbour) -> None:
    session = harbour.start("true")
    with waiting(session) as connection:
        os.kill(session.monitor_pid, signal.SIGTERM)
        assert harbour.gone(session.monitor_pid).status == signal.SIGTERM
        with pytest.raises(ConnectionError):
            handle.waits(connection)


def test_a_transient_container_is_released_and_leaves_no_record(harbour: Harbour) -> None:
    session = harbour.start("sh", "-c", "exit 3", transient=True)
    assert session.exited().code == 3
    assert session.next() is None  # it has parted
    assert session.marked("released")
    assert exit_record.read(session.plan.state_directory) is None


def test_steps_are_served_by_the_monitors_of_steps_before_them(harbour: Harbour) -> None:
    async def scene() -> list[int]:
        told = Told()
        pids = []
        with daemon_s_end(harbour, StepLauncher) as (launcher, _):
            for code in range(8):
                plan = harbour.plan("sh", "-c", f"test $WORD = word; exit {code}")
                launcher.private_environment[plan.launch.id] = ("WORD=word",)
                monitor = launcher.launch(plan, told)
                pids.append((await asyncio.wait_for(monitor.ready, PATIENCE_S)).monitor_pid)
                await monitor.go()
                await asyncio.wait_for(monitor.ended, PATIENCE_S)
                await asyncio.to_thread(until, lambda: title(pids[-1]) in {"", "sampan-monitor"})
        assert told.codes == list(range(8))
        return pids

    pids = asyncio.run(scene())
    assert len(set(pids)) <= 4
    assert pids[6] in pids[:6]
