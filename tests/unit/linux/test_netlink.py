"""Netlink messages: what we write, and how we read what a kernel may answer; the test plays the kernel."""

from __future__ import annotations

import errno
import socket
import struct
from collections.abc import Iterator
from typing import Any

import pytest
from pyroute2.netlink.rtnl.ifinfmsg import ifinfmsg

from sampan.linux import link
from sampan.linux.netlink import Netlink, attribute, attributes, nested, text

HEADER = struct.Struct("=IHHII")
ERROR, DONE, MULTI, INTERRUPTED, CAPPED, TLVS = 2, 3, 0x2, 0x10, 0x100, 0x200
GETLINK, NEWLINK = 18, 16


def message(kind: int, flags: int, sequence: int, content: bytes) -> bytes:
    body = content + bytes(-len(content) % 4)
    return HEADER.pack(HEADER.size + len(content), kind, flags, sequence, 0) + body


def refusal(sequence: int, number: int, flags: int = 0, more: bytes = b"", request: bytes = b"") -> bytes:
    head = HEADER.pack(HEADER.size + len(request), GETLINK, 0, sequence, 0)
    return message(ERROR, flags, sequence, struct.pack("=i", -number) + head + request + more)


@pytest.fixture
def conversation() -> Iterator[tuple[Netlink, socket.socket]]:
    """A Netlink whose kernel is the other end of a socket pair; the first request has the sequence number 1."""
    ours, kernel = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    netlink = Netlink.__new__(Netlink)
    netlink._socket, netlink._sequence = ours, 0
    with kernel:
        yield netlink, kernel
        netlink.close()


def test_a_dump_is_gathered_from_several_datagrams(conversation: Any) -> None:
    netlink, kernel = conversation
    kernel.send(message(NEWLINK, MULTI, 1, b"one.") + message(NEWLINK, MULTI, 1, b"two."))
    kernel.send(message(NEWLINK, MULTI, 1, b"three") + message(DONE, MULTI, 1, bytes(4)))
    assert netlink.dump(GETLINK, b"") == [b"one.", b"two.", b"three"]


def test_an_interrupted_dump_is_asked_again(conversation: Any) -> None:
    netlink, kernel = conversation
    kernel.send(message(NEWLINK, MULTI | INTERRUPTED, 1, b"half") + message(DONE, MULTI, 1, bytes(4)))
    kernel.send(message(NEWLINK, MULTI, 2, b"whole") + message(DONE, MULTI, 2, bytes(4)))
    assert netlink.dump(GETLINK, b"") == [b"whole"]


def test_a_dump_whose_end_is_marked_as_interrupted_is_asked_again(conversation: Any) -> None:
    netlink, kernel = conversation
    kernel.send(message(NEWLINK, MULTI, 1, b"half") + message(DONE, MULTI | INTERRUPTED, 1, bytes(4)))
    kernel.send(message(DONE, MULTI, 2, bytes(4)))
    assert netlink.dump(GETLINK, b"") == []


def test_a_dump_that_never_holds_still_is_given_up(conversation: Any) -> None:
    netlink, kernel = conversation
    for sequence in range(1, 20):
        kernel.send(message(DONE, MULTI | INTERRUPTED, sequence, bytes(4)))
    with pytest.raises(InterruptedError, match="kept changing"):
        netlink.dump(GETLINK, b"")


def test_a_dump_that_fails_in_its_midst_raises(conversation: Any) -> None:
    netlink, kernel = conversation
    words = attribute(1, b"too much\0")
    kernel.send(message(NEWLINK, MULTI, 1, b"one."))
    kernel.send(message(DONE, MULTI | TLVS, 1, struct.pack("=i", -errno.EMSGSIZE) + words))
    with pytest.raises(OSError, match="too much") as failure:
        netlink.dump(GETLINK, b"")
    assert failure.value.errno == errno.EMSGSIZE


@pytest.mark.parametrize("capped", [True, False])
def test_the_kernel_s_words_are_in_the_error(conversation: Any, *, capped: bool) -> None:
    netlink, kernel = conversation
    request = b"" if capped else b"the request itself.."
    flags = TLVS | (CAPPED if capped else 0)
    kernel.send(refusal(1, errno.EINVAL, flags, attribute(1, b"no such thing\0"), request))
    with pytest.raises(OSError, match="netlink RTM_GETLINK: Invalid argument: no such thing: 'eth9'") as failure:
        netlink.do(GETLINK, b"", about="eth9")
    assert failure.value.errno == errno.EINVAL


def test_an_error_without_words_has_those_of_errno(conversation: Any) -> None:
    netlink, kernel = conversation
    kernel.send(refusal(1, errno.ENODEV))
    with pytest.raises(OSError, match=r"^\[Errno 19\] netlink RTM_GETLINK: No such device$"):
        netlink.get(GETLINK, b"")


def test_late_answers_to_earlier_requests_are_passed_over(conversation: Any) -> None:
    netlink, kernel = conversation
    netlink._sequence = 6
    kernel.send(message(NEWLINK, 0, 6, b"late") + refusal(5, errno.EINVAL))
    kernel.send(message(NEWLINK, 0, 7, b"mine"))
    assert netlink.get(GETLINK, b"") == b"mine"


def test_a_request_waits_for_its_acknowledgement(conversation: Any) -> None:
    netlink, kernel = conversation
    kernel.send(message(NEWLINK, 0, 1, b"an echo of what was made"))
    kernel.send(refusal(1, 0))
    netlink.do(NEWLINK, b"body")
    length, kind, flags, sequence, _ = HEADER.unpack_from(sent := kernel.recv(100))
    assert (length, kind, flags, sequence, sent[16:]) == (20, NEWLINK, 5, 1, b"body")
    with pytest.raises(BlockingIOError):  # the acknowledgement was read as well
        netlink._socket.recv(1, socket.MSG_DONTWAIT)


def test_an_answer_that_was_cut_off_is_no_answer(conversation: Any) -> None:
    netlink, kernel = conversation
    kernel.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
    kernel.send(message(NEWLINK, 0, 1, bytes(70000)))
    with pytest.raises(OSError, match="64 KiB"):
        netlink.get(GETLINK, b"")


def test_attributes_are_padded_and_read_back() -> None:
    content = text(3, "eth0") + attribute(4, b"\1") + nested(18, text(1, "veth"))
    assert len(content) % 4 == 0
    found = attributes(b"12" + content, 2)
    assert found[3] == b"eth0\0"
    assert found[4] == b"\1"
    assert attributes(found[18]) == {1: b"veth\0"}
    assert attributes(b"\1\0\1\0garbage") == {}


class Recorder:
    """Takes the place of a Netlink and decodes what it is given with pyroute2."""

    def __init__(self) -> None:
        self.requests: list[tuple[int, Any]] = []

    def do(self, kind: int, body: bytes, *, flags: int = 0, **_: object) -> None:
        decoded = ifinfmsg(message(kind, flags, 1, body))
        decoded.decode()
        self.requests.append((flags, decoded))

    def get(self, *_: object, **__: object) -> bytes:
        return struct.pack("=BxHiII", 0, 0, 77, 0, 0)


def data_of(request: Any) -> dict[str, Any]:
    information = request.get_attr("IFLA_LINKINFO")
    return {"kind": information.get_attr("IFLA_INFO_KIND")} | dict(information.get_attr("IFLA_INFO_DATA")["attrs"])


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda on: link.add_vlan(on, "v", 5, 42), {"kind": "vlan", "IFLA_VLAN_ID": 42}),
        (
            lambda on: link.add_ipvlan(on, "v", 5, "l3s", "private"),
            {"kind": "ipvlan", "IFLA_IPVLAN_MODE": 2},  # pyroute2 does not know the flags
        ),
        (
            lambda on: link.add_bridge(
                on, "v", link.NewLink(), link.BridgeOptions(vlan_filtering=True, default_pvid=7)
            ),
            {"kind": "bridge", "IFLA_BR_VLAN_FILTERING": 1, "IFLA_BR_VLAN_DEFAULT_PVID": 7},
        ),
        (lambda on: link.add_macvlan(on, "v", 5, "vepa"), {"kind": "macvlan", "IFLA_MACVLAN_MODE": "vepa"}),
    ],
)
def test_links_are_written_as_pyroute2_reads_them(make: Any, expected: dict[str, Any]) -> None:
    recorder = Recorder()
    assert make(recorder) == 77
    [(flags, request)] = recorder.requests
    assert flags == 0x600
    data = data_of(request)
    data.pop("UNKNOWN", None)
    assert data == expected
    assert request.get_attr("IFLA_LINK") == (None if expected["kind"] == "bridge" else 5)
    assert request.get_attr("IFLA_IFNAME") == "v"


def test_a_dummy_is_written_as_pyroute2_reads_it() -> None:
    recorder = Recorder()
    assert link.add_dummy(recorder, "d", link.NewLink(up=True, mac="02:00:00:00:00:09", mtu=1400)) == 77  # type: ignore[arg-type]
    request = recorder.requests[0][1]
    assert request["flags"] & request["change"] & 1
    assert request.get_attr("IFLA_LINKINFO").get_attr("IFLA_INFO_KIND") == "dummy"
    assert (request.get_attr("IFLA_ADDRESS"), request.get_attr("IFLA_MTU")) == ("02:00:00:00:00:09", 1400)
