"""Archives that a thread takes from the client's socket: answers, refusals, and clients and daemons that go away."""

from __future__ import annotations

import contextlib
import gzip
import io
import os
import random
import socket
import tarfile
from collections.abc import Callable, Iterator

import pytest
from tests.engine_process import EngineProcess
from tests.raw_http import connect, receive_head
from tests.waiting import until

CHUNK = 40_000


def archive(*files: tuple[str, bytes]) -> bytes:
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w") as made:
        for name, content in files:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            made.addfile(info, io.BytesIO(content))
    return written.getvalue()


def head(container: str) -> bytes:
    first = f"PUT /containers/{container}/archive?path=/srv HTTP/1.1"
    return f"{first}\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n".encode()


def last_answer(client: socket.socket) -> tuple[int, dict[str, str], bytes]:
    """The answer after which the connection ends."""
    status, headers, body = receive_head(client)
    while piece := client.recv(65536):
        body += piece
    return status, headers, body


def chunks(data: bytes) -> bytes:
    pieces = [data[at : at + CHUNK] for at in range(0, len(data), CHUNK)]
    return b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces)


@pytest.fixture
def box(engine: EngineProcess, request: pytest.FixtureRequest) -> Iterator[str]:
    name = f"box-{abs(hash(request.node.name))}"
    engine.create(name, "true")
    yield name
    engine.json("DELETE", f"/containers/{name}", expect=204)


def test_what_comes_in_chunks_is_there_and_the_connection_is_said_to_end(engine: EngineProcess, box: str) -> None:
    content = bytes(range(256)) * 4000
    with connect(engine) as client:
        client.sendall(head(box) + chunks(archive(("one", content), ("two", b"2"))) + b"0\r\n\r\n")
        status, headers, _ = last_answer(client)
        assert status == 200
        assert headers["connection"] == "close"
    status, body = engine.request("GET", f"/containers/{box}/archive?path=/srv/one")
    assert status == 200
    with tarfile.open(fileobj=io.BytesIO(body)) as found:
        file = found.extractfile("one")
        assert file is not None
        assert file.read() == content


ONE, TWO = random.Random(1).randbytes(2_000_000), b"2"


@pytest.mark.parametrize("compress", [bytes, gzip.compress])
@pytest.mark.parametrize("framing", ["a chunk for each part", "one chunk", "a length"])
def test_files_that_come_in_one_piece_are_there(
    engine: EngineProcess, box: str, framing: str, compress: Callable[[bytes], bytes]
) -> None:
    data = compress(archive(("one", ONE), ("two", TWO), ("three", ONE[::-1])))
    first = head(box)
    match framing:
        case "one chunk":
            data = b"%x\r\n%b\r\n0\r\n\r\n" % (len(data), data)
        case "a length":
            first = first.replace(b"Transfer-Encoding: chunked", b"Content-Length: %d" % len(data))
        case _:
            parts = (data[:512], data[512 : 512 + len(ONE)], data[512 + len(ONE) :])
            data = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts if part) + b"0\r\n\r\n"
    with connect(engine) as client:
        client.sendall(first + data)
        assert last_answer(client)[0] == 200
    status, body = engine.request("GET", f"/containers/{box}/archive?path=/srv")
    assert status == 200
    with tarfile.open(fileobj=io.BytesIO(body)) as found:
        for name, content in (("one", ONE), ("two", TWO), ("three", ONE[::-1])):
            file = found.extractfile(f"srv/{name}")
            assert file is not None
            assert file.read() == content


def test_a_file_that_finds_no_room_is_told_to_who_still_sends_it(engine: EngineProcess) -> None:
    engine.run("roomless", "sleep", "1000", host={"Tmpfs": {"/srv": "size=1m"}})
    data = archive(("large", ONE))
    with connect(engine) as client:
        client.sendall(head("roomless") + b"%x\r\n%b\r\n0\r\n\r\n" % (len(data), data))
        status, _, rest = last_answer(client)
        assert status == 500
        assert b"No space left on device" in rest
    engine.json("DELETE", "/containers/roomless?force=1", expect=204)


def test_a_client_that_leaves_in_the_middle_of_a_file_leaves_nothing_open(engine: EngineProcess, box: str) -> None:
    def descriptors() -> int:
        return len(os.listdir(f"/proc/{engine.pid}/fd"))

    before = descriptors()
    for _ in range(10):
        with connect(engine) as client:
            data = archive(("half", ONE))
            client.sendall(head(box) + b"%x\r\n" % len(data) + data[:1_500_000])
    until(lambda: descriptors() <= before)
    assert engine.json("GET", f"/containers/{box}/json")["State"]["Status"] == "created"


def test_a_refusal_reaches_a_client_that_still_sends(engine: EngineProcess) -> None:
    with connect(engine) as client:
        client.sendall(head("nobody") + chunks(bytes(3_000_000)) + b"0\r\n\r\n")
        status, headers, rest = last_answer(client)
        assert status == 404
        assert headers["connection"] == "close"
        assert b"No such container" in rest


def test_an_archive_that_is_none_is_refused_with_all_of_it_on_the_way(engine: EngineProcess, box: str) -> None:
    with connect(engine) as client:
        client.sendall(head(box) + chunks(b"no archive" * 200_000) + b"0\r\n\r\n")
        status, _, rest = last_answer(client)
        assert status == 400
        assert b"the archive is damaged" in rest


def test_chunks_that_are_none_are_refused(engine: EngineProcess, box: str) -> None:
    with connect(engine) as client:
        client.sendall(head(box) + b"0x10\r\n")
        status, _, rest = last_answer(client)
        assert status == 400
        assert b"is no length of a chunk" in rest


def test_a_header_of_our_own_that_a_client_sends_means_nothing(engine: EngineProcess) -> None:
    with connect(engine) as client:
        client.sendall(b"GET /_ping HTTP/1.1\r\nHost: x\r\nX-Sampan-Body: chunked\r\n\r\n")
        assert receive_head(client)[0] == 200
        client.sendall(b"GET /_ping HTTP/1.1\r\nHost: x\r\n\r\n")
        assert receive_head(client)[0] == 200


def test_a_client_that_stalls_does_not_keep_a_daemon_from_ending(engine: EngineProcess, box: str) -> None:
    with connect(engine) as client:
        client.sendall(head(box) + chunks(archive(("half", b"x" * 500_000)))[:100_000])

        def is_begun() -> bool:
            return engine.request("HEAD", f"/containers/{box}/archive?path=/srv/half")[0] == 200

        until(is_begun, 30)
        engine.stop()
        with contextlib.suppress(ConnectionResetError):  # by what it had not read yet
            assert client.recv(1000) == b""
    engine.start()
    assert engine.json("GET", f"/containers/{box}/json")["State"]["Status"] == "created"
