"""`run -it` in a terminal: raw mode and the way back on every path out, window sizes, the keys that leave."""

from __future__ import annotations

import fcntl
import os
import pty
import signal
import socket
import struct
import subprocess
import termios
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from tests.waiting import until

if TYPE_CHECKING:
    from tests.cli.conftest import Command, FakeDaemon, Request


class Terminal:
    """A terminal whose other side we are."""

    def __init__(self) -> None:
        self.master, self.slave = pty.openpty()
        self.size(30, 100)

    def size(self, rows: int, columns: int) -> None:
        fcntl.ioctl(self.slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def raw(self) -> bool:
        flags = termios.tcgetattr(self.slave)[3]
        return not flags & (termios.ICANON | termios.ECHO | termios.ISIG)

    def cooked(self) -> bool:
        flags = termios.tcgetattr(self.slave)[3]
        wanted: int = termios.ICANON | termios.ECHO | termios.ISIG
        return bool(flags & wanted == wanted)

    def type(self, data: bytes) -> None:
        os.write(self.master, data)

    def read_until(self, end: bytes) -> bytes:
        data = b""
        while end not in data:
            data += os.read(self.master, 4096)
        return data

    def close(self) -> None:
        os.close(self.master)
        os.close(self.slave)


@pytest.fixture
def terminal() -> Iterator[Terminal]:
    made = Terminal()
    yield made
    made.close()


@pytest.fixture
def shell(fake_daemon: FakeDaemon) -> FakeDaemon:
    """A daemon whose containers are shells of a kind: they echo in upper case, `x` ends them, ^P^Q detaches."""
    fake_daemon.script_a_run()
    fake_daemon.exit_code = 5

    def attach(_: Request, client: socket.socket) -> None:
        client.sendall(b"HTTP/1.1 101 UPGRADED\r\nContent-Type: application/vnd.docker.raw-stream\r\n\r\nready\r\n")
        seen = b""
        while data := client.recv(4096):
            seen += data
            client.sendall(data.upper())
            if b"x" in data:
                fake_daemon.exited.set()
                break
            if seen.endswith(b"\x10\x11"):
                break
        client.shutdown(socket.SHUT_RDWR)

    fake_daemon.on("POST", "/containers/[^/]+/start", fake_daemon.reply(204))
    fake_daemon.on("POST", "/containers/[^/]+/attach", attach)
    return fake_daemon


def start(sampan: Command, terminal: Terminal, *words: str) -> subprocess.Popen[bytes]:
    return sampan.start(
        *words, stdin=terminal.slave, stdout=terminal.slave, stderr=terminal.slave, start_new_session=True
    )


def test_what_is_typed_goes_through_byte_by_byte_and_the_terminal_comes_back(
    shell: FakeDaemon, sampan: Command, terminal: Terminal
) -> None:
    with start(sampan, terminal, "run", "-it", "image") as process:
        terminal.read_until(b"ready")
        assert terminal.raw()
        terminal.type(b"ab\x03\x1a\r")
        assert terminal.read_until(b"\r").endswith(b"AB\x03\x1a\r")
        terminal.type(b"x")
        assert process.wait(60) == 5
    assert terminal.cooked()


def test_the_keys_that_leave_end_the_command_alone(shell: FakeDaemon, sampan: Command, terminal: Terminal) -> None:
    with start(sampan, terminal, "run", "-it", "image") as process:
        terminal.read_until(b"ready")
        terminal.type(b"a\x10")
        terminal.type(b"\x11")
        assert process.wait(60) == 0
        assert b"detached; it goes on running" in terminal.read_until(b"running")
    assert terminal.cooked()
    assert not shell.exited.is_set()


def test_other_keys_can_be_chosen(shell: FakeDaemon, sampan: Command, terminal: Terminal) -> None:
    with start(sampan, terminal, "run", "-it", "--detach-keys", "ctrl-a,d", "image") as process:
        terminal.read_until(b"ready")
        terminal.type(
            b"\x10\x11"
        )  # the scripted stream ends here, yet the user has not left: the exit code is waited for
        shell.exited.set()
        assert process.wait(60) == 5
    assert shell.asked("POST", ".*/attach")[0].query["detachKeys"] == "ctrl-a,d"


def test_keys_that_cannot_be_are_refused_before_anything_is_made(shell: FakeDaemon, sampan: Command) -> None:
    done = sampan("run", "-t", "--detach-keys", "ctrl-1,a", "image")

    assert done.returncode == 1
    assert b"--detach-keys 'ctrl-1,a'" in done.stderr
    assert shell.lines == []


def test_the_window_size_is_told_at_the_start_and_when_it_changes(
    shell: FakeDaemon, sampan: Command, terminal: Terminal
) -> None:
    with start(sampan, terminal, "run", "-it", "image") as process:
        terminal.read_until(b"ready")
        until(lambda: len(shell.asked("POST", ".*/resize")) == 1)
        terminal.size(40, 120)
        process.send_signal(signal.SIGWINCH)
        until(lambda: len(shell.asked("POST", ".*/resize")) == 2)
        terminal.type(b"x")
        process.wait(60)
    sizes = [(request.query["h"], request.query["w"]) for request in shell.asked("POST", ".*/resize")]
    assert sizes == [("30", "100"), ("40", "120")]
    assert shell.asked("POST", "/containers/create")[0].document["HostConfig"]["ConsoleSize"] == [30, 100]


def test_a_failed_start_gives_the_terminal_back(shell: FakeDaemon, sampan: Command, terminal: Terminal) -> None:
    shell.on("POST", "/containers/[^/]+/start", shell.reply(400, {"message": "it will not start"}))

    with start(sampan, terminal, "run", "-it", "image") as process:
        assert process.wait(60) == 125
        assert b"it will not start" in terminal.read_until(b"start\r\n")
    assert terminal.cooked()


def test_a_daemon_that_dies_gives_the_terminal_back(shell: FakeDaemon, sampan: Command, terminal: Terminal) -> None:
    connections: list[socket.socket] = []
    waited = threading.Event()

    def wait(_: Request, client: socket.socket) -> None:
        client.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        connections.append(client)
        waited.wait(60)

    def attach(_: Request, client: socket.socket) -> None:
        client.sendall(b"HTTP/1.1 101 UPGRADED\r\nContent-Type: application/vnd.docker.raw-stream\r\n\r\nready\r\n")
        connections.append(client)
        waited.wait(60)

    shell.on("POST", "/containers/[^/]+/wait", wait)
    shell.on("POST", "/containers/[^/]+/attach", attach)
    with start(sampan, terminal, "run", "-it", "image") as process:
        terminal.read_until(b"ready")
        assert terminal.raw()
        until(lambda: len(connections) == 2)
        for connection in connections:
            connection.shutdown(socket.SHUT_RDWR)
        waited.set()
        assert process.wait(60) == 125
        assert b"in the middle of a chunk" in terminal.read_until(b"chunk")
    assert terminal.cooked()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGQUIT])
def test_a_signal_that_ends_the_command_gives_the_terminal_back(
    shell: FakeDaemon, sampan: Command, terminal: Terminal, number: signal.Signals
) -> None:
    with start(sampan, terminal, "run", "-it", "--sig-proxy=false", "image") as process:
        terminal.read_until(b"ready")
        assert terminal.raw()
        process.send_signal(number)
        assert process.wait(60) == -number
    assert terminal.cooked()


def test_being_stopped_gives_the_terminal_back_until_it_goes_on(
    shell: FakeDaemon, sampan: Command, terminal: Terminal
) -> None:
    with start(sampan, terminal, "run", "-it", "image") as process:
        terminal.read_until(b"ready")
        process.send_signal(signal.SIGTSTP)
        os.waitpid(process.pid, os.WUNTRACED)
        assert terminal.cooked()
        process.send_signal(signal.SIGCONT)
        until(terminal.raw)
        terminal.type(b"x")
        assert process.wait(60) == 5
    assert terminal.cooked()


def test_exec_in_a_terminal_resizes_the_exec(fake_daemon: FakeDaemon, sampan: Command, terminal: Terminal) -> None:
    def begin(_: Request, client: socket.socket) -> None:
        client.sendall(b"HTTP/1.1 101 UPGRADED\r\nContent-Type: application/vnd.docker.raw-stream\r\n\r\nready\r\n")
        client.recv(10)
        client.shutdown(socket.SHUT_RDWR)

    fake_daemon.on("POST", "/containers/c1/exec", fake_daemon.reply(201, {"Id": "e1"}))
    fake_daemon.on("POST", "/exec/e1/start", begin)
    fake_daemon.on("POST", "/exec/e1/resize", fake_daemon.reply(200))
    fake_daemon.on("GET", "/exec/e1/json", fake_daemon.reply(200, {"ExitCode": 6}))

    with start(sampan, terminal, "exec", "-it", "c1", "sh") as process:
        terminal.read_until(b"ready")
        assert terminal.raw()
        terminal.type(b"q")
        assert process.wait(60) == 6
    assert terminal.cooked()
    assert fake_daemon.requests[0].document["ConsoleSize"] == [30, 100]
    assert fake_daemon.asked("POST", "/exec/e1/resize")[0].query == {"h": "30", "w": "100"}
