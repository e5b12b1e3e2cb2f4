from __future__ import annotations

import os
import signal
import socket
from typing import TYPE_CHECKING

import pytest
from tests.kernel.monitor.conftest import alive, program, read_to_end, unframed, until

from sampan.monitor import protocol
from sampan.monitor.protocol import Attach, Detached, ExecPlan, Exited, Failed, Resize, Signal, Started

if TYPE_CHECKING:
    from tests.kernel.monitor.conftest import Ear, Harbour


def an_exec(name: str, *argv: str, terminal: bool = False, open_stdin: bool = False) -> ExecPlan:
    return ExecPlan(name, program(*argv, terminal=terminal), open_stdin=open_stdin)


def ended(ear: Ear, name: str) -> Exited:
    return ear.wait(Exited, lambda exited: exited.exec_id == name)


def test_an_exec_has_its_output_and_its_code(harbour: Harbour) -> None:
    session = harbour.start("sleep", "1000")
    client = session.attach(Attach("e"))
    session.exec(an_exec("e", "sh", "-c", "echo out; echo err >&2; exit 9"))
    started = session.wait(Started)
    assert started.exec_id == "e"
    assert ended(session, "e").code == 9
    assert unframed(read_to_end(client)) == {1: b"out\n", 2: b"err\n"}
    assert session.log.read_bytes() == b""


def test_the_code_is_told_before_the_client_sees_the_end(harbour: Harbour) -> None:
    """It asks for the code as soon as its output ends."""
    session = harbour.start("sleep", "1000")
    for number in range(20):
        client = session.attach(Attach(f"e{number}"))
        session.exec(an_exec(f"e{number}", "sh", "-c", "exit 3"))
        read_to_end(client)
        session.connection.settimeout(0)
        assert ended(session, f"e{number}").code == 3
        session.connection.settimeout(60)


def test_an_exec_reads_what_its_client_sends(harbour: Harbour) -> None:
    session = harbour.start("sleep", "1000")
    client = session.attach(Attach("e", stdin=True, multiplexed=False, early="early "))
    session.exec(an_exec("e", "cat", open_stdin=True))
    client.sendall(b"late")
    client.shutdown(socket.SHUT_WR)
    assert read_to_end(client) == b"early late"


def test_an_exec_that_cannot_run_says_so_to_daemon_and_client(harbour: Harbour) -> None:
    session = harbour.start("sleep", "1000")
    client = session.attach(Attach("e"))
    session.exec(an_exec("e", "/no/such/program"))
    failed = session.wait(Failed)
    assert (failed.exec_id, failed.kind) == ("e", "COMMAND_NOT_FOUND")
    assert unframed(read_to_end(client))[1] == (
        b"OCI runtime exec failed: exec failed: unable to start container process: "
        b"no such file or directory: unknown\r\n"
    )


def test_an_exec_has_a_terminal_with_the_size_that_came_before_it(harbour: Harbour) -> None:
    session = harbour.start("sleep", "1000")
    client = session.attach(Attach("e", stdin=True, multiplexed=False))
    session.say(Resize(40, 90, "e"))
    session.exec(an_exec("e", "sh", "-c", "stty size; read x; stty size; cat", terminal=True, open_stdin=True))
    content = b""
    while not content.endswith(b"\n"):
        content += client.recv(100) or pytest.fail(f"the client was left with {content!r}")
    assert content == b"40 90\r\n"
    session.say(Resize(41, 91, "e"))
    client.sendall(b"\r")
    while b"41 91\r\n" not in content:
        content += client.recv(100) or pytest.fail(f"the client was left with {content!r}")
    client.sendall(b"\x10\x11")
    assert session.wait(Detached).target == "e"
    read_to_end(client)
    session.say(Signal(signal.SIGKILL, "e"))
    assert ended(session, "e").signal == signal.SIGKILL


@pytest.mark.parametrize(("delay", "expected"), [("0.3", b"now\nlate\n"), ("1000", b"now\n")])
def test_what_an_exec_leaves_behind_is_waited_for_only_a_while(harbour: Harbour, delay: str, expected: bytes) -> None:
    session = harbour.start("sleep", "1000")
    client = session.attach(Attach("e", stderr=False, multiplexed=False))
    err = session.attach(Attach("e", stdout=False, multiplexed=False))
    late = f"exec 2>&-; trap 'kill $!; exit' TERM; sleep {delay} & wait; echo late"
    script = f"({late}) & echo now; echo $! >&2; exit 6"
    session.exec(an_exec("e", "sh", "-c", script))
    assert ended(session, "e").code == 6
    assert read_to_end(client) == expected
    pid = int(read_to_end(err))
    if alive(pid):
        os.kill(pid, signal.SIGTERM)


def test_a_thousand_execs_leave_neither_descriptors_nor_memory(harbour: Harbour) -> None:
    session = harbour.start("sleep", "1000")

    def run(first: int, count: int) -> None:
        for number in range(first, first + count):
            client = session.attach(Attach(f"e{number}", multiplexed=False))
            session.exec(an_exec(f"e{number}", "echo", "hello"))
            assert read_to_end(client) == b"hello\n"
            client.close()
            ended(session, f"e{number}")
            session.clients.clear()

    def descriptors() -> int:
        return len(os.listdir(f"/proc/{session.monitor_pid}/fd"))

    def own_kb() -> int:
        with open(f"/proc/{session.monitor_pid}/smaps_rollup", encoding="ascii") as file:
            return sum(int(line.split()[1]) for line in file if line.startswith("Private_Dirty:"))

    few = descriptors()
    run(0, 200)
    until(lambda: descriptors() == few)  # a last client may be about to be closed
    before_kb = own_kb()
    run(200, 800)
    until(lambda: descriptors() == few)
    assert own_kb() - before_kb < 250
    session.later()
    assert len(protocol.encode(protocol.Status("x", "running", 1, 1))) < protocol.MAX_PACKET


def test_in_a_container_that_has_ended_nothing_is_executed(harbour: Harbour) -> None:
    session = harbour.launch("sleep", "1000")
    client = session.attach(Attach("e"))
    session.exec(an_exec("e", "true"))
    failed = session.wait(Failed)
    assert (failed.exec_id, failed.kind) == ("e", "CONFLICT")
    assert read_to_end(client) == b""


def test_an_exec_whose_daemon_went_away_before_it_came_lets_its_clients_go(harbour: Harbour) -> None:
    session = harbour.start("sleep", "1000")
    client = session.attach(Attach("never"))
    session.connection.close()
    assert read_to_end(client) == b""
    assert alive(session.pid)


def test_an_exec_that_never_comes_keeps_its_clients_only_as_long_as_the_container_lives(harbour: Harbour) -> None:
    session = harbour.start("sleep", "1000")
    client = session.attach(Attach("never"))
    session.say(Signal(signal.SIGKILL))
    session.exited()
    assert read_to_end(client) == b""
    assert harbour.gone(session.monitor_pid).status == 0
