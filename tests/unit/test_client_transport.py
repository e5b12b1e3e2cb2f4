"""HTTP/1.1 on one socket: whatever the other end does, and however its bytes arrive."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator

import pytest

from sampan.client.failure import ProtocolError
from sampan.client.transport import Connection, ConnectionLost, parse_head, split_chunks

CHUNKED = b"5\r\nhello\r\n1;x=y\r\n \r\nA\r\n0123456789\r\n0\r\n\r\n"


@pytest.fixture
def pair() -> Iterator[tuple[Connection, socket.socket]]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield Connection(ours), theirs


def feed(theirs: socket.socket, data: bytes, step: int = 0) -> threading.Thread:
    """Send `data` from a thread, in pieces of `step` bytes, and hang up."""

    def send() -> None:
        for at in range(0, len(data), step or len(data) or 1):
            theirs.sendall(data[at : at + (step or len(data))])
        theirs.shutdown(socket.SHUT_WR)

    thread = threading.Thread(target=send)
    thread.start()
    return thread


@pytest.mark.parametrize("step", [1, 2, 3, 7, 0])
def test_a_chunked_body_is_whole_however_it_arrives(pair: tuple[Connection, socket.socket], step: int) -> None:
    connection, theirs = pair
    thread = feed(theirs, b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + CHUNKED, step)

    response = connection.response("GET")

    assert response.read() == b"hello 0123456789"
    assert response.finished
    assert response.reusable
    thread.join()


@pytest.mark.parametrize("step", [1, 5, 0])
def test_a_body_of_known_length_ends_there(pair: tuple[Connection, socket.socket], step: int) -> None:
    connection, theirs = pair
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"
    thread = feed(theirs, head + b"first" + head + b"other", step)

    assert connection.response("GET").read() == b"first"
    assert connection.response("GET").read() == b"other"
    thread.join()


def test_a_body_without_length_lasts_until_the_end_and_spends_the_connection(
    pair: tuple[Connection, socket.socket],
) -> None:
    connection, theirs = pair
    thread = feed(theirs, b"HTTP/1.1 200 OK\r\n\r\nall of it")

    response = connection.response("GET")

    assert response.read() == b"all of it"
    assert not response.reusable
    thread.join()


@pytest.mark.parametrize("status", [204, 304])
def test_an_answer_that_can_have_no_body_has_none(pair: tuple[Connection, socket.socket], status: int) -> None:
    connection, theirs = pair
    thread = feed(theirs, b"HTTP/1.1 %d Whatever\r\n\r\n" % status)

    response = connection.response("POST")

    assert response.finished
    assert response.read() == b""
    thread.join()


def test_the_answer_to_head_has_no_body_whatever_it_says(pair: tuple[Connection, socket.socket]) -> None:
    connection, theirs = pair
    thread = feed(theirs, b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n")

    assert connection.response("HEAD").read() == b""
    thread.join()


def test_informational_answers_are_passed_over_but_not_an_upgrade(pair: tuple[Connection, socket.socket]) -> None:
    connection, theirs = pair
    thread = feed(theirs, b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 101 UPGRADED\r\nUpgrade: tcp\r\n\r\nearly bytes")

    response = connection.response("POST")

    assert response.status == 101
    assert connection.buffer == b"early bytes"
    assert not response.reusable
    thread.join()


def test_closing_is_announced_by_the_other_end(pair: tuple[Connection, socket.socket]) -> None:
    connection, theirs = pair
    thread = feed(theirs, b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")

    assert not connection.response("GET").reusable
    thread.join()


@pytest.mark.parametrize(
    ("data", "fresh"),
    [(b"", True), (b"HTTP/1.1 200 OK\r\nCont", False)],
)
def test_a_hang_up_before_the_answer_says_whether_it_had_begun(
    pair: tuple[Connection, socket.socket], data: bytes, *, fresh: bool
) -> None:
    connection, theirs = pair
    thread = feed(theirs, data)

    with pytest.raises(ConnectionLost) as caught:
        connection.response("GET")

    assert caught.value.fresh == fresh
    thread.join()


@pytest.mark.parametrize(
    "answer",
    [
        b"Content-Length: 9\r\n\r\nshort",
        b"Transfer-Encoding: chunked\r\n\r\n9\r\nshort",
        b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
        b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n",
    ],
)
def test_a_body_that_is_cut_off_is_an_error_and_not_a_short_body(
    pair: tuple[Connection, socket.socket], answer: bytes
) -> None:
    connection, theirs = pair
    thread = feed(theirs, b"HTTP/1.1 200 OK\r\n" + answer)

    with pytest.raises(ConnectionLost):
        connection.response("GET").read()
    thread.join()


@pytest.mark.parametrize("junk", [b"xyz\r\n", b"-5\r\n", b"\r\n", b"0x" + b"1" * 2000])
def test_what_is_no_chunk_is_refused(junk: bytes) -> None:
    with pytest.raises(ProtocolError):
        split_chunks(junk, 0)


@pytest.mark.parametrize("head", [b"SSH-2.0-OpenSSH", b"HTTP/2 200", b"HTTP/1.1 abc", b""])
def test_what_is_no_http_is_refused(head: bytes) -> None:
    with pytest.raises(ProtocolError):
        parse_head(head)


def test_a_head_without_end_is_refused(pair: tuple[Connection, socket.socket]) -> None:
    connection, theirs = pair
    thread = feed(theirs, b"HTTP/1.1 200 OK\r\n" + b"X-Long: y\r\n" * 7000)

    with pytest.raises(ProtocolError, match="no end"):
        connection.response("GET")
    while connection.take(65536):
        pass
    thread.join()


def test_repeated_headers_are_joined() -> None:
    _, _, headers = parse_head(b"HTTP/1.1 200 OK\r\nWarning: a\r\nwarning:  b \r\nX: y")

    assert headers == {"warning": "a, b", "x": "y"}


def test_a_request_is_framed_by_its_body(pair: tuple[Connection, socket.socket]) -> None:
    connection, theirs = pair

    connection.send("POST", "/a?b=1", {"Host": "h"}, b"{}")
    connection.send("PUT", "/c", {}, [b"one", b"", b"two"])
    connection.send("POST", "/d", {}, None)
    connection.send("GET", "/e", {}, None)
    connection.half_close()

    assert theirs.recv(4096) == (
        b"POST /a?b=1 HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\n{}"
        b"PUT /c HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n"
        b"POST /d HTTP/1.1\r\nContent-Length: 0\r\n\r\n"
        b"GET /e HTTP/1.1\r\n\r\n"
    )


def test_a_long_body_that_is_refused_early_gives_the_refusal(pair: tuple[Connection, socket.socket]) -> None:
    connection, theirs = pair

    def refuse() -> None:
        theirs.recv(1000)
        theirs.sendall(b"HTTP/1.1 507 Full\r\nContent-Length: 4\r\n\r\nfull")
        theirs.close()

    thread = threading.Thread(target=refuse)
    thread.start()
    connection.send("PUT", "/", {}, (b"x" * 65536 for _ in range(10000)))
    thread.join()

    response = connection.response("PUT")
    assert response.status == 507
    assert response.read() == b"full"


def test_a_kept_connection_is_stale_when_the_other_end_has_closed_it(pair: tuple[Connection, socket.socket]) -> None:
    connection, theirs = pair

    assert not connection.stale()
    theirs.close()
    assert connection.stale()


@pytest.mark.parametrize("length", ["abc", "-5", ""])
def test_a_length_that_is_none_is_refused(pair: tuple[Connection, socket.socket], length: str) -> None:
    connection, theirs = pair
    theirs.sendall(f"HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{{}}".encode())

    with pytest.raises(ProtocolError, match="is no length of an answer"):
        connection.response("GET")
