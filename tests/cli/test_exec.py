"""`sampan exec`, `attach` and `start` against a scripted daemon: what is asked, bytes, exit codes."""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.cli.conftest import Command, FakeDaemon, Request

ID = "c0ffee" + "0" * 58


def echo_in_frames(_: Request, client: socket.socket) -> None:
    """A process that writes back all it reads and ends when its input does."""
    client.sendall(b"HTTP/1.1 101 UPGRADED\r\nContent-Type: application/vnd.docker.multiplexed-stream\r\n\r\n")
    while data := client.recv(65536):
        client.sendall(b"\x01\0\0\0" + len(data).to_bytes(4) + data)
    client.shutdown(socket.SHUT_RDWR)


def script_an_exec(daemon: FakeDaemon, output: bytes, code: int) -> None:
    def start(_: Request, client: socket.socket) -> None:
        kind = b"application/vnd.docker.multiplexed-stream"
        client.sendall(b"HTTP/1.1 101 UPGRADED\r\nContent-Type: " + kind + b"\r\n\r\n" + output)
        client.shutdown(socket.SHUT_RDWR)

    daemon.on("POST", "/containers/c1/exec", daemon.reply(201, {"Id": "e1"}))
    daemon.on("POST", "/exec/e1/start", start)
    daemon.on("GET", "/exec/e1/json", daemon.reply(200, {"ExitCode": code, "Running": False}))


def test_exec_sends_what_docker_sends_and_gives_the_exit_code(fake_daemon: FakeDaemon, sampan: Command) -> None:
    script_an_exec(fake_daemon, fake_daemon.frame(1, b"hi\n"), 9)

    done = sampan("exec", "-u", "1", "-w", "/tmp", "-e", "A=b", "-e", "A_VAR", "--privileged", "c1", "echo", "-n", "hi")

    assert (done.returncode, done.stdout) == (9, b"hi\n")
    assert fake_daemon.lines == ["POST /containers/c1/exec", "POST /exec/e1/start", "GET /exec/e1/json"]
    assert fake_daemon.requests[0].document == {
        "User": "1",
        "Privileged": True,
        "Tty": False,
        "AttachStdin": False,
        "AttachStderr": True,
        "AttachStdout": True,
        "Detach": False,
        "DetachKeys": "",
        "Env": ["A=b", "A_VAR=from the environment"],
        "WorkingDir": "/tmp",
        "Cmd": ["echo", "-n", "hi"],
    }
    assert fake_daemon.requests[1].document == {"Detach": False, "Tty": False}


def test_a_detached_exec_is_not_waited_for(fake_daemon: FakeDaemon, sampan: Command) -> None:
    fake_daemon.on("POST", "/containers/c1/exec", fake_daemon.reply(201, {"Id": "e1"}))
    fake_daemon.on("POST", "/exec/e1/start", fake_daemon.reply(200))

    assert sampan("exec", "-d", "c1", "true").returncode == 0
    assert fake_daemon.requests[0].document["AttachStdout"] is False
    assert fake_daemon.requests[1].document == {"Detach": True, "Tty": False}


def test_exec_in_nothing_is_a_failure(fake_daemon: FakeDaemon, sampan: Command) -> None:
    fake_daemon.on("POST", "/containers/c1/exec", fake_daemon.reply(404, {"message": "No such container: c1"}))

    done = sampan("exec", "c1", "true")

    assert (done.returncode, done.stderr) == (1, b"sampan: Error response from daemon: No such container: c1\n")


def container_document(**state: bool) -> dict[str, object]:
    return {
        "Id": ID,
        "State": {"Running": True, "Paused": False, "Restarting": False, **state},
        "Config": {"Tty": False, "OpenStdin": True},
        "HostConfig": {"AutoRemove": False},
    }


@pytest.mark.parametrize(
    ("state", "words"),
    [
        ({"Running": False}, "sampan start -ai c1"),
        ({"Paused": True}, "sampan unpause c1"),
        ({"Restarting": True}, "wait"),
    ],
)
def test_what_does_not_run_cannot_be_attached_to(
    fake_daemon: FakeDaemon, sampan: Command, state: dict[str, bool], words: str
) -> None:
    fake_daemon.on("GET", "/containers/c1/json", fake_daemon.reply(200, container_document(**state)))

    done = sampan("attach", "c1")

    assert done.returncode == 1
    assert words in done.stderr.decode()


def test_attach_carries_input_and_output_and_gives_the_exit_code(fake_daemon: FakeDaemon, sampan: Command) -> None:
    fake_daemon.script_a_run()
    fake_daemon.on("GET", "/containers/c1/json", fake_daemon.reply(200, container_document()))
    fake_daemon.on("POST", "/containers/[^/]+/attach", echo_in_frames)
    fake_daemon.exit_code = 4
    fake_daemon.exited.set()

    done = sampan("attach", "c1", input=b"typed\n")

    assert (done.returncode, done.stdout) == (4, b"typed\n")


def test_attaching_to_a_terminal_from_none_says_how_to_do_without(fake_daemon: FakeDaemon, sampan: Command) -> None:
    document = {**container_document(), "Config": {"Tty": True, "OpenStdin": True}}
    fake_daemon.on("GET", "/containers/c1/json", fake_daemon.reply(200, document))

    done = sampan("attach", "c1")

    assert (done.returncode, done.stderr) == (
        1,
        b"sampan: the input is no terminal\n  try: attach from a terminal, or with --no-stdin\n",
    )


def test_start_attached_follows_the_order_of_run(fake_daemon: FakeDaemon, sampan: Command) -> None:
    fake_daemon.script_a_run()
    fake_daemon.on("GET", "/containers/c1/json", fake_daemon.reply(200, container_document(Running=False)))
    fake_daemon.output = fake_daemon.frame(1, b"again\n")
    fake_daemon.exit_code = 2

    done = sampan("start", "-a", "c1")

    assert (done.returncode, done.stdout) == (2, b"again\n")
    verbs = [line.rpartition("/")[2] for line in fake_daemon.lines]
    assert verbs == ["json", "attach", "wait", "start"]
    assert fake_daemon.requests[1].query == {"stream": "1", "stdout": "1", "stderr": "1"}


@pytest.mark.parametrize(
    ("options", "remedy"), [([], "this host, or add --mount"), (["--mount"], "the container, or leave --mount out")]
)
def test_a_program_that_nsenter_does_not_find_is_told_by_whose_files_were_looked_at(
    fake_daemon: FakeDaemon, sampan: Command, options: list[str], remedy: str
) -> None:
    fake_daemon.on("GET", "/containers/c1/json", fake_daemon.reply(200, {"State": {"Pid": os.getpid()}}))

    done = sampan("nsenter", "c1", "--net", *options, "no-such-program")

    assert done.returncode == 127
    assert f"  try: name a program of {remedy}" in done.stderr.decode()


@pytest.mark.parametrize(
    ("reason", "remedy"),
    [
        (b'exec: "sh": executable file not found in $PATH', "name a program of the image"),
        (b'exec: "-it": executable file not found in $PATH', "write options before the container"),
        (b'exec: "/etc": is a directory', "name a program, not a directory"),
        (b'chdir to cwd ("/x") set in config.json failed: no such file or directory', "name a directory"),
    ],
)
def test_a_program_that_could_not_be_started_is_told_with_a_remedy(
    fake_daemon: FakeDaemon, sampan: Command, reason: bytes, remedy: str
) -> None:
    said = b"OCI runtime exec failed: exec failed: unable to start container process: " + reason + b": unknown\r\n"
    script_an_exec(fake_daemon, fake_daemon.frame(1, said), 126)

    done = sampan("exec", "c1", "sh")

    assert (done.returncode, done.stdout) == (126, said)
    assert done.stderr.decode().startswith(f"  try: {remedy}")


def test_a_program_that_ends_as_if_not_started_gets_no_remedy(fake_daemon: FakeDaemon, sampan: Command) -> None:
    script_an_exec(fake_daemon, fake_daemon.frame(2, b"sh: nosuch: not found\n"), 127)

    done = sampan("exec", "c1", "sh", "-c", "nosuch")

    assert (done.returncode, done.stderr) == (127, b"sh: nosuch: not found\n")
