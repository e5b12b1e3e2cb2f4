"""The daemon's end in order, whatever its clients are in the middle of."""

from __future__ import annotations

import contextlib
import socket
import tarfile
import threading
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import pytest
from tests.engine_process import EngineProcess
from tests.raw_http import connect, receive_head, request
from tests.waiting import until


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[EngineProcess]:
    with EngineProcess(tmp_path) as running:
        yield running


def half_a_tar() -> bytes:
    target = BytesIO()
    with tarfile.open(fileobj=target, mode="w") as tar:
        entry = tarfile.TarInfo("big")
        entry.size = 1 << 20
        tar.addfile(entry, BytesIO(bytes(1 << 20)))
    return target.getvalue()[: 1 << 19]


def sending(method: str, path: str) -> bytes:
    head = request(method, path, Content_Type="application/x-tar", Content_Length="1048576")
    return head.replace(b"Content-Length: 0\r\n", b"") + half_a_tar()


def test_it_ends_although_clients_send_and_read_no_further(engine: EngineProcess) -> None:
    engine.run("busy", "sh", "-c", "seq 100; exec sleep 600")
    until(lambda: len(engine.output("busy")) == 100, 30)
    asked = (
        sending("POST", "/images/load"),
        sending("PUT", "/containers/busy/archive?path=/root"),
        sending("POST", "/images/create?fromSrc=-&repo=half"),
        request("GET", "/containers/busy/export"),
        request("GET", "/containers/busy/archive?path=/usr"),
        request("GET", "/containers/busy/logs?stdout=1&follow=1"),
        request("GET", "/events"),
        request("GET", "/containers/busy/stats"),
        request("POST", "/containers/busy/wait"),
        request("POST", "/containers/busy/stop?t=500&signal=WINCH"),
        request("POST", "/containers/busy/attach?stream=1&stdout=1", Upgrade="tcp", Connection="Upgrade"),
    )
    with contextlib.ExitStack() as clients:
        for content in asked:
            client = clients.enter_context(connect(engine))
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.sendall(content)
        client = clients.enter_context(connect(engine))
        client.sendall(request("GET", "/containers/busy/export"))
        receive_head(client)
        engine.stop()
        engine.start()
        assert engine.inspect("busy")["State"]["Status"] == "running"


def test_it_goes_on_although_clients_vanish(engine: EngineProcess) -> None:
    engine.run("busy", "sh", "-c", "seq 100; exec sleep 600")
    before = threads(engine)
    for _ in range(8):
        with connect(engine) as client:
            client.sendall(sending("PUT", "/containers/busy/archive?path=/root"))
        with connect(engine) as client:
            client.sendall(request("GET", "/containers/busy/export"))
            receive_head(client)
        with connect(engine) as client:
            client.sendall(request("GET", "/containers/busy/logs?stdout=1&follow=1"))
            receive_head(client)
    until(lambda: descriptors(engine) < 60, 30)
    assert engine.request("GET", "/_ping")[0] == 200
    assert threads(engine) < before + 64
    answered: list[int] = []
    threading.Thread(target=lambda: answered.append(engine.request("GET", "/containers/busy/changes")[0])).start()
    until(lambda: answered == [200], 30)  # a thread is free to do it


def test_clients_that_stall_hold_nobody_else_up(engine: EngineProcess) -> None:
    engine.run("busy", "sleep", "600")
    with contextlib.ExitStack() as clients:
        for _ in range(40):
            client = clients.enter_context(connect(engine))
            client.sendall(sending("PUT", "/containers/busy/archive?path=/root"))
        until(lambda: threads(engine) >= 40, 30)
        assert engine.request("GET", "/containers/busy/changes")[0] == 200
        assert engine.request("POST", "/containers/busy/pause")[0] == 204


def threads(engine: EngineProcess) -> int:
    return len(list(Path(f"/proc/{engine.pid}/task").iterdir()))


def descriptors(engine: EngineProcess) -> int:
    return len(list(Path(f"/proc/{engine.pid}/fd").iterdir()))
