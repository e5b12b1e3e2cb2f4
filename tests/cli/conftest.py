"""Fixtures of the command line's tests: a scripted daemon, and the command as a real process."""

from __future__ import annotations

import io
import json
import os
import re
import resource
import shutil
import socket
import struct
import subprocess
import sys
import tarfile
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

SOURCE = Path(__file__).resolve().parents[2] / "src"
CONTAINER_ID = "c0ffee" + "0" * 58
IMAGE = "sha256:" + "ab" * 32
PROGRAM = f"import sys; sys.path.insert(0, {str(SOURCE)!r}); from sampan.cli.__main__ import main; main()"


def files_of_at_most(size: int) -> Callable[[], None]:
    """For `preexec_fn`: no file gets longer than so many bytes, as on a full disk."""
    hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))


@dataclass
class Request:
    """What a client asked."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes
    connection: int
    target: str = ""

    @property
    def document(self) -> Any:
        return json.loads(self.body)

    @property
    def line(self) -> str:
        return f"{self.method} {self.path}"


Handler = Callable[[Request, socket.socket], None]


def reply(status: int, document: Any = None, **headers: str) -> Handler:
    """A handler that answers with a JSON document."""
    body = b"" if document is None else json.dumps(document).encode() + b"\n"
    fields = {"Content-Length": len(body), "Api_Version": "1.45", "Ostype": "linux", **headers}
    lines = [f"{name.replace('_', '-')}: {value}" for name, value in fields.items()]
    answer = "\r\n".join([f"HTTP/1.1 {status} Whatever", *lines]).encode() + b"\r\n\r\n"

    def handle(request: Request, client: socket.socket) -> None:
        client.sendall(answer if request.method == "HEAD" else answer + body)

    return handle


def frame(stream: int, data: bytes) -> bytes:
    return struct.pack(">BxxxL", stream, len(data)) + data


@dataclass
class FakeDaemon:
    """A daemon that says what it is told to say, and remembers what it was asked.

    Handlers are searched from the last one added; the path of a handler is a regular expression without the version.
    """

    path: Path
    requests: list[Request] = field(default_factory=list)
    handlers: list[tuple[str, str, Handler]] = field(default_factory=list)
    output: bytes = b""
    exit_code: int = 0
    exited: threading.Event = field(default_factory=threading.Event)
    _connections: int = 0

    reply = staticmethod(reply)
    frame = staticmethod(frame)

    def on(self, method: str, path: str, handler: Handler) -> None:
        self.handlers.append((method, path, handler))

    @property
    def lines(self) -> list[str]:
        """What was asked, as "METHOD /path", pings left out."""
        return [request.line for request in self.requests if request.path != "/_ping"]

    def asked(self, method: str, path: str) -> list[Request]:
        return [request for request in self.requests if request.method == method and re.fullmatch(path, request.path)]

    def serve(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            self._connections += 1
            threading.Thread(target=self._talk, args=(client, self._connections), daemon=True).start()

    def _talk(self, client: socket.socket, number: int) -> None:
        with client, client.makefile("rb") as stream:
            try:
                while (request := read_request(stream, number)) is not None:
                    self.requests.append(request)
                    self._handler_of(request)(request, client)
            except (OSError, ValueError):
                return

    def _handler_of(self, request: Request) -> Handler:
        for method, path, handler in reversed(self.handlers):
            if method in {request.method, "*"} and re.fullmatch(path, request.path):
                return handler
        return reply(404, {"message": f"nothing is scripted for {request.line}"})

    def is_sampans(self) -> None:
        """Say so, when asked whose daemon this is."""
        self.on("GET", "/version", reply(200, {"Components": [{"Name": "Engine"}, {"Name": "sampan"}]}))

    def script_a_run(self) -> None:
        """Answer what `run` asks: the container prints `output` and ends with `exit_code`."""
        self.on("*", "/_ping", reply(200))
        self.on("POST", "/containers/create", reply(201, {"Id": CONTAINER_ID, "Warnings": []}))
        self.on("POST", "/containers/[^/]+/start", self._start)
        self.on("POST", "/containers/[^/]+/attach", self._attach)
        self.on("POST", "/containers/[^/]+/wait", self._wait)
        self.on("POST", "/containers/[^/]+/(resize|kill)", reply(200))

    def _start(self, request: Request, client: socket.socket) -> None:
        reply(204)(request, client)
        self.exited.set()

    def _attach(self, _: Request, client: socket.socket) -> None:
        kind = b"application/vnd.docker.multiplexed-stream"
        client.sendall(
            b"HTTP/1.1 101 UPGRADED\r\nContent-Type: " + kind + b"\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n"
        )
        self.exited.wait(60)
        client.sendall(self.output)
        client.shutdown(socket.SHUT_RDWR)

    def _wait(self, _: Request, client: socket.socket) -> None:
        client.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        self.exited.wait(60)
        body = json.dumps({"StatusCode": self.exit_code}).encode() + b"\n"
        client.sendall(b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body))


def read_request(stream: Any, number: int) -> Request | None:
    first = stream.readline().decode()
    if not first.strip():
        return None
    method, target, _ = first.split(" ", 2)
    headers: dict[str, str] = {}
    while line := stream.readline().decode().strip():
        name, _, value = line.partition(":")
        headers[name.lower()] = value.strip()
    body = b""
    if headers.get("transfer-encoding") == "chunked":
        while size := int(stream.readline().strip() or b"0", 16):
            body += stream.read(size)
            stream.readline()
        stream.readline()
    elif "content-length" in headers:
        body = stream.read(int(headers["content-length"]))
    url = urlsplit(target)
    path = re.sub(r"^/v1\.\d+", "", url.path)
    return Request(method, path, dict(parse_qsl(url.query, keep_blank_values=True)), headers, body, number, target)


@pytest.fixture
def fake_daemon(tmp_path: Path) -> Iterator[FakeDaemon]:
    daemon = FakeDaemon(tmp_path / "fake.sock")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(daemon.path))
        listener.listen(64)
        thread = threading.Thread(target=daemon.serve, args=(listener,), daemon=True)
        thread.start()
        yield daemon
        daemon.exited.set()
        listener.shutdown(socket.SHUT_RDWR)
    thread.join(60)


@pytest.fixture
def builds(fake_daemon: FakeDaemon) -> FakeDaemon:
    """The daemon, for which every build goes well."""

    def built(_: Request, client: socket.socket) -> None:
        body = json.dumps({"aux": {"ID": IMAGE}}).encode() + b"\r\n"
        client.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))

    fake_daemon.on("POST", "/build", built)
    fake_daemon.is_sampans()
    return fake_daemon


@dataclass(frozen=True)
class Command:
    """The `sampan` command as a process of its own, talking to one daemon."""

    host: str
    folder: Path

    def environment(self) -> dict[str, str]:
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(self.folder),
            "DOCKER_CONFIG": str(self.folder),
            "SAMPAN_HOST": self.host,
            "DOCKER_HOST": self.host,
            "A_VAR": "from the environment",
            "TZ": "UTC",
        }

    def argv(self, *words: str) -> list[str]:
        return [sys.executable, "-I", "-S", "-c", PROGRAM, *words]

    def __call__(self, *words: str, input: bytes = b"", cwd: Path | None = None) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            self.argv(*words),
            input=input,
            capture_output=True,
            timeout=60,
            check=False,
            cwd=cwd,
            env=self.environment(),
        )

    def start(self, *words: str, **options: Any) -> subprocess.Popen[bytes]:
        return subprocess.Popen(self.argv(*words), env=self.environment(), **options)


@pytest.fixture
def sampan(fake_daemon: FakeDaemon, tmp_path: Path) -> Command:
    """The command, talking to the scripted daemon."""
    return Command(f"unix://{fake_daemon.path}", tmp_path)


class PrivateDocker:
    """How a Docker of our own is started, and what it leaves behind removed."""

    def command(self, folder: Path) -> list[str]:
        dockerd = shutil.which("dockerd")
        if dockerd is None or os.geteuid() != 0:
            pytest.skip("needs dockerd, and to be root")
        places = ["--data-root", f"{folder}/data", "--exec-root", f"{folder}/exec", "--pidfile", f"{folder}/pid"]
        quiet = ["--bridge", "none", "--iptables=false", "--ip-forward=false", "--ip-masq=false"]
        return [dockerd, *places, *quiet, "--cgroup-parent", self.cgroup(folder)]

    def cgroup(self, folder: Path) -> str:
        return f"/sampan-test-{folder.parent.name}-{folder.name}"

    def tidy(self, folder: Path) -> None:
        """Mounts below the folder, and the cgroups in every hierarchy."""
        for line in reversed(Path("/proc/self/mounts").read_text().splitlines()):
            if line.split()[1].startswith(f"{folder}/"):
                subprocess.run(["umount", line.split()[1]], check=False)
        name = self.cgroup(folder).strip("/")
        for root in [*Path("/sys/fs/cgroup").glob(name), *Path("/sys/fs/cgroup").glob(f"*/{name}")]:
            for below in sorted(root.rglob("*/"), reverse=True):
                below.rmdir()
            root.rmdir()


@pytest.fixture(scope="session")
def private_docker() -> PrivateDocker:
    return PrivateDocker()


@pytest.fixture(scope="session")
def real_docker(private_docker: PrivateDocker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Command]:
    """The command, talking to a Docker of its own, which has one nearly empty image, "cp-image"."""
    folder = Path(tmp_path_factory.mktemp("docker"))
    argv = [*private_docker.command(folder), "-H", f"unix://{folder}/d.sock"]
    with (
        (folder / "log").open("wb") as log,
        subprocess.Popen(argv, stdout=log, stderr=log) as process,
    ):
        command = Command(f"unix://{folder}/d.sock", folder)
        try:
            while command("version").returncode:
                assert process.poll() is None, (folder / "log").read_text()
            data = io.BytesIO()
            with tarfile.open(fileobj=data, mode="w") as tar:
                info = tarfile.TarInfo("tmp")
                info.type, info.mode = tarfile.DIRTYPE, 0o777
                tar.addfile(info)
            assert command("import", "-", "cp-image", input=data.getvalue()).returncode == 0
            yield command
        finally:
            process.terminate()
            process.wait(60)
            private_docker.tidy(folder)
