"""Ports in Docker's words, and which are chosen."""

from __future__ import annotations

import asyncio
import socket
from dataclasses import replace

import pytest
from tests.ports import free_port

from sampan.errors import InvalidArgument
from sampan.network.definitions import ANY4, ANY6, HOST_BINDING, Network, PortRequest, Publication, Subnet
from sampan.network.ports import MANY, Ports, PortTakenError, expand, look_ahead, remedy


def nobody(address: str, port: int, protocol: str) -> str:
    return ""


def test_bindings_are_read() -> None:
    assert expand("80/tcp", "", "") == PortRequest(80)
    assert expand("53/udp", "127.0.0.1", "5353") == PortRequest(53, "udp", "127.0.0.1", 5353, 5353)
    assert expand("80", "::1", "8000-8010") == PortRequest(80, "tcp", "::1", 8000, 8010)
    for key, address, port in (
        ("80/icmp", "", ""),
        ("0/tcp", "", ""),
        ("80/tcp", "nowhere", ""),
        ("80/tcp", "", "70000"),
        ("80/tcp", "", "9-8"),
    ):
        with pytest.raises(InvalidArgument):
            expand(key, address, port)


def test_a_port_is_published_for_each_family() -> None:
    free = free_port()
    found = Ports(nobody).publish([PortRequest(80, first=free)], (4, 6))
    assert found == (Publication(ANY4, free, 80, "tcp"), Publication(ANY6, free, 80, "tcp"))
    assert Ports(nobody).publish([PortRequest(80, address="127.0.0.1", first=free)], (6,)) == ()


def test_a_listener_of_the_host_and_a_holder_stand_in_the_way() -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = listener.getsockname()[1]
        with pytest.raises(PortTakenError) as refusal:
            Ports(nobody).publish([PortRequest(80, first=port)], (4,))
        assert refusal.value.taken.holder == ""
    with pytest.raises(PortTakenError) as refusal:
        Ports(lambda *_: "holder").publish([PortRequest(80, first=port)], (4,))
    assert refusal.value.taken.holder == "holder"


def test_one_request_does_not_take_the_port_of_another() -> None:
    free = free_port()
    with pytest.raises(PortTakenError) as refusal:
        Ports(nobody).publish([PortRequest(80, first=free), PortRequest(81, first=free)], (4,))
    assert remedy(refusal.value.taken).startswith("it is asked for twice at once")


def test_of_many_ports_it_is_seen_ahead_where_nobody_listens() -> None:
    network = Network("id", "net", 0, subnets=(Subnet("10.1.0.0/24"),))
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = listener.getsockname()[1]
        taken = PortRequest(80, first=port, address="127.0.0.1")
        asked = [taken, PortRequest(80, address="192.0.2.1", first=port), *[PortRequest(80)] * MANY]
        listener_s, nowhere_s, *any_s = asyncio.run(look_ahead(network, asked))
        assert not listener_s.free
        assert not nowhere_s.free
        assert any_s == asked[2:]
        assert asyncio.run(look_ahead(network, [taken])) == [taken]  # few are asked for when they are published
    seen = asyncio.run(look_ahead(network, asked))
    assert seen[0] == replace(taken, free=True)
    with pytest.raises(InvalidArgument, match="the host has no such address"):
        Ports(nobody).publish(seen, (4,))


def test_many_ports_go_where_the_network_binds_them() -> None:
    network = Network("id", "net", 0, subnets=(Subnet("10.1.0.0/24"),), options={HOST_BINDING: "127.0.0.1"})
    asked = [PortRequest(80), PortRequest(80, address="127.0.0.2")] * MANY
    found = asyncio.run(look_ahead(network, asked))
    assert [one.address for one in found] == ["127.0.0.1", "127.0.0.2"] * MANY


def test_a_port_for_each_of_thousands_of_requests_is_found() -> None:
    asked = [PortRequest(number, first=number, free=True) for number in range(1, 65536)]
    assert len(Ports(nobody).publish(asked, (4, 6))) == 2 * 65535
