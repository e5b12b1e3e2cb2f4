from __future__ import annotations

import contextlib
import os
import signal
import socket
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.kernel.monitor.conftest import alive, cpu_ticks, read_to_end, until

from sampan.monitor.protocol import Attach, Detached, Resize, Signal

if TYPE_CHECKING:
    from tests.kernel.monitor.conftest import Harbour

TERMINAL = Attach(stdin=True, multiplexed=False)


def read_until(client: socket.socket, mark: bytes) -> bytes:
    content = b""
    while mark not in content:
        chunk = client.recv(65536)
        assert chunk, f"the end came before {mark!r}: {content!r}"
        content += chunk
    return content


def test_a_terminal_echoes_and_has_the_size_that_was_asked_for_before_the_start(harbour: Harbour) -> None:
    session = harbour.launch("sh", "-c", "stty size; read line; echo got $line", terminal=True, open_stdin=True)
    client = session.attach(TERMINAL)
    session.say(Resize(33, 101))
    session.go()
    read_until(client, b"33 101\r\n")
    client.sendall(b"word\r")
    assert read_to_end(client) == b"word\r\ngot word\r\n"


def test_a_resize_reaches_the_program_as_a_signal(harbour: Harbour) -> None:
    script = "trap 'stty size; exit 0' WINCH; echo ready; while :; do sleep 0.01; done"
    session = harbour.launch("sh", "-c", script, terminal=True)
    client = session.attach(TERMINAL)
    session.go()
    read_until(client, b"ready")
    session.say(Resize(24, 80))
    assert b"24 80\r\n" in read_to_end(client)
    with contextlib.suppress(BrokenPipeError):
        session.say(Resize(1, 1))  # too late, and no harm


def test_detach_keys_let_the_client_go_and_the_program_on(harbour: Harbour) -> None:
    session = harbour.launch("cat", terminal=True, open_stdin=True)
    client = session.attach(TERMINAL)
    session.go()
    client.sendall(b"one\r")
    read_until(client, b"one\r\none\r\n")
    client.sendall(b"t\x10")
    client.sendall(b"\x11ignored")
    read_to_end(client)
    assert session.wait(Detached) == Detached()
    assert alive(session.pid)
    again = session.attach(TERMINAL)
    again.sendall(b"wo\r")
    read_until(again, b"two\r\n")


def test_a_broken_sequence_reaches_the_program(harbour: Harbour) -> None:
    session = harbour.launch(
        "sh", "-c", "stty raw -echo; echo ready; head -c 3 | od -An -c", terminal=True, open_stdin=True
    )
    client = session.attach(TERMINAL)
    session.go()
    read_until(client, b"ready")
    client.sendall(b"\x10")
    client.sendall(b"x\x11")
    assert b"020   x 021" in read_to_end(client)


def test_without_a_terminal_detach_keys_are_bytes_like_any_other(harbour: Harbour) -> None:
    session = harbour.launch("cat", open_stdin=True, stdin_once=True)
    client = session.attach(TERMINAL)
    session.go()
    client.sendall(b"\x10\x11")
    client.shutdown(socket.SHUT_WR)
    assert read_to_end(client) == b"\x10\x11"


def test_all_that_was_written_to_a_terminal_is_read_when_the_program_has_ended(harbour: Harbour) -> None:
    session = harbour.launch("seq", "30000", terminal=True, log={"max_files": 9})
    client = session.attach(TERMINAL)
    session.go()
    expected = b"".join(b"%d\r\n" % number for number in range(1, 30001))
    assert read_to_end(client) == expected
    session.exited()


def test_a_terminal_that_nobody_has_open_for_a_while_is_not_at_its_end(harbour: Harbour) -> None:
    tty = harbour.directory / "tty"
    script = f"tty > {tty}; exec 0<&- 1>&- 2>&-; sleep 0.3; echo back > $(cat {tty}); sleep 1000"
    session = harbour.launch("sh", "-c", script, terminal=True)
    client = session.attach(TERMINAL)
    session.go()
    read_until(client, b"back\r\n")
    before = os.times()
    assert before
    session.say(Signal(signal.SIGKILL))
    assert session.exited().code == 137


@pytest.mark.parametrize("harbour", [("QUIET_S=3",)], indirect=True)
def test_a_sequence_that_was_never_finished_is_typed_when_the_client_half_closes(harbour: Harbour) -> None:
    script = "stty raw -echo; echo ready; head -c 2 | od -An -c"
    session = harbour.launch("sh", "-c", script, terminal=True, open_stdin=True)
    client = session.attach(TERMINAL)
    session.go()
    read_until(client, b"ready")
    client.sendall(b"a\x10")
    client.shutdown(socket.SHUT_WR)
    assert b"a 020" in read_to_end(client)


@pytest.mark.parametrize("harbour", [("QUIET_S=3",)], indirect=True)
def test_a_client_that_half_closes_is_let_go_and_the_terminal_stays(harbour: Harbour) -> None:
    session = harbour.launch("cat", terminal=True, open_stdin=True, stdin_once=True)
    client = session.attach(TERMINAL)
    session.go()
    client.sendall(b"x\r")
    client.shutdown(socket.SHUT_WR)
    assert read_to_end(client) == b"x\r\nx\r\n"
    assert alive(session.pid)


def test_a_closed_terminal_does_not_keep_the_monitor_busy(harbour: Harbour) -> None:
    session = harbour.launch("sh", "-c", "exec 0<&- 1>&- 2>&-; exec sleep 1000", terminal=True)
    session.go()
    until(lambda: b"sleep" in Path(f"/proc/{session.pid}/cmdline").read_bytes())
    before = cpu_ticks(session.monitor_pid)
    time.sleep(0.5)
    assert cpu_ticks(session.monitor_pid) - before < 10
