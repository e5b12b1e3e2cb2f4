"""HTTP by hand: the bytes of a request as a test wants them, and the answer as it came."""

from __future__ import annotations

import json
import socket
from dataclasses import dataclass
from typing import Any

from tests.engine_process import EngineProcess


@dataclass(frozen=True)
class Answer:
    """Status, headers (lower case names) and body, which is decoded when it was chunked."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def message(self) -> str:
        found: str = self.json["message"]
        return found


def connect(engine: EngineProcess) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.settimeout(60)
    connection.connect(engine.socket)
    return connection


def request(method: str, path: str, body: bytes = b"", **headers: str) -> bytes:
    """The bytes of a request; `Content_Type` is the header Content-Type."""
    lines = [f"{method} {path} HTTP/1.1", "Host: localhost"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    if body or method in {"POST", "PUT"}:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode() + body


def receive_head(connection: socket.socket) -> tuple[int, dict[str, str], bytes]:
    """Status, headers and what came behind them."""
    received = b""
    while b"\r\n\r\n" not in received:
        piece = connection.recv(65536)
        assert piece, f"the connection was closed after {received!r}"
        received += piece
    head, rest = received.split(b"\r\n\r\n", 1)
    first, *lines = head.decode("latin-1").split("\r\n")
    pairs = (line.split(": ", 1) for line in lines)
    return int(first.split()[1]), {name.lower(): value for name, value in pairs}, rest


def ask(engine: EngineProcess, method: str, path: str, body: bytes | Any = b"", **headers: str) -> Answer:
    """One request on a connection of its own; a body that is no bytes is sent as JSON."""
    if not isinstance(body, bytes):
        body = json.dumps(body).encode()
        headers = {"Content_Type": "application/json", **headers}
    with connect(engine) as connection:
        connection.sendall(request(method, path, body, Connection="close", **headers))
        status, found, rest = receive_head(connection)
        while piece := connection.recv(1 << 20):
            rest += piece
    return Answer(status, found, _unchunk(rest) if found.get("transfer-encoding") == "chunked" else rest)


def _unchunk(content: bytes) -> bytes:
    whole = b""
    while content:
        length, content = content.split(b"\r\n", 1)
        whole += content[: int(length, 16)]
        content = content[int(length, 16) + 2 :]
    return whole
