"""Token buckets on links, held against tc(8)."""

from __future__ import annotations

import json
import os
import socket
import subprocess
from collections.abc import Iterator

import pytest

from sampan.linux.link import NewLink, add_veth, set_link
from sampan.linux.netlink import Netlink
from sampan.linux.network_namespace import inside, make_network_namespace
from sampan.linux.shaping import Passed, Shaped, passed_through, shape, shaped, unshape


@pytest.fixture
def netns_fd() -> Iterator[int]:
    made = make_network_namespace()
    yield made
    os.close(made)


def by_tc(netns_fd: int) -> dict[str, object]:
    with inside(netns_fd):
        done = subprocess.run(["tc", "-j", "qdisc", "show", "dev", "one"], capture_output=True, check=True)
    found: dict[str, object] = json.loads(done.stdout)[0]
    return found


@pytest.mark.parametrize("bits", [8_000, 1_000_000, 10_000_000_000, 80_000_000_000])
def test_a_link_is_shaped_as_tc_sees_it(netns_fd: int, bits: int) -> None:
    with Netlink(netns_fd) as netlink:
        index = add_veth(netlink, "one", "two", NewLink(up=True))
        assert shaped(netlink, index) is None
        shape(netlink, index, bits)
        assert shaped(netlink, index) == Shaped(bits, 0, 0, 0, 0, 0)
        seen = by_tc(netns_fd)
        assert seen["kind"] == "tbf"
        assert seen["root"] is True
        options = seen["options"]
        assert isinstance(options, dict)
        assert options["rate"] == bits // 8


def test_a_rate_is_changed_and_lifted_and_what_others_made_is_left_alone(netns_fd: int) -> None:
    with Netlink(netns_fd) as netlink:
        index = add_veth(netlink, "one", "two", NewLink(up=True))
        for bits in (1_000_000, 2_000_000):
            shape(netlink, index, bits)
        found = shaped(netlink, index)
        assert found is not None
        assert found.bits_per_second == 2_000_000
        for _ in range(2):
            unshape(netlink, index)
            assert shaped(netlink, index) is None
        with inside(netns_fd):
            words = ["tc", "qdisc", "add", "dev", "one", "root", "handle", "7:", "tbf", "rate", "1mbit"]
            subprocess.run([*words, "burst", "32k", "latency", "50ms"], check=True)
        unshape(netlink, index)
        assert by_tc(netns_fd)["kind"] == "tbf"


def test_a_link_that_is_not_there_is_refused_by_name(netns_fd: int) -> None:
    with Netlink(netns_fd) as netlink, pytest.raises(OSError, match=r"RTM_NEWQDISC") as refused:
        shape(netlink, 4711, 8000)
    assert refused.value.errno == 19


def test_what_passed_a_class_is_counted_as_tc_sees_it(netns_fd: int) -> None:
    class_id = 0x100001  # tc's 10:1, a class by its priority (tc-htb(8))
    with Netlink(netns_fd) as netlink, inside(netns_fd):
        index = add_veth(netlink, "one", "two", NewLink(up=True))
        set_link(netlink, "two", up=True)
        assert passed_through(netlink, class_id) == {}
        for words in (
            "qdisc add dev lo root handle 10: tbf rate 1mbit burst 32k latency 50ms",
            "qdisc add dev one root handle 10: htb",
            "class add dev one parent 10: classid 10:1 htb rate 1gbit",
        ):
            subprocess.run(["tc", *words.split()], check=True)
        assert passed_through(netlink, class_id) == {index: Passed(0, 0, 0, 0, 0)}
        with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as sender:
            sender.setsockopt(socket.SOL_SOCKET, socket.SO_PRIORITY, class_id)
            sender.bind(("one", 0))
            for _ in range(3):
                sender.send(bytes(100))
        seen = json.loads(
            subprocess.run(["tc", "-s", "-j", "class", "show", "dev", "one"], capture_output=True, check=True).stdout
        )
        (counted,) = (one["stats"] for one in seen if one["handle"] == "10:1")
        assert passed_through(netlink, class_id)[index].packets == counted["packets"] == 3
        assert passed_through(netlink, class_id)[index].bytes == counted["bytes"]
        assert passed_through(netlink, 0x100002) == {}
