"""TLS to a daemon over tcp: certificates both ways, and streams through it."""

from __future__ import annotations

import shutil
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from sampan.client.endpoint import Endpoint
from sampan.client.failure import DaemonUnreachable
from sampan.client.session import Session
from sampan.client.tls import TlsFiles
from sampan.client.transport import ConnectionLost

if TYPE_CHECKING:
    from tests.cli.conftest import Command, FakeDaemon, Request

pytestmark = pytest.mark.skipif(not shutil.which("openssl"), reason="certificates are made by openssl")


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """ca.pem, cert.pem and key.pem, good for 127.0.0.1 and for a client; other.pem is a CA that signed nothing."""
    folder = Path(tmp_path_factory.mktemp("tls"))

    def openssl(*words: str) -> None:
        subprocess.run(["openssl", *words], cwd=folder, check=True, capture_output=True)

    for name in ("ca", "other"):
        options = f"-keyout {name}-key.pem -out {name}.pem -days 2 -subj /CN={name}"
        openssl(*f"req -x509 -newkey rsa:2048 -nodes {options}".split())
    (folder / "names").write_text("subjectAltName=IP:127.0.0.1\nextendedKeyUsage=serverAuth,clientAuth\n")
    openssl(*"req -newkey rsa:2048 -nodes -keyout key.pem -out request.pem -subj /CN=sampan".split())
    openssl(*"x509 -req -in request.pem -CA ca.pem -CAkey ca-key.pem -days 2 -extfile names -out cert.pem".split())
    return folder


@pytest.fixture
def port(fake_daemon: FakeDaemon, certificates: Path) -> Iterator[int]:
    """Where the scripted daemon is reached by TLS, and asks for a certificate."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(certificates / "ca.pem"))
    context.load_cert_chain(certificates / "cert.pem", certificates / "key.pem")
    context.verify_mode = ssl.CERT_REQUIRED
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, args=(listener, context, fake_daemon.path))
        thread.start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)
        thread.join(60)


def serve(listener: socket.socket, context: ssl.SSLContext, path: Path) -> None:
    while True:
        try:
            client, _ = listener.accept()
        except OSError:
            return
        threading.Thread(target=relay, args=(client, context, path), daemon=True).start()


def relay(client: socket.socket, context: ssl.SSLContext, path: Path) -> None:
    """Between an encrypted client and the daemon's socket, until either ends."""
    with socket.socket(socket.AF_UNIX) as daemon, client:
        try:
            with context.wrap_socket(client, server_side=True) as encrypted:
                daemon.connect(str(path))
                back = threading.Thread(target=copy, args=(daemon, encrypted), daemon=True)
                back.start()
                copy(encrypted, daemon)
                back.join(60)
        except OSError:
            return


def copy(source: socket.socket, target: socket.socket) -> None:
    try:
        while data := source.recv(65536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        return


def paths(folder: Path, first: str, second: str, third: str) -> tuple[str, str, str]:
    return str(folder / f"{first}.pem"), str(folder / f"{second}.pem"), str(folder / f"{third}.pem")


def global_options(folder: Path, port: int) -> list[str]:
    authority, certificate, key = paths(folder, "ca", "cert", "key")
    files = [f"--tlscacert={authority}", f"--tlscert={certificate}", f"--tlskey={key}"]
    return ["-H", f"tcp://127.0.0.1:{port}", "--tlsverify", *files]


def endpoint(port: int, files: TlsFiles) -> Endpoint:
    made = Endpoint("tcp", host="127.0.0.1", port=port)
    made.tls = files
    return made


def test_a_call_is_encrypted_and_both_ends_are_checked(fake_daemon: FakeDaemon, port: int, certificates: Path) -> None:
    fake_daemon.on("GET", "/a", fake_daemon.reply(200, {"x": 1}))
    session = Session(endpoint(port, TlsFiles(*paths(certificates, "ca", "cert", "key"))))

    assert session.call("GET", "/a") == {"x": 1}
    assert session.call("GET", "/a") == {"x": 1}
    session.close()


def test_a_daemon_that_another_ca_signed_is_refused_unless_told(
    fake_daemon: FakeDaemon, port: int, certificates: Path
) -> None:
    fake_daemon.on("GET", "/a", fake_daemon.reply(200, {"x": 1}))
    other, certificate, key = paths(certificates, "other", "cert", "key")

    with pytest.raises(DaemonUnreachable, match=r"no TLS connection to 127\.0\.0\.1"):
        Session(endpoint(port, TlsFiles(other, certificate, key))).call("GET", "/a")
    lenient = Session(endpoint(port, TlsFiles("", certificate, key, verify=False)))
    assert lenient.call("GET", "/a") == {"x": 1}
    lenient.close()


def test_what_the_daemon_says_to_a_certificate_is_told(port: int, certificates: Path) -> None:
    authority, certificate, key = paths(certificates, "ca", "other", "other-key")

    with pytest.raises(DaemonUnreachable, match=r"the daemon refuses the TLS connection: .*unknown ca") as caught:
        Session(endpoint(port, TlsFiles(authority, certificate, key))).call("GET", "/a")
    assert "--tlscert" in caught.value.remedy
    with pytest.raises(DaemonUnreachable, match="certificate required"):
        Session(endpoint(port, TlsFiles(authority))).call("GET", "/a")


def test_a_daemon_that_wants_tls_and_gets_none_hangs_up_and_tls_is_named(port: int) -> None:
    with pytest.raises(ConnectionLost, match="it hung up without an answer") as caught:
        Session(Endpoint("tcp", host="127.0.0.1", port=port)).call("GET", "/a")
    assert "see whether it wants TLS" in caught.value.remedy


def test_a_file_that_is_not_there_is_named(port: int) -> None:
    with pytest.raises(DaemonUnreachable) as caught:
        endpoint(port, TlsFiles("/no/such/ca.pem")).connect()

    assert "no such file" in str(caught.value).lower()
    assert "--tlscacert" in caught.value.remedy


def test_the_command_carries_a_stream_through_tls(
    fake_daemon: FakeDaemon, sampan: Command, port: int, certificates: Path
) -> None:
    fake_daemon.script_a_run()
    fake_daemon.output = fake_daemon.frame(1, b"x" * 1_000_000)
    fake_daemon.exit_code = 3

    done = sampan(*global_options(certificates, port), "run", "image")

    assert done.returncode == 3, done.stderr
    assert done.stdout == b"x" * 1_000_000


def test_the_end_of_input_goes_through_tls(
    fake_daemon: FakeDaemon, sampan: Command, port: int, certificates: Path
) -> None:
    fake_daemon.script_a_run()

    def echo(_: Request, client: socket.socket) -> None:
        client.sendall(b"HTTP/1.1 101 UPGRADED\r\nContent-Type: application/vnd.docker.raw-stream\r\n\r\n")
        while data := client.recv(65536):
            client.sendall(data)
        client.shutdown(socket.SHUT_RDWR)

    fake_daemon.on("POST", "/containers/[^/]+/attach", echo)

    done = sampan(*global_options(certificates, port), "run", "-i", "image", input=b"y" * 500_000)

    assert done.stdout == b"y" * 500_000
