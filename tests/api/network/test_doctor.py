"""The doctor says what is wrong with the networks, and repairs what is ours."""

from __future__ import annotations

import shutil
from typing import Any

import pytest
from tests.engine_process import EngineProcess
from tests.network_containers import Containers, Networks, address_of, ip_in, refuses
from tests.private_network import HOST4, HOST6, OUTSIDE4, PrivateNetwork


def findings(engine: EngineProcess, method: str = "GET") -> list[Any]:
    """All but those that this machine's own sysctls are the reason of."""
    found = engine.json(method, "/system/doctor")
    return [one for one in found if "ip6tables" not in one["Sentence"]]


def test_a_healthy_host_has_no_findings_and_what_is_missing_is_made_again(
    engine: EngineProcess, network: PrivateNetwork, containers: Containers
) -> None:
    web = containers.run("web", ":8080:80/tcp")
    assert findings(engine) == []
    for harm in (
        ("nft", "flush table inet sampan"),
        ("nft", "delete table inet sampan"),
        ("nft", "flush map inet sampan any4"),
        ("ip", "link", "delete", "sampan0"),
    ):
        network.run(*harm)
        found = findings(engine)
        assert found, harm
        assert all(one["Repairable"] for one in found)
        assert findings(engine, "POST") == []
        with web.serving("0.0.0.0", 80):
            assert network.outside.ask(HOST4, 8080) == OUTSIDE4


def test_rules_of_others_are_named_with_a_remedy_that_helps(
    engine: EngineProcess, network: PrivateNetwork, containers: Containers
) -> None:
    inside = containers.run("inside")
    network.run("nft", "add table ip other; add chain ip other f { type filter hook forward priority 0; policy drop; }")
    try:
        (found,) = findings(engine, "POST")
        assert "the chain ip other f drops" in found["Sentence"]
        assert not found["Repairable"]
        with network.outside.serving(OUTSIDE4, 7000):
            assert refuses(inside, OUTSIDE4, 7000)
            for command in found["Remedy"].split("; "):
                network.run(*command.replace("BRIDGE", "sampan0").split())
            assert inside.ask(OUTSIDE4, 7000) == HOST4
    finally:
        network.run("nft", "delete table ip other")


def test_a_host_that_does_not_forward_is_found(
    engine: EngineProcess, network: PrivateNetwork, containers: Containers
) -> None:
    containers.run("inside")
    network.run("sysctl", "-qw", "net.ipv4.ip_forward=0")
    try:
        (found,) = findings(engine)
        assert "does not forward IPv4" in found["Sentence"]
    finally:
        network.run("sysctl", "-qw", "net.ipv4.ip_forward=1")


def test_what_the_old_packet_filter_drops_is_named_with_a_remedy_that_helps(
    engine: EngineProcess, network: PrivateNetwork, containers: Containers
) -> None:
    if not shutil.which("iptables-legacy") or network.run("iptables-legacy", "-L", check=False) == "":
        pytest.skip("this host has no old packet filter")
    inside = containers.run("inside")
    try:
        assert findings(engine) == []  # that it is there is no harm
        network.run("iptables-legacy", "-P", "FORWARD", "DROP")
        (found,) = findings(engine)
        assert "FORWARD of iptables-legacy drops" in found["Sentence"]
        with network.outside.serving(OUTSIDE4, 7000):
            assert refuses(inside, OUTSIDE4, 7000)
            for command in found["Remedy"].split("; "):
                network.run(*command.replace("BRIDGE", "sampan0").split())
            assert inside.ask(OUTSIDE4, 7000) == HOST4
        network.run("iptables-legacy", "-N", "DOCKER-USER")
        assert "-I DOCKER-USER" in findings(engine)[0]["Remedy"]
    finally:
        network.run("iptables-legacy", "-P", "FORWARD", "ACCEPT")
        network.run("iptables-legacy", "-F")
        network.run("iptables-legacy", "-X")


def test_a_chain_that_drops_bridged_packets_too_is_said_to(
    engine: EngineProcess, network: PrivateNetwork, containers: Containers
) -> None:
    one, two = containers.run("one"), containers.run("two")
    network.run("nft", "add table ip other; add chain ip other f { type filter hook forward priority 0; policy drop; }")
    try:
        is_bridged = network.run("sysctl", "-n", "net.bridge.bridge-nf-call-iptables", check=False).strip() == "1"
        (found,) = findings(engine)
        assert ("between containers of one network" in found["Sentence"]) is is_bridged
        with two.serving("0.0.0.0", 7000):
            there = address_of(engine, "two")
            assert refuses(one, there, 7000) if is_bridged else one.ask(there, 7000)
    finally:
        network.run("nft", "delete table ip other")


def test_strict_reverse_paths_are_found_where_they_stop_an_answer(
    engine: EngineProcess, network: PrivateNetwork, networks: Networks, containers: Containers
) -> None:
    option = {"com.docker.network.bridge.gateway_mode_ipv4": "nat-unprotected"}
    networks.create("open", Options=option, IPAM={"Config": [{"Subnet": "10.9.0.0/24"}]})
    networks.create("way-out", Options={"com.docker.network.bridge.name": "wayout0"})
    asked = {"open": {}, "way-out": {"GwPriority": 5}}
    both = containers.run("both", NetworkMode="open", networks=asked)
    there = ip_in(engine, "both", "open")
    network.outside.run("ip", "route", "add", "10.9.0.0/24", "via", HOST4)
    try:
        with both.serving("0.0.0.0", 80):
            assert network.outside.ask(there, 80) == OUTSIDE4
            assert findings(engine) == []
            network.run("sysctl", "-qw", "net.ipv4.conf.wayout0.rp_filter=1")
            assert refuses(network.outside, there, 80)
            (found,) = findings(engine)
            assert "rp_filter is 1" in found["Sentence"]
            network.run(*found["Remedy"].split())
            assert network.outside.ask(there, 80) == OUTSIDE4
        assert findings(engine) == []
    finally:
        network.outside.run("ip", "route", "delete", "10.9.0.0/24")


def test_what_is_reachable_from_where_is_told_and_so(
    engine: EngineProcess, network: PrivateNetwork, networks: Networks, containers: Containers
) -> None:
    networks.create("app")  # it has IPv6 as the host has
    networks.create("inner", Internal=True)
    web = containers.run("web", ":8080:80/tcp", "127.0.0.1:8081:81/tcp", NetworkMode="app")
    containers.run("hidden", NetworkMode="inner")
    containers.run("on-host", NetworkMode="host")
    told = {one["Name"]: one for one in engine.json("GET", "/system/reach")}
    (place,) = told["web"]["Places"]
    ways = {way["From"]: way["What"] for way in place["Inward"]}
    assert ways["this host"] == "every port, 81/tcp by port 8081 of 127.0.0.1"
    assert ways["containers of app"] == "every port"
    assert ways["other hosts"] == ways["containers of other networks"]
    port = "80/tcp by port 8080 of every"
    assert ways["other hosts"] == f"{port} IPv4 address of this host, {port} IPv6 address of this host"
    assert place["Outward"] == "other hosts, with this host's address"
    there = ip_in(engine, "web", "app")
    with web.serving("::", 80), web.serving("0.0.0.0", 81):
        assert network.ask("127.0.0.1", 8081)
        assert network.ask(there, 81)
        assert network.outside.ask(HOST4, 8080)
        assert network.outside.ask(HOST6, 8080)
        assert refuses(network.outside, HOST4, 8081)
    assert told["hidden"]["Places"][0]["Outward"] == "containers of inner alone"
    assert told["on-host"]["Places"] == []
    assert [one["Name"] for one in engine.json("GET", "/system/reach?container=web")] == ["web"]
    engine.json("GET", "/system/reach?container=nobody", expect=404)
    stopped = engine.create("stopped", "true")
    containers.names.append("stopped")
    refused = engine.json("GET", "/system/reach?container=stopped", expect=409)
    assert refused["message"] == f"container {stopped} is not running"
