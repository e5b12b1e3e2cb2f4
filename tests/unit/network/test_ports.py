"""Ports in Docker's words, and which are chosen."""

from __future__ import annotations

import socket

import pytest
from tests.ports import free_port

from sampan.errors import InvalidArgument
from sampan.network.definitions import ANY4, ANY6, PortRequest, Publication
from sampan.network.ports import Ports, PortTakenError, expand


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
    with pytest.raises(PortTakenError):
        Ports(nobody).publish([PortRequest(80, first=free), PortRequest(81, first=free)], (4,))
