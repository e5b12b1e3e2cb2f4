"""What is drawn once a work takes longer: who waits for more of it hears of signals all the same."""

from __future__ import annotations

import signal
import socket
import threading
import time
from typing import TYPE_CHECKING

from sampan.cli.patience import patient_chunks
from sampan.client.endpoint import Endpoint
from sampan.client.session import Session

if TYPE_CHECKING:
    from tests.cli.conftest import FakeDaemon, Request

FIRST, LAST = b"first", b"last"
UNTIL_IT_WAITS_S = 0.3
PATIENCE_S = 10.0  # with a signal that nobody hears


def test_a_signal_that_does_not_interrupt_the_waiting_is_heard(fake_daemon: FakeDaemon) -> None:
    """Like one that comes just before it, one that the kernel gives to another thread interrupts no recv(2)."""
    heard, unheard = threading.Event(), threading.Event()

    def talk(_: Request, client: socket.socket) -> None:
        client.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(FIRST + LAST), FIRST))
        time.sleep(UNTIL_IT_WAITS_S)
        signal.pthread_kill(threading.get_ident(), signal.SIGUSR1)
        if not heard.wait(PATIENCE_S):
            unheard.set()
        client.sendall(LAST)

    fake_daemon.on("GET", "/slow", talk)
    fake_daemon.on("GET", "/next", fake_daemon.reply(200, {}))
    drawn: list[bool] = []
    former = signal.signal(signal.SIGUSR1, lambda *_: heard.set())
    try:
        session = Session(Endpoint("unix", path=str(fake_daemon.path)))
        response = session.request("GET", "/slow")
        pieces = patient_chunks(response, lambda: -1 if drawn else 0, lambda: drawn.append(True))
        assert b"".join(pieces) == FIRST + LAST
        assert drawn
        assert not unheard.is_set()
        assert session.call("GET", "/next") == {}
    finally:
        signal.signal(signal.SIGUSR1, former)
        session.close()
