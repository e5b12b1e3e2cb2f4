from __future__ import annotations

import os
import signal
import socket
from typing import TYPE_CHECKING

import pytest
from tests.kernel.monitor.conftest import alive, program, read_to_end, unframed, until

from sampan.monitor import exit_record, handle
from sampan.monitor.protocol import Attach, ExecPlan, Exited, Failed, Go, Signal, Started, Status

if TYPE_CHECKING:
    from tests.kernel.monitor.conftest import Ear, Harbour


def test_a_later_daemon_hears_what_is_the_case_and_goes_on(harbour: Harbour) -> None:
    session = harbour.launch("cat", open_stdin=True, stdin_once=True)
    started = session.go()
    session.connection.close()
    later = session.later()
    status = later.next()
    assert status == Status(
        session.plan.launch.id,
        "running",
        session.pid,
        session.monitor_pid,
        started_at_ns=started.at_ns,
    )
    client = later.attach(Attach(stdin=True))
    client.sendall(b"again")
    client.shutdown(socket.SHUT_WR)
    assert unframed(read_to_end(client))[1] == b"again"
    assert later.wait(Exited).code == 0
    assert later.next() is None


def test_all_daemons_that_are_there_are_told(harbour: Harbour) -> None:
    session = harbour.start("sleep", "1000")
    others = [session.later() for _ in range(3)]
    for other in others:
        assert isinstance(other.next(), Status)
    others[1].say(Signal(signal.SIGKILL))
    for ear in (session, *others):
        assert ear.wait(Exited).code == 137


def test_an_exit_that_no_daemon_saw_is_on_disk_and_the_monitor_leaves(harbour: Harbour) -> None:
    session = harbour.start("sleep", "1000")
    session.connection.close()
    os.kill(session.pid, signal.SIGTERM)
    harbour.gone(session.monitor_pid)
    record = exit_record.read(session.plan.state_directory)
    assert record is not None
    assert record.code == 143
    with pytest.raises(FileNotFoundError):
        handle.connect(session.plan.run_directory)


def test_a_daemon_that_knocks_while_the_container_ends_is_told_or_finds_the_record(harbour: Harbour) -> None:
    for _ in range(15):
        session = harbour.start("sleep", "1000")
        os.kill(session.pid, signal.SIGKILL)
        while True:
            try:
                later: Ear = session.later()
            except (FileNotFoundError, ConnectionRefusedError):
                assert exit_record.read(session.plan.state_directory) is not None
                break
            try:
                assert later.wait(Exited).code == 137
            except (AssertionError, ConnectionError):
                assert exit_record.read(session.plan.state_directory) is not None


def test_execs_that_ended_while_nobody_listened_are_in_the_status(harbour: Harbour) -> None:
    session = harbour.start("sleep", "1000")
    session.exec(ExecPlan("short", program("sh", "-c", "sleep 0.1; exit 5")))
    session.exec(ExecPlan("long", program("sleep", "1000")))
    session.wait(Started, lambda started: started.exec_id == "short")
    long = session.wait(Started, lambda started: started.exec_id == "long")
    session.connection.close()

    def status() -> Status:
        found = session.later().next()
        assert isinstance(found, Status)
        return found

    until(lambda: status().exits != ())
    assert status().exits == (("short", 5),)
    assert status().execs == (("long", long.pid),)


def test_more_execs_than_a_packet_holds_come_in_several(harbour: Harbour) -> None:
    session = harbour.start("sleep", "1000")
    names = [f"{number:064d}" for number in range(450)]
    for name in names:
        session.exec(ExecPlan(name, program("sleep", "1000")))
        answer = session.next()
        assert isinstance(answer, Started), answer
    later = session.later()
    execs: list[tuple[str, int]] = []
    while len(execs) < len(names):
        status = later.next()
        assert isinstance(status, Status)
        execs += status.execs
    assert [name for name, _ in execs] == names
    later.say(Signal(signal.SIGKILL))
    for _, pid in execs:
        os.kill(pid, signal.SIGKILL)
    later.wait(Exited, lambda exited: not exited.exec_id)


@pytest.mark.parametrize(
    "packet", [b"nonsense", b"{}", b'{"say":"Attach"}', b'{"say":"Resize"}', b'{"say":"Exited","code":1}']
)
def test_what_makes_no_sense_harms_only_who_says_it(harbour: Harbour, packet: bytes) -> None:
    session = harbour.start("sleep", "1000")
    later = session.later()
    later.connection.send(packet)
    session.say(Signal(signal.SIGINT))
    assert session.exited().signal == signal.SIGINT


def test_only_the_first_daemon_may_let_the_program_go(harbour: Harbour) -> None:
    session = harbour.launch("sleep", "1000")
    later = session.later()
    later.say(Go())
    later.exec(ExecPlan("e", program("true")))  # is refused, behind the Go
    assert later.wait(Failed).kind == "CONFLICT"
    session.go()
    assert alive(session.pid)


def test_a_socket_of_the_monitor_is_its_users_alone(harbour: Harbour) -> None:
    session = harbour.start("sleep", "1000")
    directory = session.plan.run_directory
    assert os.stat(f"{directory}/monitor.sock").st_mode & 0o777 == 0o600
    os.chmod(f"{directory}/monitor.sock", 0o666)  # and as if the mode were wrong
    inside = os.open(directory, os.O_PATH)
    pid = os.fork()
    if pid == 0:
        try:
            os.fchdir(inside)
            os.setresuid(65534, 65534, 65534)
            with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as stranger:
                stranger.connect("monitor.sock")
                os._exit(0 if stranger.recv(100) == b"" else 1)
        finally:
            os._exit(2)
    os.close(inside)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


def test_there_are_no_abstract_sockets(harbour: Harbour) -> None:
    """Those could be reached from a container with the host's network (CVE-2020-15257)."""
    session = harbour.start("sleep", "1000")
    inodes = {
        os.readlink(entry.path)[8:-1]
        for pid in (session.monitor_pid, harbour.launcher.pid)
        for entry in os.scandir(f"/proc/{pid}/fd")
        if os.readlink(entry.path).startswith("socket:")
    }
    with open("/proc/net/unix", encoding="utf-8") as table:
        names = [line.split()[7:] for line in table if line.split()[6] in inodes]
    assert len(names) >= len(inodes) > 2
    assert not any(name and name[0].startswith("@") for name in names)
