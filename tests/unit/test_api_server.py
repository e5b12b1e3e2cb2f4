"""The HTTP server by itself: what a connection may do before it has asked for anything."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path

import pytest
from aiohttp import web

from sampan.api import server


async def _greet(_request: web.BaseRequest) -> web.StreamResponse:
    return web.Response(text="hello")


async def _talk(path: Path, *pieces: bytes) -> bytes:
    """What a server says to a client that sends these pieces and then waits."""
    loop = asyncio.get_running_loop()
    listener = await loop.create_unix_server(server.make_server(_greet), str(path))
    client = socket.socket(socket.AF_UNIX)
    client.setblocking(False)  # noqa: FBT003 -- the method has no keyword
    async with listener:
        with client:
            await loop.sock_connect(client, str(path))
            for piece in pieces:
                await loop.sock_sendall(client, piece)
            return await asyncio.wait_for(loop.sock_recv(client, 65536), 30)


@pytest.mark.parametrize("pieces", [(), (b"GET /_ping HT",)])
def test_who_sends_no_head_is_sent_away(
    pieces: tuple[bytes, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "HEAD_TIMEOUT_S", 0.05)
    assert asyncio.run(_talk(tmp_path / "socket", *pieces)) == b""


def test_who_sends_one_in_pieces_is_answered(tmp_path: Path) -> None:
    said = asyncio.run(_talk(tmp_path / "socket", b"GET / HTTP/1.1\r\n", b"Host: x\r\n", b"\r\n"))
    assert said.startswith(b"HTTP/1.1 200 OK\r\n")
