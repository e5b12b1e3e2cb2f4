"""Containers in networks, with real traffic: to each other, to the host, and to a host outside."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
from tests.engine_process import EngineProcess
from tests.network_containers import BRIDGE, Containers, address_of, refuses, veths
from tests.private_network import HOST4, HOST6, OUTSIDE4, OUTSIDE6, PrivateNetwork
from tests.waiting import until

UDP = socket.SOCK_DGRAM


def test_a_container_reaches_outside_with_the_host_s_address(network: PrivateNetwork, containers: Containers) -> None:
    inside = containers.run("out")
    for address, host in ((OUTSIDE4, HOST4), (OUTSIDE6, HOST6)):
        for kind in (socket.SOCK_STREAM, UDP):
            with network.outside.serving(address, 7000, kind):
                assert inside.ask(address, 7000, kind) == host


def test_containers_and_host_see_each_other_s_own_addresses(
    engine: EngineProcess, network: PrivateNetwork, containers: Containers
) -> None:
    one, other = containers.run("one"), containers.run("other")
    for v6, any_address in ((False, "0.0.0.0"), (True, "::")):
        there, here = address_of(engine, "other", v6=v6), address_of(engine, "one", v6=v6)
        gateway = engine.inspect("one")["NetworkSettings"]["IPv6Gateway" if v6 else "Gateway"]
        with other.serving(any_address, 7000):
            assert one.ask(there, 7000) == here
            assert network.ask(there, 7000) == gateway
        with network.serving(any_address, 7001):
            assert one.ask(gateway, 7001) == here


def test_a_published_port_is_reached_from_everywhere(
    engine: EngineProcess, network: PrivateNetwork, containers: Containers
) -> None:
    web = containers.run("web", ":8080:80/tcp", ":8080:80/udp")
    neighbour = containers.run("neighbour")
    for kind in (socket.SOCK_STREAM, UDP):
        with web.serving("0.0.0.0", 80, kind):
            assert network.outside.ask(HOST4, 8080, kind) == OUTSIDE4  # the client's own address
            assert network.ask(HOST4, 8080, kind) == HOST4
            assert network.ask("127.0.0.1", 8080, kind) == engine.inspect("web")["NetworkSettings"]["Gateway"]
            assert neighbour.ask(HOST4, 8080, kind)
            assert web.ask(HOST4, 8080, kind)
        with web.serving("::", 80, kind):
            assert network.outside.ask(HOST6, 8080, kind) == OUTSIDE6
            assert network.ask(HOST6, 8080, kind) == HOST6
            assert neighbour.ask(HOST6, 8080, kind)
            assert web.ask(HOST6, 8080, kind)
    assert engine.inspect("web")["NetworkSettings"]["Ports"]["80/tcp"] == [
        {"HostIp": "0.0.0.0", "HostPort": "8080"},
        {"HostIp": "::", "HostPort": "8080"},
    ]


def test_a_port_on_loopback_is_the_host_s_alone(network: PrivateNetwork, containers: Containers) -> None:
    web, neighbour = containers.run("web", "127.0.0.1:8081:80/tcp"), containers.run("neighbour")
    route = ("ip", "route", "add", "127.0.0.1/32", "via", HOST4)
    with web.serving("0.0.0.0", 80):
        assert network.ask("127.0.0.1", 8081)
        assert refuses(network.outside, HOST4, 8081)
        assert refuses(neighbour, HOST4, 8081)
        # someone on the wire who sends packets for 127.0.0.1 to our MAC address, and a container that does
        network.outside.run("sysctl", "-qw", "net.ipv4.conf.all.route_localnet=1")
        network.outside.run("ip", "address", "delete", "127.0.0.1/8", "dev", "lo")
        network.outside.run(*route)
        assert refuses(network.outside, "127.0.0.1", 8081)


def test_a_container_cannot_reach_what_listens_on_the_host_s_loopback(
    engine: EngineProcess, network: PrivateNetwork, containers: Containers
) -> None:
    inside = containers.run("prying", Privileged=True)
    gateway = engine.inspect("prying")["NetworkSettings"]["Gateway"]
    inside.run("sysctl", "-qw", "net.ipv4.conf.all.route_localnet=1")
    inside.run("ip", "address", "delete", "127.0.0.1/8", "dev", "lo")
    inside.run("ip", "route", "add", "127.0.0.1/32", "via", gateway)
    with network.serving("127.0.0.1", 7002):
        assert refuses(inside, "127.0.0.1", 7002)
        network.run("nft", "flush", "chain", "inet", "sampan", "input")
        assert inside.ask("127.0.0.1", 7002)  # so it is that chain that keeps it out
    containers.run("mends-the-rules")
    with network.serving("127.0.0.1", 7002):
        assert refuses(inside, "127.0.0.1", 7002)


def test_what_is_not_published_is_closed_to_other_hosts(
    engine: EngineProcess, network: PrivateNetwork, containers: Containers
) -> None:
    web = containers.run("web", ":8080:80/tcp")
    there = address_of(engine, "web")
    network.outside.run("ip", "route", "add", "172.17.0.0/16", "via", HOST4)
    try:
        with web.serving("0.0.0.0", 81), web.serving("0.0.0.0", 80):
            assert refuses(network.outside, there, 81)
            assert refuses(network.outside, there, 80)
            assert network.ask(there, 81)
    finally:
        network.outside.run("ip", "route", "delete", "172.17.0.0/16")


def test_the_administrator_s_chain_is_asked_first_and_survives(network: PrivateNetwork, containers: Containers) -> None:
    web = containers.run("web", ":8080:80/tcp")
    network.run("nft", "add rule inet sampan user ip saddr", OUTSIDE4, "drop")
    try:
        containers.run("another")  # the table is written anew, as others were there
        with web.serving("0.0.0.0", 80):
            assert refuses(network.outside, HOST4, 8080)
            assert network.ask(HOST4, 8080)
    finally:
        network.run("nft", "flush chain inet sampan user")
    with web.serving("0.0.0.0", 80):
        assert network.outside.ask(HOST4, 8080)


def test_ports_that_are_taken_are_refused_with_their_holder(
    engine: EngineProcess, network: PrivateNetwork, containers: Containers
) -> None:
    containers.run("holder", ":8080:80/tcp")
    clash = {**BRIDGE, "PortBindings": {"80/tcp": [{"HostPort": "8080"}]}}
    engine.create("late", "true", host=clash)
    refusal = engine.json("POST", "/containers/late/start", expect=409)["message"]
    assert refusal.startswith("driver failed programming external connectivity on endpoint late (")
    assert refusal.endswith("Bind for 0.0.0.0:8080 failed: port is already allocated")
    engine.request("DELETE", "/containers/holder?force=1")
    with network.serving("127.0.0.1", 8080):  # any other listener of the host
        engine.json("POST", "/containers/late/start", expect=409)
    engine.json("POST", "/containers/late/start", expect=204)
    engine.wait("late")
    engine.request("DELETE", "/containers/late")


def test_free_ports_are_found_and_ranges_walked_through(engine: EngineProcess, containers: Containers) -> None:
    containers.run("first", "::80/tcp", ":8090-8091:81/tcp")
    containers.run("second", "::80/tcp", ":8090-8091:81/tcp")
    shown = [engine.inspect(name)["NetworkSettings"]["Ports"] for name in ("first", "second")]
    assert [ports["81/tcp"][0]["HostPort"] for ports in shown] == ["8090", "8091"]
    numbers = {ports["80/tcp"][0]["HostPort"] for ports in shown}
    assert len(numbers) == 2
    assert all(32768 <= int(number) <= 60999 for number in numbers)
    engine.create("third", "true", host={**BRIDGE, "PortBindings": {"81/tcp": [{"HostPort": "8090-8091"}]}})
    engine.json("POST", "/containers/third/start", expect=409)
    engine.request("DELETE", "/containers/third")


def test_all_exposed_ports_are_published_when_asked(engine: EngineProcess, containers: Containers) -> None:
    engine.run(
        "exposed", "sleep", "300", host={**BRIDGE, "PublishAllPorts": True}, ExposedPorts={"80/tcp": {}, "53/udp": {}}
    )
    try:
        ports = engine.inspect("exposed")["NetworkSettings"]["Ports"]
        assert set(ports) == {"80/tcp", "53/udp"}
        assert all(places[0]["HostPort"] for places in ports.values())
    finally:
        engine.request("DELETE", "/containers/exposed?force=1")


def test_what_an_ended_container_had_is_gone(
    engine: EngineProcess, network: PrivateNetwork, containers: Containers
) -> None:
    until(lambda: not veths(network))  # those of earlier tests
    containers.run("short", ":8080:80/tcp")
    assert len(veths(network)) == 1
    assert "8080" in network.run("nft", "list map inet sampan any4")
    engine.request("DELETE", "/containers/short?force=1")
    assert "8080" not in network.run("nft", "list map inet sampan any4")
    until(lambda: not veths(network))


def test_a_failed_start_leaves_nothing_behind(
    engine: EngineProcess, network: PrivateNetwork, containers: Containers
) -> None:
    engine.create("broken", "no-such-program", host={**BRIDGE, "PortBindings": {"80/tcp": [{"HostPort": "8080"}]}})
    engine.json("POST", "/containers/broken/start", expect=400)
    assert "8080" not in network.run("nft", "list map inet sampan any4")
    until(lambda: not veths(network))
    containers.run("takes-the-port", ":8080:80/tcp")
    engine.request("DELETE", "/containers/broken")


def test_a_killed_daemon_interrupts_no_traffic_and_knows_its_ports_again(
    engine: EngineProcess, network: PrivateNetwork, containers: Containers
) -> None:
    web = containers.run("web", ":8080:80/tcp")
    shown = engine.inspect("web")["NetworkSettings"]
    with web.serving("0.0.0.0", 80):
        engine.kill()
        assert network.outside.ask(HOST4, 8080) == OUTSIDE4
        engine.start()
        assert network.outside.ask(HOST4, 8080) == OUTSIDE4
    assert engine.inspect("web")["NetworkSettings"] == shown
    engine.create("late", "true", host={**BRIDGE, "PortBindings": {"80/tcp": [{"HostPort": "8080"}]}})
    engine.json("POST", "/containers/late/start", expect=409)
    engine.request("DELETE", "/containers/late")


def test_what_others_removed_is_made_again(
    engine: EngineProcess, network: PrivateNetwork, containers: Containers
) -> None:
    web = containers.run("web", ":8080:80/tcp")
    network.run("nft", "delete table inet sampan")
    network.run("ip", "link", "delete", "sampan0")
    with web.serving("0.0.0.0", 80):
        assert refuses(network.outside, HOST4, 8080)
        containers.run("next")
        assert network.outside.ask(HOST4, 8080) == OUTSIDE4
    network.run("nft", "flush table inet sampan")
    network.run("ip", "link", "delete", "sampan0")
    engine.kill()
    engine.start()
    with web.serving("0.0.0.0", 80):
        assert network.outside.ask(HOST4, 8080) == OUTSIDE4


def test_a_joined_container_shares_addresses_and_keeps_no_link_alive(
    engine: EngineProcess, network: PrivateNetwork, containers: Containers
) -> None:
    containers.run("pod")
    there = address_of(engine, "pod")
    sidecar = containers.run("sidecar", NetworkMode="container:pod")
    assert there in sidecar.run("ip", "address")
    engine.request("DELETE", "/containers/pod?force=1")
    until(lambda: not veths(network))  # although its namespace lives on


def test_whose_network_does_not_run_is_named_as_the_user_named_it(
    engine: EngineProcess, containers: Containers
) -> None:
    containers.names += ["beside", "idle"]
    engine.create("idle", "true", host=BRIDGE)
    engine.create("beside", "true", host={"NetworkMode": "container:idle"})
    answer = engine.json("POST", "/containers/beside/start", expect=409)
    assert answer["remedy"] == "start it first with `sampan start idle`"


def test_the_files_of_a_container_know_its_addresses(engine: EngineProcess, containers: Containers) -> None:
    engine.run("named", "cat", "/etc/hosts", host={**BRIDGE, "ExtraHosts": ["up:host-gateway"]}, Hostname="boat")
    try:
        assert engine.wait("named") == 0
        lines = [line.split("\t") for line in engine.output("named")]
        assert ["172.17.0.1", "up"] in lines
        assert any(line[0].startswith("172.17.0.") and line[1] == "boat" for line in lines)
    finally:
        engine.request("DELETE", "/containers/named")


@pytest.mark.parametrize(
    ("hostname", "domain", "names"),
    [
        ("web.example.org", "", "web.example.org web"),
        ("web", "example.org", "web.example.org web"),
        ("web.a", "example.org", "web.a.example.org web.a web"),
    ],
)
def test_a_container_whose_hostname_has_dots_finds_itself_by_the_first_word_too(
    engine: EngineProcess, hostname: str, domain: str, names: str
) -> None:
    engine.run("dotted", "tail", "-n1", "/etc/hosts", host=BRIDGE, Hostname=hostname, Domainname=domain)
    try:
        assert engine.wait("dotted") == 0
        assert engine.output("dotted")[0].split("\t")[1] == names
    finally:
        engine.request("DELETE", "/containers/dotted")


def test_the_daemon_told_to_make_no_bridge_makes_none(tmp_path: Path, network: PrivateNetwork) -> None:
    with EngineProcess(tmp_path, "--bridge", "none", netns_fd=network.netns_fd) as bare:
        bare.run("alone", "true", host=BRIDGE)
        assert bare.inspect("alone")["NetworkSettings"]["Networks"].keys() == {"none"}
