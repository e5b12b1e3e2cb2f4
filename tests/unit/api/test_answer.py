"""Whole answers on the wire, beside what aiohttp's own response says."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from aiohttp import web

from sampan.api import server
from sampan.api.answer import Answer
from sampan.api.headers import HEADERS


async def _ask(path: Path, request: bytes, answer: web.StreamResponse) -> bytes:
    """All that is sent until the connection is closed."""

    async def give(_request: web.BaseRequest) -> web.StreamResponse:
        return answer

    loop = asyncio.get_running_loop()
    async with await loop.create_unix_server(server.make_server(give), str(path)):
        reader, writer = await asyncio.open_unix_connection(str(path))
        writer.write(request)
        said = await asyncio.wait_for(reader.read(), 30)
        writer.close()
        await writer.wait_closed()
    return said


def _parts(said: bytes) -> tuple[bytes, set[bytes], bytes]:
    """First line, headers without the date, body."""
    head, _, body = said.partition(b"\r\n\r\n")
    first, *lines = head.split(b"\r\n")
    return first, {line for line in lines if not line.startswith(b"Date: ")}, body


@pytest.mark.parametrize("status", [200, 201, 204, 304, 404, 500])
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST"])
@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_it_says_what_aiohttps_own_response_would(tmp_path: Path, method: str, version: str, status: int) -> None:
    request = f"{method} / HTTP/{version}\r\nHost: x\r\nConnection: close\r\n\r\n".encode()
    body = b"" if status in {204, 304} else b'{"a": 1}\n'
    kind = "application/json" if body else ""
    ours = asyncio.run(_ask(tmp_path / "1", request, Answer(body, status, kind)))
    headers = {**HEADERS, "Content-Type": kind} if kind else HEADERS
    theirs = asyncio.run(_ask(tmp_path / "2", request, web.Response(body=body or None, status=status, headers=headers)))
    assert _parts(ours) == _parts(theirs)
    assert b"\r\nDate: " in ours


def test_a_connection_goes_on_behind_it(tmp_path: Path) -> None:
    async def talk() -> bytes:
        async def give(_request: web.BaseRequest) -> web.StreamResponse:
            return Answer(b"x", content_type="text/plain", headers={"X-More": "1"})

        loop = asyncio.get_running_loop()
        async with await loop.create_unix_server(server.make_server(give), str(tmp_path / "s")):
            reader, writer = await asyncio.open_unix_connection(str(tmp_path / "s"))
            writer.write(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n" * 2 + b"GET / HTTP/1.0\r\n\r\n")
            said = await asyncio.wait_for(reader.read(), 30)
            writer.close()
            await writer.wait_closed()
        return said

    said = asyncio.run(talk())
    assert said.count(b"HTTP/1.0 200 OK\r\n") == 3
    assert said.count(b"\r\nX-More: 1\r\n") == 3
    assert said.count(b"Connection: keep-alive\r\n") == 2
