"""An engine of a test's own: a daemon with its roots below a temporary directory, and a plain HTTP client for it."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Self

SOURCE = Path(__file__).parent.parent / "src"
PROGRAM = "import sys; sys.path.insert(0, sys.argv.pop(1)); from sampan.daemon import main; sys.exit(main())"
INSIDE = "import os, sys; os.setns(int(sys.argv.pop(1)), 0x40000000); "  # CLONE_NEWNET, before anything is imported
START_TIMEOUT_S = 60.0


class UnixConnection(http.client.HTTPConnection):
    """HTTP over a unix socket."""

    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=60)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(60)
        self.sock.connect(self._path)


class EngineProcess:
    """A daemon that can be started, killed and started again; `close` ends it and everything that it ran."""

    def __init__(self, directory: Path, *options: str, netns_fd: int = -1, own_mounts: bool = False) -> None:
        """With `netns_fd` the daemon lives in that network namespace; without, it makes no bridge on this machine.

        With `own_mounts` it has a mount namespace of its own, into which no mount of the machine comes later.
        """
        self.data_root = str(directory / "data")
        self.exec_root = str(directory / "run")
        self.socket = f"{self.exec_root}/sampan.sock"
        self.log = directory / "sampand.log"
        self.options = options if netns_fd >= 0 else ("--bridge", "none", *options)
        self.netns_fd = netns_fd
        self.own_mounts = own_mounts
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Start the daemon and wait until it answers."""
        words = [sys.executable, "-I", "-c", PROGRAM, str(SOURCE)]
        if self.netns_fd >= 0:
            words = [*words[:3], INSIDE + PROGRAM, str(self.netns_fd), str(SOURCE)]
        if self.own_mounts:
            words = ["unshare", "--mount", "--propagation", "private", *words]
        roots = ["--data-root", self.data_root, "--exec-root", self.exec_root, "--debug"]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [*words, *roots, *self.options],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=(self.netns_fd,) if self.netns_fd >= 0 else (),
            )
        end = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < end:
            if self._process.poll() is not None:
                break
            try:
                if self.request("GET", "/_ping")[0] == 200:
                    return
            except OSError:
                time.sleep(0.02)
        raise RuntimeError(f"the daemon did not come up:\n{self.log.read_text()[-4000:]}")

    def kill(self) -> None:
        """kill -9 the daemon; its containers go on."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()
        self._process = None

    def stop(self) -> None:
        """End the daemon in order; its containers go on."""
        if self._process is not None:
            self._process.terminate()
            assert self._process.wait(90) == 0, self.log.read_text()[-4000:]
            self._process = None

    def close(self) -> None:
        if self._process is None or self._process.poll() is not None:
            self.start()
        for container in self.json("GET", "/containers/json?all=1"):
            self.request("DELETE", f"/containers/{container['Id']}?force=1&v=1")
        self.stop()

    def request(self, method: str, path: str, body: Any = None) -> tuple[int, bytes]:
        """Status and body of one request on a connection of its own; a body that is no bytes is sent as JSON."""
        connection = UnixConnection(self.socket)
        try:
            content = body if isinstance(body, bytes | None) else json.dumps(body)
            headers = {} if content is body else {"Content-Type": "application/json"}
            connection.request(method, path, content, headers)
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()

    def json(self, method: str, path: str, body: Any = None, *, expect: int | None = None) -> Any:
        """The decoded answer; a status of 400 or more fails unless it is the expected one."""
        status, content = self.request(method, path, body)
        if expect is not None:
            assert status == expect, (status, content)
        else:
            assert status < 400, (status, content)
        return json.loads(content) if content.strip() else None

    def create(
        self, name: str, *command: str, image: str = "host", host: dict[str, Any] | None = None, **config: Any
    ) -> str:
        """Create a container; its id."""
        body = {"Image": image, "Cmd": list(command), "HostConfig": {"NetworkMode": "none", **(host or {})}, **config}
        found: str = self.json("POST", f"/containers/create?name={name}", body)["Id"]
        return found

    def run(self, name: str, *command: str, host: dict[str, Any] | None = None, **config: Any) -> str:
        """Create and start a container; its id."""
        container_id = self.create(name, *command, host=host, **config)
        self.json("POST", f"/containers/{container_id}/start", expect=204)
        return container_id

    def inspect(self, name: str) -> Any:
        """The inspect document."""
        return self.json("GET", f"/containers/{name}/json")

    def has_started(self, name: str) -> bool:
        """Whether its program runs, and it is known since when."""
        state = self.inspect(name)["State"]
        return state["Status"] == "running" and not state["StartedAt"].startswith("0001")

    def wait(self, name: str) -> int:
        """The exit code, once it has ended."""
        code: int = self.json("POST", f"/containers/{name}/wait")["StatusCode"]
        return code

    def output(self, name: str) -> list[str]:
        """All lines that the container wrote, from its log file (one that is being written is no line yet)."""
        whole, _, _ = Path(self.inspect(name)["LogPath"]).read_text().rpartition("\n")
        return [json.loads(line)["log"].rstrip("\n") for line in whole.splitlines()]

    def monitor_pid(self, name: str) -> int:
        """The parent of the container's pid 1."""
        status = Path(f"/proc/{self.inspect(name)['State']['Pid']}/status").read_text()
        return int(next(line.split()[1] for line in status.splitlines() if line.startswith("PPid:")))


def send_signal(pid: int, number: int = signal.SIGKILL) -> None:
    os.kill(pid, number)
