from __future__ import annotations

import os
import socket
from collections.abc import Iterator

import pytest

from sampan.monitor import protocol
from sampan.monitor.protocol import Attach, ExecPlan, Exited, Go, Ready, Status
from sampan.runtime.launch_plan import ProcessPlan

Pair = tuple[socket.socket, socket.socket]


@pytest.fixture
def pair() -> Iterator[Pair]:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs:
        yield ours, theirs


def open_descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


@pytest.mark.parametrize(
    "message",
    [
        Go(),
        Exited(137, 9, oom_killed=True, at_ns=5),
        Attach(early="\x00\xff", detach_keys=""),
        Status("x", "running", 1, 2, (("a", 5),), (("b", 0),)),
    ],
)
def test_a_message_arrives_as_it_was_sent(pair: Pair, message: protocol.Message) -> None:
    protocol.send(pair[0], message)
    assert protocol.receive(pair[1]) == (message, [])


def test_descriptors_arrive_beside_it_and_are_closed_on_exec(pair: Pair) -> None:
    read_end, write_end = os.pipe()
    protocol.send(pair[0], Go(), (read_end, write_end))
    received = protocol.receive(pair[1])
    assert received is not None
    assert len(received[1]) == 2
    assert not any(os.get_inheritable(descriptor) for descriptor in received[1])
    protocol.close_all([*received[1], read_end, write_end])


@pytest.mark.parametrize("packet", [b"{}", b"[]", b'{"say":"Nonsense"}', b"not json", b'{"say":"Ready"}'])
def test_a_packet_that_is_none_is_refused_and_its_descriptors_are_closed(pair: Pair, packet: bytes) -> None:
    before = open_descriptors()
    socket.send_fds(pair[0], [packet], [0, 1])
    with pytest.raises(ValueError, match="not a message"):
        protocol.receive(pair[1])
    assert open_descriptors() == before


def test_what_was_sent_before_a_reset_is_still_heard(pair: Pair) -> None:
    """The far end closes with a packet of ours unread, which the kernel reports as a reset, and first."""
    ours, theirs = pair
    protocol.send(ours, Go())
    protocol.send(theirs, Ready(1, 2))
    theirs.close()
    assert protocol.receive(ours) == (Ready(1, 2), [])
    assert protocol.receive(ours) is None


def test_unknown_fields_of_a_later_version_are_ignored() -> None:
    assert protocol.decode(b'{"say":"Ready","pid":1,"monitor_pid":2,"mood":"good"}') == Ready(1, 2)


def test_a_plan_travels_in_a_memfd_that_nobody_can_change() -> None:
    plan = ExecPlan("x", ProcessPlan(("true",), ()))
    descriptor = protocol.seal(plan)
    with pytest.raises(PermissionError):
        os.write(descriptor, b"x")
    assert protocol.unseal(descriptor) == plan
