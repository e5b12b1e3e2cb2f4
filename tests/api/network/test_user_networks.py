"""Networks that users make: their definition, who reaches whom, and containers that join and leave them."""

from __future__ import annotations

import os
import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from tests.engine_process import EngineProcess
from tests.network_containers import Containers, Networks, ip_in, refuses, veths
from tests.private_network import HOST4, OUTSIDE4, PrivateNetwork
from tests.waiting import until


def test_a_network_is_what_was_asked_for(engine: EngineProcess, networks: Networks, network: PrivateNetwork) -> None:
    pool = {
        "Subnet": "10.9.0.0/24",
        "Gateway": "10.9.0.254",
        "IPRange": "10.9.0.128/25",
        "AuxiliaryAddresses": {"router": "10.9.0.128"},
    }
    network_id = networks.create(
        "asked",
        IPAM={"Driver": "default", "Config": [pool]},
        Labels={"a": "b"},
        Options={"com.docker.network.bridge.name": "asked0", "com.docker.network.driver.mtu": "1400"},
        Attachable=True,
    )
    shown = networks.inspect("asked")
    assert shown["Id"] == network_id
    assert shown["IPAM"]["Config"] == [pool]
    assert (shown["Driver"], shown["Scope"], shown["Internal"], shown["Attachable"]) == ("bridge", "local", False, True)
    assert shown["Labels"] == {"a": "b"}
    assert networks.inspect(network_id[:8])["Name"] == "asked"
    link = network.run("ip", "address", "show", "asked0")
    assert "mtu 1400" in link
    assert "10.9.0.254/24" in link


def test_addresses_come_from_the_range_and_fixed_ones_are_kept(
    engine: EngineProcess, networks: Networks, containers: Containers
) -> None:
    pool = {"Subnet": "10.9.0.0/24", "IPRange": "10.9.0.128/30", "AuxiliaryAddresses": {"router": "10.9.0.128"}}
    networks.create("ranged", IPAM={"Config": [pool]})
    containers.run("one", NetworkMode="ranged")
    assert ip_in(engine, "one", "ranged") == "10.9.0.129"
    fixed = {
        "EndpointsConfig": {"ranged": {"IPAMConfig": {"IPv4Address": "10.9.0.7"}, "MacAddress": "02:00:00:00:00:07"}}
    }
    for name, status in (("two", 204), ("three", 403)):
        engine.create(name, "sleep", "300", host={"NetworkMode": "ranged"}, NetworkingConfig=fixed)
        containers.names.append(name)
        engine.json("POST", f"/containers/{name}/start", expect=status)
    assert ip_in(engine, "two", "ranged") == "10.9.0.7"
    assert ip_in(engine, "two", "ranged", "MacAddress") == "02:00:00:00:00:07"
    assert "02:00:00:00:00:07" in containers.place("two").run("ip", "link", "show", "eth0")
    engine.json("POST", "/containers/one/restart?t=0", expect=204)


def test_a_link_has_the_link_local_addresses_that_were_asked_for(
    engine: EngineProcess, networks: Networks, containers: Containers
) -> None:
    networks.create("near")
    addresses = ["169.254.8.8", "fe80::7:8", "169.254.8.8"]
    asked = {"IPAMConfig": {"LinkLocalIPs": addresses}}
    containers.run("started", networks={"near": asked}, NetworkMode="near")
    containers.run("joined", NetworkMode="none")
    engine.json("POST", "/networks/none/disconnect", {"Container": "joined"}, expect=200)
    engine.json("POST", "/networks/near/connect", {"Container": "joined", "EndpointConfig": asked}, expect=200)
    engine.json("POST", "/containers/started/restart?t=0", expect=204)
    for name in ("started", "joined"):
        shown = containers.place(name).run("ip", "address", "show", "eth0")
        assert "169.254.8.8/16" in shown
        assert "fe80::7:8/64" in shown
        assert engine.inspect(name)["NetworkSettings"]["Networks"]["near"]["IPAMConfig"]["LinkLocalIPs"] == addresses


def test_refusals_are_docker_s(engine: EngineProcess, networks: Networks) -> None:
    networks.create("once", IPAM={"Config": [{"Subnet": "10.9.0.0/24"}]})
    create = "/networks/create"
    for name in ("bridge", "host", "none"):
        engine.json("POST", create, {"Name": name}, expect=403)
        engine.json("DELETE", f"/networks/{name}", expect=403)
    engine.json("POST", create, {"Name": "default"}, expect=403)
    twice = engine.json("POST", create, {"Name": "once"}, expect=409)
    assert twice["message"] == "network with name once already exists"
    engine.json("POST", create, {"Name": "two words"})
    twice = engine.json("POST", create, {"Name": "two words"}, expect=409)
    assert twice["remedy"] == "sampan network rm 'two words'"
    engine.json("DELETE", "/networks/two%20words", expect=204)
    overlapping = {"Name": "twice", "IPAM": {"Config": [{"Subnet": "10.9.0.128/25"}]}}
    refused = engine.json("POST", create, overlapping, expect=403)
    assert "overlaps" in refused["message"]
    assert refused["remedy"].startswith("10.9.0.128/25 overlaps 10.9.0.0/24, that of network once: give another subnet")
    wrong = {"Name": "wrong", "IPAM": {"Config": [{"Subnet": "10.8.0.0/24", "Gateway": "10.9.0.1"}]}}
    engine.json("POST", create, wrong, expect=400)
    engine.json("POST", create, {"Name": "far", "Driver": "overlay"}, expect=404)
    for driver in ("host", "null"):
        only = engine.json("POST", create, {"Name": "second", "Driver": driver}, expect=403)["message"]
        assert only == f'only one instance of "{driver}" network is allowed'
    engine.json("GET", "/networks/nope", expect=404)
    engine.create("lost", "true", host={"NetworkMode": "nope"})
    assert engine.json("POST", "/containers/lost/start", expect=404)["message"] == "network nope not found"
    engine.request("DELETE", "/containers/lost")


def test_lists_are_filtered(networks: Networks) -> None:
    networks.create("alpha", Labels={"kind": "test"})
    networks.create("beta", Internal=True)
    assert networks.listed() >= {"bridge", "host", "none", "alpha", "beta"}
    assert networks.listed(type=["builtin"]) == {"bridge", "host", "none"}
    assert networks.listed(type=["custom"]) == {"alpha", "beta"}
    assert networks.listed(label=["kind=test"]) == {"alpha"}
    assert networks.listed(name=["alp"]) == {"alpha"}
    assert networks.listed(driver=["host"]) == {"host"}
    assert networks.listed(dangling=["true"]) == {"alpha", "beta"}


def test_networks_are_isolated_from_each_other(
    engine: EngineProcess, networks: Networks, containers: Containers
) -> None:
    networks.create("left")
    networks.create("right")
    left, right = (
        containers.run("lefty", NetworkMode="left"),
        containers.run("righty", ":8085:80/tcp", NetworkMode="right"),
    )
    mate = containers.run("mate", NetworkMode="right")
    there = ip_in(engine, "righty", "right")
    with right.serving("0.0.0.0", 80):
        assert mate.ask(there, 80)
        assert refuses(left, there, 80)
        assert left.ask(HOST4, 8085)  # what is published is published for all


def test_an_internal_network_leads_nowhere(
    engine: EngineProcess, network: PrivateNetwork, networks: Networks, containers: Containers
) -> None:
    networks.create("inner", Internal=True)
    one, other = containers.run("i1", NetworkMode="inner"), containers.run("i2", NetworkMode="inner")
    assert one.run("ip", "route", "show", "default") == ""
    gateway = networks.inspect("inner")["IPAM"]["Config"][0]["Gateway"]
    one.run("ip", "route", "add", "default", "via", gateway)
    with network.outside.serving("0.0.0.0", 7000), other.serving("0.0.0.0", 7000):
        assert refuses(one, OUTSIDE4, 7000)
        assert one.ask(ip_in(engine, "i2", "inner"), 7000)


def test_without_icc_containers_of_one_network_are_strangers(
    engine: EngineProcess, network: PrivateNetwork, networks: Networks, containers: Containers
) -> None:
    networks.create("strict", Options={"com.docker.network.bridge.enable_icc": "false"})
    one, other = containers.run("s1", NetworkMode="strict"), containers.run("s2", NetworkMode="strict")
    with network.outside.serving("0.0.0.0", 7000), other.serving("0.0.0.0", 7000):
        assert refuses(one, ip_in(engine, "s2", "strict"), 7000)
        assert one.ask(OUTSIDE4, 7000) == HOST4


def test_without_masquerading_and_routed_the_outside_sees_the_container(
    engine: EngineProcess, network: PrivateNetwork, networks: Networks, containers: Containers
) -> None:
    pool = {"Config": [{"Subnet": "10.9.0.0/24"}]}
    networks.create("plain", IPAM=pool, Options={"com.docker.network.bridge.gateway_mode_ipv4": "routed"})
    web = containers.run("p1", ":8086:80/tcp", NetworkMode="plain")
    there = ip_in(engine, "p1", "plain")
    network.outside.run("ip", "route", "add", "10.9.0.0/24", "via", HOST4)
    try:
        with network.outside.serving("0.0.0.0", 7000):
            assert web.ask(OUTSIDE4, 7000) == there
        with web.serving("0.0.0.0", 80), web.serving("0.0.0.0", 81):
            assert network.outside.ask(there, 80) == OUTSIDE4
            assert refuses(network.outside, there, 81)
            assert refuses(network.outside, HOST4, 8086)
    finally:
        network.outside.run("ip", "route", "delete", "10.9.0.0/24")


def test_a_running_container_joins_and_leaves(
    engine: EngineProcess, network: PrivateNetwork, networks: Networks, containers: Containers
) -> None:
    networks.create("extra")
    mover, mate = containers.run("mover", ":8087:80/tcp"), containers.run("mate", NetworkMode="extra")
    assert refuses(mover, ip_in(engine, "mate", "extra"), 7000)
    networks.connect("extra", "mover", Aliases=["m"])
    assert set(networks.inspect("extra")["Containers"]) == {engine.inspect(n)["Id"] for n in ("mover", "mate")}
    with mate.serving("0.0.0.0", 7000), mover.serving("0.0.0.0", 80), network.outside.serving("0.0.0.0", 7000):
        assert mover.ask(ip_in(engine, "mate", "extra"), 7000) == ip_in(engine, "mover", "extra")
        networks.disconnect("bridge", "mover")
        assert mover.ask(OUTSIDE4, 7000) == HOST4  # the way out goes by the other one now
        assert network.outside.ask(HOST4, 8087) == OUTSIDE4  # and the way in
    engine.json("POST", "/containers/mover/restart?t=0", expect=204)
    assert set(engine.inspect("mover")["NetworkSettings"]["Networks"]) == {"extra"}
    networks.disconnect("extra", "mover")
    engine.json("POST", "/networks/extra/disconnect", {"Container": "mover"}, expect=403)
    assert len(veths(network)) >= 1


def test_several_networks_at_create_and_the_gateway_s_priority(
    engine: EngineProcess, networks: Networks, containers: Containers
) -> None:
    networks.create("aaa")
    networks.create("zzz")
    asked = {"EndpointsConfig": {"aaa": {}, "zzz": {"GwPriority": 7}}}
    engine.run("both", "sleep", "300", host={"NetworkMode": "aaa"}, NetworkingConfig=asked)
    containers.names.append("both")
    place = containers.place("both")
    assert networks.inspect("zzz")["IPAM"]["Config"][0]["Gateway"] in place.run("ip", "route", "show", "default")
    assert "eth0" in place.run("ip", "route", "show", "default")


def test_a_network_in_use_is_not_removed_and_an_unused_one_leaves_nothing(
    engine: EngineProcess, network: PrivateNetwork, networks: Networks, containers: Containers
) -> None:
    before = network.links()
    networks.create("brief", EnableIPv6=True)
    containers.run("user", NetworkMode="brief")
    assert "has active endpoints" in engine.json("DELETE", "/networks/brief", expect=403)["message"]
    engine.request("DELETE", "/containers/user?force=1")
    rules = network.run("nft", "list table inet sampan")
    engine.json("DELETE", "/networks/brief", expect=204)
    assert "br-" in rules
    assert "br-" not in network.run("nft", "list table inet sampan", check=False)  # it may have gone with it
    until(lambda: not network.links() - before)


def test_prune_removes_what_no_container_knows(
    engine: EngineProcess, networks: Networks, containers: Containers
) -> None:
    networks.create("kept")
    networks.create("loose")
    engine.create("stopped", "true", host={"NetworkMode": "kept"})
    containers.names.append("stopped")
    assert engine.json("POST", "/networks/prune") == {"NetworksDeleted": ["loose"]}
    assert networks.listed(type=["custom"]) == {"kept"}


def test_ipv6_of_a_user_s_network_is_its_own(
    engine: EngineProcess, network: PrivateNetwork, networks: Networks, containers: Containers
) -> None:
    networks.create("six", EnableIPv6=True, IPAM={"Config": [{"Subnet": "2001:db8:9::/64"}]})
    containers.run("v6", NetworkMode="six")
    assert ip_in(engine, "v6", "six", "GlobalIPv6Address") == "2001:db8:9::2"
    assert ip_in(engine, "v6", "six")
    networks.create("four", EnableIPv6=False)
    four = containers.run("v4", NetworkMode="four")
    assert "inet6" not in four.run("ip", "address", "show", "eth0")


def test_networks_and_their_containers_outlive_the_daemon(
    engine: EngineProcess, network: PrivateNetwork, networks: Networks, containers: Containers
) -> None:
    networks.create("lasting")
    containers.run("rider", NetworkMode="lasting")
    shown = networks.inspect("lasting")
    engine.kill()
    engine.start()
    assert networks.inspect("lasting") == shown
    engine.json("DELETE", "/networks/lasting", expect=403)
    networks.disconnect("lasting", "rider")
    assert networks.inspect("lasting")["Containers"] == {}


def test_addresses_that_cannot_be_are_refused_before_a_container_is_made(
    engine: EngineProcess, networks: Networks, containers: Containers
) -> None:
    networks.create("chosen")
    networks.create("given", IPAM={"Config": [{"Subnet": "10.9.0.0/24"}]})
    own = "user specified IP address is supported only when connecting to networks with user configured subnets"
    user_defined = "user specified IP address is supported on user defined networks only"

    def refusal(network: str, **addresses: str) -> str:
        config = {"EndpointsConfig": {network: {"IPAMConfig": addresses}}}
        body = {"Image": "host", "HostConfig": {"NetworkMode": network}, "NetworkingConfig": config}
        found: str = engine.json("POST", "/containers/create?name=no", body, expect=400)["message"]
        return found

    assert refusal("chosen", IPv4Address="172.18.0.9") == (
        f"invalid config for network chosen: invalid endpoint settings:\n{own}"
    )
    assert refusal("bridge", IPv4Address="172.17.0.9").endswith(f":\n* {user_defined}\n* {own}")
    assert refusal("host", IPv4Address="172.17.0.9").endswith(f":\n* {user_defined}\n* {own}")
    outside = "no configured subnet or ip-range contain the IP address 10.8.0.1"
    assert refusal("given", IPv4Address="10.8.0.1").endswith(outside)
    assert refusal("given", IPv4Address="tomorrow").endswith("invalid IPv4 address: tomorrow")
    engine.json("GET", "/containers/no/json", expect=404)
    containers.run("mover")
    body = {"Container": "mover", "EndpointConfig": {"IPAMConfig": {"IPv4Address": "10.8.0.1"}}}
    refused = engine.json("POST", "/networks/given/connect", body, expect=400)["message"]
    assert refused == f"invalid endpoint settings:\n{outside}"


def test_what_keeps_a_container_out_of_a_network_is_told_with_the_way_in(
    engine: EngineProcess, networks: Networks, containers: Containers
) -> None:
    def refusal(network: str, container: str) -> str:
        found: str = engine.json("POST", f"/networks/{network}/connect", {"Container": container}, expect=400)["remedy"]
        return found

    networks.create("site")
    containers.run("web")
    containers.run("guest", NetworkMode="container:web")
    containers.run("alone", NetworkMode="none")
    assert refusal("site", "guest").endswith("make it anew with --network site")
    assert refusal("none", "web") == "let it leave first what it is in: `sampan network disconnect bridge web`"
    assert refusal("site", "alone") == "let it leave first what it is in: `sampan network disconnect none alone`"
    networks.disconnect("none", "alone")
    networks.connect("site", "alone")
    assert ip_in(engine, "alone", "site")


@pytest.mark.parametrize(("ipv6", "warned"), [(False, 1), (True, 0)])
def test_a_port_at_an_ipv6_address_is_warned_of_where_the_network_has_none(
    engine: EngineProcess, networks: Networks, *, ipv6: bool, warned: int
) -> None:
    networks.create("plain", EnableIPv6=ipv6)
    places = [{"HostIp": "::1", "HostPort": "8300"}, {"HostIp": "127.0.0.1", "HostPort": "8300"}]
    host = {"NetworkMode": "plain", "PortBindings": {"80/tcp": places}}
    answer = engine.json("POST", "/containers/create?name=half", {"Image": "host", "Cmd": ["true"], "HostConfig": host})
    text = "Published port [::1]:8300 is discarded, as network plain has no IPv6"
    assert answer["Warnings"] == [text] * warned
    engine.json("DELETE", "/containers/half", expect=204)


def test_ports_of_a_container_on_the_host_s_network_are_warned_of(engine: EngineProcess) -> None:
    host = {"NetworkMode": "host", "PortBindings": {"80/tcp": [{"HostPort": "80"}]}}
    made = engine.json("POST", "/containers/create", {"Image": "host", "Cmd": ["true"], "HostConfig": host}, expect=201)
    assert made["Warnings"] == ["Published ports are discarded when using host network mode"]
    engine.json("DELETE", f"/containers/{made['Id']}", expect=204)


def test_networks_made_at_the_same_time_share_neither_name_nor_subnet(
    engine: EngineProcess, networks: Networks
) -> None:
    names = ["same"] * 6 + [f"other{number}" for number in range(6)]
    networks.names += {*names}
    with ThreadPoolExecutor(len(names)) as pool:
        answers = list(pool.map(lambda name: engine.request("POST", "/networks/create", {"Name": name})[0], names))
    assert sorted(answers[:6]) == [201, 409, 409, 409, 409, 409]
    assert answers[6:] == [201] * 6
    shown = [networks.inspect(name) for name in {*names}]
    for family in ("IPAM", "UnaskedIPv6"):
        pools = [one["IPAM"]["Config"] if family == "IPAM" else one[family] for one in shown]
        assert len({pool["Subnet"] for (pool,) in pools}) == 7


def test_a_container_that_has_just_ended_joins_and_leaves_as_one_that_does_not_run(
    engine: EngineProcess, networks: Networks, containers: Containers
) -> None:
    networks.create("red")
    networks.create("blue")
    containers.run("ending", NetworkMode="red")
    pid = engine.inspect("ending")["State"]["Pid"]
    monitor = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    os.kill(monitor, signal.SIGSTOP)  # so that nobody knows yet
    try:
        os.kill(pid, signal.SIGKILL)
        until(lambda: Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z")
        networks.connect("blue", "ending")
        networks.disconnect("red", "ending")
        engine.json("POST", "/containers/ending/update", {"NetworkRate": {"In": 1_000_000}})
        assert "network_rate_stats" not in engine.json("GET", "/containers/ending/stats?stream=false&one-shot=true")
    finally:
        os.kill(monitor, signal.SIGCONT)
    until(lambda: not engine.inspect("ending")["State"]["Running"])
    assert set(engine.inspect("ending")["NetworkSettings"]["Networks"]) == {"blue"}
    engine.json("POST", "/containers/ending/update", {"NetworkRate": {}})
    engine.json("POST", "/containers/ending/start", expect=204)
    assert ip_in(engine, "ending", "blue")
