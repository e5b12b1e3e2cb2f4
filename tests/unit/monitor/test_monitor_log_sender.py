"""Log servers that are there, are slow, go away and come back, at sockets of the test's own."""

from __future__ import annotations

import contextlib
import socket
import ssl
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.ports import free_port

from sampan.monitor import log_sender
from sampan.monitor.log_plan import SendPlan
from sampan.monitor.log_sender import Sender
from sampan.monitor.loop import Loop


class Scene:
    """A sender on a loop that the test turns."""

    def __init__(self) -> None:
        self.loop = Loop()
        self.troubles: list[str] = []
        self.senders: list[Sender] = []

    def sender(self, address: str, **options: object) -> Sender:
        plan = SendPlan(address, **options)  # type: ignore[arg-type]
        made = Sender(self.loop, plan, lambda count: b"lost %d\n" % count, self.troubles.append)
        self.senders.append(made)
        return made

    def turn_until(self, is_so: Callable[[], bool]) -> None:
        end = time.monotonic() + 30
        while not is_so():
            assert time.monotonic() < end, "it did not come to be so"
            self.loop.after(0.02, lambda: None)
            self.loop.step()

    def drain(self, sender: Sender) -> None:
        sender.close(lambda: None)
        self.turn_until(lambda: sender.drained)


@pytest.fixture
def scene(monkeypatch: pytest.MonkeyPatch) -> Iterator[Scene]:
    monkeypatch.setattr(log_sender, "FIRST_PAUSE_S", 0.01)
    monkeypatch.setattr(log_sender, "LONGEST_PAUSE_S", 0.05)
    made = Scene()
    yield made
    monkeypatch.setattr(log_sender, "LAST_PATIENCE_S", 0.0)
    for sender in made.senders:
        if not sender.drained:
            made.drain(sender)
    made.loop.close()


class Server:
    """A listening socket, and all that it was sent."""

    def __init__(self, kind: int, address: str | tuple[str, int]) -> None:
        family = (
            socket.AF_UNIX if isinstance(address, str) else socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        )
        self.socket = socket.socket(family, kind)
        self.socket.bind(address)
        self.socket.settimeout(30)
        if kind == socket.SOCK_STREAM:
            self.socket.listen()

    @property
    def port(self) -> int:
        found: int = self.socket.getsockname()[1]
        return found

    def accept(self) -> socket.socket:
        connection, _ = self.socket.accept()
        connection.settimeout(30)
        return connection

    def close(self) -> None:
        self.socket.close()


def read_all(connection: socket.socket) -> bytes:
    with connection:
        content = b""
        while piece := connection.recv(65536):
            content += piece
        return content


def messages(count: int) -> list[bytes]:
    return [b"message %d\n" % number for number in range(count)]


@pytest.mark.parametrize("scheme", ["unix", "unixgram"])
def test_datagrams_of_a_unix_socket_arrive_whole_and_in_order(scene: Scene, tmp_path: Path, scheme: str) -> None:
    server = Server(socket.SOCK_DGRAM, str(tmp_path / "s"))
    sender = scene.sender(f"{scheme}://{tmp_path}/s")
    for message in messages(5):
        sender.offer(message)
    scene.drain(sender)
    assert [server.socket.recv(100) for _ in range(5)] == messages(5)
    server.close()


def test_a_message_that_no_datagram_holds_comes_in_a_sealed_file(scene: Scene, tmp_path: Path) -> None:
    server = Server(socket.SOCK_DGRAM, str(tmp_path / "s"))
    sender = scene.sender(f"unixgram://{tmp_path}/s")
    big = b"x" * 700_000
    sender.offer(big)
    scene.drain(sender)
    content, descriptors, _, _ = socket.recv_fds(server.socket, 100, 1)
    assert content == b""
    with open(descriptors[0], "rb") as file:
        file.seek(0)
        assert file.read() == big
    server.close()


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_a_stream_of_tcp_arrives_whole(scene: Scene, host: str) -> None:
    server = Server(socket.SOCK_STREAM, ("127.0.0.1", 0))
    sender = scene.sender(f"tcp://{host}:{server.port}")
    for message in messages(1000):
        sender.offer(message)
    scene.drain(sender)
    assert read_all(server.accept()) == b"".join(messages(1000))
    assert not scene.troubles
    server.close()


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_a_server_is_found_at_whichever_address_of_its_name_it_listens(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    """Of a name's addresses often only one is served: `localhost` is ::1 first on many machines."""
    both = [(None, None, 0, "", (one, 0)) for one in ("::1", "127.0.0.1")]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_args, **_options: both)
    try:
        server = Server(socket.SOCK_STREAM, (address, 0))
    except OSError as error:
        pytest.skip(f"{address} cannot be listened at here: {error}")
    sender = scene.sender(f"tcp://server.test:{server.port}")
    sender.offer(b"found\n")
    scene.drain(sender)
    assert read_all(server.accept()) == b"found\n"
    assert not scene.troubles
    server.close()


def test_a_server_at_none_of_its_addresses_is_named_once(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    both = [(None, None, 0, "", (one, 0)) for one in ("::1", "127.0.0.1")]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_args, **_options: both)
    server = Server(socket.SOCK_STREAM, ("127.0.0.1", 0))
    port = server.port
    server.close()
    scene.sender(f"tcp://server.test:{port}")
    scene.turn_until(lambda: bool(scene.troubles))
    assert scene.troubles == [f"the log server tcp://server.test:{port} is not reached: Connection refused"]


def test_datagrams_of_udp_arrive_and_nobody_there_is_no_trouble(scene: Scene) -> None:
    server = Server(socket.SOCK_DGRAM, ("127.0.0.1", 0))
    sender = scene.sender(f"udp://127.0.0.1:{server.port}")
    for message in messages(3):
        sender.offer(message)
    scene.turn_until(lambda: not sender._queue)
    assert [server.socket.recv(100) for _ in range(3)] == messages(3)
    server.close()
    for message in messages(3):
        sender.offer(message)
    scene.drain(sender)
    assert not scene.troubles


def test_what_does_not_fit_is_dropped_counted_and_said_when_there_is_room(scene: Scene, tmp_path: Path) -> None:
    server = Server(socket.SOCK_STREAM, str(tmp_path / "s"))
    sender = scene.sender(f"unix://{tmp_path}/s", buffer_bytes=100_000)
    connection = server.accept()
    line = b"y" * 999 + b"\n"
    for _ in range(2000):
        sender.offer(line)
    assert sender._size <= 100_000
    received = b""
    connection.setblocking(False)  # noqa: FBT003 -- the method has no keyword

    def read() -> bool:
        nonlocal received
        with contextlib.suppress(BlockingIOError):
            received += connection.recv(1 << 20)
        return b"lost" in received

    scene.turn_until(read)
    *whole, said, rest = received.split(b"\n")
    assert rest == b""
    assert set(whole) == {line[:-1]}
    assert int(said.split()[1]) + len(whole) == 2000
    connection.close()
    server.close()


def test_a_server_that_comes_back_gets_what_waited(scene: Scene) -> None:
    server = Server(socket.SOCK_STREAM, ("127.0.0.1", 0))
    port = server.port
    sender = scene.sender(f"tcp://127.0.0.1:{port}")
    sender.offer(b"before\n")
    first = server.accept()
    scene.turn_until(lambda: not sender._queue)
    assert first.recv(100) == b"before\n"
    server.close()
    first.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    first.close()
    scene.turn_until(lambda: bool(scene.troubles))
    sender.offer(b"meanwhile\n")
    listening = socket.create_server(("127.0.0.1", port))
    listening.settimeout(30)
    scene.turn_until(lambda: not sender._queue)
    second, _ = listening.accept()
    assert second.recv(100) == b"meanwhile\n"
    assert len(scene.troubles) == 1
    second.close()
    listening.close()


def test_a_journal_that_was_restarted_is_found_again(scene: Scene, tmp_path: Path) -> None:
    server = Server(socket.SOCK_DGRAM, str(tmp_path / "s"))
    sender = scene.sender(f"unixgram://{tmp_path}/s")
    sender.offer(b"before")
    assert server.socket.recv(100) == b"before"
    server.close()
    (tmp_path / "s").unlink()
    sender.offer(b"meanwhile")
    scene.turn_until(lambda: bool(scene.troubles))
    server = Server(socket.SOCK_DGRAM, str(tmp_path / "s"))
    scene.turn_until(lambda: not sender._queue)
    assert server.socket.recv(100) == b"meanwhile"
    server.close()


def test_nobody_waits_for_ever_for_a_server_that_never_comes(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_sender, "LAST_PATIENCE_S", 0.05)
    port = free_port()
    sender = scene.sender(f"tcp://127.0.0.1:{port}")
    for message in messages(3):
        sender.offer(message)
    scene.drain(sender)
    assert scene.troubles[-1] == f"3 log lines never reached tcp://127.0.0.1:{port}"


def test_a_name_that_there_is_not_is_a_trouble(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise socket.gaierror

    monkeypatch.setattr(socket, "getaddrinfo", fail)  # the child that looks names up has it too
    scene.sender("tcp://no-such-host.invalid:514")
    scene.turn_until(lambda: bool(scene.troubles))
    assert "there is no host no-such-host.invalid" in scene.troubles[0]


def test_a_socket_that_is_not_there_is_refused_at_once(scene: Scene, tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file"):
        scene.sender(f"unixgram://{tmp_path}/none")


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("certificate")
    words = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=127.0.0.1".split()
    files = ["-keyout", str(folder / "key"), "-out", str(folder / "cert")]
    subprocess.run(
        ["openssl", *words, "-addext", "subjectAltName=IP:127.0.0.1", *files], check=True, capture_output=True
    )
    return folder


def tls_server(scene: Scene, folder: Path, **options: object) -> tuple[Server, Sender, ssl.SSLSocket]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "cert", folder / "key")
    server = Server(socket.SOCK_STREAM, ("127.0.0.1", 0))
    sender = scene.sender(f"tcp+tls://127.0.0.1:{server.port}", **options)
    secured = context.wrap_socket(server.accept(), server_side=True, do_handshake_on_connect=False)
    secured.settimeout(0)
    return server, sender, secured


def shake(secured: ssl.SSLSocket) -> bool:
    try:
        secured.do_handshake()
    except ssl.SSLWantReadError:
        return False
    return True


def test_a_stream_of_tls_arrives_whole(scene: Scene, certificate: Path) -> None:
    server, sender, secured = tls_server(scene, certificate, tls_authority=str(certificate / "cert"))
    for message in messages(1000):
        sender.offer(message)
    scene.turn_until(lambda: shake(secured))
    received = b""

    def read() -> bool:
        nonlocal received
        with contextlib.suppress(ssl.SSLWantReadError):
            while piece := secured.recv(1 << 20):
                received += piece
        return received.endswith(messages(1000)[-1])

    scene.turn_until(read)
    assert received == b"".join(messages(1000))
    secured.close()
    server.close()


def test_a_certificate_of_nobody_known_is_no_server_of_ours(scene: Scene, certificate: Path) -> None:
    server, sender, secured = tls_server(scene, certificate)
    sender.offer(b"a secret\n")
    with pytest.raises((ssl.SSLError, ConnectionError)):
        scene.turn_until(lambda: shake(secured) and secured.recv(100) == b"never")
    scene.turn_until(lambda: bool(scene.troubles))
    assert "certificate" in scene.troubles[0].lower()
    secured.close()
    server.close()
