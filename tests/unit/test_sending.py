"""Archives on their way to a client's socket: chunks of bytes and of files, through a socket with little room."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from sampan.api.sending import send_chunks
from sampan.image.file_part import FilePart, read_parts


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    ours.settimeout(0)
    with ours, theirs:
        yield ours, theirs


@pytest.fixture
def file(tmp_path: Path) -> Iterator[tuple[Path, int]]:
    path = tmp_path / "file"
    path.write_bytes(os.urandom(3_000_000))
    fd = os.open(path, os.O_RDONLY)
    yield path, fd
    os.close(fd)


def received(ends: tuple[socket.socket, socket.socket], parts: list[bytes | FilePart]) -> bytes:
    """What arrives at the other end, where it is read in small pieces."""
    ours, theirs = ends
    found = bytearray()

    def read() -> None:
        while data := theirs.recv(40_000):
            found.extend(data)

    reader = threading.Thread(target=read)
    reader.start()
    try:
        send_chunks(ours, iter(parts))
    finally:
        ours.shutdown(socket.SHUT_RDWR)
        reader.join()
    return bytes(found)


def chunked(*pieces: bytes) -> bytes:
    return b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces)


def test_bytes_and_parts_of_files_arrive_as_chunks(
    ends: tuple[socket.socket, socket.socket], file: tuple[Path, int]
) -> None:
    path, fd = file
    content = path.read_bytes()
    large = os.urandom(2_500_000)
    parts: list[bytes | FilePart] = [b"head", b"", large, FilePart(fd, 0, 2_000_000), FilePart(fd, 5, 10), b"tail"]
    wanted = chunked(b"head", large, content[:2_000_000], content[5:15], b"tail")
    assert received(ends, parts) == wanted


def test_what_was_cut_off_meanwhile_arrives_as_zeros(
    ends: tuple[socket.socket, socket.socket], file: tuple[Path, int]
) -> None:
    path, fd = file
    content = path.read_bytes()
    os.truncate(path, 100_000)
    part = FilePart(fd, 50_000, 2_500_000)
    wanted = content[50_000:100_000] + bytes(2_450_000)
    assert received(ends, [part, b"tail"]) == chunked(wanted, b"tail")
    assert b"".join(read_parts(iter([part, b"tail"]))) == wanted + b"tail"


@pytest.mark.parametrize("end", [0, 1])
def test_a_connection_that_is_given_up_ends_the_sending(ends: tuple[socket.socket, socket.socket], end: int) -> None:
    failures: list[BaseException] = []
    begun = threading.Event()

    def endless() -> Iterator[bytes]:
        while True:
            yield bytes(100_000)
            begun.set()

    def send() -> None:
        try:
            send_chunks(ends[0], endless())
        except OSError as error:
            failures.append(error)

    sender = threading.Thread(target=send)
    sender.start()
    assert begun.wait(60)
    ends[end].shutdown(socket.SHUT_RDWR)
    sender.join(60)
    assert not sender.is_alive()
    assert isinstance(failures[0], BrokenPipeError | ConnectionResetError)
