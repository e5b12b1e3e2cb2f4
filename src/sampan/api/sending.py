"""Archives that go out: packed and sent by one thread, past the event loop, which sleeps meanwhile.

Handing every piece to the loop costs two threads' turns at the interpreter's lock, which the client's own unpacking
pays for on a small machine; and what is still in its file goes from the page cache to the socket. Connections over TLS
go the usual way.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import select
import socket
from collections.abc import Iterator

from aiohttp import web

from sampan.api.pieces import in_pieces
from sampan.engine.feed import at_a_client_s_pace
from sampan.engine.threads import to_its_end
from sampan.image.feed import from_thread
from sampan.image.file_part import FilePart, read_parts

log = logging.getLogger("sampan.api")

_SO_SNDBUFFORCE = 32  # which the module socket leaves out
_ROOM = 1 << 20  # of the socket, so that the client finds something whenever it looks


async def send_parts(
    request: web.BaseRequest, parts: Iterator[bytes | FilePart], headers: dict[str, str]
) -> web.StreamResponse:
    """Send an archive as it is made; the first part is waited for, so that an early failure is an answer.

    Breaks off without the last chunk when it fails later, there being no other way to say so.
    """
    response = in_pieces(request, headers)
    try:
        # a part of a file is good until the next is asked for, and so is what comes with it
        first = await to_its_end(next, parts, b"")
        connection = await _begin(request, response)
        if connection is None:
            async for piece in from_thread(read_parts(_all(first, parts))):
                await response.write(piece)
        else:
            await _by_thread(connection, _all(first, parts))
    except Exception as error:
        if not response.prepared or isinstance(error, ConnectionError):
            raise
        log.exception("a stream broke off: %s", request.path)
        if request.transport is not None:
            request.transport.abort()
        raise ConnectionAbortedError from error
    finally:
        parts.close()  # type: ignore[attr-defined]
    await response.write_eof()
    return response


def _all(first: bytes | FilePart, rest: Iterator[bytes | FilePart]) -> Iterator[bytes | FilePart]:
    yield first
    yield from rest


async def _begin(request: web.BaseRequest, response: web.StreamResponse) -> socket.socket | None:
    """Send the head; the socket, once the kernel has all of it, or None where only the loop can send."""
    transport = request.transport
    if transport is None or transport.get_extra_info("sslcontext") is not None or not response.chunked:
        await response.prepare(request)
        return None
    transport.set_write_buffer_limits(0)  # so that `drain` waits until the kernel has all of it
    try:
        await response.prepare(request)
        await request.writer.drain()
    finally:
        transport.set_write_buffer_limits()
    if transport.is_closing():
        raise ConnectionResetError("the client has left")
    return socket.socket(fileno=os.dup(transport.get_extra_info("socket").fileno()))


async def _by_thread(connection: socket.socket, parts: Iterator[bytes | FilePart]) -> None:
    working = at_a_client_s_pace(send_chunks, connection, parts)
    try:
        await asyncio.shield(working)
    except asyncio.CancelledError:
        with contextlib.suppress(OSError):  # it has gone already
            connection.shutdown(socket.SHUT_RDWR)
        await asyncio.wait([working])
        if not working.cancelled():
            working.exception()
        raise
    finally:
        connection.close()


def send_chunks(connection: socket.socket, parts: Iterator[bytes | FilePart]) -> None:
    """Send the parts, in a thread, as chunks of HTTP's chunked coding, all but the last, empty one. Raises OSError."""
    with contextlib.suppress(OSError):  # without CAP_NET_ADMIN it has the usual room
        connection.setsockopt(socket.SOL_SOCKET, _SO_SNDBUFFORCE, _ROOM)
    room = select.poll()
    room.register(connection, select.POLLOUT)
    for part in parts:
        if isinstance(part, FilePart):
            _send_all(connection, room, b"%x\r\n" % len(part))
            _send_file(connection, room, part)
            _send_all(connection, room, b"\r\n")
        elif part:
            _send_all(connection, room, b"%x\r\n" % len(part), part, b"\r\n")


def _send_all(connection: socket.socket, room: select.poll, *buffers: bytes) -> None:
    left = [memoryview(buffer) for buffer in buffers]
    while left:
        try:
            sent = connection.sendmsg(left)
        except BlockingIOError:
            room.poll()
            continue
        while left and sent >= len(left[0]):
            sent -= len(left.pop(0))
        if left:
            left[0] = left[0][sent:]


def _send_file(connection: socket.socket, room: select.poll, part: FilePart) -> None:
    at = 0
    while at < len(part):
        try:
            at += part.send(connection.fileno(), at)
        except BlockingIOError:
            room.poll()
