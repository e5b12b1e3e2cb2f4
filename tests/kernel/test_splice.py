"""Bytes from a socket to a file through a pipe, whatever the file can do."""

from __future__ import annotations

import os
import random
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from sampan.linux.splice import Conduit

DATA = random.Random(1).randbytes(3_000_000)


@pytest.fixture
def conduit() -> Iterator[Conduit]:
    made = Conduit()
    yield made
    made.close()


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, theirs


# A file that is appended to takes no splice(2), as one of a file system without it
@pytest.mark.parametrize("more", [0, os.O_APPEND])
def test_all_that_is_sent_is_in_the_file(
    conduit: Conduit, ends: tuple[socket.socket, socket.socket], tmp_path: Path, more: int
) -> None:
    ours, theirs = ends

    def send() -> None:
        theirs.sendall(DATA)
        theirs.shutdown(socket.SHUT_WR)

    sending = threading.Thread(target=send)
    target = os.open(tmp_path / "file", os.O_WRONLY | os.O_CREAT | more)
    sending.start()
    try:
        while count := conduit.take(ours.fileno(), 1 << 20):
            conduit.put(target, count)
    finally:
        os.close(target)
        sending.join()
    assert (tmp_path / "file").read_bytes() == DATA


def test_no_more_is_taken_than_was_asked_for(conduit: Conduit, ends: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = ends
    theirs.sendall(DATA[:1000])
    assert conduit.take(ours.fileno(), 600) == 600
    assert ours.recv(1000) == DATA[600:1000]
