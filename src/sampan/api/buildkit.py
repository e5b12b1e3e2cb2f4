"""The ways into BuildKit's protocol: POST /grpc, where a client calls the daemon, and POST /session, where it serves.

gRPC comes with libraries of its own (the extra `buildkit`), which are loaded with the first of these calls.
"""

from __future__ import annotations

import socket

from aiohttp import web

from sampan.api.call import Call
from sampan.api.headers import HEADERS
from sampan.api.server import Hijacked, asked_upgrade, hijack
from sampan.api.services import Services
from sampan.buildkit.door import is_there
from sampan.buildkit.offer import Offer
from sampan.errors import InvalidArgument, NotImplementedHere

_UPGRADE = "h2c"
_ID = "X-Docker-Expose-Session-Uuid"
_METHOD = "X-Docker-Expose-Session-Grpc-Method"
_SHARED_KEY = "X-Docker-Expose-Session-Sharedkey"


async def grpc(call: Call, services: Services) -> web.StreamResponse:
    """POST /grpc."""
    sock, early = await _taken(call)
    services.buildkit.serve(sock, early)
    return Hijacked()


async def session(call: Call, services: Services) -> web.StreamResponse:
    """POST /session."""
    headers = call.request.headers
    if not headers.get(_ID):
        raise InvalidArgument(f"the header {_ID} is missing", remedy="say which session this is")
    methods = frozenset(map(str.lower, headers.getall(_METHOD, [])))
    sock, early = await _taken(call)
    services.buildkit.hold(sock, early, Offer(headers[_ID], methods, headers.get(_SHARED_KEY, "")))
    return Hijacked()


async def _taken(call: Call) -> tuple[socket.socket, bytes]:
    """The connection, off HTTP/1. Raises InvalidArgument for who did not ask for that."""
    if not is_there():
        raise NotImplementedHere(
            "BuildKit's protocol needs libraries that are not installed",
            remedy="install sampan[buildkit], or set DOCKER_BUILDKIT=0",
        )
    if asked_upgrade(call.request) != _UPGRADE:
        raise InvalidArgument("the connection is to become h2c", remedy="send Connection: Upgrade and Upgrade: h2c")
    lines = ["HTTP/1.1 101 UPGRADED", "Connection: Upgrade", f"Upgrade: {_UPGRADE}"]
    lines += [f"{name}: {value}" for name, value in HEADERS.items()]
    return await hijack(call.request, "\r\n".join([*lines, "", ""]).encode())
