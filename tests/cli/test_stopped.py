"""Commands that draw, stopped by Ctrl-Z or ended by a signal: the shell gets its terminal as it was."""

from __future__ import annotations

import importlib.util
import os
import pty
import select
import signal
import socket
import subprocess
import termios
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.cli.conftest import Command, FakeDaemon, Request

HIDDEN, SHOWN = b"\x1b[?25l", b"\x1b[?25h"  # the cursor
OTHER, USUAL = b"\x1b[?1049h", b"\x1b[?1049l"  # the screen
LAYER = b'{"status":"Downloading","progressDetail":{"current":5,"total":20},"id":"aaaaaaaaaaaa"}\n'
LAST = b'{"status":"Status: Downloaded newer image for app:v1"}\n'


@dataclass
class Screen:
    """A terminal, and what was written to it."""

    master: int
    slave: int
    written: bytes = b""

    def wait_for(self, text: bytes, after: int = 0) -> None:
        """Read until `text` stands behind the first `after` bytes."""
        while text not in self.written[after:]:
            assert select.select([self.master], [], [], 60)[0], f"{text!r} did not come: {self.written!r}"
            self.written += os.read(self.master, 65536)

    def is_cooked(self) -> bool:
        flags = termios.tcgetattr(self.slave)[3]
        wanted: int = termios.ICANON | termios.ECHO | termios.ISIG
        return bool(flags & wanted == wanted)

    def start(self, command: Command, *words: str) -> subprocess.Popen[bytes]:
        """The command on this terminal, in a process group of its own: in an orphaned one nobody is stopped."""
        environment = {**command.environment(), "TERM": "xterm", "COLUMNS": "120", "LINES": "40"}
        streams: dict[str, Any] = dict.fromkeys(("stdin", "stdout", "stderr"), self.slave)
        return subprocess.Popen(command.argv(*words), env=environment, process_group=0, **streams)


@pytest.fixture
def terminal() -> Iterator[Screen]:
    made = Screen(*pty.openpty())
    yield made
    os.close(made.master)
    os.close(made.slave)


def wait_until_stopped(process: subprocess.Popen[bytes]) -> None:
    _, status = os.waitpid(process.pid, os.WUNTRACED)
    assert os.WIFSTOPPED(status), status


@pytest.mark.skipif(importlib.util.find_spec("rich") is None, reason="rich draws the bars")
def test_a_pull_that_is_stopped_leaves_the_shell_a_cursor(
    fake_daemon: FakeDaemon, sampan: Command, terminal: Screen
) -> None:
    goes_on = threading.Event()

    def pull(_: Request, client: socket.socket) -> None:
        client.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(LAYER + LAST), LAYER))
        goes_on.wait(60)
        client.sendall(LAST)

    fake_daemon.on("POST", "/images/create", pull)
    with terminal.start(sampan, "pull", "app:v1") as process:
        try:
            terminal.wait_for("━".encode())
            assert terminal.written.rindex(HIDDEN) > terminal.written.rfind(SHOWN)
            drawn = len(terminal.written)
            process.send_signal(signal.SIGTSTP)
            wait_until_stopped(process)
            terminal.wait_for(SHOWN, drawn)
            drawn = len(terminal.written)
            process.send_signal(signal.SIGCONT)
            terminal.wait_for(HIDDEN, drawn)
            goes_on.set()
            assert process.wait(60) == 0
        finally:
            goes_on.set()
            process.kill()
    drawn = terminal.written.rindex(HIDDEN)
    terminal.wait_for(SHOWN, drawn)


@pytest.fixture
def top(fake_daemon: FakeDaemon, sampan: Command, terminal: Screen) -> Iterator[subprocess.Popen[bytes]]:
    """The live view of nothing at all, on the terminal."""
    fake_daemon.on("GET", "/containers/json", fake_daemon.reply(200, []))
    with terminal.start(sampan, "top") as process:
        try:
            terminal.wait_for(b"0 running")
            yield process
        finally:
            process.kill()


def test_the_live_view_gives_the_terminal_back_while_it_is_stopped(
    terminal: Screen, top: subprocess.Popen[bytes]
) -> None:
    for stop in (lambda: os.write(terminal.master, b"\x1a"), lambda: top.send_signal(signal.SIGTSTP)):
        assert not terminal.is_cooked()
        drawn = len(terminal.written)
        stop()
        wait_until_stopped(top)
        assert terminal.is_cooked()
        terminal.wait_for(SHOWN + USUAL, drawn)
        drawn = len(terminal.written)
        top.send_signal(signal.SIGCONT)
        terminal.wait_for(OTHER + HIDDEN, drawn)
        terminal.wait_for(b"0 running", drawn)
    os.write(terminal.master, b"q")
    assert top.wait(60) == 0
    assert terminal.is_cooked()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_the_live_view_gives_the_terminal_back_when_it_is_ended(
    terminal: Screen, top: subprocess.Popen[bytes], number: signal.Signals
) -> None:
    drawn = len(terminal.written)
    top.send_signal(number)

    assert top.wait(60) == -number
    assert terminal.is_cooked()
    terminal.wait_for(SHOWN + USUAL, drawn)
