"""Commands that watch: logs, events, stats and top, against a scripted daemon."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from tests.cli.conftest import PROGRAM

if TYPE_CHECKING:
    from tests.cli.conftest import Command, FakeDaemon, Request


@pytest.mark.parametrize("multiplexed", [True, False])
def test_logs_go_to_the_stream_that_they_came_from(
    fake_daemon: FakeDaemon, sampan: Command, *, multiplexed: bool
) -> None:
    body = fake_daemon.frame(1, b"out\n") + fake_daemon.frame(2, b"err\n") if multiplexed else b"out\nerr\n"
    kind = "multiplexed" if multiplexed else "raw"

    def logs(_: Request, client: socket.socket) -> None:
        head = f"HTTP/1.1 200 OK\r\nContent-Type: application/vnd.docker.{kind}-stream\r\n"
        client.sendall(head.encode() + b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n" % (len(body), body))

    fake_daemon.on("GET", "/containers/c1/logs", logs)

    done = sampan("logs", "-f", "-n", "5", "-t", "--since", "1136073845", "c1")

    assert (done.stdout, done.stderr) == ((b"out\n", b"err\n") if multiplexed else (b"out\nerr\n", b""))
    assert fake_daemon.requests[0].query == {
        "follow": "1",
        "timestamps": "1",
        "stdout": "1",
        "stderr": "1",
        "tail": "5",
        "since": "1136073845",
    }


def test_an_error_in_the_middle_of_logs_is_an_error(fake_daemon: FakeDaemon, sampan: Command) -> None:
    def logs(_: Request, client: socket.socket) -> None:
        body = fake_daemon.frame(1, b"out\n") + fake_daemon.frame(3, b"disk gone\n")
        client.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: application/vnd.docker.multiplexed-stream\r\n")
        client.sendall(b"Content-Length: %d\r\n\r\n%b" % (len(body), body))

    fake_daemon.on("GET", "/containers/c1/logs", logs)

    done = sampan("logs", "c1")

    assert (done.returncode, done.stdout) == (1, b"out\n")
    assert b"disk gone" in done.stderr


def test_interrupting_logs_looks_like_an_interrupt(fake_daemon: FakeDaemon, sampan: Command) -> None:
    def follow(_: Request, client: socket.socket) -> None:
        client.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n6\r\nready\n\r\n")
        client.recv(1)

    fake_daemon.on("GET", "/containers/c1/logs", follow)

    with sampan.start("logs", "-f", "c1", stdout=-1, stderr=-1) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == -signal.SIGINT
        assert process.stderr is not None
        assert process.stderr.read() == b""


def test_interrupting_what_is_said_of_a_failure_looks_like_an_interrupt(sampan: Command) -> None:
    interrupted = "import sampan.cli.problem as told, signal; told.report = lambda *_: signal.raise_signal(2)"
    program = PROGRAM.replace("from sampan.cli.__main__", f"{interrupted}; from sampan.cli.__main__")
    argv = [sys.executable, "-I", "-S", "-c", program, "no-such-command"]
    done = subprocess.run(argv, env=sampan.environment(), capture_output=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (-signal.SIGINT, b"")


def test_events_are_printed_as_docker_prints_them(fake_daemon: FakeDaemon, sampan: Command) -> None:
    event = {
        "Type": "container",
        "Action": "die",
        "Actor": {"ID": "abc", "Attributes": {"name": "c1", "exitCode": "0"}},
        "scope": "local",
        "time": 1795503492,
        "timeNano": 1795503492000000042,
    }

    def stream(_: Request, client: socket.socket) -> None:
        data = json.dumps(event).encode() + b"\n"
        client.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(data), data))

    fake_daemon.on("GET", "/events", stream)

    plain = sampan("events", "--since", "10", "--until", "20", "-f", "type=container")
    assert plain.stdout == b"2026-11-24T06:58:12.000000042Z container die abc (exitCode=0, name=c1)\n"
    assert fake_daemon.requests[0].query == {
        "since": "10",
        "until": "20",
        "filters": '{"type":{"container":true}}',
    }
    assert sampan("events", "--format", "{{.Action}} {{.Actor.Attributes.name}}").stdout == b"die c1\n"
    assert json.loads(sampan("events", "--format", "json").stdout) == event


def sample(total: int, system: int, **more: Any) -> dict[str, Any]:
    return {
        "read": "2026-11-24T06:58:12Z",
        "id": "ab" * 32,
        "name": "/c1",
        "cpu_stats": {"cpu_usage": {"total_usage": total}, "system_cpu_usage": system, "online_cpus": 2},
        "precpu_stats": {"cpu_usage": {"total_usage": 0}, "system_cpu_usage": 0},
        "memory_stats": {"usage": 3 << 20, "limit": 8 << 20, "stats": {"inactive_file": 1 << 20}},
        "pids_stats": {"current": 4},
        "networks": {"eth0": {"rx_bytes": 1000, "tx_bytes": 2000}},
        "blkio_stats": {"io_service_bytes_recursive": [{"op": "Read", "value": 5000}, {"op": "write", "value": 6000}]},
        **more,
    }


def test_stats_are_computed_as_docker_computes_them(fake_daemon: FakeDaemon, sampan: Command) -> None:
    fake_daemon.on("GET", "/containers/c1/stats", fake_daemon.reply(200, sample(50, 100)))

    lines = sampan("stats", "--no-stream", "c1").stdout.decode().splitlines()

    assert lines[1].split() == "abababababab c1 100.00% 2MiB / 8MiB 25.00% 1kB / 2kB 5kB / 6kB 4".split()
    assert fake_daemon.requests[0].query == {"stream": "0"}


def test_stats_of_very_many_are_two_looks_at_each_of_them(fake_daemon: FakeDaemon, sampan: Command) -> None:
    names = [f"c{number}" for number in range(60)]
    looks: dict[str, int] = dict.fromkeys(names, 0)

    def answer(request: Request, client: socket.socket) -> None:
        name = request.path.split("/")[-2]
        looks[name] += 1
        found = sample(100 * looks[name], 200 * looks[name], id=name, name=f"/{name}")
        fake_daemon.reply(200, found)(request, client)

    for name in names:
        fake_daemon.on("GET", f"/containers/{name}/stats", answer)
    fake_daemon.on("GET", "/containers/gone/stats", fake_daemon.reply(404, {"message": "No such container: gone"}))

    done = sampan("stats", "--no-stream", "--format", "{{.Name}} {{.CPUPerc}}", *names, "gone")

    assert done.stdout.decode().splitlines() == [f"{name} 100.00%" for name in names]
    assert (done.returncode, done.stderr.count(b"No such container: gone")) == (1, 1)
    assert set(looks.values()) == {2}
    assert {request.query["one-shot"] for request in fake_daemon.requests} == {"1"}


def test_a_container_that_does_not_run_has_dashes_for_stats(fake_daemon: FakeDaemon, sampan: Command) -> None:
    fake_daemon.on("GET", "/containers/c1/stats", fake_daemon.reply(200, sample(0, 0, read="0001-01-01T00:00:00Z")))

    assert sampan("stats", "--no-stream", "--format", "{{.Name}} {{.CPUPerc}} {{.MemUsage}}", "c1").stdout == (
        b"c1 -- -- / --\n"
    )


def test_stats_of_nothing_that_is_there_are_no_table(fake_daemon: FakeDaemon, sampan: Command) -> None:
    fake_daemon.on("GET", "/containers/c2/stats", fake_daemon.reply(404, {"message": "No such container: c2"}))

    done = sampan("stats", "--no-stream", "c2")

    assert (done.returncode, done.stdout) == (1, b"")
    assert b"No such container: c2" in done.stderr


def test_top_without_a_terminal_shows_all_once(fake_daemon: FakeDaemon, sampan: Command) -> None:
    container = {"Id": "ab" * 32, "Names": ["/c1"]}
    fake_daemon.on("GET", "/containers/json", fake_daemon.reply(200, [container]))
    fake_daemon.on("GET", f"/containers/{'ab' * 32}/stats", fake_daemon.reply(200, sample(50, 100)))

    text = sampan("top").stdout.decode()

    assert "1 running, 100% of a processor, 2MiB of memory" in text
    assert "abababababab   c1" in text


def test_top_of_a_container_shows_its_processes(fake_daemon: FakeDaemon, sampan: Command) -> None:
    answer = {"Titles": ["PID", "CMD"], "Processes": [["1", "sleep 5"]]}
    fake_daemon.on("GET", "/containers/c1/top", fake_daemon.reply(200, answer))

    assert sampan("top", "c1", "-o", "pid,cmd").stdout == b"PID                 CMD\n1                   sleep 5\n"
    assert fake_daemon.requests[0].query == {"ps_args": "-o pid,cmd"}


@pytest.mark.parametrize("words", [["c2"], ["c1", "c2"], ["--format", "table {{.Name}}", "c2"]])
def test_stats_that_go_on_begin_with_none_where_one_is_not_there(
    fake_daemon: FakeDaemon, sampan: Command, words: list[str]
) -> None:
    """On a terminal the table would clear away what was said."""
    fake_daemon.on("GET", "/containers/c1/stats", fake_daemon.reply(200, sample(50, 100)))
    fake_daemon.on("GET", "/containers/c2/stats", fake_daemon.reply(404, {"message": "No such container: c2"}))

    done = sampan("stats", *words)

    assert (done.returncode, done.stdout) == (1, b"")
    assert b"No such container: c2" in done.stderr
