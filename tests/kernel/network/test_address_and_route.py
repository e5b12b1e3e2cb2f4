"""Addresses, routes and neighbours on the real kernel, as pyroute2 sees them."""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable
from typing import Any

import pytest
from pyroute2 import IPRoute

from sampan.linux import address, link, neighbour, route
from sampan.linux.link import NewLink, Peer
from sampan.linux.netlink import Netlink
from sampan.linux.network_namespace import inside, make_network_namespace
from sampan.linux.route import Route

MAC = "02:42:0a:09:00:05"


def run(host: Any, function: Callable[[Netlink, int], Any]) -> Any:
    """Call `function` with a Netlink of a namespace of its own and an end of a veth pair there that is up."""

    def inside_it() -> Any:
        with Netlink() as netlink:
            index = link.add_veth(netlink, "eth0", "other", NewLink(up=True))
            link.set_link(netlink, "other", up=True)
            return function(netlink, index)

    return host.run(inside_it, mnt=False, net=True)


@pytest.mark.parametrize(("text", "prefix"), [("10.1.2.3", 24), ("fd00::5", 64)])
def test_an_address_is_added_found_and_deleted(host: Any, text: str, prefix: int) -> None:
    def check(netlink: Netlink, index: int) -> None:
        address.add_address(netlink, index, text, prefix, flags=address.NODAD)
        link.set_link(netlink, "lo", up=True)
        with IPRoute() as oracle:
            seen = [each for each in oracle.get_addr(index=index) if each.get_attr("IFA_ADDRESS") == text]
        assert [each["prefixlen"] for each in seen] == [prefix]
        [found] = [each for each in address.addresses(netlink, index) if each.address == text]
        assert (found.index, found.prefix, found.family == socket.AF_INET6) == (index, prefix, ":" in text)
        assert not found.flags & address.TENTATIVE
        assert {each.index for each in address.addresses(netlink)} > {
            each.index for each in address.addresses(netlink, 1)
        }
        with pytest.raises(FileExistsError, match=text):
            address.add_address(netlink, index, text, prefix)
        address.add_address(netlink, index, text, prefix, replace=True)
        address.delete_address(netlink, index, text, prefix)
        assert text not in [each.address for each in address.addresses(netlink)]
        with pytest.raises(OSError, match=text) as failure:
            address.delete_address(netlink, index, text, prefix)
        assert failure.value.errno == errno.EADDRNOTAVAIL

    run(host, check)


def test_an_address_may_have_a_broadcast_address(host: Any) -> None:
    def check(netlink: Netlink, index: int) -> None:
        address.add_address(netlink, index, "10.1.2.3", 24, broadcast="10.1.2.255")
        assert address.addresses(netlink, index)[0].broadcast == "10.1.2.255"

    run(host, check)


@pytest.mark.parametrize(
    ("own", "prefix", "gateway", "anywhere", "outside"),
    [("10.1.2.3", 24, "10.1.2.1", "0.0.0.0/0", "8.8.8.8"), ("fd00::5", 64, "fd00::1", "::/0", "2001:db8::1")],
)
def test_a_default_route_leads_through_its_gateway(
    host: Any, own: str, prefix: int, gateway: str, anywhere: str, outside: str
) -> None:
    family = socket.AF_INET6 if ":" in own else socket.AF_INET

    def check(netlink: Netlink, index: int) -> None:
        address.add_address(netlink, index, own, prefix, flags=address.NODAD)
        wanted = Route(anywhere, gateway=gateway)
        route.add_route(netlink, wanted)
        with IPRoute() as oracle:
            [seen] = oracle.get_default_routes(family=family, table=254)
        assert (seen.get_attr("RTA_GATEWAY"), seen.get_attr("RTA_OIF")) == (gateway, index)
        [found] = [each for each in route.routes(netlink, family=family) if each.destination == anywhere]
        assert (found.gateway, found.index, found.kind) == (gateway, index, "unicast")
        way = route.route_to(netlink, outside)
        assert (way.gateway, way.index) == (gateway, index)
        with pytest.raises(FileExistsError):
            route.add_route(netlink, wanted)
        route.add_route(netlink, Route(anywhere, gateway=gateway, mtu=1280), replace=True)
        route.delete_route(netlink, wanted)
        with pytest.raises(OSError, match="RTM_GETROUTE") as failure:
            route.route_to(netlink, outside)
        assert failure.value.errno == errno.ENETUNREACH

    run(host, check)


def test_a_route_has_what_it_was_made_with(host: Any) -> None:
    def check(netlink: Netlink, index: int) -> None:
        address.add_address(netlink, index, "10.1.2.3", 24)
        wanted = [
            Route("10.7.0.0/16", "10.1.2.1", index, "10.1.2.3", 500, 1000, protocol=route.STATIC, mtu=1300),
            Route("10.8.0.1/32", index=index, table=1000),
            Route("10.9.0.0/24", "192.168.1.1", index, table=1000, onlink=True),
            Route("10.10.0.0/24", table=1000, kind="blackhole"),
            Route("10.11.0.0/24", table=1000, kind="unreachable", metric=9),
        ]
        for each in wanted:
            route.add_route(netlink, each)
        assert route.routes(netlink, family=socket.AF_INET, table=1000) == wanted
        with IPRoute() as oracle:
            seen = oracle.get_routes(family=socket.AF_INET, table=1000)
        assert sorted(each.get_attr("RTA_DST") for each in seen) == [
            "10.10.0.0",
            "10.11.0.0",
            "10.7.0.0",
            "10.8.0.1",
            "10.9.0.0",
        ]
        assert [each.destination for each in route.routes(netlink, table=1000, index=index)] == [
            "10.7.0.0/16",
            "10.8.0.1/32",
            "10.9.0.0/24",
        ]
        assert all(each.table == route.MAIN for each in route.routes(netlink))
        for each in wanted:
            route.delete_route(netlink, each)
        assert route.routes(netlink, table=1000) == []
        with pytest.raises(ProcessLookupError, match=r"10\.7"):
            route.delete_route(netlink, wanted[0])

    run(host, check)


def test_a_gateway_may_stand_behind_a_route_to_it_alone(host: Any) -> None:
    def check(netlink: Netlink, index: int) -> list[str]:
        address.add_address(netlink, index, "10.1.2.3", 32)
        route.add_route(netlink, Route("10.8.0.1/32", index=index))
        route.add_route(netlink, Route("0.0.0.0/0", gateway="10.8.0.1"))
        return [each.destination for each in route.routes(netlink, family=socket.AF_INET)]

    assert run(host, check) == ["0.0.0.0/0", "10.8.0.1/32"]


def test_a_table_that_was_never_used_has_no_routes(host: Any) -> None:
    assert run(host, lambda netlink, _: route.routes(netlink, table=4711)) == []


def test_a_gateway_out_of_reach_is_refused_with_the_kernel_s_words(host: Any) -> None:
    with pytest.raises(OSError, match="invalid gateway"):
        run(host, lambda netlink, _: route.add_route(netlink, Route("0.0.0.0/0", gateway="99.1.1.1")))


@pytest.mark.parametrize("text", ["10.1.2", "10.1.2.300", "fd00::g", "", "host", "10.1.2.3/24"])
def test_what_is_no_address_is_refused_by_name(text: str) -> None:
    with pytest.raises(OSError, match="not an IP address") as refusal:
        address.pack(text)
    assert refusal.value.errno == errno.EINVAL


@pytest.mark.parametrize("text", ["10.0.0.0/33", "::/129", "10.0.0.0/x", "10.0.0.0/-1"])
def test_what_is_no_destination_is_refused_by_name(host: Any, text: str) -> None:
    with pytest.raises(OSError, match="not a route's destination"):
        run(host, lambda netlink, _: route.add_route(netlink, Route(text)))


@pytest.mark.parametrize("text", ["10.1.2.9", "fd00::9"])
def test_a_neighbour_is_set_and_forgotten(host: Any, text: str) -> None:
    def check(netlink: Netlink, index: int) -> None:
        neighbour.add_neighbour(netlink, index, text, "02:00:00:00:00:01")
        neighbour.add_neighbour(netlink, index, text, MAC)
        with IPRoute() as oracle:
            [seen] = [each for each in oracle.get_neighbours(ifindex=index) if each.get_attr("NDA_DST") == text]
        assert (seen.get_attr("NDA_LLADDR"), seen["state"]) == (MAC, neighbour.PERMANENT)
        [found] = [each for each in neighbour.neighbours(netlink, index) if each.address == text]
        assert (found.mac, found.state, found.proxy) == (MAC, neighbour.PERMANENT, False)
        neighbour.delete_neighbour(netlink, index, text)
        kept = [each for each in neighbour.neighbours(netlink, index) if each.address == text and each.mac == MAC]
        assert [each.state for each in kept if each.state == neighbour.PERMANENT] == []

    run(host, check)


@pytest.mark.parametrize("text", ["10.1.2.9", "fd00::9"])
def test_an_address_is_answered_for_in_proxy(host: Any, text: str) -> None:
    def check(netlink: Netlink, index: int) -> None:
        neighbour.add_proxy(netlink, index, text)
        assert [each.address for each in neighbour.neighbours(netlink, index, proxy=True)] == [text]
        assert text not in [each.address for each in neighbour.neighbours(netlink, index)]
        neighbour.delete_neighbour(netlink, index, text, proxy=True)
        assert neighbour.neighbours(netlink, proxy=True) == []

    run(host, check)


def test_two_namespaces_on_a_bridge_reach_each_other(host: Any) -> None:
    """The whole network of two containers: pair, master, up, address, route; then a datagram from one to the other."""

    def check(netlink: Netlink, _index: int) -> bytes:
        bridge = link.add_bridge(netlink, "br0", NewLink(up=True))
        address.add_address(netlink, bridge, "10.1.2.1", 24)
        places = []
        for number in (2, 3):
            place = make_network_namespace()
            link.add_veth(netlink, f"veth{number}", "eth0", NewLink(up=True, master=bridge), Peer(netns_fd=place))
            with Netlink(place) as there:
                link.set_link(there, "eth0", up=True)
                end = link.get_link(there, "eth0").index
                address.add_address(there, end, f"10.1.2.{number}", 24)
                route.add_route(there, Route("0.0.0.0/0", gateway="10.1.2.1"))
            places.append(place)
        with inside(places[0]):
            receiver = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        with inside(places[1]):
            sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        with receiver, sender:
            receiver.bind(("10.1.2.2", 5000))
            receiver.settimeout(20)
            sender.sendto(b"ahoy", ("10.1.2.2", 5000))
            return receiver.recv(10)

    assert run(host, check) == b"ahoy"
