"""A daemon that a service manager starts: it says when it serves, and takes the sockets that it is handed."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.engine_process import PROGRAM, SOURCE, EngineProcess

UNITS = Path(__file__).parent.parent.parent / "packaging" / "systemd"
# Takes the place of the manager's child: the socket becomes descriptor 3, and what follows is the daemon itself.
HANDED_OVER = (
    "import os, sys; os.dup2(int(sys.argv.pop(1)), 3); os.environ.update(LISTEN_FDS='1', LISTEN_PID=str(os.getpid())); "
)
PATIENCE_S = 60


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.settimeout(PATIENCE_S)
        listening.bind(str(tmp_path / "notify"))
        yield listening


def daemon(directory: Path, listening: socket.socket | None) -> subprocess.Popen[str]:
    handed = [HANDED_OVER + PROGRAM, str(listening.fileno())] if listening else [PROGRAM]
    words = [sys.executable, "-I", "-c", *handed, str(SOURCE), "-H", "fd://", "--bridge", "none"]
    words += ["--data-root", str(directory / "data"), "--exec-root", str(directory / "run")]
    fds = [listening.fileno()] if listening else []
    return subprocess.Popen(words, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, pass_fds=fds)


def refusal(directory: Path, listening: socket.socket | None) -> str:
    process = daemon(directory, listening)
    _, errors = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 1, errors
    return errors


def test_a_manager_is_told_when_the_daemon_serves_and_when_it_ends(
    tmp_path: Path, manager: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", manager.getsockname())
    engine = EngineProcess(tmp_path / "engine")
    (tmp_path / "engine").mkdir()
    with engine:
        assert manager.recv(100) == b"READY=1"
        assert engine.json("GET", "/containers/json") == []
    assert manager.recv(100) == b"STOPPING=1"


def test_a_manager_with_an_abstract_address_is_told_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = f"sampan-notify-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening, monkeypatch.context() as patch:
        listening.settimeout(PATIENCE_S)
        listening.bind(f"\0{name}")
        patch.setenv("NOTIFY_SOCKET", f"@{name}")
        with EngineProcess(tmp_path):
            assert listening.recv(100) == b"READY=1"


def test_a_manager_that_does_not_listen_hinders_no_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "nobody"))
    with EngineProcess(tmp_path) as engine:
        assert engine.json("GET", "/containers/json") == []
        assert "could not be told READY=1" in engine.log.read_text()


def test_a_client_that_came_before_the_daemon_is_answered_on_the_socket_that_it_is_handed(tmp_path: Path) -> None:
    path = tmp_path / "handed.sock"
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listening:
        listening.bind(str(path))
        listening.listen(8)
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as early:
            early.settimeout(PATIENCE_S)
            early.connect(str(path))
            early.sendall(b"GET /_ping HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            process = daemon(tmp_path, listening)
            try:
                assert early.recv(4096).startswith(b"HTTP/1.1 200")
            finally:
                process.terminate()
                process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0
    assert path.exists(), "the socket is the manager's: it listens on while there is no daemon"


def test_without_a_socket_handed_over_fd_is_refused(tmp_path: Path) -> None:
    assert "fd:// was given, and no socket was handed over" in refusal(tmp_path, None)


def test_a_tcp_socket_handed_over_is_refused(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        assert "a socket that was handed over is no unix socket" in refusal(tmp_path, listening)


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd-analyze is not here")
def test_the_units_are_sound(tmp_path: Path) -> None:
    for name in ("sampan.socket", "sampan.service"):
        (tmp_path / name).write_text(re.sub("/usr/local/bin/sampand", "/bin/true", (UNITS / name).read_text()))
    units = [str(tmp_path / name) for name in ("sampan.socket", "sampan.service")]
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *units], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
