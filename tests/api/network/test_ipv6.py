"""IPv6 beyond translation: routed networks, neighbours' questions, and the host's own routes."""

from __future__ import annotations

import contextlib
import socket
import struct
from pathlib import Path

from tests.engine_process import EngineProcess
from tests.network_containers import Containers, Networks, ip_in, refuses
from tests.packets import capturing
from tests.private_network import HOST6, OUTSIDE6, PrivateNetwork, make_private_network

KINDS = (socket.SOCK_STREAM, socket.SOCK_DGRAM)
ROUTED = {"com.docker.network.bridge.gateway_mode_ipv6": "routed"}
ROUTER_SOLICITATION, NEIGHBOUR_SOLICITATION = 133, 135  # types of ICMPv6 (RFC 4861)
ALL_ROUTERS = "ff02::2"


def test_a_routed_network_s_addresses_are_seen_outside_and_reached_at_published_ports_alone(
    engine: EngineProcess, network: PrivateNetwork, networks: Networks, containers: Containers
) -> None:
    pools = [{"Subnet": "10.9.0.0/24"}, {"Subnet": "2001:db8:9::/64"}]
    networks.create("six", EnableIPv6=True, IPAM={"Config": pools}, Options=ROUTED)
    web = containers.run("web", ":8080:80/tcp", ":8080:80/udp", NetworkMode="six")
    there = ip_in(engine, "web", "six", "GlobalIPv6Address")
    network.outside.run("ip", "route", "add", "2001:db8:9::/64", "via", HOST6)
    try:
        for kind in KINDS:
            with capturing(network.outside) as wire, network.outside.serving(OUTSIDE6, 7600, kind):
                assert web.ask(OUTSIDE6, 7600, kind) == there
                assert wire.sources(7600) == {there}
            with capturing(web) as within, web.serving("::", 80, kind), web.serving("::", 81, kind):
                assert network.outside.ask(there, 80, kind) == OUTSIDE6
                assert within.sources(80) == {OUTSIDE6}
                assert refuses(network.outside, there, 81, kind)
                assert within.packets(81) == []
                assert refuses(network.outside, HOST6, 8080, kind)  # nothing is translated
    finally:
        network.outside.run("ip", "route", "delete", "2001:db8:9::/64")


def test_neighbours_find_each_other_anew(engine: EngineProcess, networks: Networks, containers: Containers) -> None:
    networks.create("six", EnableIPv6=True)
    one, two = (containers.run(name, NetworkMode="six") for name in ("one", "two"))
    there = ip_in(engine, "two", "six", "GlobalIPv6Address")
    with two.serving("::", 7601):
        for _ in range(2):
            assert one.ask(there, 7601) == ip_in(engine, "one", "six", "GlobalIPv6Address")
            one.run("ip", "-6", "neighbour", "flush", "dev", "eth0")
            assert there not in one.run("ip", "-6", "neighbour", "show", "dev", "eth0", "nud", "reachable")


def test_a_container_that_starts_asks_its_neighbours_for_no_router(
    engine: EngineProcess, network: PrivateNetwork, networks: Networks, containers: Containers
) -> None:
    networks.create("six", EnableIPv6=True)
    one = containers.run("one", NetworkMode="six")
    heard = []
    with one.open_socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6) as raw, one.serving("::", 7602):
        group = socket.inet_pton(socket.AF_INET6, ALL_ROUTERS) + struct.pack("=I", 0)
        raw.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, group)
        two = containers.run("two", NetworkMode="six")
        assert two.ask(ip_in(engine, "one", "six", "GlobalIPv6Address"), 7602)
        raw.settimeout(0)
        with contextlib.suppress(BlockingIOError):
            while True:
                heard.append(raw.recv(2000)[0])
    assert NEIGHBOUR_SOLICITATION in heard
    assert ROUTER_SOLICITATION not in heard
    for name in ("one", "two"):
        link = f"sp{ip_in(engine, name, 'six', 'EndpointID')[:12]}"
        assert network.run("ip", "-6", "address", "show", "dev", link) == ""


def test_the_host_goes_on_to_learn_its_routes_and_keeps_those_it_has(tmp_path: Path) -> None:
    network = make_private_network()
    try:
        for name, value in (("all.forwarding", 0), ("uplink.accept_ra", 1), ("default.accept_ra", 1)):
            network.run("sysctl", "-qw", f"net.ipv6.conf.{name}={value}")
        before = network.run("ip", "-6", "route", "show", "dev", "uplink")
        with EngineProcess(tmp_path, netns_fd=network.netns_fd) as engine:
            engine.run("one", "sleep", "300", host={"NetworkMode": "default"})
            assert network.run("sysctl", "-n", "net.ipv6.conf.all.forwarding") == "1\n"
            # a host that forwards hears no router advertisements unless it is told to all the same
            assert network.run("sysctl", "-n", "net.ipv6.conf.uplink.accept_ra") == "2\n"
            assert network.run("sysctl", "-n", "net.ipv6.conf.sampan0.accept_ra") == "0\n"
            assert network.run("ip", "-6", "route", "show", "dev", "uplink") == before
    finally:
        network.close()
