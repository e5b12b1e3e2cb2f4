"""Streams of JSON whose clients take each piece of HTTP's chunked coding for one message, as Docker sends them.

docker-py's `build`, undecoded, hands out the pieces as they come, and its documentation parses each as one document.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from aiohttp import web


def line(value: Any) -> bytes:
    """JSON as Docker's progress has it: compact, at its end what Docker has there."""
    return msgspec.json.encode(value) + b"\r\n"


async def send_each(request: web.BaseRequest, response: web.StreamResponse, lines: Sequence[bytes]) -> None:
    """Send lines, a chunk for each, all that come together in one write; the head before the first.

    Raises ConnectionError when the client has left.
    """
    if not lines:
        return
    if not response.prepared:
        await response.prepare(request)
    await response.write(lines[0])  # and the head, which waits for it
    if len(lines) == 1:
        return
    transport = request.transport
    if transport is None or transport.is_closing():
        raise ConnectionResetError("the client has left")
    rest = lines[1:] if not response.chunked else [b"%x\r\n%b\r\n" % (len(one), one) for one in lines[1:]]
    transport.write(b"".join(rest))
    await request.writer.drain()
