"""Far ends of a monitor that die at any moment: daemons, clients, the launcher; over plain processes."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import socket
from typing import TYPE_CHECKING

import pytest
from tests.kernel.monitor.conftest import Harbour, alive, program, read_to_end, unframed, until
from tests.kernel.monitor.conftest import harbour as harbour  # noqa: PLC0414 - a fixture

from sampan.monitor import exit_record, handle, protocol
from sampan.monitor.log_reader import LogReader
from sampan.monitor.protocol import Attach, ExecPlan, Exited, Resize, Signal, Status

if TYPE_CHECKING:
    from tests.kernel.monitor.conftest import Ear, Session

COUNTING = "i=0; while :; do i=$((i+1)); echo $i; done"


def logged_numbers(session: Session) -> list[int]:
    with LogReader(str(session.log)) as reader:
        numbers: list[int] = []
        while records := reader.read():
            numbers += [int(record.text) for record in records if record.text.endswith("\n")]
    return numbers


def misbehave(ear: Ear, chance: random.Random, number: int) -> list[socket.socket]:
    """What a daemon does before it is killed: any mixture of requests, cut off anywhere."""
    clients = []
    for step in range(chance.randrange(6)):
        what = chance.randrange(5)
        if what == 0:
            clients.append(ear.attach(Attach(stdin=chance.random() < 0.5, multiplexed=chance.random() < 0.5)))
        elif what == 1:
            name = f"e{number}-{step}"
            clients.append(ear.attach(Attach(name, stdin=True)))
            if chance.random() < 0.8:
                ear.exec(ExecPlan(name, program("cat"), open_stdin=True))
        elif what == 2:
            ear.say(Resize(chance.randrange(100), 80, chance.choice(["", "nobody"])))
        elif what == 3:
            ear.connection.send(chance.randbytes(chance.randrange(1, 50)))
        else:
            ear.say(Signal(signal.SIGCONT, everyone=chance.random() < 0.5))
    return clients


@pytest.mark.parametrize("seed", range(4))
def test_daemons_that_die_anywhere_cost_no_line_and_no_exit_code(harbour: Harbour, seed: int) -> None:
    chance = random.Random(seed)
    session = harbour.start("sh", "-c", COUNTING, open_stdin=True, log={"max_files": 100})
    session.connection.close()
    for number in range(40):
        ear = session.later()
        clients: list[socket.socket] = []
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            if chance.random() < 0.7:
                assert isinstance(ear.next(), Status)
            clients = misbehave(ear, chance, number)
        ear.close()
        for client in clients:
            if chance.random() < 0.5:
                with contextlib.suppress(OSError):
                    client.send(b"x")
            client.close()
    last = session.later()
    status = last.next()
    assert isinstance(status, Status)
    assert status.phase == "running"
    until(lambda: len(os.listdir(f"/proc/{session.monitor_pid}/fd")) < 20 + 6 * len(status.execs))
    until(lambda: session.log.stat().st_size > 100_000)
    last.say(Signal(signal.SIGKILL))
    assert last.wait(Exited, lambda exited: not exited.exec_id).code == 137
    numbers = logged_numbers(session)
    assert numbers == list(range(1, len(numbers) + 1))


def test_a_launcher_that_is_killed_hurts_no_container(harbour: Harbour) -> None:
    sessions = [harbour.start("sh", "-c", "read line; exit 5", open_stdin=True) for _ in range(5)]
    harbour.launcher.send_signal(signal.SIGKILL)
    assert harbour.launcher.wait() == -signal.SIGKILL
    while protocol.receive(harbour.connection) is not None:
        pass
    harbour.connection.close()
    harbour.connection, harbour.launcher = harbour.spawn()
    another = harbour.start("true")
    assert another.exited().code == 0
    for session in sessions:
        assert alive(session.pid)
        client = session.attach(Attach(stdin=True))
        client.sendall(b"\n")
        assert session.exited().code == 5


def test_a_launcher_that_is_killed_while_it_launches_leaves_nothing_half_made(harbour: Harbour) -> None:
    for delay in range(12):
        plans = [harbour.plan("sleep", "1000") for _ in range(3)]
        connections = [handle.launch(harbour.connection, plan) for plan in plans]
        for _ in range(delay * 2000):
            pass
        harbour.launcher.kill()
        harbour.launcher.wait()
        harbour.connection.close()
        harbour.connection, harbour.launcher = harbour.spawn()
        for plan, connection in zip(plans, connections, strict=True):
            connection.settimeout(60)
            packet = protocol.receive(connection)
            connection.close()  # a Ready without Go, or the end of a launch that never was
            if packet is not None:
                until(lambda plan=plan: os.path.exists(f"{plan.launch.bundle}/aborted"))  # type: ignore[misc]
            until(lambda plan=plan: os.listdir(plan.run_directory) == [])  # type: ignore[misc]
            assert exit_record.read(plan.state_directory) is None


def test_a_daemon_that_dies_between_ready_and_started_leaves_a_container_or_none(harbour: Harbour) -> None:
    """The record says Running before Go is sent: whichever it is, the next daemon finds it so."""
    for _ in range(10):
        session = harbour.launch("sleep", "1000")
        session.say(protocol.Go())
        session.connection.close()
        later = session.later()
        status = later.next()
        assert isinstance(status, Status)
        assert status.phase == "running"
        later.say(Signal(signal.SIGKILL))
        assert later.wait(Exited).code == 137


def test_clients_of_every_temper_do_not_disturb_a_flood(harbour: Harbour) -> None:
    chance = random.Random(11)
    all_came = harbour.directory / "all-came"
    script = f"seq 800000; until [ -e {all_came} ]; do sleep 0.05; done"
    session = harbour.launch("sh", "-c", script, open_stdin=True, log={"max_files": 100})
    steady = session.attach(Attach(stdin=False))
    session.go()
    kept = []
    for _ in range(60):
        client = session.attach(Attach(stdin=chance.random() < 0.5))
        with contextlib.suppress(OSError):
            client.send(chance.randbytes(100))
        if chance.random() < 0.3:
            client.recv(chance.randrange(1, 5000))
        if chance.random() < 0.3:
            client.shutdown(chance.choice([socket.SHUT_RD, socket.SHUT_WR]))
        if chance.random() < 0.7:
            client.close()
        else:
            kept.append(client)
    all_came.touch()
    expected = b"".join(b"%d\n" % number for number in range(1, 800001))
    assert unframed(read_to_end(steady))[1] == expected
    assert session.exited().code == 0
    for client in kept:
        client.close()
    harbour.gone(session.monitor_pid)
    assert logged_numbers(session) == list(range(1, 800001))
