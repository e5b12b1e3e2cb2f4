"""HTTP as Docker's clients speak it, on aiohttp: connections, hijacking, errors as JSON. What a path does is `routes`'.

A client that asks for `Upgrade: tcp` gets its connection taken off HTTP: `hijack` gives the bare socket and the bytes
that came behind the request. aiohttp knows only websockets as upgrades, so a head that asks for tcp or h2c is marked
as one before it is parsed, and the word that was asked for travels in a header of our own.
"""

from __future__ import annotations

import asyncio
import logging
import os
import re
import resource
import socket
import struct
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any

from aiohttp import web
from aiohttp.web_protocol import RequestHandler

from sampan.api import failures
from sampan.api.at_once import AtOnce, nothing
from sampan.api.bodies import BODY_HEADER, SocketBody, marked
from sampan.api.call import reply
from sampan.api.door import Door
from sampan.api.unread import wait_until_read
from sampan.errors import SystemFailure

MAX_HEAD_BYTES = 256 * 1024
MAX_FIELD_BYTES = 192 * 1024  # X-Registry-Config carries the credentials of many registries
MAX_CONNECTIONS = 4096
_FEW = 16  # so few are never too many
HEAD_TIMEOUT_S = 300.0  # moby's ReadHeaderTimeout: from the first byte, or from the last answer on
HEAD_PATIENCE_S = 1.0  # with a client that does not read the head of its answer
_CREDENTIALS = struct.Struct("3i")  # struct ucred, unix(7)
_BUSY = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
UPGRADE_HEADER = "X-Sampan-Upgrade"
_UPGRADE = re.compile(rb"\r\n(?i:upgrade)[ \t]*:[ \t]*(tcp|h2c)[ \t]*(?=\r\n)", re.IGNORECASE)
_EMPTY_LINE = re.compile(rb"\r?\n\r?\n")
_OWN = re.compile(rb"\r\n(?i:x-sampan-(?:upgrade|body))[ \t]*:[^\r\n]*", re.IGNORECASE)

log = logging.getLogger("sampan.api")

Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


class Connection(RequestHandler):
    """aiohttp's connection, with upgrades other than websockets."""

    __slots__ = ("_head", "_last_body", "body_taken", "kind", "taken")

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._head = b""
        self._last_body: Any = None
        self.kind = ""  # "tcp" or "tls" when it may come from elsewhere
        self.taken = False  # off HTTP
        self.body_taken = False  # what comes is for a thread; what goes is the loop's

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Turn away who comes when there are too many; who comes through a door has been admitted there."""
        super().connection_made(transport)
        manager = self._manager
        if self.kind and isinstance(manager, Server) and self.transport is not None:
            manager.admit(self.transport)

    @property
    def ssl_context(self) -> None:
        """None: TLS ends before us (`tcp`)."""

    @property
    def peername(self) -> None:
        """None: nobody asks for it, and each request would look it up (`peer` tells it)."""

    @property
    def sockname(self) -> None:
        """None, as `peername`."""

    def _resume_transport_reading(self) -> None:
        """Not when the connection has left HTTP: what comes is its taker's."""
        if not self.taken and not self.body_taken:
            super()._resume_transport_reading()

    def data_received(self, data: bytes) -> None:
        """Answer what can be answered at once; else mark upgrade requests, then parse."""
        if self._head or self._at_a_boundary():
            if not self._head and self._answer(data):
                return
            data = self._head + data
            self._head = b""
            end = data.find(b"\r\n\r\n")
            if end < 0 or b"\n\n" in data[:end] or b"\n\r\n" in data[: end + 2]:
                data, end = _with_line_ends(data)
            if end < 0 and len(data) < MAX_HEAD_BYTES:
                self._head = data
                return
            data = _marked(data, end, may_take=self.kind != "tls")
        super().data_received(data)
        if self._messages:
            self._last_body = self._messages[-1][1]

    def _at_a_boundary(self) -> bool:
        """Whether the next byte begins a request."""
        idle = self._current_request is None and not self._messages and not self._upgraded
        return idle and (self._last_body is None or self._last_body.is_eof())

    def _answer(self, data: bytes) -> bool:
        """Whether it was a small question, and the last answer had been read."""
        idle = self._waiter is not None and not self._waiter.done() and not self._paused
        manager, transport = self._manager, self.transport
        if self.kind or not idle or self._close or self._force_close:
            return False
        if transport is None or transport.is_closing() or not isinstance(manager, Server):
            return False
        said = manager.at_once(data)
        if said is None:
            return False
        transport.write(said.content)
        self._next_keepalive_close_time = self._loop.time() + HEAD_TIMEOUT_S
        if not said.keep_alive:
            transport.close()
        return True

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """What aiohttp itself refuses, above all what is no HTTP, told as all errors are told."""
        del request
        if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            response = failures.answer(exc or SystemFailure(message or HTTPStatus(status).phrase))
        else:
            log.debug("refusing what is no request: %s", exc)
            text = (message or HTTPStatus(status).phrase).strip().partition("\n")[0]
            response = reply({"message": failures.printable(text)}, status)
        response.force_close()
        return response

    def take_early(self) -> bytes:
        """What came behind an upgrade request."""
        early, self._message_tail = self._message_tail, b""
        return bytes(early)


def most_connections() -> int:
    """How many clients there may be at a time: so many that as many descriptors are left for containers."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return MAX_CONNECTIONS if soft == resource.RLIM_INFINITY else min(MAX_CONNECTIONS, soft // 2)


def peer(connection: socket.socket) -> str:
    """Who is at the other end: pid, uid and gid on a unix socket (SO_PEERCRED), else the address."""
    if connection.family != socket.AF_UNIX:
        return str(connection.getpeername()[0])
    content = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    pid, uid, gid = _CREDENTIALS.unpack(content)
    return f"pid {pid}, uid {uid}, gid {gid}"


def _with_line_ends(data: bytes) -> tuple[bytes, int]:
    r"""A head with HTTP's line ends, and where it ends, -1 when it does not yet.

    A line feed alone will do (RFC 9112, 2.2): `echo -e "GET /info HTTP/1.0\r\n"` ends so.
    """
    found = _EMPTY_LINE.search(data)
    if found is None:
        return data, -1
    head = data[: found.start()].replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
    return head + b"\r\n\r\n" + data[found.end() :], len(head)


def _marked(data: bytes, end: int, *, may_take: bool) -> bytes:
    head, rest = data[: end + 2], data[end + 2 :]
    if b"upgrade" not in head.lower() and b"x-sampan-" not in head.lower():
        return (marked(head) if may_take else head) + rest
    head = _OWN.sub(b"", head)
    asked = _UPGRADE.search(head)
    if asked is None:
        return (marked(head) if may_take else head) + rest
    mark = b"\r\nUpgrade: websocket\r\n" + UPGRADE_HEADER.encode() + b": " + asked.group(1)
    return head[: asked.start()] + mark + head[asked.end() :] + rest


class Server(web.Server):
    """Makes a Door for each client of a unix socket, a Connection for every other (`door.House`)."""

    def __init__(self, handler: Handler, at_once: AtOnce, **options: Any) -> None:
        super().__init__(handler, **options)
        self.at_once = at_once
        self.doors: set[Door] = set()

    def __call__(self) -> Door:  # type: ignore[override]
        """A new connection (asyncio's protocol factory)."""
        return Door(self, self._loop, HEAD_TIMEOUT_S)

    def inside(self) -> RequestHandler:
        """What stands behind a door."""
        return self.remote("")

    def remote(self, kind: str) -> RequestHandler:
        """A new connection over "tcp" or "tls"."""
        made = Connection(self, loop=self._loop, **self._kwargs, tcp_keepalive=kind == "tcp")
        made.kind = kind
        return made

    def admit(self, transport: asyncio.Transport) -> bool:
        """Log who it is; when there are too many it is told so, and its connection closed."""
        if log.isEnabledFor(logging.DEBUG):
            own = transport.get_extra_info("socket")
            log.debug("a connection from %s", peer(own) if own else "nowhere")
        count = len(self.doors) + len(self._connections)
        if count <= _FEW or count <= most_connections():
            return True
        log.warning("more than %d connections at a time: one is turned away", most_connections())
        transport.write(_BUSY)
        transport.close()
        return False

    async def shutdown(self, timeout: float | None = None) -> None:  # noqa: ASYNC109 -- its name is aiohttp's
        """Close all of them."""
        for door in list(self.doors):
            door.close()
        await super().shutdown(timeout)


def make_server(handler: Handler, at_once: AtOnce = nothing) -> Server:
    """An aiohttp server whose every request goes to `handler`, but those that `at_once` answers."""
    return Server(
        handler,
        at_once,
        access_log=None,
        handler_cancellation=True,
        max_field_size=MAX_FIELD_BYTES,
        max_line_size=MAX_FIELD_BYTES,
        max_headers=256,
        keepalive_timeout=HEAD_TIMEOUT_S,
        lingering_time=1.0,
        auto_decompress=False,
    )


class Hijacked(web.StreamResponse):
    """The response of a request whose connection left HTTP: nothing more is written, the transport is closed."""

    async def prepare(self, request: web.BaseRequest) -> None:
        """Write nothing."""
        self._req = request
        self._eof_sent = True
        self.force_close()

    async def write_eof(self, data: bytes = b"") -> None:
        """Write nothing."""


def has_begun(request: web.BaseRequest) -> bool:
    """Whether the client has been sent the head of an answer already, so that it can be given no other."""
    protocol = request.protocol
    return request.writer.output_size > 0 or (isinstance(protocol, Connection) and protocol.taken)


def asked_upgrade(request: web.BaseRequest) -> str:
    """What the client wants the connection to become: "tcp", "h2c" or ""."""
    return request.headers.get(UPGRADE_HEADER, "").lower()


async def hijack(request: web.BaseRequest, head: bytes) -> tuple[socket.socket, bytes]:
    """Answer with `head` and take the connection: its socket (non-blocking, the caller's), and the early bytes.

    Return a `Hijacked` from the handler afterwards. Raises ConnectionResetError when the client has left.
    """
    transport, protocol = request.transport, request.protocol
    if transport is None or transport.is_closing():
        raise ConnectionResetError("the client has left")
    if isinstance(protocol, Connection):
        protocol.taken = True
    transport.pause_reading()
    transport.set_write_buffer_limits(0)  # so that `drain` waits until the kernel has all of it
    transport.write(head)
    await request.writer.drain()
    taken = socket.socket(fileno=os.dup(transport.get_extra_info("socket").fileno()))
    try:
        taken.setblocking(False)  # noqa: FBT003 -- the method has no keyword
        # docker-py reads the head with a buffer that it throws away, and with it what arrives in one piece with it
        await wait_until_read(taken, HEAD_PATIENCE_S)
    except BaseException:
        taken.close()
        raise
    return taken, protocol.take_early() if isinstance(protocol, Connection) else b""


async def take_body(request: web.BaseRequest) -> SocketBody | None:
    """The body of a request, for a thread to read; None when it comes through aiohttp.

    After the answer the connection is closed: `is_last`. Raises ConnectionResetError when the client has left.
    """
    framing, transport, protocol = request.headers.get(BODY_HEADER), request.transport, request.protocol
    if framing is None or not isinstance(protocol, Connection):
        return None
    if transport is None or transport.is_closing():
        raise ConnectionResetError("the client has left")
    protocol.body_taken = True
    protocol._pause_transport_reading()  # noqa: SLF001 -- ours; it may be paused already
    taken = socket.socket(fileno=os.dup(transport.get_extra_info("socket").fileno()))
    return SocketBody(taken, protocol.take_early(), framing)


def is_last(request: web.BaseRequest) -> bool:
    """Whether no other request can follow on this connection, so that the answer has to say so."""
    return BODY_HEADER in request.headers


def upgrade_head(request: web.BaseRequest, content_type: str, headers: dict[str, str] | None = None) -> bytes:
    """The head of the answer that precedes a hijacked stream: 101 when an upgrade was asked for, else 200 (moby)."""
    lines = [f"Content-Type: {content_type}", *(f"{name}: {value}" for name, value in (headers or {}).items())]
    upgrade = asked_upgrade(request)
    if upgrade:
        first = "HTTP/1.1 101 UPGRADED"
        lines += ["Connection: Upgrade", f"Upgrade: {upgrade}"]
    else:
        first = "HTTP/1.1 200 OK"
    return "\r\n".join([first, *lines, "", ""]).encode()
