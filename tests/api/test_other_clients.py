"""Clients of HTTP/1.0, as nginx is to what stands behind it, and those that wait until their body is asked for."""

from __future__ import annotations

import io
import json
import tarfile

import pytest
from tests.building import context_of
from tests.engine_process import EngineProcess
from tests.raw_http import ask, connect, receive_head

CONTEXT = context_of({"Dockerfile": "FROM host\nENV A=1\nLABEL b=2\n"})
LAYER = context_of({"file": "text"})


def ask_in(engine: EngineProcess, version: str, method: str, path: str, body: bytes, *fields: str) -> bytes:
    """The whole answer to a request on a connection that the daemon ends."""
    lines = [f"{method} {path} HTTP/{version}", "Host: x", f"Content-Length: {len(body)}", *fields, "", ""]
    with connect(engine) as connection:
        connection.sendall("\r\n".join(lines).encode() + body)
        received = b""
        while piece := connection.recv(1 << 20):
            received += piece
    return received


@pytest.fixture(scope="module")
def ended(engine: EngineProcess) -> str:
    """A container that said something and has ended."""
    engine.run("ended", "echo", "said")
    engine.wait("ended")
    return "ended"


@pytest.mark.parametrize("field", ["", "Connection: keep-alive", "Connection: close"])
@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/build?t=old", CONTEXT),
        ("GET", "/events?since=1&until=2", b""),
        ("GET", "/containers/ended/logs?stdout=1", b""),
        ("POST", "/containers/ended/wait", b""),
        ("GET", "/containers/ended/archive?path=/etc/hostname", b""),
    ],
)
@pytest.mark.usefixtures("ended")
def test_a_client_of_http_1_0_is_told_all_without_chunks(
    engine: EngineProcess, method: str, path: str, body: bytes, field: str
) -> None:
    fields = [field] if field else []
    head, _, content = ask_in(engine, "1.0", method, path, body, *fields).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.0 200 OK\r\n")
    assert b"transfer-encoding" not in head.lower()
    expected = ask(engine, method, path, body).body
    if "logs" in path or "archive" in path:
        assert content == expected
    else:
        assert [set(json.loads(line)) for line in content.splitlines()] == [
            set(json.loads(line)) for line in expected.splitlines()
        ]


def test_an_image_is_saved_for_a_client_of_http_1_0(engine: EngineProcess) -> None:
    ask(engine, "POST", "/images/create?fromSrc=-&repo=saved", LAYER)
    head, _, content = ask_in(engine, "1.0", "GET", "/images/saved/get", b"").partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.0 200 OK\r\n")
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        assert "manifest.json" in archive.getnames()


@pytest.mark.parametrize("framing", ["chunked", "counted"])
@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("POST", "/build", CONTEXT, 200),
        ("POST", "/images/create?fromSrc=-&repo=awaited", LAYER, 200),
        ("PUT", "/containers/ended/archive?path=/srv", LAYER, 200),
        ("POST", "/containers/create", b'{"Image": "host", "Cmd": ["true"]}', 201),
    ],
)
@pytest.mark.usefixtures("ended")
def test_a_client_that_waits_to_be_asked_for_its_body_is(
    engine: EngineProcess, method: str, path: str, body: bytes, status: int, framing: str
) -> None:
    length = "Transfer-Encoding: chunked" if framing == "chunked" else f"Content-Length: {len(body)}"
    kind = "application/json" if body.startswith(b"{") else "application/x-tar"
    fields = [length, f"Content-Type: {kind}", "Expect: 100-continue", "Connection: close"]
    with connect(engine) as connection:
        connection.sendall("\r\n".join([f"{method} {path} HTTP/1.1", "Host: x", *fields, "", ""]).encode())
        assert receive_head(connection) == (100, {}, b"")
        connection.sendall(b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body) if framing == "chunked" else body)
        told, headers, _ = receive_head(connection)
        assert (told, headers["server"][:6]) == (status, "Docker")
        while connection.recv(1 << 20):
            pass


@pytest.mark.parametrize(
    ("version", "length", "field"),
    [("1.0", 0, "100-continue"), ("1.1", 0, "100-continue"), ("1.0", 5, "100-continue"), ("1.1", 5, "100-never")],
)
def test_nobody_else_is_asked_for_a_body(engine: EngineProcess, version: str, length: int, field: str) -> None:
    fields = [f"Expect: {field}", "Connection: close"]
    answer = ask_in(engine, version, "POST", "/containers/nobody/kill", b"x" * length, *fields)
    assert answer.startswith(f"HTTP/{version} 404 ".encode())


@pytest.mark.parametrize("path", ["/_ping", "/info", "/images/json"])
@pytest.mark.parametrize(
    "head",
    ["GET {} HTTP/1.0\r\n\n", "GET {} HTTP/1.0\n\n", "GET {} HTTP/1.1\nHost: x\nConnection: close\n\r\n"],
    ids=["echo", "line-feeds", "mixed"],
)
@pytest.mark.parametrize("pieces", [1, 2, 100])
def test_a_head_may_end_its_lines_with_line_feeds_alone(
    engine: EngineProcess, path: str, head: str, pieces: int
) -> None:
    sent = head.format(path).encode()
    size = -(-len(sent) // pieces)
    with connect(engine) as connection:
        for at in range(0, len(sent), size):
            connection.sendall(sent[at : at + size])
        status, _, _ = receive_head(connection)
    assert status == 200


@pytest.mark.parametrize(("name", "last"), [("fed", "\n"), ("mixed", "\r\n")])
def test_a_body_behind_line_feeds_is_read_as_it_is(engine: EngineProcess, name: str, last: str) -> None:
    body = json.dumps({"Image": "host", "Cmd": ["true"], "Labels": {"text": "a"}}).encode() + b"\r\n\r\n \n\n"
    lines = [f"POST /containers/create?name={name} HTTP/1.1", "Host: x", "Content-Type: application/json"]
    lines += [f"Content-Length: {len(body)}", "Connection: close", last]
    with connect(engine) as connection:
        connection.sendall("\n".join(lines).encode() + body)
        status, _, _ = receive_head(connection)
    assert status == 201
    assert engine.inspect(name)["Config"]["Labels"]["text"] == "a"


def test_the_answer_to_a_load_begins_when_its_archive_is_there(engine: EngineProcess) -> None:
    ask(engine, "POST", "/images/create?fromSrc=-&repo=large", context_of({"file": bytes(8 << 20)}))
    archive = ask(engine, "GET", "/images/large/get").body
    half = len(archive) // 2  # which no socket holds: it has to be read to be sent
    with connect(engine) as connection:
        head = ["POST /images/load?quiet=1 HTTP/1.0", "Host: x", f"Content-Length: {len(archive)}", "", ""]
        connection.sendall("\r\n".join(head).encode() + archive[:half])
        connection.settimeout(0)
        with pytest.raises(BlockingIOError):
            connection.recv(1)
        connection.settimeout(60)
        connection.sendall(archive[half:])
        status, _, content = receive_head(connection)
        while piece := connection.recv(1 << 20):
            content += piece
    assert (status, json.loads(content)) == (200, {"stream": "Loaded image: large:latest\n"})
