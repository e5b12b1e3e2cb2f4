"""Calls to a daemon: connections kept and lost, versions, errors, many at once."""

from __future__ import annotations

import io
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest

from sampan.client.endpoint import Endpoint
from sampan.client.failure import ApiError, ConflictError, ImageNotFoundError, NotFoundError
from sampan.client.session import Session, query_text, quote
from sampan.client.transport import ConnectionLost

if TYPE_CHECKING:
    from tests.cli.conftest import FakeDaemon, Request


@pytest.fixture
def session(fake_daemon: FakeDaemon) -> Iterator[Session]:
    made = Session(Endpoint("unix", path=str(fake_daemon.path)))
    yield made
    made.close()


def test_calls_one_after_the_other_share_a_connection(fake_daemon: FakeDaemon, session: Session) -> None:
    fake_daemon.on("GET", "/a", fake_daemon.reply(200, {"x": 1}))
    fake_daemon.on("GET", "/missing", fake_daemon.reply(404, {"message": "no"}))

    assert session.call("GET", "/a") == {"x": 1}
    with pytest.raises(NotFoundError):
        session.call("GET", "/missing")
    assert session.call("GET", "/a") == {"x": 1}

    assert {request.connection for request in fake_daemon.requests} == {1}


def test_paths_carry_the_version_and_headers_what_servers_want(fake_daemon: FakeDaemon, session: Session) -> None:
    fake_daemon.on("POST", "/a", fake_daemon.reply(200))

    session.call("POST", "/a", {"t": 0, "all": True, "no": False, "none": None, "name": "ü &/:x"}, {"k": ["v"]})

    request = fake_daemon.requests[0]
    assert request.query == {"t": "0", "all": "1", "name": "ü &/:x"}
    assert request.document == {"k": ["v"]}
    assert request.headers["host"] == "localhost"
    assert request.headers["content-type"] == "application/json"


class Lines(io.BytesIO):
    """A file that would rather not be taken apart by lines, of which an archive may have very many or none."""

    def __next__(self) -> bytes:
        raise AssertionError("it was read by lines")


@pytest.mark.parametrize("kind", [Lines, bytearray, memoryview, lambda data: iter([data])])
def test_a_body_is_sent_whole_whatever_it_is(
    fake_daemon: FakeDaemon, session: Session, kind: Callable[[bytes], Any]
) -> None:
    fake_daemon.on("POST", "/a", fake_daemon.reply(200))

    session.request("POST", "/a", None, kind(b"\0\n" * 300000)).read()

    assert fake_daemon.requests[0].body == b"\0\n" * 300000
    with pytest.raises(TypeError, match="a body is bytes, not the text 'words'"):
        session.request("POST", "/a", None, "words")  # type: ignore[arg-type]


def test_what_may_not_stand_in_a_target_is_encoded() -> None:
    assert quote("a b?c#d%ü/e:f") == "a%20b%3Fc%23d%25%C3%BC/e:f"
    assert query_text({"filters": '{"a":true}'}) == "?filters=%7B%22a%22:true%7D"
    assert query_text({}) == query_text({"a": None}) == ""


@pytest.mark.parametrize(
    ("status", "message", "kind"),
    [
        (404, "No such container: x", NotFoundError),
        (404, "No such image: x:latest", ImageNotFoundError),
        (409, "name in use", ConflictError),
        (500, "broken", ApiError),
    ],
)
def test_a_refusal_is_an_error_of_its_kind(
    fake_daemon: FakeDaemon, session: Session, status: int, message: str, kind: type[ApiError]
) -> None:
    fake_daemon.on("GET", "/x", fake_daemon.reply(status, {"message": message, "remedy": "do this"}))

    with pytest.raises(ApiError) as caught:
        session.call("GET", "/x")

    assert type(caught.value) is kind
    assert caught.value.sentence == message
    assert caught.value.remedy == "do this"
    assert caught.value.kind.http_status == status


def test_a_refusal_that_is_no_json_is_taken_as_it_is(fake_daemon: FakeDaemon, session: Session) -> None:
    def plain(_: Request, client: socket.socket) -> None:
        client.sendall(b"HTTP/1.1 502 Bad\r\nContent-Length: 9\r\n\r\nno route\n")

    fake_daemon.on("GET", "/x", plain)

    with pytest.raises(ApiError, match=r"^no route$"):
        session.call("GET", "/x")


def test_a_daemon_that_finds_the_version_too_new_is_asked_for_its_own(
    fake_daemon: FakeDaemon, session: Session
) -> None:
    paths: list[str] = []

    def answer(request: Request, client: socket.socket) -> None:
        paths.append(request.target)
        if "/v1.30/" in request.target:
            fake_daemon.reply(200, {"x": 1})(request, client)
        else:
            fake_daemon.reply(
                400, {"message": "client version 1.45 is too new. Maximum supported API version is 1.30"}
            )(request, client)

    fake_daemon.on("GET", "/_ping", fake_daemon.reply(200, Api_Version="1.30"))
    fake_daemon.on("GET", "/a", answer)

    assert session.call("GET", "/a") == {"x": 1}
    assert session.call("GET", "/a") == {"x": 1}
    assert paths == ["/v1.45/a", "/v1.30/a", "/v1.30/a"]


def test_a_connection_that_was_closed_meanwhile_is_replaced(fake_daemon: FakeDaemon, session: Session) -> None:
    def answer_and_leave(request: Request, client: socket.socket) -> None:
        fake_daemon.reply(200, {"x": 1})(request, client)
        client.shutdown(socket.SHUT_RDWR)

    fake_daemon.on("POST", "/a", answer_and_leave)

    for _ in range(3):
        assert session.call("POST", "/a") == {"x": 1}
        while not session._idle[0].stale():
            time.sleep(0.001)

    assert len(fake_daemon.requests) == 3


def test_a_request_that_may_have_been_taken_is_not_sent_twice(fake_daemon: FakeDaemon, session: Session) -> None:
    fake_daemon.on("GET", "/first", fake_daemon.reply(200, {}))
    fake_daemon.on("POST", "/create", lambda _, client: client.shutdown(socket.SHUT_RDWR))
    session.call("GET", "/first")

    with pytest.raises(ConnectionLost):
        session.call("POST", "/create")

    assert len(fake_daemon.asked("POST", "/create")) == 1


def test_many_calls_are_under_way_at_once_and_answered_in_order(fake_daemon: FakeDaemon, session: Session) -> None:
    together = threading.Barrier(5)

    def meet(request: Request, client: socket.socket) -> None:
        together.wait(60)
        if request.path == "/3":
            fake_daemon.reply(404, {"message": "not three"})(request, client)
        else:
            fake_daemon.reply(200, request.path)(request, client)

    fake_daemon.on("POST", "/.", meet)

    answers = list(session.call_all("POST", [f"/{number}" for number in range(5)]))

    assert [answer for answer in answers if isinstance(answer, str)] == ["/0", "/1", "/2", "/4"]
    assert isinstance(answers[3], NotFoundError)


def test_a_stream_that_is_given_up_closes_its_connection(fake_daemon: FakeDaemon, session: Session) -> None:
    gone = threading.Event()

    def endless(_: Request, client: socket.socket) -> None:
        client.sendall(b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n8\r\n{"a":1}\n\r\n')
        assert client.recv(1) == b""
        gone.set()

    fake_daemon.on("GET", "/events", endless)
    stream = session.stream("GET", "/events")

    assert next(stream) == {"a": 1}
    stream.close()

    assert gone.wait(60)


@pytest.mark.parametrize("status", ["101 UPGRADED", "200 OK"])
def test_a_hijacked_stream_loses_no_byte_that_came_with_the_head(
    fake_daemon: FakeDaemon, session: Session, status: str
) -> None:
    def upgrade(_: Request, client: socket.socket) -> None:
        client.sendall(f"HTTP/1.1 {status}\r\nContent-Type: application/vnd.docker.raw-stream\r\n\r\nearly,".encode())
        while data := client.recv(100):
            client.sendall(data.upper())
        client.shutdown(socket.SHUT_RDWR)

    fake_daemon.on("POST", "/attach", upgrade)

    stream = session.hijack("/attach")
    stream.send(b"late")
    stream.half_close()

    assert b"".join(stream.chunks()) == b"early,LATE"
    stream.close()
    assert not stream.multiplexed
    assert fake_daemon.requests[0].headers["upgrade"] == "tcp"
