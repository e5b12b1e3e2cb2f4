"""What listens at the address is no engine: its answers are told as such, with what to look at."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.cli.conftest import Command, FakeDaemon, Request

REMEDY = "  try: see whether an engine listens at that address, or something else"


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        (b"301 Moved\r\nLocation: http://x/\r\nContent-Length: 0", "answered with status 301 and no message"),
        (b"200 OK\r\nContent-Length: 5", "the answer is no JSON: 'hello'"),
        (b"502 Bad Gateway\r\nContent-Length: 5", "Error response from daemon: hello"),
        (b"200 OK\r\nTransfer-Encoding: chunked", "is no chunk length"),
    ],
)
@pytest.mark.parametrize("words", [["ps"], ["rm", "c1"]])
def test_an_answer_of_something_else_is_told_with_what_to_look_at(
    fake_daemon: FakeDaemon, sampan: Command, words: list[str], answer: bytes, sentence: str
) -> None:
    def handle(_: Request, client: socket.socket) -> None:
        client.sendall(b"HTTP/1.1 " + answer + b"\r\n\r\nhello\r\n")
        client.shutdown(socket.SHUT_RDWR)

    fake_daemon.on("*", "/.*", handle)

    done = sampan(*words)

    said = done.stderr.decode().splitlines()
    assert done.returncode == 1
    assert sentence in said[0]
    assert said[1] == REMEDY


@pytest.mark.parametrize("command", ["rmi", "rm", "update -c 2", "inspect", "doctor --reach"])
def test_that_nobody_answers_is_said_once_however_many_are_named(sampan: Command, command: str) -> None:
    done = sampan("-H", "unix:///nowhere.sock", *command.split(), "one", "two")

    assert done.returncode == 1
    assert done.stderr.decode().count("cannot connect to the daemon") == 1


def test_what_is_so_already_is_no_failure(fake_daemon: FakeDaemon, sampan: Command) -> None:
    fake_daemon.on("POST", "/containers/c1/start", fake_daemon.reply(304))

    done = sampan("start", "c1")

    assert (done.returncode, done.stdout) == (0, b"c1\n")


@pytest.mark.parametrize(
    ("words", "code", "remedy"),
    [
        (["wait", "c1"], 1, "containers go on without their daemon"),
        (["logs", "-f", "c1"], 1, "containers go on without their daemon"),
        (["run", "app"], 125, "containers go on without their daemon"),
        (["events"], 1, "see whether the daemon runs"),
        (["ps"], 1, "see whether the daemon runs"),
    ],
)
def test_a_daemon_that_goes_away_meanwhile_is_told_and_what_becomes_of_containers(
    fake_daemon: FakeDaemon, sampan: Command, words: list[str], code: int, remedy: str
) -> None:
    def leave(_: Request, client: socket.socket) -> None:
        client.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        client.shutdown(socket.SHUT_RDWR)

    fake_daemon.script_a_run()
    fake_daemon.on("*", "/containers/[^/]+/(json|logs|wait)|/events|/containers/json", leave)

    done = sampan(*words)

    said = done.stderr.decode().splitlines()
    assert done.returncode == code
    assert said[0].startswith("sampan: the connection to the daemon was lost: ")
    assert said[1].startswith(f"  try: {remedy}")
