from __future__ import annotations

import os
import socket

from sampan.engine.waiting import EarlyClients
from sampan.monitor.protocol import Attach


def _pair() -> tuple[socket.socket, int]:
    ours, theirs = socket.socketpair()
    return ours, theirs.detach()


def _is_open(descriptor: int) -> bool:
    try:
        os.fstat(descriptor)
    except OSError:
        return False
    return True


def test_who_left_before_the_start_is_let_go_when_the_next_comes() -> None:
    clients = EarlyClients()
    left, left_fd = _pair()
    stays, stays_fd = _pair()
    half, half_fd = _pair()
    typed, typed_fd = _pair()
    for descriptor in (left_fd, stays_fd, half_fd, typed_fd):
        clients.add("c", Attach(), descriptor)
    left.close()
    half.shutdown(socket.SHUT_WR)  # the end of its input, but it reads on
    typed.sendall(b"input")
    typed.close()
    last, last_fd = _pair()
    clients.add("d", Attach(), last_fd)
    assert not _is_open(left_fd)
    assert [client for _, client in clients.take("c")] == [stays_fd, half_fd, typed_fd]
    clients.drop("d")
    for descriptor in (stays_fd, half_fd, typed_fd):
        os.close(descriptor)
    for mine in (stays, half, last):
        mine.close()
