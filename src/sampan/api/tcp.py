"""Listening on tcp: TLS ends here, and what a browser's page could send to a port of this machine is refused.

A monitor is handed a client's bare socket, and behind TLS there is none: so a TLS client is relayed to a socket pair,
whose other end is served as any connection is. Where else to listen is `listeners`' matter.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import os
import socket
import ssl
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlsplit

from aiohttp import web

from sampan.api.server import Connection, Server
from sampan.api.tls_stream import TlsStream
from sampan.errors import Forbidden, InvalidArgument, SystemFailure, reason_of

TLS_PORT, PLAIN_PORT = 2376, 2375  # docker's own
_PIECE = 65536


@dataclass(frozen=True, slots=True)
class TcpAddress:
    """Where to listen and with what: `certificate` is "" for plain tcp, `authority` what clients are judged by."""

    host: str
    port: int
    certificate: str = ""
    key: str = ""
    authority: str = ""

    @property
    def shown(self) -> str:
        """As the user wrote it."""
        return f"tcp://{self.host}:{self.port}"


def parse_tcp(address: str) -> TcpAddress:
    """From tcp://HOST:PORT?tlscert=FILE&tlskey=FILE[&tlscacert=FILE], or ?plain=1.

    Raises InvalidArgument, or Forbidden when it says neither.
    """
    try:
        parts = urlsplit(address)
        host, port = parts.hostname or "", parts.port
    except ValueError as error:
        raise InvalidArgument(f"invalid host {address!r}", remedy="as in tcp://127.0.0.1:2376") from error
    said = dict(parse_qsl(parts.query))
    if "tlscert" in said:
        found = TcpAddress(host, port or TLS_PORT, said["tlscert"], said["tlskey"], said.get("tlscacert", ""))
    else:
        found = TcpAddress(host, port or PLAIN_PORT)
    if not found.certificate and "plain" not in said:
        raise Forbidden(
            f"refusing to listen on {found.shown} without TLS: whoever reaches it is root on this machine",
            remedy="give --tlsverify with --tlscacert, --tlscert and --tlskey; --allow-plain-tcp does without",
        )
    return found


def tls_context(address: TcpAddress) -> ssl.SSLContext | None:
    """The TLS of an address, None for a plain one. Raises SystemFailure for files that are none."""
    if not address.certificate:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        context.load_cert_chain(address.certificate, address.key)
        if address.authority:
            context.load_verify_locations(address.authority)
            context.verify_mode = ssl.CERT_REQUIRED
            context.verify_flags &= ~ssl.VERIFY_X509_STRICT  # docker's certificates lack what it asks for
    except (OSError, ssl.SSLError) as error:
        files = ", ".join(filter(None, (address.certificate, address.key, address.authority)))
        raise SystemFailure(
            f"cannot use the TLS files {files}: {reason_of(error)}", remedy="give PEM files that match"
        ) from error
    return context


async def serve_tcp(address: TcpAddress, server: Server) -> asyncio.Server:
    """Listen. Raises SystemFailure when it cannot."""
    context, loop = tls_context(address), asyncio.get_running_loop()
    try:
        if context is None:
            return await loop.create_server(lambda: server.remote("tcp"), address.host, address.port, backlog=1024)

        async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            stream = TlsStream(reader, writer, context)
            try:
                with contextlib.suppress(OSError):
                    await stream.handshake()
                    await _relay(stream, server)
            finally:
                await stream.close()

        return await asyncio.start_server(relay, address.host, address.port, backlog=1024)
    except OSError as error:
        text = os.strerror(error.errno) if error.errno else str(error)
        raise SystemFailure(f"cannot listen on {address.shown}: {text}", remedy="give another -H") from error


async def _relay(stream: TlsStream, server: Server) -> None:
    ours, theirs = socket.socketpair()
    ours.setblocking(False)  # noqa: FBT003 -- the method has no keyword
    theirs.setblocking(False)  # noqa: FBT003
    await asyncio.get_running_loop().connect_accepted_socket(lambda: server.remote("tls"), theirs)
    reader, writer = await asyncio.open_connection(sock=ours)
    inwards = asyncio.ensure_future(_inwards(stream, writer))
    try:
        while piece := await reader.read(_PIECE):
            await stream.write(piece)
    finally:
        inwards.cancel()
        await asyncio.wait([inwards])
        writer.close()


async def _inwards(stream: TlsStream, writer: asyncio.StreamWriter) -> None:
    """What the client sends, and its end however it comes; what it is sent goes on then."""
    with contextlib.suppress(OSError):
        while piece := await stream.read():
            writer.write(piece)
            await writer.drain()
    with contextlib.suppress(OSError):
        writer.write_eof()


def check_remote(request: web.BaseRequest) -> None:
    """Refuse what a page in a browser sends over tcp: a foreign Origin, or without TLS a Host that is a name.

    A name that an attacker's server gave this machine's address (DNS rebinding) makes his page one of our origin; TLS
    sees to it that the name is ours. No browser leaves the Host empty, which Docker's clients do where they leave HTTP
    (buildx). Raises Forbidden.
    """
    protocol = request.protocol
    kind = protocol.kind if isinstance(protocol, Connection) else ""
    if not kind:
        return
    host = request.headers.get("Host", "")
    origin = request.headers.get("Origin", "")
    if origin and urlsplit(origin).netloc != host:
        raise Forbidden(f"refusing a request of the page {origin}", remedy="talk to the API from a program")
    if kind == "tcp" and host and not _is_own(host):
        raise Forbidden(f"refusing a request for the host {host!r}", remedy="use the machine's address or its name")


def _is_own(host: str) -> bool:
    try:
        name = urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return False
    if name in {"localhost", socket.gethostname().lower(), socket.getfqdn().lower()}:
        return True
    with contextlib.suppress(ValueError):
        ipaddress.ip_address(name)
        return True
    return False
