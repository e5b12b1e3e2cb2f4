from __future__ import annotations

import contextlib
import hashlib
import random
import select
import socket
import threading
import time
from typing import TYPE_CHECKING

import pytest
from tests.kernel.monitor.conftest import alive, cpu_ticks, read_to_end, unframed, until

from sampan.monitor.protocol import Attach

if TYPE_CHECKING:
    from tests.kernel.monitor.conftest import Harbour

RAW = Attach(stdin=True, multiplexed=False)


def send_and_close(client: socket.socket, content: bytes) -> threading.Thread:
    def work() -> None:
        client.sendall(content)
        client.shutdown(socket.SHUT_WR)

    thread = threading.Thread(target=work)
    thread.start()
    return thread


def fill(client: socket.socket) -> int:
    """Send until nobody takes anything for a while; how much that was, twenty megabytes at most."""
    client.settimeout(0)
    sent = 0
    while sent < 20_000_000 and select.select([], [client], [], 0.3)[1]:
        with contextlib.suppress(BlockingIOError):
            sent += client.send(b"x" * 65536)
    client.settimeout(60)
    return sent


def test_fifty_megabytes_come_back_from_cat_as_they_went(harbour: Harbour) -> None:
    content = random.Random(3).randbytes(50_000_000)
    session = harbour.launch("cat", driver="none", open_stdin=True, stdin_once=True)
    client = session.attach(RAW)
    session.go()
    thread = send_and_close(client, content)
    echoed = read_to_end(client)
    thread.join()
    assert hashlib.sha256(echoed).digest() == hashlib.sha256(content).digest()
    assert session.exited().code == 0


def test_what_a_client_sent_behind_its_request_comes_first(harbour: Harbour) -> None:
    session = harbour.launch("cat", open_stdin=True, stdin_once=True)
    client = session.attach(Attach(stdin=True, multiplexed=False, early="early \xff\x00"))
    client.sendall(b"late")
    client.shutdown(socket.SHUT_WR)
    session.go()
    assert read_to_end(client) == b"early \xff\x00late"


def test_with_stdin_once_a_half_close_is_the_end_of_input_and_output_goes_on(harbour: Harbour) -> None:
    session = harbour.launch("sh", "-c", "cat; sleep 0.3; echo done", open_stdin=True, stdin_once=True)
    client = session.attach(Attach(stdin=True))
    session.go()
    client.sendall(b"some\n")
    client.shutdown(socket.SHUT_WR)
    assert unframed(read_to_end(client))[1] == b"some\ndone\n"


def test_with_stdin_once_a_client_that_vanishes_ends_the_input_too(harbour: Harbour) -> None:
    session = harbour.launch("sh", "-c", "cat; exit 4", open_stdin=True, stdin_once=True)
    client = session.attach(RAW)
    session.go()
    client.sendall(b"x")
    client.close()
    assert session.exited().code == 4


def test_with_stdin_once_a_client_that_vanishes_with_unread_output_ends_the_input_too(harbour: Harbour) -> None:
    """The monitor then hears of a reset, and of no end of input."""
    session = harbour.launch("sh", "-c", "echo unread; cat; exit 4", open_stdin=True, stdin_once=True)
    client = session.attach(RAW)
    session.go()
    assert client.recv(100, socket.MSG_PEEK) == b"unread\n"
    client.close()
    assert session.exited().code == 4


@pytest.mark.parametrize("harbour", [("QUIET_S=3",)], indirect=True)
def test_without_stdin_once_a_half_close_lets_the_client_go_after_its_answer_and_the_input_stays_open(
    harbour: Harbour,
) -> None:
    session = harbour.launch("cat", open_stdin=True)
    session.go()
    for word in (b"one\n", b"two\n"):
        client = session.attach(RAW)
        client.sendall(word)
        client.shutdown(socket.SHUT_WR)
        assert read_to_end(client) == word
    assert alive(session.pid)


def test_without_open_stdin_what_clients_send_is_dropped(harbour: Harbour) -> None:
    session = harbour.launch("sh", "-c", "cat; sleep 0.1; echo done")
    client = session.attach(RAW)
    client.sendall(b"x" * 500_000)
    session.go()
    assert read_to_end(client) == b"done\n"


def test_a_process_that_closed_its_input_does_not_block_who_still_sends(harbour: Harbour) -> None:
    session = harbour.launch(
        "sh",
        "-c",
        "exec 0<&-; echo closed; while [ ! -e %s ]; do sleep 0.01; done; echo end" % (harbour.directory / "m"),
        open_stdin=True,
        stdin_once=True,
    )
    client = session.attach(RAW)
    session.go()
    assert client.recv(100) == b"closed\n"
    client.sendall(b"x" * 3_000_000)
    (harbour.directory / "m").touch()
    assert read_to_end(client) == b"end\n"


@pytest.mark.parametrize("harbour", [("CLOSE_GRACE_S=2",)], indirect=True)
def test_input_that_nobody_read_does_not_cost_the_client_its_output(harbour: Harbour) -> None:
    """Closed with unread input, a socket would be reset, and the client might lose what it has not read yet."""
    session = harbour.launch("sh", "-c", "seq 1000", open_stdin=True, stdin_once=True)
    client = session.attach(RAW)
    client.sendall(b"x" * 150_000)
    session.go()
    session.exited()
    with contextlib.suppress(BrokenPipeError):
        client.sendall(b"more")
    harbour.gone(session.monitor_pid)
    assert read_to_end(client) == b"".join(b"%d\n" % number for number in range(1, 1001))


def test_a_process_that_reads_nothing_makes_its_client_wait_and_nothing_grow(harbour: Harbour) -> None:
    session = harbour.launch("sh", "-c", "read line; cat >/dev/null; echo got it", open_stdin=True, stdin_once=True)
    first, second = session.attach(RAW), session.attach(RAW)
    assert fill(first) < 2_000_000
    assert fill(second) < 2_000_000
    late = session.attach(RAW)
    assert fill(late) < 2_000_000
    session.go()
    second.close()
    late.close()
    first.sendall(b"\n")
    first.shutdown(socket.SHUT_WR)
    assert read_to_end(first) == b"got it\n"


def test_all_that_a_client_sent_before_it_vanished_arrives(harbour: Harbour) -> None:
    session = harbour.launch("sh", "-c", "sleep 0.2; wc -c", open_stdin=True, stdin_once=True)
    client = session.attach(RAW)
    session.go()
    client.sendall(b"x" * 1_000_000)
    client.close()
    session.exited()
    until(lambda: b"1000000" in session.log.read_bytes())


def test_a_client_that_vanished_while_the_process_has_no_room_keeps_nobody_busy(harbour: Harbour) -> None:
    session = harbour.launch("sh", "-c", "read line; wc -c", open_stdin=True, stdin_once=True)
    client = session.attach(RAW)
    sent = fill(client)
    client.close()
    before = cpu_ticks(session.monitor_pid)
    time.sleep(0.5)
    assert cpu_ticks(session.monitor_pid) - before < 10
    assert sent > 100_000


def test_several_clients_type_into_one_process(harbour: Harbour) -> None:
    session = harbour.launch("sh", "-c", "read a; read b; echo $b $a", open_stdin=True)
    first, second = session.attach(RAW), session.attach(RAW)
    session.go()
    first.sendall(b"1\n")
    until(lambda: True)
    second.sendall(b"2\n")
    assert sorted(read_to_end(first)) == sorted(b"2 1\n")
    assert sorted(read_to_end(second)) == sorted(b"2 1\n")
