"""A daemon's end of real launchers and monitors, over a runtime that makes plain processes (`plain_runtime`)."""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from sampan.monitor import handle, protocol
from sampan.monitor.log_plan import LogPlan
from sampan.monitor.protocol import (
    Attach,
    Exec,
    ExecPlan,
    Exited,
    Gone,
    Message,
    MonitorPlan,
    Ready,
    Started,
)
from sampan.runtime.launch_plan import LaunchPlan, NamespacesPlan, ProcessPlan, RootPlan

PATIENCE_S = 60.0


def program(*argv: str, terminal: bool = False) -> ProcessPlan:
    return ProcessPlan(argv, ("PATH=/usr/bin:/bin", "TERM=dumb"), terminal=terminal)


class Ear:
    """Takes packets from one connection, one by one."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self.connection.settimeout(PATIENCE_S)
        self.clients: list[socket.socket] = []

    def next(self) -> Message | None:
        packet = protocol.receive(self.connection)
        if packet is None:
            return None
        protocol.close_all(packet[1])
        return packet[0]

    def wait[T](self, kind: type[T], matching: Callable[[T], bool] = lambda _: True) -> T:
        """The next packet of this kind; others are passed over."""
        seen = []
        while (message := self.next()) is not None:
            if isinstance(message, kind) and matching(message):
                return message
            seen.append(message)
        raise AssertionError(f"the connection ended without {kind.__name__}: {seen}")

    def say(self, message: Message, *descriptors: int) -> None:
        protocol.send(self.connection, message, descriptors)

    def attach(self, attach: Attach) -> socket.socket:
        """A client's end of a socket pair whose other end the monitor has."""
        ours, theirs = socket.socketpair()
        ours.settimeout(PATIENCE_S)
        self.clients.append(ours)
        with theirs:
            self.say(attach, theirs.fileno())
        return ours

    def exec(self, plan: ExecPlan) -> None:
        descriptor = protocol.seal(plan)
        self.say(Exec(plan.id), descriptor)
        os.close(descriptor)

    def close(self) -> None:
        self.connection.close()
        for client in self.clients:
            client.close()


class Session(Ear):
    """The first connection of one monitor."""

    def __init__(self, connection: socket.socket, plan: MonitorPlan) -> None:
        super().__init__(connection)
        self.plan = plan
        self.pid = 0
        self.monitor_pid = 0
        self.others: list[Ear] = []

    def ready(self) -> Ready:
        ready = self.wait(Ready)
        self.pid, self.monitor_pid = ready.pid, ready.monitor_pid
        return ready

    def go(self) -> Started:
        self.say(protocol.Go())
        return self.wait(Started)

    def exited(self) -> Exited:
        return self.wait(Exited, lambda message: not message.exec_id)

    def later(self) -> Ear:
        """Another daemon's connection."""
        self.others.append(Ear(handle.connect(self.plan.run_directory)))
        return self.others[-1]

    def close(self) -> None:
        super().close()
        for other in self.others:
            other.close()

    @property
    def log(self) -> Path:
        return Path(self.plan.log.path)

    def marked(self, word: str) -> bool:
        """Whether the container was "aborted" or "released"."""
        return Path(self.plan.launch.bundle, word).exists()


class Harbour:
    """Launchers and their monitors, all of which end with the test."""

    def __init__(self, directory: Path, settings: tuple[str, ...] = ()) -> None:
        self.settings = settings
        self.directory = directory
        self.launchers: list[subprocess.Popen[bytes]] = []
        self.sessions: list[Session] = []
        self.connection, self.launcher = self.spawn()

    def spawn(self) -> tuple[socket.socket, subprocess.Popen[bytes]]:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        script = Path(__file__).with_name("plain_runtime.py")
        launcher = subprocess.Popen(
            [sys.executable, str(script), str(theirs.fileno()), *self.settings],
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
        )
        theirs.close()
        ours.settimeout(PATIENCE_S)
        self.launchers.append(launcher)
        return ours, launcher

    def plan(self, *argv: str, terminal: bool = False, driver: str = "json-file", **options: Any) -> MonitorPlan:
        name = secrets.token_hex(32)
        home = self.directory / name[:12]
        for part in ("run", "state"):
            (home / part).mkdir(parents=True)
        log = LogPlan(driver, str(home / "state" / "log.json"), **options.pop("log", {}))
        launch = LaunchPlan(
            name,
            str(home),
            RootPlan("/"),
            program(*argv, terminal=terminal),
            NamespacesPlan(frozenset()),
            None,
            hostname=options.pop("hostname", ""),
        )
        return MonitorPlan(launch, str(home / "run"), str(home / "state"), log, **options)

    def launch(self, *argv: str, **options: Any) -> Session:
        """A container at its gate."""
        session = self.begin(self.plan(*argv, **options))
        session.ready()
        return session

    def begin(self, plan: MonitorPlan) -> Session:
        session = Session(handle.launch(self.connection, plan), plan)
        self.sessions.append(session)
        return session

    def start(self, *argv: str, **options: Any) -> Session:
        """A container whose program runs."""
        session = self.launch(*argv, **options)
        session.go()
        return session

    def gone(self, pid: int) -> Gone:
        """Wait for the launcher to have reaped this monitor."""
        ear = Ear(self.connection)
        return ear.wait(Gone, lambda gone: gone.pid == pid)

    def end(self) -> None:
        for session in self.sessions:
            session.close()
            for pid in (session.monitor_pid, session.pid):
                if pid:
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
        self.connection.close()
        for launcher in self.launchers:
            launcher.kill()
            launcher.wait()


@pytest.fixture
def harbour(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Harbour]:
    """With `pytest.mark.parametrize("harbour", [("NAME=VALUE",)], indirect=True)` its monitors have other constants."""
    harbour = Harbour(tmp_path, getattr(request, "param", ()))
    yield harbour
    harbour.end()


def read_to_end(client: socket.socket) -> bytes:
    chunks = []
    while chunk := client.recv(1 << 20):
        chunks.append(chunk)
    return b"".join(chunks)


def unframed(content: bytes) -> dict[int, bytes]:
    """The streams of a multiplexed byte sequence, which must end with a whole frame."""
    streams: dict[int, list[bytes]] = {1: [], 2: []}
    at = 0
    while at < len(content):
        assert content[at + 1 : at + 4] == b"\0\0\0"
        length = int.from_bytes(content[at + 4 : at + 8], "big")
        streams[content[at]].append(content[at + 8 : at + 8 + length])
        at += 8 + length
    assert at == len(content)
    return {stream: b"".join(chunks) for stream, chunks in streams.items()}


def until(condition: Callable[[], bool]) -> None:
    """Wait for something that is to become true."""
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, "it did not become true"
        time.sleep(0.005)


def cpu_ticks(pid: int) -> int:
    """The CPU time that a process has used, in ticks (proc_pid_stat(5))."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def alive(pid: int) -> bool:
    """Whether a process lives; a zombie does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False
