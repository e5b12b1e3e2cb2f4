"""An answer that is whole when it begins: head and body leave in one write, with nothing that only a growing one needs.

Most answers are such. aiohttp's own response makes a header table, hooks, a writer's states and a task's switches for
each, which is half of what a small request costs. What streams is `call.stream`'s, or a `web.StreamResponse`.
"""

from __future__ import annotations

from http import HTTPStatus

from aiohttp import web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.helpers import rfc822_formatted_time
from aiohttp.http_writer import HttpVersion10, HttpVersion11

from sampan.api.headers import HEADERS

JSON = "application/json"
_FIXED = "".join(f"{name}: {value}\r\n" for name, value in HEADERS.items())
_WITHOUT_LENGTH = frozenset({HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED})


class Answer(web.StreamResponse):
    """Status, body and what the head says beside the headers that every answer has; "" is no type."""

    def __init__(
        self, body: bytes = b"", status: int = 200, content_type: str = JSON, headers: dict[str, str] | None = None
    ) -> None:
        super().__init__(status=status)
        self.content = body
        self._type = content_type
        self._more = headers or {}

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter | None:
        """Send all of it. Raises ConnectionResetError when the client has left."""
        if self._eof_sent:
            return None
        if self._keep_alive is None:
            self._keep_alive = request.keep_alive
        writer = request.writer
        self._eof_sent = True
        await writer.write(self._head(request) + (b"" if request.method == "HEAD" else self.content))
        return None

    async def write_eof(self, data: bytes = b"") -> None:
        """Nothing is left to be sent."""

    def _head(self, request: web.BaseRequest) -> bytes:
        version = request.version
        lines = [f"HTTP/{version.major}.{version.minor} {self.status} {self.reason}\r\n"]
        if self._type:
            lines.append(f"Content-Type: {self._type}\r\n")
        lines.append(_FIXED)
        lines += [f"{name}: {value}\r\n" for name, value in self._more.items()]
        if self.status not in _WITHOUT_LENGTH:
            lines.append(f"Content-Length: {len(self.content)}\r\n")
        lines.append(f"Date: {rfc822_formatted_time()}\r\n")
        if self._keep_alive and version == HttpVersion10:
            lines.append("Connection: keep-alive\r\n")
        elif not self._keep_alive and version == HttpVersion11:
            lines.append("Connection: close\r\n")
        lines.append("\r\n")
        return "".join(lines).encode()
