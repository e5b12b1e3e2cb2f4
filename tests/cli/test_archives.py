"""Archives that the daemon sends, on their way into files, pipes and nowhere."""

from __future__ import annotations

import os
import socket
import stat
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.cli.test_build import stream

if TYPE_CHECKING:
    from tests.cli.conftest import Command, FakeDaemon, Request


def test_export_writes_a_whole_file_or_none(fake_daemon: FakeDaemon, sampan: Command, tmp_path: Path) -> None:
    def half(_: Request, client: socket.socket) -> None:
        client.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
        client.shutdown(socket.SHUT_RDWR)

    fake_daemon.on("GET", "/containers/c1/export", half)
    assert sampan("export", "-o", str(tmp_path / "a.tar"), "c1").returncode == 1
    assert list(tmp_path.glob("a.tar*")) == []

    fake_daemon.on("GET", "/containers/c1/export", fake_daemon.reply(200, "archive"))
    assert sampan("export", "-o", str(tmp_path / "a.tar"), "c1").returncode == 0
    assert (tmp_path / "a.tar").read_bytes() == b'"archive"\n'
    assert sampan("export", "c1").stdout == b'"archive"\n'


def test_export_writes_into_a_pipe_and_leaves_it_there(
    fake_daemon: FakeDaemon, sampan: Command, tmp_path: Path
) -> None:
    os.mkfifo(tmp_path / "pipe")
    fake_daemon.on("GET", "/containers/c1/export", fake_daemon.reply(200, "archive"))
    reader = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    try:
        assert sampan("export", "-o", str(tmp_path / "pipe"), "c1").returncode == 0
        assert os.read(reader, 100) == b'"archive"\n'
    finally:
        os.close(reader)
    assert stat.S_ISFIFO((tmp_path / "pipe").stat().st_mode)
    assert list(tmp_path.glob("pipe*")) == [tmp_path / "pipe"]


def test_files_that_cannot_be_written_are_no_longer_read_when_their_container_is_removed(
    fake_daemon: FakeDaemon, sampan: Command, tmp_path: Path
) -> None:
    given_up = threading.Event()

    def export(_: Request, client: socket.socket) -> None:
        client.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\nthe beginning")
        if client.recv(1) == b"":
            given_up.set()

    def remove(request: Request, client: socket.socket) -> None:
        """As the daemon does: a container that is being exported is waited for."""
        reply = fake_daemon.reply(204) if given_up.wait(30) else fake_daemon.reply(500, {"message": "waited in vain"})
        reply(request, client)

    fake_daemon.on("POST", "/build", stream({"aux": {"ID": "sha256:" + "ab" * 32}}))
    fake_daemon.on("POST", "/containers/create", fake_daemon.reply(201, {"Id": "c1"}))
    fake_daemon.on("GET", "/containers/c1/export", export)
    fake_daemon.on("DELETE", "/containers/c1", remove)
    (tmp_path / "Dockerfile").write_text("FROM base\n")

    done = sampan("build", "-q", "-o", "type=tar,dest=/no/such/place.tar", str(tmp_path))

    assert (done.returncode, given_up.is_set()) == (1, True)
    assert b"/no/such/place.tar: no such file or directory" in done.stderr


@pytest.mark.parametrize(
    ("words", "printed"),
    [
        (["app"], "docker.io/library/app:latest"),
        (["-a", "me/app"], "docker.io/me/app"),
        (["registry.test:5000/app:1"], "registry.test:5000/app:1"),
    ],
)
def test_a_quiet_push_prints_the_whole_name_as_a_pull_does(
    fake_daemon: FakeDaemon, sampan: Command, words: list[str], printed: str
) -> None:
    fake_daemon.on("POST", "/images/.*", stream({"status": "Pushed"}))
    for verb in ("push", "pull"):
        assert sampan(verb, "-q", *words).stdout.decode() == f"{printed}\n"
