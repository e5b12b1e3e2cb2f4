"""Which heads are read as small questions, and that everything else is left to aiohttp."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Self, cast

import pytest
from aiohttp import web
from aiohttp.http_writer import HttpVersion10, HttpVersion11
from hypothesis import given, settings
from hypothesis import strategies as st

from sampan.api import at_once, server
from sampan.api.answer import Answer
from sampan.api.at_once import MAX_BYTES, Question, Said, read

PATH = "/v1.45/containers/abc/json"
DOCKER = b"Host: api.moby.localhost\r\nUser-Agent: Docker-Client/26.1.5+dfsg1 (linux)\r\n"
DOCKER_PY = (
    b"Host: localhost\r\nUser-Agent: docker-sdk-python/7.1.0\r\nAccept-Encoding: gzip, deflate\r\n"
    b"Accept: */*\r\nConnection: keep-alive\r\n"
)


def _head(line: bytes = b"GET /v1.45/containers/abc/json HTTP/1.1", fields: bytes = b"Host: x\r\n") -> bytes:
    return line + b"\r\n" + fields + b"\r\n"


@pytest.mark.parametrize(
    ("head", "question"),
    [
        (_head(fields=DOCKER), Question("GET", PATH, HttpVersion11, keep_alive=True)),
        (_head(fields=DOCKER_PY), Question("GET", PATH, HttpVersion11, keep_alive=True)),
        (_head(fields=b"Host: x\r\nConnection: close\r\n"), Question("GET", PATH, HttpVersion11, keep_alive=False)),
        (_head(fields=b"HOST:x\r\nconnection:  CLOSE \r\n"), Question("GET", PATH, HttpVersion11, keep_alive=False)),
        (_head(b"GET /_ping HTTP/1.0"), Question("GET", "/_ping", HttpVersion10, keep_alive=False)),
        (
            _head(b"HEAD /_ping HTTP/1.0", b"Connection: keep-alive\r\n"),
            Question("HEAD", "/_ping", HttpVersion10, keep_alive=True),
        ),
    ],
)
def test_it_reads_what_clients_send(head: bytes, question: Question) -> None:
    assert read(head) == question


@pytest.mark.parametrize(
    "head",
    [
        b"",
        _head()[:-2],
        _head()[:-1],
        _head() + b"x",
        _head() * 2,
        _head().replace(b"\r\n", b"\n"),
        _head(b"POST /v1.45/containers/abc/json HTTP/1.1"),
        _head(b"get /_ping HTTP/1.1"),
        _head(b"GET /_ping HTTP/1.2"),
        _head(b"GET /_ping  HTTP/1.1"),
        _head(b"GET /_ping?size=1 HTTP/1.1"),
        _head(b"GET /_ping#here HTTP/1.1"),
        _head(b"GET /containers/a%62c/json HTTP/1.1"),
        _head(b"GET /containers/../_ping HTTP/1.1"),
        _head(b"GET //_ping HTTP/1.1"),
        _head(b"GET /_ping/ HTTP/1.1"),
        _head(b"GET http://x/_ping HTTP/1.1"),
        _head("GET /containers/\u00e4/json HTTP/1.1".encode()),
        _head(fields=b"Host: x\r\nContent-Length: 0\r\n"),
        _head(fields=b"Host: x\r\nTransfer-Encoding: chunked\r\n"),
        _head(fields=b"Host: x\r\nExpect: 100-continue\r\n"),
        _head(fields=b"Host: x\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n"),
        _head(fields=b"Host: x\r\nConnection: close, Upgrade\r\n"),
        _head(fields=b"Host: x\r\nX-Sampan-Upgrade: tcp\r\n"),
        _head(fields=b"Host: x\r\nX-Registry-Auth: e30=\r\n"),
        _head(fields=b"Host: x\r\nHost: y\r\n"),
        _head(fields=b"Accept: */*\r\n"),
        _head(fields=b"Host: x\r\nConnection: close\r\nConnection: keep-alive\r\n"),
        _head(fields=b"Host: x\r\n folded: y\r\n"),
        _head(fields=b"Host : x\r\n"),
        _head(fields=b"Host: x\0\r\n"),
        _head(fields=b"Host: \xff\r\n"),
        _head(fields=b"Host: x\r\nUser-Agent: " + b"x" * MAX_BYTES + b"\r\n"),
    ],
)
def test_it_leaves_everything_else_alone(head: bytes) -> None:
    assert read(head) is None


NAMES = ["Host", "User-Agent", "Accept", "Connection", "Content-Length", "Upgrade", "Cookie", "Transfer-Encoding"]
VALUES = ["x", "close", "keep-alive", "0", "chunked", "tcp", ""]
FIELDS = st.lists(st.tuples(st.sampled_from(NAMES), st.sampled_from([": ", ":", " : "]), st.sampled_from(VALUES)))
LINES = st.sampled_from(["GET /a HTTP/1.1", "GET /a HTTP/1.0", "HEAD /a HTTP/1.1", "HEAD /a/b HTTP/1.0"])


@settings(max_examples=200, deadline=None)
@given(line=LINES, fields=FIELDS)
def test_what_it_reads_aiohttp_reads_as_the_same(line: str, fields: list[tuple[str, str, str]]) -> None:
    head = "\r\n".join([line, *("".join(field) for field in fields), "", ""]).encode()
    question = read(head)
    if question is None:
        return
    heard: list[Question] = []

    async def hear(request: web.BaseRequest) -> web.StreamResponse:
        heard.append(Question(request.method, request.raw_path, request.version, keep_alive=request.keep_alive))
        answer = Answer()
        answer.force_close()
        return answer

    class Wire(asyncio.Transport):
        """Takes what is written."""

        def write(self, data: bytes | bytearray | memoryview) -> None:
            del data

        def is_closing(self) -> bool:
            return False

        def close(self) -> None:
            pass

    async def talk() -> None:
        connection = server.make_server(hear).inside()
        connection.connection_made(Wire())
        connection.data_received(head)
        await asyncio.sleep(0)
        connection.connection_lost(None)

    asyncio.run(talk())
    assert heard == [question]


def _answer(path: str) -> Answer:
    return Answer(path.encode().ljust(65536 if "large" in path else 0), content_type="text/plain")


def _at_once(data: bytes) -> Said | None:
    """A server's small answers: to whatever ends with /small."""
    question = at_once.read(data)
    if question is None or not question.target.endswith("/small"):
        return None
    answer = _answer(question.target)
    content = answer.whole(question.method, question.http, keep_alive=question.keep_alive)
    return Said(content, question.keep_alive)


SMALL = b"GET /%d/small HTTP/1.1\r\nHost: x\r\n\r\n"
OTHER = b"GET /%d/other HTTP/1.1\r\nHost: x\r\n\r\n"


class House:
    """A server with both kinds of answers; the others wait until they may go on."""

    def __init__(self, path: Path) -> None:
        self.path = str(path / "socket")
        self.may_go_on = asyncio.Event()
        self.may_go_on.set()
        self.asked = asyncio.Event()
        self.server = server.make_server(self._other, _at_once)

    async def _other(self, request: web.BaseRequest) -> web.StreamResponse:
        self.asked.set()
        await self.may_go_on.wait()
        return _answer(request.raw_path)

    def wires(self) -> list[asyncio.WriteTransport]:
        """The server's ends of all connections."""
        found = [*(door._transport for door in self.server.doors), *(one.transport for one in self.server.connections)]
        return [one for one in found if one is not None]

    async def talk(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_unix_connection(self.path)

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self.listening = await loop.create_unix_server(self.server, self.path)
        return self

    async def __aexit__(self, *_: object) -> None:
        self.listening.close()
        await self.server.shutdown(1.0)
        await self.listening.wait_closed()


async def _body(reader: asyncio.StreamReader) -> str:
    head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 60)
    length = re.search(rb"Content-Length: (\d+)", head)
    assert length is not None
    return (await reader.readexactly(int(length[1]))).decode()


def test_a_connection_that_asks_small_questions_alone_gets_no_other(tmp_path: Path) -> None:
    async def story() -> None:
        async with House(tmp_path) as house:
            reader, writer = await house.talk()
            for number in range(3):
                writer.write(SMALL % number)
                assert await _body(reader) == f"/{number}/small"
            assert (len(house.server.doors), house.server.connections) == (1, [])
            writer.write(OTHER % 3)
            assert await _body(reader) == "/3/other"
            assert (len(house.server.doors), len(house.server.connections)) == (0, 1)
            writer.close()

    asyncio.run(story())


def test_small_questions_and_others_are_answered_in_their_order(tmp_path: Path) -> None:
    async def story() -> None:
        async with House(tmp_path) as house:
            reader, writer = await house.talk()
            house.may_go_on.clear()
            writer.write(SMALL % 0)
            assert await _body(reader) == "/0/small"
            writer.write(OTHER % 1)
            await asyncio.wait_for(house.asked.wait(), 60)
            writer.write(SMALL % 2)
            await asyncio.sleep(0.01)  # whoever answers too early has done so by then
            house.may_go_on.set()
            writer.write(OTHER % 3)
            assert [await _body(reader) for _ in range(3)] == ["/1/other", "/2/small", "/3/other"]
            writer.write(SMALL % 4)
            assert await _body(reader) == "/4/small"
            writer.write(OTHER % 5 + SMALL % 6)
            assert [await _body(reader) for _ in range(2)] == ["/5/other", "/6/small"]
            writer.close()

    asyncio.run(story())


@pytest.mark.parametrize("before", [b"", OTHER % 0])
def test_a_small_answer_may_be_the_last(tmp_path: Path, before: bytes) -> None:
    async def story() -> bytes:
        async with House(tmp_path) as house:
            reader, writer = await house.talk()
            if before:
                writer.write(before)
                await _body(reader)
            writer.write(b"GET /1/small HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            said = await asyncio.wait_for(reader.read(), 60)
            writer.close()
            return said

    said = asyncio.run(story())
    assert said.endswith(b"\r\n\r\n/1/small")
    assert b"\r\nConnection: close\r\n" in said


@pytest.mark.parametrize("before", [SMALL % 0, OTHER % 0])
def test_answers_do_not_pile_up_for_who_does_not_read_them(tmp_path: Path, before: bytes) -> None:
    async def story() -> None:
        async with House(tmp_path) as house:
            reader, writer = await house.talk()
            writer.write(before)
            await _body(reader)
            [wire] = house.wires()
            client = cast("asyncio.ReadTransport", writer.transport)
            client.pause_reading()
            try:
                for number in range(300):
                    writer.write(b"GET /%d/large/small HTTP/1.1\r\nHost: x\r\n\r\n" % number)
                    for _ in range(4):  # turns of the loop, which is the server's too
                        await asyncio.sleep(0)
                assert wire.get_write_buffer_size() < 1 << 20
                client.resume_reading()
                for number in range(300):
                    assert (await _body(reader)).startswith(f"/{number}/large/")
            finally:
                writer.transport.abort()

    asyncio.run(story())


def test_the_end_of_a_server_closes_who_waits_at_a_door(tmp_path: Path) -> None:
    async def story() -> bytes:
        async with House(tmp_path) as house:
            reader, writer = await house.talk()
            writer.write(SMALL % 0)
            await _body(reader)
        said = await asyncio.wait_for(reader.read(), 60)
        writer.close()
        return said

    assert asyncio.run(story()) == b""
