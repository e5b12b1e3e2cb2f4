"""Whose address is on the packets: seen on the wire outside, on the bridge and inside the container."""

from __future__ import annotations

import itertools
import socket
import struct
from collections.abc import Iterator

import pytest
from tests.engine_process import EngineProcess
from tests.network_containers import Containers, ip_in, refuses
from tests.packets import capturing
from tests.private_network import HOST4, HOST6, OUTSIDE4, OUTSIDE6, Place, PrivateNetwork
from tests.waiting import until

KINDS = (socket.SOCK_STREAM, socket.SOCK_DGRAM)
FAMILIES = ((HOST4, OUTSIDE4, "0.0.0.0"), (HOST6, OUTSIDE6, "::"))
PORTS = itertools.count(20000)


@pytest.fixture(scope="module")
def user_network(engine: EngineProcess) -> Iterator[str]:
    engine.json("POST", "/networks/create", {"Name": "mine", "EnableIPv6": True}, expect=201)
    yield "mine"
    engine.json("DELETE", "/networks/mine", expect=204)


def own(engine: EngineProcess, name: str, network: str, like: str) -> str:
    """The container's own address of the family that `like` is of."""
    return ip_in(engine, name, network, "GlobalIPv6Address" if ":" in like else "IPAddress")


@pytest.mark.parametrize("of", ["default", "user_network"])
def test_what_goes_out_has_the_host_s_address_and_no_other(
    engine: EngineProcess, network: PrivateNetwork, containers: Containers, user_network: str, of: str
) -> None:
    mode, name = ("default", "bridge") if of == "default" else (user_network, user_network)
    inside = containers.run("out", NetworkMode=mode)
    for (host, outside, _), kind in itertools.product(FAMILIES, KINDS):
        here, port = own(engine, "out", name, host), next(PORTS)
        with capturing(network.outside) as wire, capturing(network, "uplink") as uplink, capturing(inside) as within:
            with network.outside.serving(outside, port, kind):
                assert inside.ask(outside, port, kind) == host
            assert within.sources(port) == {here}
            assert uplink.sources(port) == wire.sources(port) == {host}
            assert wire.targets(port) == {outside}
            assert within.answerers(port) == {outside}


@pytest.mark.parametrize("of", ["default", "user_network"])
def test_what_comes_in_by_a_published_port_keeps_the_client_s_address(
    engine: EngineProcess, network: PrivateNetwork, containers: Containers, user_network: str, of: str
) -> None:
    mode, name = ("default", "bridge") if of == "default" else (user_network, user_network)
    web = containers.run("web", ":8080:80/tcp", ":8080:80/udp", NetworkMode=mode)
    for (host, outside, everywhere), kind in itertools.product(FAMILIES, KINDS):
        protocol = "tcp" if kind == socket.SOCK_STREAM else "udp"
        there = own(engine, "web", name, host)
        with capturing(network.outside) as wire, capturing(web) as within:
            with web.serving(everywhere, 80, kind):
                assert network.outside.ask(host, 8080, kind) == outside
            assert within.sources(80, protocol) == {outside}
            assert within.targets(80, protocol) == {there}
            assert wire.answerers(8080, protocol) == {host}
            assert not wire.packets(80, protocol)


def test_a_container_reaches_its_own_published_port_and_a_neighbour_s_with_one_address(
    engine: EngineProcess, network: PrivateNetwork, containers: Containers, user_network: str
) -> None:
    web = containers.run("web", ":8080:80/tcp", ":8080:80/udp", NetworkMode=user_network)
    neighbour = containers.run("neighbour", NetworkMode=user_network)
    for (host, _, everywhere), kind in itertools.product(FAMILIES, KINDS):
        gateway = ip_in(engine, "web", user_network, "IPv6Gateway" if ":" in host else "Gateway")
        for asking in (web, neighbour):
            with capturing(web) as within:
                with web.serving(everywhere, 80, kind):
                    assert asking.ask(host, 8080, kind) == gateway
                assert gateway in within.sources(80)


def test_the_host_s_own_network_is_the_host_s(network: PrivateNetwork, containers: Containers) -> None:
    inside = containers.run("on-host", NetworkMode="host")
    for (host, outside, everywhere), kind in itertools.product(FAMILIES, KINDS):
        port = next(PORTS)
        with capturing(network.outside) as wire:
            with network.outside.serving(outside, port, kind):
                assert inside.ask(outside, port, kind) == host
            with inside.serving(everywhere, port, kind):
                assert network.outside.ask(host, port, kind) == outside
            assert wire.sources(port) == {host, outside}


def test_a_joined_container_sends_and_serves_with_the_address_of_the_other(
    engine: EngineProcess, network: PrivateNetwork, containers: Containers
) -> None:
    pod = containers.run("pod", ":8080:80/tcp")
    sidecar = containers.run("sidecar", NetworkMode="container:pod")
    there = ip_in(engine, "pod", "bridge")
    with capturing(pod) as within:
        with network.outside.serving(OUTSIDE4, 7100):
            assert sidecar.ask(OUTSIDE4, 7100) == HOST4
        with sidecar.serving("0.0.0.0", 80):
            assert network.outside.ask(HOST4, 8080) == OUTSIDE4
            assert pod.ask("127.0.0.1", 80) == "127.0.0.1"
        assert within.sources(7100) == {there}
        assert within.targets(80) == {there}


def test_none_is_loopback_alone(network: PrivateNetwork, containers: Containers) -> None:
    alone = containers.run("alone", NetworkMode="none")
    assert alone.links() == {"lo"}
    with alone.serving("127.0.0.1", 7101):
        assert alone.ask("127.0.0.1", 7101) == "127.0.0.1"
    with network.outside.serving(OUTSIDE4, 7102):
        assert refuses(alone, OUTSIDE4, 7102)


def test_sctp_is_translated_in_both_directions(
    engine: EngineProcess, network: PrivateNetwork, containers: Containers
) -> None:
    """By raw packets, as this works where the kernel has connection tracking for sctp, with or without its sockets."""
    web = containers.run("web", ":8080:80/sctp")
    there = ip_in(engine, "web", "bridge")
    with capturing(network.outside) as wire, capturing(web) as within:
        send_sctp_init(network.outside, HOST4, 9001, 8080)
        send_sctp_init(web, OUTSIDE4, 9002, 9003)
        until(lambda: within.sources(80, "sctp") == {OUTSIDE4} and within.targets(80, "sctp") == {there})
        until(lambda: wire.sources(9003, "sctp") == {HOST4})
    assert engine.inspect("web")["NetworkSettings"]["Ports"]["80/sctp"][0] == {"HostIp": "0.0.0.0", "HostPort": "8080"}


def send_sctp_init(place: Place, address: str, source_port: int, port: int) -> None:
    """The first packet of an association (RFC 9260, 3.3.2), made by hand."""
    chunk = struct.pack("!BBHIIHHI", 1, 0, 20, 0x1234, 65536, 1, 1, 1)
    packet = struct.pack("!HHII", source_port, port, 0, 0) + chunk
    packet = packet[:8] + struct.pack("<I", crc32c(packet)) + packet[12:]
    with place.open_socket(kind=socket.SOCK_RAW, protocol=132) as raw:
        raw.sendto(packet, (address, 0))


def crc32c(content: bytes) -> int:
    """The checksum of sctp (RFC 9260, appendix A)."""
    rest = 0xFFFFFFFF
    for byte in content:
        rest ^= byte
        for _ in range(8):
            rest = rest >> 1 ^ (0x82F63B78 if rest & 1 else 0)
    return rest ^ 0xFFFFFFFF
