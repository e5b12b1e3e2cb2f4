"""Links on the real kernel, as pyroute2 sees them."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from typing import Any

import pytest
from pyroute2 import IPRoute

from sampan.linux import link
from sampan.linux.link import BridgeOptions, NewLink, Peer
from sampan.linux.netlink import Netlink
from sampan.linux.network_namespace import inside, make_network_namespace

MAC = "02:42:0a:09:00:05"


def seen_by_pyroute2(name: str) -> Any:
    with IPRoute() as oracle:
        return oracle.link("get", ifname=name)[0]


def run(host: Any, function: Callable[[Netlink], Any]) -> Any:
    """Call `function` with a Netlink of a network namespace of its own."""

    def inside_it() -> Any:
        with Netlink() as netlink:
            return function(netlink)

    return host.run(inside_it, mnt=False, net=True)


def test_a_bridge_has_what_it_was_made_with(host: Any) -> None:
    options = BridgeOptions(stp=False, multicast_snooping=False, nf_call_iptables=True, nf_call_arptables=False)

    def check(netlink: Netlink) -> None:
        index = link.add_bridge(netlink, "br0", NewLink(up=True, mac=MAC, mtu=1400), options)
        seen = seen_by_pyroute2("br0")
        data = seen.get_attr("IFLA_LINKINFO").get_attr("IFLA_INFO_DATA")
        assert (seen["index"], seen["flags"] & 1) == (index, 1)
        assert [seen.get_attr(name) for name in ("IFLA_ADDRESS", "IFLA_MTU")] == [MAC, 1400]
        assert data.get_attr("IFLA_BR_MCAST_SNOOPING") == data.get_attr("IFLA_BR_STP_STATE") == 0
        assert (data.get_attr("IFLA_BR_NF_CALL_IPTABLES"), data.get_attr("IFLA_BR_NF_CALL_ARPTABLES")) == (1, 0)
        link.set_bridge(netlink, index, BridgeOptions(multicast_snooping=True))
        data = seen_by_pyroute2("br0").get_attr("IFLA_LINKINFO").get_attr("IFLA_INFO_DATA")
        assert data.get_attr("IFLA_BR_MCAST_SNOOPING") == 1
        assert data.get_attr("IFLA_BR_NF_CALL_IPTABLES") == 1

    run(host, check)


def test_a_veth_pair_is_made_at_once_in_two_namespaces(host: Any) -> None:
    def check(netlink: Netlink) -> None:
        bridge = link.add_bridge(netlink, "br0", NewLink(up=True))
        other = make_network_namespace()
        index = link.add_veth(
            netlink, "veth9", "eth0", NewLink(up=True, master=bridge), Peer(netns_fd=other, mac=MAC, mtu=1300)
        )
        near = link.get_link(netlink, "veth9")
        assert (near.index, near.kind, near.master, near.port_of, near.is_up) == (index, "veth", bridge, "bridge", True)
        assert seen_by_pyroute2("veth9").get_attr("IFLA_MASTER") == bridge
        with pytest.raises(OSError, match="eth0"):
            link.get_link(netlink, "eth0")
        with Netlink(other) as there:
            far = link.get_link(there, "eth0")
            assert (far.mac, far.mtu, far.is_up, far.parent) == (MAC, 1300, False, index)
            link.set_link(there, far.index, up=True)
            assert link.get_link(there, far.index).state == "up"
        assert near.parent == far.index
        assert near.parent_netns is not None
        with inside(other):
            assert seen_by_pyroute2("eth0").get_attr("IFLA_ADDRESS") == MAC

    run(host, check)


def test_a_link_is_renamed_moved_and_changed(host: Any) -> None:
    def check(netlink: Netlink) -> None:
        index = link.add_veth(netlink, "one", "two")
        link.set_link(netlink, index, name="three", mac=MAC, mtu=900, alias="x", group=77, up=True)
        seen = seen_by_pyroute2("three")
        assert seen["index"] == index
        assert [seen.get_attr(f"IFLA_{each}") for each in ("ADDRESS", "MTU", "IFALIAS", "GROUP")] == [MAC, 900, "x", 77]
        assert link.get_link(netlink, index).alias == "x"
        link.set_link(netlink, "three", mtu=901)
        assert link.get_link(netlink, "three").is_up
        bridge = link.add_bridge(netlink, "br0")
        link.set_link(netlink, "three", master=bridge)
        assert [each.name for each in link.links(netlink, master=bridge)] == ["three"]
        link.set_link(netlink, "three", master=0, up=False)
        assert link.links(netlink, master=bridge) == []
        assert not link.get_link(netlink, "three").is_up
        other = make_network_namespace()
        link.set_link(netlink, index, netns_fd=other)
        with Netlink(other) as there:
            assert link.get_link(there, "three").mac == MAC

    run(host, check)


def test_a_bridge_port_is_isolated_and_reflects(host: Any) -> None:
    def check(netlink: Netlink) -> None:
        bridge = link.add_bridge(netlink, "br0")
        port = link.add_veth(netlink, "port", "end", NewLink(master=bridge))
        link.set_bridge_port(netlink, port, hairpin=True, isolated=True, learning=False, unicast_flood=False)
        with IPRoute() as oracle:
            data = oracle.link("get", index=port)[0].get_attr("IFLA_LINKINFO").get_attr("IFLA_INFO_SLAVE_DATA")
        seen = [data.get_attr(f"IFLA_BRPORT_{name}") for name in ("MODE", "ISOLATED", "LEARNING", "UNICAST_FLOOD")]
        assert seen == [1, 1, 0, 0]

    run(host, check)


def test_links_are_told_by_kind(host: Any) -> None:
    def check(netlink: Netlink) -> None:
        for name in ("br0", "br1"):
            link.add_bridge(netlink, name)
        link.add_veth(netlink, "one", "two")
        assert {each.name for each in link.links(netlink, kind="bridge")} == {"br0", "br1"}
        with IPRoute() as oracle:
            known = {(each["index"], each.get_attr("IFLA_IFNAME")) for each in oracle.get_links()}
        assert {(each.index, each.name) for each in link.links(netlink)} == known

    run(host, check)


def test_a_macvlan_is_made_in_another_namespace(host: Any) -> None:
    def check(netlink: Netlink) -> None:
        parent = link.add_veth(netlink, "one", "two", NewLink(up=True))
        other = make_network_namespace()
        try:
            index = link.add_macvlan(netlink, "mac0", parent, "private", NewLink(netns_fd=other, mac=MAC, up=True))
        except OSError as error:
            if error.errno == errno.EOPNOTSUPP:
                pytest.skip("this kernel has no macvlan")
            raise
        assert index == 0
        with Netlink(other) as there:
            made = link.get_link(there, "mac0")
            assert (made.kind, made.mac, made.parent) == ("macvlan", MAC, parent)

    run(host, check)


@pytest.mark.parametrize(
    ("kind", "make"),
    [
        ("dummy", lambda netlink, _parent: link.add_dummy(netlink, "made")),
        ("vlan", lambda netlink, parent: link.add_vlan(netlink, "made", parent, 42)),
        ("ipvlan", lambda netlink, parent: link.add_ipvlan(netlink, "made", parent)),
    ],
)
def test_a_link_of_a_kind_is_made_where_the_kernel_has_it(host: Any, kind: str, make: Any) -> None:
    def check(netlink: Netlink) -> None:
        parent = link.add_veth(netlink, "one", "two")
        try:
            index = make(netlink, parent)
        except OSError as error:
            if error.errno == errno.EOPNOTSUPP:
                pytest.skip(f"this kernel has no {kind}")
            raise
        made = link.get_link(netlink, index)
        assert (made.kind, made.name) == (kind, "made")

    run(host, check)


def test_deleting_one_end_deletes_the_pair(host: Any) -> None:
    def check(netlink: Netlink) -> None:
        link.add_veth(netlink, "one", "two")
        link.delete_link(netlink, "two")
        assert [each.name for each in link.links(netlink, kind="veth")] == []
        with pytest.raises(OSError, match="one") as failure:
            link.delete_link(netlink, "one")
        assert failure.value.errno == errno.ENODEV

    run(host, check)


@pytest.mark.parametrize(
    ("act", "number", "words"),
    [
        (lambda netlink: link.add_bridge(netlink, "lo"), errno.EEXIST, "'lo'"),
        (lambda netlink: link.add_bridge(netlink, "a-name-of-16-byt"), errno.EINVAL, "a-name-of-16-byt"),
        (lambda netlink: link.set_link(netlink, 1, mtu=1 << 31), errno.EINVAL, "mtu"),
        (lambda netlink: link.set_link(netlink, 999, up=True), errno.ENODEV, "999"),
        (lambda netlink: link.add_macvlan(netlink, "m", 999), errno.ENODEV, "'m'"),
    ],
)
def test_a_refusal_says_what_was_asked_and_why(host: Any, act: Any, number: int, words: str) -> None:
    with pytest.raises(OSError, match=words) as refusal:
        run(host, act)
    assert refusal.value.errno in {number, errno.ERANGE}


def test_a_netlink_closes_its_socket() -> None:
    before = set(os.listdir("/proc/self/fd"))
    with Netlink() as netlink:
        assert link.get_link(netlink, 1).name == "lo"
    netlink.close()
    assert set(os.listdir("/proc/self/fd")) == before


def test_hundreds_of_links_are_listed_whole(host: Any) -> None:
    def check(netlink: Netlink) -> None:
        for number in range(300):
            link.add_bridge(netlink, f"br{number}")
        assert len(link.links(netlink, kind="bridge")) == 300

    run(host, check)
