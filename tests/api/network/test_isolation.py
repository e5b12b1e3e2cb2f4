"""What must not pass does not: for every rule of isolation a packet that is sent, seen to leave and never to arrive."""

from __future__ import annotations

import contextlib
import itertools
import socket
import struct
from collections.abc import Iterable, Iterator

from tests.engine_process import EngineProcess
from tests.network_containers import Containers, Networks, ip_in
from tests.packets import Capture, capturing
from tests.private_network import HOST4, HOST6, OUTSIDE4, OUTSIDE6, Place, PrivateNetwork
from tests.waiting import until

from sampan.linux.link import get_link
from sampan.linux.netlink import Netlink
from sampan.linux.network_namespace import inside
from sampan.network.definitions import GROUP

KINDS = (socket.SOCK_STREAM, socket.SOCK_DGRAM)
ICC = "com.docker.network.bridge.enable_icc"
PORTS = itertools.count(21000)


def knock(place: Place, address: str, port: int, timeout_s: float = 0.15) -> list[str]:
    """Try to be heard there by tcp and udp; what was answered. Unless it is told to wait, it takes a moment."""
    heard = []
    for kind in KINDS:
        with place.open_socket(socket.AF_INET6 if ":" in address else socket.AF_INET, kind) as client:
            client.settimeout(timeout_s)
            with contextlib.suppress(OSError):
                client.connect((address, port))
                client.send(b"?")
                heard.append(client.recv(100).decode())
    return heard


def answers(place: Place, address: str, port: int) -> int:
    """How many of tcp and udp are answered there, however busy the machine."""
    return len(knock(place, address, port, 30))


def both(engine: EngineProcess, container: str, network: str) -> tuple[str, str]:
    """The addresses of a container."""
    return ip_in(engine, container, network), ip_in(engine, container, network, "GlobalIPv6Address")


def check_kept_out(asking: Place, addresses: Iterable[str], port: int, at: Capture, sent: Capture) -> None:
    """Nothing that `asking` sends there arrives, and all of it was sent."""
    for address in addresses:
        assert knock(asking, address, port) == [], address
        # on a busy machine who has the address is answered later than we knock; what waits for it is sent then
        until(lambda address=address: len({one.protocol for one in sent.packets(port) if one.target == address}) == 2)  # type: ignore[misc]
    assert at.packets(port) == []


@contextlib.contextmanager
def serving(place: Place, port: int) -> Iterator[None]:
    """A server for both protocols and families."""
    with place.serving("::", port, KINDS[0]), place.serving("::", port, KINDS[1]):
        yield


@contextlib.contextmanager
def routed(network: PrivateNetwork, *subnets: str) -> Iterator[None]:
    """The outside host sends packets for these to our host, as a neighbour on the wire can."""
    for subnet in subnets:
        network.outside.run("ip", "route", "add", subnet, "via", HOST6 if ":" in subnet else HOST4)
    try:
        yield
    finally:
        for subnet in subnets:
            network.outside.run("ip", "route", "delete", subnet)


def subnets_of(networks: Networks, name: str) -> list[str]:
    return [pool["Subnet"] for pool in networks.inspect(name)["IPAM"]["Config"]]


def test_containers_of_two_networks_do_not_reach_each_other(
    engine: EngineProcess, networks: Networks, containers: Containers
) -> None:
    for name in ("left", "right"):
        networks.create(name, EnableIPv6=True)
    port = next(PORTS)
    places = {name: containers.run(f"in-{name}", NetworkMode=name) for name in ("left", "right")}
    places["bridge"] = containers.run("in-bridge")
    mate = containers.run("mate", NetworkMode="right")
    for one, other in (("left", "right"), ("right", "bridge"), ("bridge", "left")):
        there = both(engine, f"in-{other}", other)
        with serving(places[other], port), capturing(places[other]) as at, capturing(places[one]) as sent:
            check_kept_out(places[one], there, port, at, sent)
    with serving(places["right"], port):
        assert [answers(mate, address, port) for address in both(engine, "in-right", "right")] == [2, 2]


def test_a_bridge_in_another_group_of_links_is_found_by_its_name(
    engine: EngineProcess, network: PrivateNetwork, networks: Networks, containers: Containers
) -> None:
    links = {name: f"br-{networks.create(name, EnableIPv6=True)[:12]}" for name in ("left", "right")}
    port = next(PORTS)
    left = containers.run("in-left", NetworkMode="left")
    right = containers.run("in-right", f":{port}:{port}/tcp", f":{port}:{port}/udp", NetworkMode="right")
    for link in links.values():
        assert f"group {GROUP} " in network.run("ip", "link", "show", link)
        network.run("ip", "link", "set", link, "group", "default")
    with serving(right, port):
        with capturing(right) as at, capturing(left) as sent:
            check_kept_out(left, both(engine, "in-right", "right"), port, at, sent)
        assert [answers(network.outside, address, port) for address in (HOST4, HOST6)] == [2, 2]
        assert answers(right, HOST4, port) == 2


def test_a_port_that_is_not_published_is_closed_to_a_neighbour_of_the_host(
    engine: EngineProcess, network: PrivateNetwork, networks: Networks, containers: Containers
) -> None:
    networks.create("app", EnableIPv6=True)
    closed, opened = next(PORTS), next(PORTS)
    web = containers.run("web", f":{opened}:{opened}/tcp", f":{opened}:{opened}/udp", NetworkMode="app")
    there = both(engine, "web", "app")
    with routed(network, *subnets_of(networks, "app")), capturing(network.outside) as sent, capturing(web) as at:
        with serving(web, closed):
            check_kept_out(network.outside, there, closed, at, sent)
            assert [answers(network, address, closed) for address in there] == [2, 2]
        with serving(web, opened):
            # by the container's own address neither, although the same port is published
            assert [knock(network.outside, address, opened) for address in there] == [[], []]
            assert [answers(network.outside, address, opened) for address in (HOST4, HOST6)] == [2, 2]
        assert {packet.source for packet in at.packets(opened) if packet.target_port == opened} <= {OUTSIDE4, OUTSIDE6}


def test_what_is_published_on_loopback_is_not_for_others(
    engine: EngineProcess, network: PrivateNetwork, containers: Containers
) -> None:
    port = next(PORTS)
    kinds = ("tcp", "udp")
    web = containers.run("web", *(f"127.0.0.1:{port}:{port}/{kind}" for kind in kinds))
    neighbour = containers.run("neighbour", Privileged=True)
    gateway = engine.inspect("neighbour")["NetworkSettings"]["Gateway"]
    for place, by in ((network.outside, HOST4), (neighbour, gateway)):
        place.run("sysctl", "-qw", "net.ipv4.conf.all.route_localnet=1")
        place.run("ip", "address", "delete", "127.0.0.1/8", "dev", "lo")
        place.run("ip", "route", "add", "127.0.0.1/32", "via", by)
    try:
        with serving(web, port):
            with capturing(web) as at:
                for place in (network.outside, neighbour):
                    with capturing(place) as sent:
                        check_kept_out(place, ("127.0.0.1", by_host(place, network, gateway)), port, at, sent)
            assert answers(network, "127.0.0.1", port) == 2
    finally:
        network.outside.run("ip", "route", "delete", "127.0.0.1/32")
        network.outside.run("ip", "address", "add", "127.0.0.1/8", "dev", "lo")


def test_nobody_sends_in_the_name_of_the_host_s_loopback(
    engine: EngineProcess, network: PrivateNetwork, containers: Containers
) -> None:
    port, here = next(PORTS), next(PORTS)
    web = containers.run("web", f"127.0.0.1:{port}:{port}/udp")
    neighbour = containers.run("neighbour")
    bridge = engine.json("GET", "/networks/bridge")["Options"]["com.docker.network.bridge.name"]
    place_id = ip_in(engine, "neighbour", "bridge", "EndpointID")
    forged = frame(network, bridge, ("127.0.0.1", here), ("127.0.0.1", port))
    network.run("sysctl", "-qw", f"net.ipv4.conf.{bridge}.accept_local=1")  # or the kernel would drop it by itself
    with web.serving("0.0.0.0", port, socket.SOCK_DGRAM), network.open_socket(kind=socket.SOCK_DGRAM) as client:
        client.settimeout(30)
        client.bind(("127.0.0.1", here))
        client.connect(("127.0.0.1", port))
        with capturing(web) as at, capturing(network, f"sp{place_id[:12]}") as passing:
            assert exchange(client)
            send_frame(neighbour, forged)
            until(lambda: "127.0.0.1" in passing.sources(port))  # it is of a connection that the host knows
            assert exchange(client)
            assert len([one for one in at.packets(port) if one.target_port == port]) == 2
            network.run("nft", "flush chain inet sampan ours")
            send_frame(neighbour, forged)
            until(lambda: len([one for one in at.packets(port) if one.target_port == port]) == 3)  # so it could arrive
    network.run("sysctl", "-qw", f"net.ipv4.conf.{bridge}.accept_local=0")
    containers.run("mends-the-rules")


def exchange(client: socket.socket) -> bytes:
    """A datagram there and back."""
    client.send(b"?")
    return client.recv(100)


def frame(network: PrivateNetwork, link: str, source: tuple[str, int], target: tuple[str, int]) -> bytes:
    """A datagram as a frame for a link of the host, whoever sends it."""
    with Netlink(network.netns_fd) as netlink:
        mac = bytes.fromhex(get_link(netlink, link).mac.replace(":", ""))
    addresses = socket.inet_aton(source[0]) + socket.inet_aton(target[0])
    header = struct.pack("!BBHHHBBH", 0x45, 0, 28, 0, 0, 64, socket.IPPROTO_UDP, 0) + addresses
    total = sum(struct.unpack("!10H", header))
    checksum = ~((total & 0xFFFF) + (total >> 16)) & 0xFFFF
    header = header[:10] + struct.pack("!H", checksum) + header[12:]
    return mac + b"\x02" + bytes(5) + b"\x08\x00" + header + struct.pack("!HHHH", source[1], target[1], 8, 0)


def send_frame(place: Place, content: bytes) -> None:
    """Put a frame on the wire of a container's first interface."""
    with inside(place.netns_fd):
        raw = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
    with raw:
        raw.sendto(content, ("eth0", 0x0800))


def by_host(place: Place, network: PrivateNetwork, gateway: str) -> str:
    """An address of the host that a place can send to."""
    return HOST4 if place is network.outside else gateway


def test_without_icc_the_frames_of_one_container_do_not_reach_the_next(
    engine: EngineProcess, network: PrivateNetwork, networks: Networks, containers: Containers
) -> None:
    networks.create("strict", EnableIPv6=True, Options={ICC: "false"})
    port = next(PORTS)
    one, other = (containers.run(name, NetworkMode="strict") for name in ("one", "other"))
    there = both(engine, "other", "strict")
    mac = ip_in(engine, "other", "strict", "MacAddress")
    for address in there:  # or nobody would answer who has the address, and nothing would be sent
        one.run("ip", "neighbour", "add", address, "lladdr", mac, "dev", "eth0")
    with serving(other, port), capturing(other) as at, capturing(one) as sent:
        check_kept_out(one, there, port, at, sent)
        # nor by the host, which would route it back into the same bridge
        for address in there:
            gateway = ip_in(engine, "one", "strict", "IPv6Gateway" if ":" in address else "Gateway")
            one.run("ip", "route", "add", address, "via", gateway)
        check_kept_out(one, there, port, at, sent)
        assert [answers(network, address, port) for address in there] == [2, 2]
    with network.outside.serving("::", port):
        assert knock(one, OUTSIDE4, port, 30) == [f"::ffff:{HOST4}"]


def test_an_internal_network_has_no_way_out_and_none_in(
    engine: EngineProcess, network: PrivateNetwork, networks: Networks, containers: Containers
) -> None:
    networks.create("inner", Internal=True, EnableIPv6=True)
    networks.create("outer", EnableIPv6=True)
    port = next(PORTS)
    inner = containers.run("in-inner", f":{port}:{port}/tcp", f":{port}:{port}/udp", NetworkMode="inner")
    mate, outer = containers.run("mate", NetworkMode="inner"), containers.run("in-outer", NetworkMode="outer")
    for pool in networks.inspect("inner")["IPAM"]["Config"]:  # as one with CAP_NET_ADMIN could
        inner.run("ip", "route", "add", "default", "via", pool["Gateway"])
    with serving(network.outside, port), capturing(network, "uplink") as uplink, capturing(inner) as sent:
        check_kept_out(inner, (OUTSIDE4, OUTSIDE6), port, uplink, sent)
    with serving(outer, port), capturing(outer) as at, capturing(inner) as sent:
        check_kept_out(inner, both(engine, "in-outer", "outer"), port, at, sent)
    there = both(engine, "in-inner", "inner")
    with serving(inner, port), capturing(inner) as at:
        with capturing(outer) as sent:
            check_kept_out(outer, there, port, at, sent)
        with routed(network, *subnets_of(networks, "inner")), capturing(network.outside) as sent:
            check_kept_out(network.outside, (*there, HOST4, HOST6), port, at, sent)  # nor is anything published
        assert [answers(mate, address, port) for address in there] == [2, 2]
