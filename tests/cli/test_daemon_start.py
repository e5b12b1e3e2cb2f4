"""The daemon is started when it is needed: once, as nobody's child, with its words in a log that errors name."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.waiting import until

from sampan.client import daemon_start
from sampan.client.daemon_start import daemon_command, start_daemon
from sampan.client.endpoint import Endpoint
from sampan.client.failure import DaemonUnreachable
from sampan.client.session import Session

# Listens as the real one does: the socket appears some time after the process.
LISTENER = """
import os, socket, sys, time
path = sys.argv[sys.argv.index("-H") + 1].removeprefix("unix://")
with open(path + ".pids", "a") as file:
    print(os.getpid(), os.getsid(0), file=file)
print("a word for the log", flush=True)
time.sleep(0.2)
listener = socket.socket(socket.AF_UNIX)
listener.bind(path)
listener.listen()
while True:
    client, _ = listener.accept()
    with client:
        if client.recv(65536):
            client.sendall(b"HTTP/1.1 200 OK\\r\\nContent-Length: 2\\r\\n\\r\\n{}")
"""


def command(program: str) -> list[str]:
    return [sys.executable, "-I", "-S", "-c", program]


@pytest.fixture
def endpoint(tmp_path: Path) -> Iterator[Endpoint]:
    made = Endpoint("unix", path=str(tmp_path / "run" / "d.sock"))
    yield made
    for pid, _ in started(made):
        os.kill(pid, signal.SIGKILL)


def started(endpoint: Endpoint) -> list[tuple[int, int]]:
    path = Path(f"{endpoint.path}.pids")
    lines = path.read_text().splitlines() if path.exists() else []
    return [(int(pid), int(session)) for pid, session in (line.split() for line in lines)]


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def parent_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def test_it_listens_when_the_call_returns_and_is_nobodys_child(endpoint: Endpoint) -> None:
    start_daemon(endpoint, command(LISTENER))

    endpoint.connect().close()
    [(pid, session)] = started(endpoint)
    assert session != os.getsid(0)
    assert parent_of(pid) not in {os.getpid(), pid}
    assert os.readlink(f"/proc/{pid}/cwd") == "/"
    assert os.readlink(f"/proc/{pid}/fd/0") == "/dev/null"
    assert Path(endpoint.path).with_name("sampand.log").read_text() == "a word for the log\n"


def test_it_inherits_no_descriptor_of_ours(endpoint: Endpoint) -> None:
    reading, writing = os.pipe()
    os.set_inheritable(writing, True)  # noqa: FBT003
    start_daemon(endpoint, command(LISTENER))
    os.close(writing)

    assert os.read(reading, 1) == b""  # the pipe has no other writer
    os.close(reading)


def test_many_clients_at_once_start_one(endpoint: Endpoint) -> None:
    failures: list[BaseException] = []

    def need() -> None:
        try:
            start_daemon(endpoint, command(LISTENER))
        except BaseException as error:  # noqa: BLE001 - seen by the assertion below
            failures.append(error)

    threads = [threading.Thread(target=need) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)

    assert failures == []
    assert len(started(endpoint)) == 1


def test_one_that_ends_while_it_starts_is_said_with_its_last_word_and_its_log(endpoint: Endpoint) -> None:
    with pytest.raises(DaemonUnreachable) as caught:
        start_daemon(endpoint, command("import sys; print('first', flush=True); sys.exit('no such kernel')"))

    assert str(caught.value) == "the daemon ended while it was starting: no such kernel"
    assert str(Path(endpoint.path).with_name("sampand.log")) in caught.value.remedy


def test_one_that_refuses_to_start_is_said_with_its_remedy(endpoint: Endpoint) -> None:
    with pytest.raises(DaemonUnreachable) as caught:
        start_daemon(endpoint, command("import sys; sys.exit('sampand: no such bridge\\n  try: make it')"))

    assert str(caught.value) == "the daemon ended while it was starting: no such bridge"
    assert caught.value.remedy.startswith("make it; or read its log, ")


def test_one_that_cannot_be_executed_is_said(endpoint: Endpoint) -> None:
    with pytest.raises(DaemonUnreachable, match="ended while it was starting"):
        start_daemon(endpoint, ["/no/such/sampand"])


def test_one_that_never_listens_is_said_in_the_end(endpoint: Endpoint) -> None:
    program = LISTENER.replace("time.sleep(0.2)", "time.sleep(1000)")

    with pytest.raises(DaemonUnreachable, match=r"\(pid \d+\) does not listen at unix://.* after 0.5 s"):
        start_daemon(endpoint, command(program), timeout_s=0.5)


def test_who_may_not_write_where_it_would_be_is_told_to_become_root(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")

    with pytest.raises(DaemonUnreachable) as caught:
        start_daemon(Endpoint("unix", path=str(tmp_path / "file" / "d.sock")), command(LISTENER))

    assert "sudo" in caught.value.remedy


def test_a_call_starts_it_only_where_that_is_allowed(endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(daemon_start, "daemon_command", lambda: command(LISTENER))

    with pytest.raises(DaemonUnreachable, match="no such file"):
        Session(endpoint).call("GET", "/info")
    assert started(endpoint) == []

    session = Session(endpoint, may_start=True)
    assert session.call("GET", "/info") == {}
    session.close()
    assert len(started(endpoint)) == 1


def test_a_socket_that_a_dead_daemon_left_is_no_daemon(endpoint: Endpoint) -> None:
    program = LISTENER.replace("listener.bind(path)", "os.path.exists(path) and os.unlink(path); listener.bind(path)")
    start_daemon(endpoint, command(program))
    [(pid, _)] = started(endpoint)
    os.kill(pid, signal.SIGKILL)
    until(lambda: not is_alive(pid))
    Path(f"{endpoint.path}.pids").unlink()

    start_daemon(endpoint, command(program))

    assert len(started(endpoint)) == 1


def test_the_program_is_the_one_beside_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    beside = tmp_path / "sampand"
    beside.write_text("#!/bin/sh\n")
    beside.chmod(0o755)
    monkeypatch.setattr(sys, "argv", [str(tmp_path / "sampan")])
    assert daemon_command() == [str(beside)]

    monkeypatch.setattr(sys, "argv", ["/nowhere/sampan"])
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    assert daemon_command()[:3] == ["/nowhere/python", "-I", "-c"]
