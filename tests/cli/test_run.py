"""`sampan run`, `exec`, `attach` and `start` against a scripted daemon: the order of calls, bytes, codes, signals."""

from __future__ import annotations

import json
import shlex
import signal
import socket
import subprocess
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.cli.conftest import Command, FakeDaemon, Request

ID = "c0ffee" + "0" * 58


def test_run_attaches_and_waits_before_it_starts(fake_daemon: FakeDaemon, sampan: Command) -> None:
    fake_daemon.script_a_run()

    assert sampan("run", "--rm", "image", "cmd").returncode == 0

    assert fake_daemon.lines == [
        "POST /containers/create",
        f"POST /containers/{ID}/attach",
        f"POST /containers/{ID}/wait",
        f"POST /containers/{ID}/start",
    ]
    assert fake_daemon.requests[1].query == {"stream": "1", "stdout": "1", "stderr": "1"}
    assert fake_daemon.requests[2].query == {"condition": "removed"}
    assert len({request.connection for request in fake_daemon.requests}) == 3


def test_run_gives_the_output_to_its_two_streams_and_the_exit_code(fake_daemon: FakeDaemon, sampan: Command) -> None:
    fake_daemon.script_a_run()
    fake_daemon.output = fake_daemon.frame(1, b"out\n") + fake_daemon.frame(2, b"err\n") + fake_daemon.frame(1, b"more")
    fake_daemon.exit_code = 7

    done = sampan("run", "image")

    assert (done.returncode, done.stdout, done.stderr) == (7, b"out\nmore", b"err\n")


def test_run_detached_prints_the_id_and_leaves(fake_daemon: FakeDaemon, sampan: Command) -> None:
    fake_daemon.script_a_run()

    done = sampan("run", "-d", "image")

    assert (done.returncode, done.stdout) == (0, f"{ID}\n".encode())
    assert fake_daemon.lines == ["POST /containers/create", f"POST /containers/{ID}/start"]


def test_warnings_of_the_daemon_are_shown(fake_daemon: FakeDaemon, sampan: Command) -> None:
    fake_daemon.script_a_run()
    fake_daemon.on("POST", "/containers/create", fake_daemon.reply(201, {"Id": ID, "Warnings": ["no swap here"]}))

    assert sampan("run", "-d", "image").stderr == b"WARNING: no swap here\n"


@pytest.mark.parametrize(
    ("message", "code"),
    [
        ('exec: "x": executable file not found in $PATH', 127),
        ("stat /x: no such file or directory", 127),
        ('exec: "/etc": permission denied', 126),
        ("exec format error", 126),
        ("something else", 125),
    ],
)
def test_a_start_that_fails_is_said_and_has_a_shells_exit_code(
    fake_daemon: FakeDaemon, sampan: Command, message: str, code: int
) -> None:
    fake_daemon.script_a_run()
    fake_daemon.on("POST", "/containers/[^/]+/start", fake_daemon.reply(400, {"message": message, "remedy": "mend it"}))

    done = sampan("run", "image")

    assert done.returncode == code
    assert done.stderr.decode() == f"sampan: Error response from daemon: {message}\n  try: mend it\n"


def test_an_option_that_was_taken_for_the_program_is_said_to_stand_too_late(
    fake_daemon: FakeDaemon, sampan: Command
) -> None:
    refusal = {"message": 'exec: "--rm": executable file not found in $PATH', "remedy": "name a program"}
    fake_daemon.script_a_run()
    fake_daemon.on("POST", "/containers/[^/]+/start", fake_daemon.reply(400, refusal))

    assert b"  try: write options before the image: " in sampan("run", "image", "--rm").stderr


def test_a_run_without_a_daemon_has_the_code_of_no_start(sampan: Command) -> None:
    done = sampan("-H", "unix:///nowhere.sock", "run", "image")

    assert done.returncode == 125
    assert b"no such file or directory" in done.stderr


def test_input_is_passed_on_and_its_end_too(fake_daemon: FakeDaemon, sampan: Command) -> None:
    fake_daemon.script_a_run()
    data = bytes(range(256)) * 20000
    fake_daemon.on("POST", "/containers/[^/]+/attach", echo_in_frames)

    done = sampan("run", "-i", "image", input=data)

    assert done.stdout == data
    assert fake_daemon.requests[1].query["stdin"] == "1"


def echo_in_frames(_: Request, client: socket.socket) -> None:
    """A process that writes back all it reads and ends when its input does."""
    client.sendall(b"HTTP/1.1 101 UPGRADED\r\nContent-Type: application/vnd.docker.multiplexed-stream\r\n\r\n")
    while data := client.recv(65536):
        client.sendall(b"\x01\0\0\0" + len(data).to_bytes(4) + data)
    client.shutdown(socket.SHUT_RDWR)


def test_a_process_that_reads_no_input_is_still_heard_to_its_end(fake_daemon: FakeDaemon, sampan: Command) -> None:
    fake_daemon.script_a_run()

    def deaf(_: Request, client: socket.socket) -> None:
        client.sendall(b"HTTP/1.1 101 UPGRADED\r\nContent-Type: application/vnd.docker.multiplexed-stream\r\n\r\n")
        client.sendall(fake_daemon.frame(1, b"still here\n"))
        client.shutdown(socket.SHUT_RDWR)

    fake_daemon.on("POST", "/containers/[^/]+/attach", deaf)

    assert sampan("run", "-i", "image", input=b"x" * 5_000_000).stdout == b"still here\n"


def test_only_the_streams_asked_for_are_attached(fake_daemon: FakeDaemon, sampan: Command) -> None:
    fake_daemon.script_a_run()
    fake_daemon.exit_code = 3

    done = sampan("run", "-a", "stdin", "-i", "image", input=b"x")

    assert done.returncode == 3
    assert fake_daemon.requests[1].query == {"stream": "1", "stdin": "1"}


def test_a_signal_goes_to_the_process_and_the_command_stays(fake_daemon: FakeDaemon, sampan: Command) -> None:
    fake_daemon.script_a_run()
    killed = threading.Event()
    fake_daemon.on("POST", "/containers/[^/]+/start", fake_daemon.reply(204))

    def kill(request: Request, client: socket.socket) -> None:
        fake_daemon.reply(204)(request, client)
        killed.set()
        if request.query["signal"] == "TERM":
            fake_daemon.exited.set()

    fake_daemon.on("POST", "/containers/[^/]+/kill", kill)
    fake_daemon.exit_code = 143

    with sampan.start("run", "image") as process:
        wait_for(fake_daemon, "/start")
        process.send_signal(signal.SIGUSR1)
        assert killed.wait(60)
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 143

    assert [request.query["signal"] for request in fake_daemon.asked("POST", ".*/kill")] == ["USR1", "TERM"]


def test_without_sig_proxy_a_signal_ends_the_command_alone(fake_daemon: FakeDaemon, sampan: Command) -> None:
    fake_daemon.script_a_run()
    fake_daemon.on("POST", "/containers/[^/]+/start", fake_daemon.reply(204))

    with sampan.start("run", "--sig-proxy=false", "image") as process:
        wait_for(fake_daemon, "/start")
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == -signal.SIGTERM

    assert not fake_daemon.asked("POST", ".*/kill")


def wait_for(daemon: FakeDaemon, end: str) -> None:
    """Wait until something that ends so has been asked and answered."""
    deadline = threading.Event()
    for _ in range(12000):
        if any(line.endswith(end) for line in daemon.lines):
            deadline.wait(0.05)
            return
        deadline.wait(0.005)
    raise AssertionError(f"{end} was never asked; asked were {daemon.lines}")


def test_a_missing_image_is_pulled_and_the_progress_goes_to_standard_error(
    fake_daemon: FakeDaemon, sampan: Command
) -> None:
    fake_daemon.script_a_run()
    there = threading.Event()

    def create(request: Request, client: socket.socket) -> None:
        if there.is_set():
            fake_daemon.reply(201, {"Id": ID})(request, client)
        else:
            fake_daemon.reply(404, {"message": "No such image: far/image:tag"})(request, client)

    def pull(_: Request, client: socket.socket) -> None:
        there.set()
        lines = b'{"status":"Pulling from far/image","id":"tag"}\n{"status":"Digest: sha256:abc"}\n'
        client.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(lines) + lines)

    fake_daemon.on("POST", "/containers/create", create)
    fake_daemon.on("POST", "/images/create", pull)

    done = sampan("run", "-d", "--platform", "linux/arm64", "far/image:tag")

    assert done.stdout == f"{ID}\n".encode()
    assert done.stderr.decode().splitlines() == [
        "Unable to find image 'far/image:tag' locally",
        "tag: Pulling from far/image",
        "Digest: sha256:abc",
    ]
    asked = fake_daemon.asked("POST", "/images/create")[0].query
    assert asked == {"fromImage": "far/image", "tag": "tag", "platform": "linux/arm64"}


def test_an_image_that_is_to_be_mounted_and_missing_is_not_mistaken_for_the_containers(
    fake_daemon: FakeDaemon, sampan: Command
) -> None:
    fake_daemon.on("POST", "/containers/create", fake_daemon.reply(404, {"message": "No such image: tools:latest"}))

    done = sampan("run", "--mount", "type=image,source=tools,target=/opt", "host:5000/image")

    assert (done.returncode, fake_daemon.asked("POST", "/images/create")) == (125, [])
    assert b"No such image: tools:latest" in done.stderr


def test_an_image_of_a_registry_with_a_port_is_told_with_its_tag(fake_daemon: FakeDaemon, sampan: Command) -> None:
    fake_daemon.on("POST", "/containers/create", fake_daemon.reply(404, {"message": "No such image: host:5000/image"}))

    assert b"Unable to find image 'host:5000/image:latest' locally" in sampan("run", "host:5000/image").stderr


def test_pull_never_does_not_pull_and_pull_always_does_first(fake_daemon: FakeDaemon, sampan: Command) -> None:
    fake_daemon.script_a_run()
    fake_daemon.on("POST", "/images/create", fake_daemon.reply(200))
    assert sampan("run", "-d", "--pull", "always", "image").returncode == 0
    assert fake_daemon.lines[:2] == ["POST /images/create", "POST /containers/create"]

    fake_daemon.on("POST", "/containers/create", fake_daemon.reply(404, {"message": "No such image: image:latest"}))
    assert sampan("run", "-d", "--pull", "never", "image").returncode == 125
    assert len(fake_daemon.asked("POST", "/images/create")) == 1


def test_a_pull_that_fails_on_the_way_is_a_failure(fake_daemon: FakeDaemon, sampan: Command) -> None:
    fake_daemon.script_a_run()
    fake_daemon.on("POST", "/images/create", fake_daemon.reply(200, {"error": "disk full", "errorDetail": {}}))

    done = sampan("run", "--pull", "always", "image")

    assert (done.returncode, done.stderr) == (125, b"sampan: disk full\n")


def test_the_id_is_written_to_a_new_file_only(fake_daemon: FakeDaemon, sampan: Command, tmp_path: Path) -> None:
    fake_daemon.script_a_run()
    path = tmp_path / "cid"

    assert sampan("run", "-d", "--cidfile", str(path), "image").returncode == 0
    assert path.read_text() == ID

    again = sampan("run", "-d", "--cidfile", str(path), "image")
    assert sampan("create", "--cidfile", str(path), "image").returncode == 1
    assert again.returncode == 125
    assert b"exists already" in again.stderr
    assert len(fake_daemon.asked("POST", "/containers/create")) == 1


def test_a_failed_create_leaves_no_file_behind(fake_daemon: FakeDaemon, sampan: Command, tmp_path: Path) -> None:
    fake_daemon.on("POST", "/containers/create", fake_daemon.reply(409, {"message": "name in use"}))

    assert sampan("run", "--cidfile", str(tmp_path / "cid"), "image").returncode == 125
    assert not (tmp_path / "cid").exists()


def test_a_terminal_for_the_process_needs_one_here(fake_daemon: FakeDaemon, sampan: Command) -> None:
    done = sampan("run", "-it", "image")

    assert done.returncode == 1
    assert b"the input is no terminal" in done.stderr
    assert fake_daemon.lines == []


def test_output_that_nobody_reads_ends_the_command(fake_daemon: FakeDaemon, sampan: Command) -> None:
    fake_daemon.script_a_run()
    fake_daemon.output = fake_daemon.frame(1, b"x" * 100_000) * 20

    with sampan.start("run", "image", stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.read(10)
        process.stdout.close()
        assert process.wait(60) == -signal.SIGPIPE
        assert process.stderr is not None
        assert process.stderr.read() == b""


def test_proxies_and_keys_come_from_the_settings(fake_daemon: FakeDaemon, sampan: Command) -> None:
    fake_daemon.script_a_run()
    proxies = {"default": {"httpProxy": "http://p:1", "noProxy": "local"}}
    (sampan.folder / "config.json").write_text(json.dumps({"proxies": proxies, "detachKeys": "ctrl-x"}))

    assert sampan("run", "-e", "http_proxy=mine", "-e", "A=b", "image").returncode == 0

    assert fake_daemon.requests[0].document["Env"] == [
        "HTTP_PROXY=http://p:1",
        "NO_PROXY=local",
        "no_proxy=local",
        "http_proxy=mine",
        "A=b",
    ]
    assert fake_daemon.requests[1].query["detachKeys"] == "ctrl-x"


def test_settings_that_cannot_be_read_are_as_none(fake_daemon: FakeDaemon, sampan: Command) -> None:
    fake_daemon.script_a_run()
    (sampan.folder / "config.json").write_text("{broken")

    assert sampan("run", "image").returncode == 0
    assert fake_daemon.requests[0].document["Env"] is None


def test_closed_standard_descriptors_are_as_empty_ones(fake_daemon: FakeDaemon, sampan: Command) -> None:
    fake_daemon.script_a_run()
    fake_daemon.output = fake_daemon.frame(1, b"out\n") + fake_daemon.frame(2, b"err\n")
    fake_daemon.exit_code = 4
    command = shlex.join(sampan.argv("run", "-i", "image"))

    done = subprocess.run(
        ["sh", "-c", f"exec {command} <&- 2>&-"],
        env=sampan.environment(),
        stdout=subprocess.PIPE,
        timeout=60,
        check=False,
    )

    assert (done.returncode, done.stdout) == (4, b"out\n")


def test_the_folder_of_settings_can_be_named(fake_daemon: FakeDaemon, sampan: Command, tmp_path: Path) -> None:
    fake_daemon.on("GET", "/containers/json", fake_daemon.reply(200, []))
    (tmp_path / "other").mkdir()
    (tmp_path / "other/config.json").write_text('{"psFormat": "table {{.ID}}"}')

    assert sampan("--config", str(tmp_path / "other"), "ps").stdout == b"CONTAINER ID\n"


@pytest.mark.parametrize(
    ("options", "warnings"),
    [
        (["--oom-kill-disable"], ["--oom-kill-disable without --memory"]),
        (["--oom-kill-disable", "-m", "64m"], []),
        (["--dns", "127.0.0.1", "--dns", "::1", "--dns", "192.0.2.1"], ["--dns 127.0.0.1", "--dns ::1"]),
    ],
)
def test_what_docker_s_command_warns_of_is_warned_of(
    fake_daemon: FakeDaemon, sampan: Command, options: list[str], warnings: list[str]
) -> None:
    fake_daemon.script_a_run()

    said = sampan("run", "-d", *options, "image").stderr.decode().splitlines()

    assert len(said) == len(warnings)
    assert all(line.startswith(f"WARNING: {warning}") for line, warning in zip(said, warnings, strict=True))
