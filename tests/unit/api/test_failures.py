"""Handlers that raise what nobody foresaw: what the client is told, and what the daemon's log has."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import http.client
import json
import logging
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Self, cast

import pytest
from aiohttp import web
from tests.engine_process import UnixConnection

from sampan.api import diets, images, routes
from sampan.api.builds import build
from sampan.api.call import Call
from sampan.api.dispatch import make_handler
from sampan.api.server import hijack, make_server, upgrade_head
from sampan.api.services import Services
from sampan.api.transfers import pull
from sampan.build.progress import Event, Note
from sampan.engine.archives import Loaded
from sampan.engine.transfers import PullBegins, PullStep
from sampan.errors import Conflict
from sampan.oci.reference import parse_reference

Raise = Callable[[Call], Awaitable[web.StreamResponse]]


def failing_with(error: BaseException) -> Raise:
    """A handler that raises this."""

    async def fail(call: Call) -> web.StreamResponse:
        del call
        raise error

    return fail


class Served:
    """The API with one handler, a test's own, behind every path, in a thread of its own."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever)

    def request(self, path: str = "/_ping") -> tuple[int, dict[str, str], bytes]:
        connection = UnixConnection(self.path)
        try:
            connection.request("GET", path)
            response = connection.getresponse()
            return response.status, dict(response.getheaders()), response.read()
        finally:
            connection.close()

    def send(self, content: bytes) -> bytes:
        connection = UnixConnection(self.path)
        connection.connect()
        with connection.sock as plain:
            plain.sendall(content)
            received = b""
            while piece := plain.recv(65536):
                received += piece
            return received

    def __enter__(self) -> Self:
        self.thread.start()
        asyncio.run_coroutine_threadsafe(self._open(), self.loop).result(30)
        return self

    async def _open(self) -> None:
        self.server = make_server(make_handler(cast("Services", None)))
        self.listening = await self.loop.create_unix_server(self.server, self.path)

    async def _close(self) -> None:
        self.listening.close()
        await self.server.shutdown(1.0)
        await self.listening.wait_closed()

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._close(), self.loop).result(30)
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(30)
        self.loop.close()


@pytest.fixture
def serve(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    def with_handler(handler: Raise) -> Served:
        async def handle(call: Call, services: Services) -> web.StreamResponse:
            del services
            return await handler(call)

        monkeypatch.setattr(routes, "find", lambda _method, _path: (handle, {}))
        return Served(tmp_path / "s")

    return with_handler


@pytest.mark.parametrize(
    "error",
    [
        KeyError("nothing of that name"),
        BrokenPipeError("a monitor that left"),
        ConnectionResetError("a monitor that died"),
        TimeoutError(),
        asyncio.CancelledError(),
        ZeroDivisionError("one by none"),
        OSError(5, "Input/output error", "/a/\udcff/path"),
        web.HTTPBadRequest(),
    ],
)
def test_whatever_a_handler_raises_is_told_in_dockers_shape_and_logged_whole(
    serve: Any, caplog: pytest.LogCaptureFixture, error: BaseException
) -> None:
    with caplog.at_level(logging.ERROR), serve(failing_with(error)) as served:
        status, headers, body = served.request()
    document = json.loads(body)
    assert (status, headers["Content-Type"]) == (500, "application/json"), body
    assert headers["Api-Version"]
    assert document["message"].startswith(f"internal error: {type(error).__name__}")
    assert "log" in document["remedy"]
    record = next(record for record in caplog.records if record.exc_info)
    assert record.exc_info
    assert record.exc_info[1] is error
    assert record.exc_info[2] is not None


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "cannot write to the disk: No space left on device"),
        (OSError(errno.EDQUOT, "Disk quota exceeded", "/a/file"), "cannot write /a/file: Disk quota exceeded"),
    ],
)
def test_a_full_disk_is_no_fault_of_ours_and_has_a_remedy(
    serve: Any, caplog: pytest.LogCaptureFixture, error: OSError, said: str
) -> None:
    with caplog.at_level(logging.ERROR), serve(failing_with(error)) as served:
        status, _, body = served.request()
    document = json.loads(body)
    assert (status, document["message"]) == (500, said)
    assert "make room" in document["remedy"]
    assert caplog.records == []


@pytest.mark.parametrize("query", ["", "?q=1"])
@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.EMFILE, "Too many open files", "/a/\udcff/path"),
        ConnectionResetError("a monitor that died"),
        ZeroDivisionError("one by none"),
    ],
)
def test_a_build_that_fails_in_a_way_that_nobody_foresaw_says_so_in_its_last_line(
    serve: Any, caplog: pytest.LogCaptureFixture, error: Exception, query: str
) -> None:
    async def steps(*_: object) -> AsyncIterator[tuple[Event, ...]]:
        yield (Note("begun"),)
        raise error

    services = cast("Services", SimpleNamespace(builds=SimpleNamespace(build=steps)))
    with caplog.at_level(logging.ERROR), serve(lambda call: build(call, services)) as served:
        status, _, body = served.request(f"/build{query}")
    first, last = (json.loads(line) for line in body.splitlines())
    assert (status, first) == (200, {"stream": "begun\n"})
    assert last["error"].startswith(f"internal error: {type(error).__name__}")
    assert last["errorDetail"]["message"] == last["error"]
    assert "log" in last["errorDetail"]["remedy"]
    assert any(record.exc_info and record.exc_info[1] is error for record in caplog.records)


@asynccontextmanager
async def nothing_downloaded(_: str) -> AsyncIterator[None]:
    yield


@pytest.mark.parametrize("error", [ZeroDivisionError("one by none"), ConnectionResetError("a monitor that died")])
@pytest.mark.parametrize("handler", [images.load, images.create, diets.bootstrap])
def test_a_load_or_an_import_that_fails_in_a_way_that_nobody_foresaw_says_so_in_its_last_line(
    serve: Any, monkeypatch: pytest.MonkeyPatch, handler: Any, error: Exception
) -> None:
    async def make(*_: object) -> None:
        raise error

    async def load(*_: object) -> AsyncIterator[Loaded]:
        yield Loaded("sha256:1", "begun:1")
        raise error

    async def bootstrap(*_: object) -> AsyncIterator[str]:
        yield "begun:1"
        raise error

    monkeypatch.setattr(images, "download", nothing_downloaded)
    monkeypatch.setattr(diets, "bootstrap_image", bootstrap)
    imports, archives = SimpleNamespace(make=make), SimpleNamespace(load=load)
    services = cast("Services", SimpleNamespace(archives=archives, imports=imports, images=None, events=None))
    with serve(lambda call: handler(call, services)) as served:
        status, _, body = served.request("/images?fromSrc=begun:1&from=debian:trixie")
    first, last = body.splitlines()
    assert (status, b"begun:1" in first) == (200, True)
    assert json.loads(last)["error"].startswith(f"internal error: {type(error).__name__}")


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (ZeroDivisionError("one by none"), "internal error: ZeroDivisionError: one by none"),
        (ConnectionResetError("a registry that died"), "internal error: ConnectionResetError: a registry that died"),
        (OSError(errno.ENOSPC, "No space left on device", "/f"), "cannot write /f: No space left on device"),
        (Conflict("/a/\udcff is in the way", remedy="remove it"), "/a/\\udcff is in the way"),
    ],
)
def test_a_pull_that_fails_in_any_way_says_so_in_its_last_line(serve: Any, error: Exception, said: str) -> None:
    async def steps(*_: object) -> AsyncIterator[PullStep]:
        yield PullBegins(parse_reference("app:latest"))
        raise error

    services = cast("Services", SimpleNamespace(transfers=SimpleNamespace(pull=steps)))
    with serve(lambda call: pull(call, services)) as served:
        status, _, body = served.request("/images/create?fromImage=app")
    first, last = (json.loads(line) for line in body.splitlines())
    assert (status, first["id"]) == (200, "latest")
    assert last["error"] == last["errorDetail"]["message"] == said
    assert last["errorDetail"]["remedy"]


def test_an_error_that_names_a_path_of_any_bytes_is_told(serve: Any) -> None:
    async def fail(call: Call) -> web.StreamResponse:
        del call
        raise Conflict("there is /a/\udcff already", remedy="remove /a/\udcff")

    with serve(fail) as served:
        status, _, body = served.request()
    assert (status, json.loads(body)["message"]) == (409, "there is /a/\\udcff already")


def test_an_answer_that_has_begun_is_broken_off_and_no_second_one_follows(
    serve: Any, caplog: pytest.LogCaptureFixture
) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        yield b"one\n"
        raise ZeroDivisionError("in the middle")

    async def fail(call: Call) -> web.StreamResponse:
        return await call.stream(pieces())

    broken = pytest.raises((http.client.IncompleteRead, ConnectionResetError))
    with caplog.at_level(logging.ERROR), serve(fail) as served, broken:
        served.request()
    assert any("in the middle" in str(record.exc_info) for record in caplog.records)


def test_a_connection_that_has_left_http_gets_no_answer_of_http(serve: Any) -> None:
    async def fail(call: Call) -> web.StreamResponse:
        client, _ = await hijack(call.request, upgrade_head(call.request, "application/octet-stream"))
        with client:
            client.send(b"bytes")
        raise ZeroDivisionError("behind the upgrade")

    with serve(fail) as served:
        received = b""
        with contextlib.suppress(ConnectionResetError):
            received = served.send(b"POST /x HTTP/1.1\r\nHost: x\r\nUpgrade: tcp\r\nConnection: Upgrade\r\n\r\n")
    assert b"internal error" not in received
    assert received.count(b"HTTP/1.1") <= 1


def test_what_is_no_http_is_refused_in_dockers_shape(serve: Any) -> None:
    async def fail(call: Call) -> web.StreamResponse:
        raise AssertionError(call)

    with serve(fail) as served:
        head, body = served.send(b"G@T / HTTQ/1.1\r\n\r\n").split(b"\r\n\r\n", 1)
    assert head.split()[1] == b"400"
    assert json.loads(body)["message"]
