"""Bodies read from the socket by a thread: any framing that is right, in any pieces, and nothing that is wrong."""

from __future__ import annotations

import os
import random
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from sampan.api.bodies import BODY_HEADER, ClientLeft, SocketBody, marked
from sampan.errors import InvalidArgument

PUT = b"PUT /v1.45/containers/box/archive?path=%2F HTTP/1.1\r\nHost: x\r\n"


@pytest.fixture
def target(tmp_path: Path) -> Iterator[int]:
    fd = os.open(tmp_path / "file", os.O_RDWR | os.O_CREAT)
    yield fd
    os.close(fd)


@contextmanager
def sent(pieces: list[bytes], early: bytes, framing: str, *, more: bool = False) -> Iterator[SocketBody]:
    """A body that a client sends in these pieces, and then hangs up unless there is `more`."""
    ours, theirs = socket.socketpair()

    def send() -> None:
        try:
            for piece in pieces:
                theirs.sendall(piece)
        except OSError:
            return
        if not more:
            theirs.shutdown(socket.SHUT_WR)

    sending = threading.Thread(target=send)
    body = SocketBody(ours, early, framing)
    sending.start()
    try:
        yield body
    finally:
        body.abandon()
        body.release()
        sending.join()
        theirs.close()


def whole(body: SocketBody) -> bytes:
    found = b""
    while piece := body.read():
        found += piece
    return found


def cut(data: bytes, dice: random.Random) -> list[bytes]:
    """The data in pieces of any length."""
    least = len(data) // 200 + 1
    pieces = []
    while data:
        size = dice.randint(1, 20 * least)
        pieces.append(data[:size])
        data = data[size:]
    return pieces


@pytest.mark.parametrize("seed", range(40))
def test_a_chunked_body_is_what_was_sent_however_it_is_cut(seed: int) -> None:
    dice = random.Random(seed)
    data = dice.randbytes(dice.choice([0, 1, 700, 70_000, 700_000]))
    coded = b"".join(
        b"%x%b\r\n%b\r\n" % (len(piece), dice.choice([b"", b";name=value", b" ; x"]), piece)
        for piece in cut(data, dice)
    )
    coded += b"0\r\n" + dice.choice([b"", b"Digest: none\r\nOther: x\r\n"]) + b"\r\n"
    early = dice.choice([0, 1, 5, 900, 80_000])
    with sent(cut(coded[early:], dice), coded[:early], "chunked", more=True) as body:
        assert whole(body) == data


def moved_and_read(body: SocketBody, target: int) -> tuple[int, int]:
    """Bytes that went to a file unread, and bytes that were read and written there."""
    moved = read = 0
    while True:
        if count := body.move(target, 700_000):
            moved += count
        elif piece := body.read():
            assert os.write(target, piece) == len(piece)
            read += len(piece)
        else:
            return moved, read


@pytest.mark.parametrize("seed", range(40))
def test_what_goes_to_a_file_unread_is_what_was_sent_however_it_is_cut(seed: int, target: int) -> None:
    dice = random.Random(seed)
    chunks = [dice.randbytes(dice.choice([1, 900, 2_000, 9_000, 140_000, 700_000])) for _ in range(dice.randint(1, 40))]
    data = b"".join(chunks)
    framing, coded = str(len(data)), data
    if dice.random() < 0.8:
        framing = "chunked"
        coded = b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks) + b"0\r\n\r\n"
    early = dice.choice([0, 1, 900, 80_000])
    with sent(cut(coded[early:], dice), coded[:early], framing, more=True) as body:
        assert sum(moved_and_read(body, target)) == len(data)
    assert os.pread(target, len(data) + 1, 0) == data


@pytest.mark.parametrize("length", [10_000, 32_768, 2_000_000])
def test_of_a_large_file_next_to_nothing_is_read_however_long_its_chunks_are(length: int, target: int) -> None:
    data = random.Random(length).randbytes(2_000_000 // length * length)
    coded = b"".join(b"%x\r\n%b\r\n" % (length, data[at : at + length]) for at in range(0, len(data), length))
    with sent([coded, b"0\r\n\r\n"], b"", "chunked", more=True) as body:
        first = body.read()
        os.write(target, first)
        moved, read = moved_and_read(body, target)
    assert (len(first) + moved + read, read < 100_000) == (len(data), True)
    assert os.pread(target, len(data), 0) == data


def test_no_more_is_moved_than_was_asked_for(target: int) -> None:
    data = random.Random(1).randbytes(600_000)
    coded = b"".join(b"ea60\r\n%b\r\n" % data[at : at + 60_000] for at in range(0, len(data), 60_000))
    with sent([coded, b"0\r\n\r\n"], b"", "chunked", more=True) as body:
        found = bytes(body.read())
        moved = body.move(target, 140_001)
        assert 0 < moved <= 140_001
        assert found + os.pread(target, moved, 0) + whole(body) == data


@pytest.mark.parametrize("wrong", [b"0x3\r\nabc", b"-1\r\n", b"\r\nabc", b"1" * 2000])
def test_what_is_no_chunked_coding_is_refused_behind_what_is_moved(wrong: bytes, target: int) -> None:
    coded = b"8000\r\n" + bytes(0x8000) + b"\r\n" + wrong + b"\r\n0\r\n\r\n"
    with (
        sent([coded], b"", "chunked", more=True) as body,
        pytest.raises(InvalidArgument, match="malformed"),
    ):
        moved_and_read(body, target)


@pytest.mark.parametrize("framing", ["chunked", "3"])
def test_behind_the_end_of_a_body_nothing_is_waited_for(framing: str, target: int) -> None:
    coded = b"3\r\nabc\r\n0\r\n\r\n" if framing == "chunked" else b"abc"
    with sent([coded], b"", framing, more=True) as body:
        assert (moved_and_read(body, target), body.move(target, 1 << 20), body.read()) == ((0, 3), 0, b"")


def test_a_file_without_room_keeps_the_rest_of_the_body_readable() -> None:
    with sent([b"100000\r\n", bytes(0x100000), b"\r\n3\r\nend\r\n0\r\n\r\n"], b"", "chunked") as body:
        first = body.read()
        full = os.open("/dev/full", os.O_WRONLY)
        try:
            with pytest.raises(OSError, match="No space left"):
                while body.move(full, 1 << 20):
                    pass
        finally:
            os.close(full)
        assert whole(body).endswith(b"end")
        assert len(first) < 0x100000


@pytest.mark.parametrize("framing", ["chunked", "1000000"])
def test_a_body_that_is_cut_off_while_it_is_moved_is_no_whole_body(framing: str, target: int) -> None:
    coded = b"f4240\r\n" if framing == "chunked" else b""
    with sent([coded, bytes(600_000)], b"", framing) as body, pytest.raises(ClientLeft):
        moved_and_read(body, target)


@pytest.mark.parametrize("early", [0, 3, 100_000, 300_000])
def test_a_counted_body_ends_with_its_last_byte(early: int) -> None:
    data = random.Random(early).randbytes(300_000)
    with sent([data[early:]], data[:early], str(len(data)), more=True) as body:
        assert whole(body) == data


@pytest.mark.parametrize(
    ("framing", "coded"), [("chunked", b"5\r\nabc"), ("chunked", b"3\r\nabc\r\n"), ("chunked", b"0\r\n"), ("9", b"abc")]
)
def test_a_body_that_is_cut_off_is_no_whole_body(framing: str, coded: bytes) -> None:
    with sent([coded], b"", framing) as body, pytest.raises(ClientLeft):
        whole(body)


@pytest.mark.parametrize(
    "coded",
    [
        b"0x3\r\nabc\r\n0\r\n\r\n",
        b"+3\r\nabc\r\n0\r\n\r\n",
        b"-1\r\nabc\r\n0\r\n\r\n",
        b"3_0\r\n",
        b"\r\nabc\r\n",
        b"3\r\nabcd\r\n0\r\n\r\n",
        b"3\r\nabc0\r\n\r\n",
        b"f" * 16 + b"\r\n",
        b"1" * 2000,
        b"0\r\n" + b"x" * 2000,
    ],
)
def test_what_is_no_chunked_coding_is_refused(coded: bytes) -> None:
    with sent([coded], b"", "chunked", more=True) as body, pytest.raises(InvalidArgument, match="malformed"):
        whole(body)


def test_who_waits_for_more_is_let_go() -> None:
    with sent([b"5\r\nabc"], b"", "chunked", more=True) as body:
        assert bytes(body.read()) == b"abc"
        letting_go = threading.Timer(0.05, body.abandon)
        letting_go.start()
        with pytest.raises(ClientLeft):
            body.read()
        letting_go.join()


def test_what_is_left_of_a_body_is_drained_to_its_end_and_not_beyond() -> None:
    coded = b"30000\r\n" + bytes(0x30000) + b"\r\n0\r\n\r\n"
    with sent([coded], b"", "chunked", more=True) as body:
        body.read()
        body.drain()
        assert body.read() == b""


def test_a_head_is_marked_only_when_all_of_it_is_sure() -> None:
    chunked = b"Transfer-Encoding: chunked\r\n"
    taken = marked(PUT + chunked)
    assert BODY_HEADER.encode() + b": chunked" in taken
    assert b"Transfer-Encoding" not in taken
    assert BODY_HEADER.encode() + b": 70000" in marked(PUT + b"content-length:70000\r\n")
    for lines in (
        b"",
        b"Content-Length: 10\r\n",
        b"Content-Length: 1e9\r\n",
        b"Content-Length: 70000\r\n" + chunked,
        chunked + chunked,
        b"Transfer-Encoding: gzip, chunked\r\n",
        chunked + b"Expect: 100-continue\r\n",
        chunked + b"Connection: close\r\n",
        chunked + b"Upgrade: tcp\r\n",
    ):
        assert marked(PUT + lines) == PUT + lines
    for first in (b"PUT /containers/a/b/archive?path=/", b"POST /containers/a/archive?path=/", b"GET /info?"):
        head = first + b" HTTP/1.1\r\n" + chunked
        assert marked(head) == head
