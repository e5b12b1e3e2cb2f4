"""The API over tcp: refused without TLS, with it judged by certificates, and closed to pages in a browser."""

from __future__ import annotations

import os
import shutil
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.building import need_busybox
from tests.engine_process import EngineProcess
from tests.hijack import demultiplex
from tests.ports import free_port
from tests.raw_http import receive_head, request
from tests.waiting import until

import sampan
from sampan.client.failure import ApiError

BUILDX = Path("/usr/libexec/docker/cli-plugins/docker-buildx")
pytestmark = pytest.mark.skipif(not shutil.which("openssl"), reason="certificates are made by openssl")
HOST = "127.0.0.1"


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """ca.pem, cert.pem and key.pem of this machine and of a client; other.pem and other-key.pem are a stranger's."""
    folder: Path = tmp_path_factory.mktemp("tls")

    def openssl(words: str) -> None:
        subprocess.run(["openssl", *words.split()], cwd=folder, check=True, capture_output=True)

    for name in ("ca", "other"):
        openssl(f"req -x509 -newkey rsa:2048 -nodes -keyout {name}-key.pem -out {name}.pem -days 2 -subj /CN={name}")
    (folder / "names").write_text("subjectAltName=IP:127.0.0.1\nextendedKeyUsage=serverAuth,clientAuth\n")
    openssl("req -newkey rsa:2048 -nodes -keyout key.pem -out request.pem -subj /CN=sampan")
    openssl("x509 -req -in request.pem -CA ca.pem -CAkey ca-key.pem -days 2 -extfile names -out cert.pem")
    return folder


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory, certificates: Path) -> Iterator[tuple[EngineProcess, int]]:
    port, directory = free_port(), tmp_path_factory.mktemp("secured")
    words = ["--tlsverify", *(f"--tls{n}={certificates}/{n.removeprefix('ca')}.pem" for n in ("cert", "key"))]
    hosts = ["-H", f"unix://{directory}/run/sampan.sock", "-H", f"tcp://{HOST}:{port}"]
    with EngineProcess(directory, *words, f"--tlscacert={certificates}/ca.pem", *hosts) as engine:
        _await_listener(port)
        yield engine, port


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[EngineProcess, int]]:
    port, directory = free_port(), tmp_path_factory.mktemp("plain")
    hosts = ["-H", f"unix://{directory}/run/sampan.sock", "-H", f"tcp://{HOST}:{port}"]
    with EngineProcess(directory, "--allow-plain-tcp", *hosts) as engine:
        _await_listener(port)
        yield engine, port


def _await_listener(port: int) -> None:
    """Sockets are opened one after another: an engine that answers on its first may not listen on the next yet."""
    deadline = time.monotonic() + 60
    while True:
        try:
            socket.create_connection((HOST, port), timeout=10).close()
        except ConnectionRefusedError:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        else:
            return


def _context(certificates: Path, certificate: str = "cert.pem", key: str = "key.pem") -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(certificates / "ca.pem"))
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    if certificate:
        context.load_cert_chain(certificates / certificate, certificates / key)
    return context


def _ask(port: int, content: bytes, context: ssl.SSLContext | None = None) -> int:
    with socket.create_connection((HOST, port), timeout=60) as bare:
        if context is None:
            bare.sendall(content)
            return receive_head(bare)[0]
        with context.wrap_socket(bare, server_hostname=HOST) as connection:
            connection.sendall(content)
            return receive_head(connection)[0]


def test_tcp_without_tls_is_refused_with_what_to_do(tmp_path: Path) -> None:
    engine = EngineProcess(tmp_path, "-H", f"tcp://{HOST}:{free_port()}")
    with pytest.raises(RuntimeError) as raised:
        engine.start()
    assert "without TLS: whoever reaches it is root on this machine" in str(raised.value)
    assert "--tlsverify" in str(raised.value)


def test_a_client_with_a_certificate_is_served(secured: tuple[EngineProcess, int], certificates: Path) -> None:
    assert _ask(secured[1], request("GET", "/version"), _context(certificates)) == 200


@pytest.mark.parametrize(("certificate", "key"), [("", ""), ("other.pem", "other-key.pem")])
def test_a_client_without_a_certificate_of_the_authority_is_not(
    secured: tuple[EngineProcess, int], certificates: Path, certificate: str, key: str
) -> None:
    with pytest.raises((OSError, AssertionError)):
        _ask(secured[1], request("GET", "/version"), _context(certificates, certificate, key))
    assert _ask(secured[1], request("GET", "/version")) == 400


def test_an_attached_stream_goes_through_tls(secured: tuple[EngineProcess, int], certificates: Path) -> None:
    engine, port = secured
    engine.create("crypt", "sh", "-c", "read line; seq 1 50000; echo $line", OpenStdin=True, StdinOnce=True)
    bare = socket.create_connection((HOST, port), timeout=60)
    with _context(certificates).wrap_socket(bare, server_hostname=HOST) as connection:
        path = "/containers/crypt/attach?stream=1&stdin=1&stdout=1"
        connection.sendall(request("POST", path, Connection="Upgrade", Upgrade="tcp"))
        status, _, received = receive_head(connection)
        assert status == 101
        engine.json("POST", "/containers/crypt/start", expect=204)
        connection.sendall(b"over TLS\n")
        while piece := connection.recv(1 << 16):
            received += piece
    lines = demultiplex(received)[1].splitlines()
    assert (len(lines), lines[-1]) == (50001, b"over TLS")


@pytest.mark.parametrize("size", [5, 3_000_000])
def test_what_comes_after_the_end_of_input_goes_through_tls(
    secured: tuple[EngineProcess, int], certificates: Path, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine, port = secured
    name = f"echo{size}-{time.monotonic_ns()}"
    engine.run(name, "sleep", "600")
    monkeypatch.setenv("DOCKER_TLS_VERIFY", "1")
    monkeypatch.setenv("DOCKER_CERT_PATH", str(certificates))
    with sampan.connect(f"tcp://{HOST}:{port}") as client:
        command = ["sh", "-c", "cat; sleep 0.3; echo after"]
        with client.containers.get(name).exec_run(command, stdin=True, socket=True).output as stream:
            sending = threading.Thread(target=lambda: (stream.send(bytes(size)), stream.half_close()))
            sending.start()
            received = b"".join(stream.chunks())
            sending.join()
    assert demultiplex(received)[1] == bytes(size) + b"after\n"


def test_what_has_come_before_the_end_of_input_is_told_goes_through_tls(
    secured: tuple[EngineProcess, int], certificates: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine, port = secured
    engine.run("early", "sleep", "600")
    monkeypatch.setenv("DOCKER_TLS_VERIFY", "1")
    monkeypatch.setenv("DOCKER_CERT_PATH", str(certificates))
    with sampan.connect(f"tcp://{HOST}:{port}") as client:
        command = ["sh", "-c", "for n in 1 2 3; do echo $n; sleep 0.2; done; cat; echo after"]
        with client.containers.get("early").exec_run(command, stdin=True, socket=True).output as stream:
            time.sleep(2)  # three records have come
            chunks = stream.chunks()
            received = next(chunks)
            stream.half_close()
            received += b"".join(chunks)
    assert demultiplex(received)[1] == b"1\n2\n3\nafter\n"


def test_a_client_that_is_refused_is_told_why(secured: tuple[EngineProcess, int], certificates: Path) -> None:
    with pytest.raises(ssl.SSLError, match=r"(?i)unknown.ca"):
        _ask(secured[1], request("GET", "/version"), _context(certificates, "other.pem", "other-key.pem"))
    with pytest.raises(ssl.SSLError, match=r"(?i)certificate.required"):
        _ask(secured[1], request("GET", "/version"), _context(certificates, "", ""))
    with (
        sampan.connect(f"tcp://{HOST}:{secured[1]}") as plain,
        pytest.raises(ApiError, match="Client sent an HTTP request to an HTTPS server"),
    ):
        plain.ping()


def test_a_client_that_left_its_stream_is_missed(secured: tuple[EngineProcess, int], certificates: Path) -> None:
    engine, port = secured
    bare = socket.create_connection((HOST, port), timeout=60)
    with _context(certificates).wrap_socket(bare, server_hostname=HOST) as connection:
        connection.sendall(request("GET", "/events"))
        until(lambda: engine.json("GET", "/info")["NEventsListener"] == 1, 30)
    until(lambda: engine.json("GET", "/info")["NEventsListener"] == 0, 30)


@pytest.mark.parametrize(
    ("host", "origin", "status"),
    [
        ("127.0.0.1", "", 200),
        ("[::1]:2375", "", 200),
        ("localhost", "", 200),
        ("", "", 200),
        ("", "http://evil.example.com", 403),
        ("rebound.example.com", "", 403),
        ("127.0.0.1", "http://evil.example.com", 403),
        ("rebound.example.com", "http://rebound.example.com", 403),
        ("127.0.0.1", "null", 403),
    ],
)
def test_what_a_page_in_a_browser_can_send_is_refused(
    plain: tuple[EngineProcess, int], host: str, origin: str, status: int
) -> None:
    lines = ["GET /version HTTP/1.1", f"Host: {host}", *([f"Origin: {origin}"] if origin else []), "", ""]
    assert _ask(plain[1], "\r\n".join(lines).encode()) == status


@pytest.mark.skipif(not BUILDX.exists(), reason="needs the buildx plugin: apt-get install docker-buildx")
@pytest.mark.parametrize("is_secured", [False, True])
def test_buildx_builds_over_tcp_and_tls(
    is_secured: bool,  # noqa: FBT001 -- a parameter of the test
    secured: tuple[EngineProcess, int],
    plain: tuple[EngineProcess, int],
    certificates: Path,
    tmp_path: Path,
) -> None:
    need_busybox()
    (tmp_path / "Dockerfile").write_text("FROM busybox\nCOPY f /f\nRUN cat /f\n")
    (tmp_path / "f").write_bytes(b"x" * 1_000_000 + b"the end\n")
    engine, port = secured if is_secured else plain
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "DOCKER_HOST": f"tcp://{HOST}:{port}"}
    if is_secured:
        environment |= {"DOCKER_TLS_VERIFY": "1", "DOCKER_CERT_PATH": str(certificates)}
    words = ["docker", "build", "-q", "--network", "none", str(tmp_path)]
    done = subprocess.run(words, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert engine.json("GET", f"/images/{done.stdout.strip()}/json")["RootFS"]["Layers"][1:]
