"""A connection that leaves HTTP, as docker's clients make it: the bare socket after the answer's head."""

from __future__ import annotations

import json
import socket
import struct
from typing import Any

from tests.engine_process import EngineProcess

HEADER = struct.Struct(">BxxxI")


class Hijacked:
    """A hijacked connection; `head` is the answer's, `early` what came right behind it."""

    def __init__(
        self, engine: EngineProcess, path: str, body: Any = None, *, behind: bytes = b"", upgrade: bool = True
    ) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.settimeout(60)
        self.socket.connect(engine.socket)
        content = b"" if body is None else json.dumps(body).encode()
        lines = [f"POST {path} HTTP/1.1", "Host: localhost", f"Content-Length: {len(content)}"]
        lines += ["Content-Type: application/json"] if content else []
        lines += ["Connection: Upgrade", "Upgrade: tcp"] if upgrade else []
        self.socket.sendall("\r\n".join([*lines, "", ""]).encode() + content + behind)
        received = b""
        while b"\r\n\r\n" not in received:
            piece = self.socket.recv(65536)
            assert piece, received
            received += piece
        head, self._rest = received.split(b"\r\n\r\n", 1)
        self.head = head.decode()

    @property
    def status(self) -> int:
        return int(self.head.split()[1])

    def send(self, content: bytes) -> None:
        self.socket.sendall(content)

    def end_input(self) -> None:
        self.socket.shutdown(socket.SHUT_WR)

    def read_all(self) -> bytes:
        """Everything until the other end closes; ours is closed then, too."""
        pieces = [self._rest]
        while piece := self.socket.recv(1 << 20):
            pieces.append(piece)
        self._rest = b""
        self.close()
        return b"".join(pieces)

    def read_until(self, text: bytes) -> bytes:
        """What comes, up to and with `text`."""
        while text not in self._rest:
            piece = self.socket.recv(65536)
            assert piece, self._rest
            self._rest += piece
        found, self._rest = self._rest, b""
        return found

    def close(self) -> None:
        self.socket.close()


def demultiplex(content: bytes) -> dict[int, bytes]:
    """The streams of Docker's frames, by number."""
    streams: dict[int, bytes] = {}
    while content:
        number, length = HEADER.unpack_from(content)
        assert len(content) >= HEADER.size + length, "a frame is cut off"
        streams[number] = streams.get(number, b"") + content[HEADER.size : HEADER.size + length]
        content = content[HEADER.size + length :]
    return streams
