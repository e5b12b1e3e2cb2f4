"""An answer that is whole when it begins: head and body leave in one write, with nothing that only a growing one needs.

Most answers are such. aiohttp's own response makes a header table, hooks, a writer's states and a task's switches for
each, which is half of what a small request costs. What streams is `call.stream`'s, or a `web.StreamResponse`.
"""

from __future__ import annotations

from functools import cache
from http import HTTPStatus

from aiohttp import web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.helpers import rfc822_formatted_time
from aiohttp.http_writer import HttpVersion, HttpVersion10, HttpVersion11

from sampan.api.headers import HEADERS

JSON = "application/json"
_WITHOUT_LENGTH = frozenset({HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED})


@cache
def _fixed() -> str:
    """What every head has, as text."""
    return "".join(f"{name}: {value}\r\n" for name, value in HEADERS.items())


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
        await writer.write(self.whole(request.method, request.version, keep_alive=bool(self._keep_alive)))
        return None

    async def write_eof(self, data: bytes = b"") -> None:
        """Nothing is left to be sent."""

    def whole(self, method: str, version: HttpVersion, *, keep_alive: bool) -> bytes:
        """Head and body, as they answer a request of this method and version of HTTP."""
        kind = f"Content-Type: {self._type}\r\n" if self._type else ""
        lines = [f"HTTP/{version[0]}.{version[1]} {self.status} {self.reason}\r\n{kind}{_fixed()}"]
        lines += [f"{name}: {value}\r\n" for name, value in self._more.items()]
        if self.status not in _WITHOUT_LENGTH:
            lines.append(f"Content-Length: {len(self.content)}\r\n")
        lines.append(f"Date: {rfc822_formatted_time()}\r\n")
        if keep_alive and version == HttpVersion10:
            lines.append("Connection: keep-alive\r\n")
        elif not keep_alive and version == HttpVersion11:
            lines.append("Connection: close\r\n")
        lines.append("\r\n")
        head = "".join(lines).encode()
        return head if method == "HEAD" else head + self.content
