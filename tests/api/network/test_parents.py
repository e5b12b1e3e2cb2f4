"""Networks on a link of the host: containers that are hosts of the network outside, by macvlan."""

from __future__ import annotations

import errno
from typing import Any

import pytest
from tests.engine_process import EngineProcess
from tests.network_containers import Containers, Networks, ip_in, refuses
from tests.packets import capturing
from tests.private_network import OUTSIDE4, OUTSIDE6, PrivateNetwork
from tests.waiting import until

from sampan.linux.link import NewLink, add_ipvlan, add_macvlan, add_veth, add_vlan
from sampan.linux.netlink import Netlink
from sampan.linux.network_namespace import make_network_namespace

POOLS = [
    {"Subnet": "203.0.113.0/24", "Gateway": OUTSIDE4, "IPRange": "203.0.113.64/28"},
    {"Subnet": "2001:db8:1::/64", "Gateway": OUTSIDE6, "IPRange": "2001:db8:1::40/124"},
]


def lacks(make: Any) -> bool:
    """Whether this kernel cannot make such a link."""
    with Netlink(make_network_namespace()) as netlink:
        parent = add_veth(netlink, "one", "two", NewLink(up=True))
        try:
            make(netlink, "made", parent)
        except OSError as error:
            if error.errno != errno.EOPNOTSUPP:
                raise
            return True
        return False


has_macvlan = pytest.mark.skipif(lacks(add_macvlan), reason="this kernel has no macvlan")


def create(networks: Networks, name: str, mode: str = "bridge", **asked: Any) -> str:
    options = {"parent": "uplink", "macvlan_mode": mode, **asked.pop("Options", {})}
    ipam = {"Config": POOLS}
    return networks.create(name, Driver="macvlan", Options=options, IPAM=ipam, EnableIPv6=True, **asked)


@has_macvlan
def test_a_container_is_a_host_of_the_network_outside(
    engine: EngineProcess, network: PrivateNetwork, networks: Networks, containers: Containers
) -> None:
    before = network.links()
    create(networks, "lan")
    one = containers.run("one", ":8080:80/tcp", NetworkMode="lan")
    two = containers.run("two", NetworkMode="lan")
    here = [ip_in(engine, "one", "lan", key) for key in ("IPAddress", "GlobalIPv6Address")]
    assert here == ["203.0.113.64", "2001:db8:1::40"]
    for mine, outside in zip(here, (OUTSIDE4, OUTSIDE6), strict=True):
        with capturing(network.outside) as wire, network.outside.serving(outside, 7300):
            assert one.ask(outside, 7300) == mine
            assert wire.sources(7300) == {mine}
    with one.serving("::", 80):
        assert network.outside.ask(here[0], 80) == f"::ffff:{OUTSIDE4}"
        assert two.ask(here[1], 80) == ip_in(engine, "two", "lan", "GlobalIPv6Address")
        assert refuses(network, here[0], 80)  # the host itself is not on that side of its link
    assert f"default via {OUTSIDE4} dev eth0" in one.run("ip", "route")
    assert engine.inspect("one")["NetworkSettings"]["Ports"] == {}
    assert network.links() == before
    assert "uplink" not in network.run("nft", "list", "ruleset")


@has_macvlan
@pytest.mark.parametrize(("mode", "meet"), [("bridge", True), ("private", False), ("vepa", False)])
def test_containers_of_one_link_meet_as_the_mode_says(
    engine: EngineProcess, network: PrivateNetwork, networks: Networks, containers: Containers, mode: str, *, meet: bool
) -> None:
    create(networks, "lan", mode)
    one, two = containers.run("one", NetworkMode="lan"), containers.run("two", NetworkMode="lan")
    assert f"macvlan mode {mode}" in one.run("ip", "-d", "link", "show", "eth0")
    with two.serving("0.0.0.0", 7301), network.outside.serving("0.0.0.0", 7301):
        there = ip_in(engine, "two", "lan")
        assert one.ask(there, 7301) if meet else refuses(one, there, 7301)
        assert one.ask(OUTSIDE4, 7301) == ip_in(engine, "one", "lan")


@has_macvlan
def test_passthru_is_one_container_s_alone(
    engine: EngineProcess, network: PrivateNetwork, networks: Networks, containers: Containers
) -> None:
    network.run("ip", "link", "add", "spare", "type", "veth", "peer", "name", "other-end")
    try:
        create(networks, "whole", "passthru", Options={"parent": "spare"}, Internal=True)
        one = containers.run("one", NetworkMode="whole")
        assert "macvlan mode passthru" in one.run("ip", "-d", "link", "show", "eth0")
        body = {"Name": "second", "Driver": "macvlan", "Options": {"parent": "spare"}}
        assert "already using parent" in engine.json("POST", "/networks/create", body, expect=403)["message"]
        engine.create("two", "true", host={"NetworkMode": "whole"})
        containers.names.append("two")
        assert "cannot connect to network whole" in engine.json("POST", "/containers/two/start", expect=500)["message"]
    finally:
        containers.close()
        network.run("ip", "link", "delete", "spare")


@has_macvlan
def test_a_running_container_joins_and_leaves_and_names_are_known(
    engine: EngineProcess, network: PrivateNetwork, networks: Networks, containers: Containers
) -> None:
    create(networks, "lan")
    mover = containers.run("mover", ":8080:80/tcp")
    networks.connect("lan", "mover", IPAMConfig={"IPv4Address": "203.0.113.77"}, MacAddress="02:00:00:00:00:77")
    assert "02:00:00:00:00:77" in mover.run("ip", "link", "show", "eth1")
    with mover.serving("0.0.0.0", 80):
        assert network.outside.ask("203.0.113.77", 80) == OUTSIDE4
        assert network.ask("127.0.0.1", 8080)  # by the bridge as before
    engine.kill()
    engine.start()
    networks.disconnect("lan", "mover")
    assert mover.links() == {"lo", "eth0"}
    networks.connect("lan", "mover")
    networks.disconnect("bridge", "mover")
    with network.outside.serving(OUTSIDE4, 7302):
        assert mover.ask(OUTSIDE4, 7302) == ip_in(engine, "mover", "lan")  # the default route has moved


@has_macvlan
def test_without_a_parent_a_network_leads_nowhere_and_its_link_goes_with_it(
    engine: EngineProcess, network: PrivateNetwork, networks: Networks, containers: Containers
) -> None:
    before = network.links()
    networks.create("closed", Driver="macvlan")
    assert networks.inspect("closed")["Internal"]
    (made,) = {name for name in network.links() - before if name.startswith("dm-")}
    one, two = containers.run("one", NetworkMode="closed"), containers.run("two", NetworkMode="closed")
    with two.serving("0.0.0.0", 7303):
        assert one.ask(ip_in(engine, "two", "closed"), 7303) == ip_in(engine, "one", "closed")
    assert one.run("ip", "route", "show", "default") == ""
    containers.close()
    engine.json("DELETE", "/networks/closed", expect=204)
    networks.names.clear()
    until(lambda: made not in network.links())


def test_what_cannot_be_is_refused_by_name(engine: EngineProcess, network: PrivateNetwork) -> None:
    def refusal(driver: str, expect: int, **options: str) -> str:
        body = {"Name": "no", "Driver": driver, "Options": options}
        found: str = engine.json("POST", "/networks/create", body, expect=expect)["message"]
        return found

    before = network.links()
    missing = refusal("macvlan", 400, parent="nothing9")
    assert missing.startswith("invalid subinterface vlan name nothing9, example formatting is eth0.10")
    assert "the parent nothing9.42 of network no is not there" in refusal("macvlan", 404, parent="nothing9.42")
    assert "requested macvlan mode 'sideways' is not valid" in refusal(
        "macvlan", 400, parent="uplink", macvlan_mode="sideways"
    )
    if lacks(add_ipvlan):
        assert "this kernel has no ipvlan (CONFIG_IPVLAN)" in refusal("ipvlan", 501, parent="uplink")
    if lacks(lambda netlink, name, parent: add_vlan(netlink, name, parent, 42)):
        assert "this kernel has no VLANs" in refusal("macvlan", 501, parent="uplink.42")
    assert network.links() == before
    assert "no" not in {one["Name"] for one in engine.json("GET", "/networks")}


@has_macvlan
@pytest.mark.skipif(lacks(lambda netlink, name, parent: add_vlan(netlink, name, parent, 42)), reason="no VLANs here")
def test_a_vlan_s_link_is_made_and_removed(
    engine: EngineProcess, network: PrivateNetwork, networks: Networks, containers: Containers
) -> None:
    networks.create("tagged", Driver="macvlan", Options={"parent": "uplink.42"}, IPAM={"Config": POOLS[:1]})
    assert "uplink.42@uplink" in network.run("ip", "link") or "uplink.42" in network.links()
    containers.run("one", NetworkMode="tagged")
    containers.close()
    engine.json("DELETE", "/networks/tagged", expect=204)
    networks.names.clear()
    until(lambda: "uplink.42" not in network.links())


@has_macvlan
def test_a_container_with_a_fixed_address_starts_again_at_once(
    engine: EngineProcess, networks: Networks, containers: Containers
) -> None:
    create(networks, "lan")
    asked = {"IPAMConfig": {"IPv4Address": "203.0.113.77"}, "MacAddress": "02:00:00:00:00:78"}
    containers.names.append("fixed")
    config = {"NetworkingConfig": {"EndpointsConfig": {"lan": asked}}}
    engine.run("fixed", "sleep", "300", host={"NetworkMode": "lan"}, **config)
    for _ in range(3):
        engine.json("POST", "/containers/fixed/restart?t=0", expect=204)
    assert "02:00:00:00:00:78" in containers.place("fixed").run("ip", "link", "show", "eth0")


@has_macvlan
def test_who_joined_a_container_keeps_no_address_of_its_last_run(
    engine: EngineProcess, networks: Networks, containers: Containers
) -> None:
    create(networks, "lan")
    asked = {"IPAMConfig": {"IPv4Address": "203.0.113.78"}}
    containers.names += ["pod", "sidecar"]
    config = {"NetworkingConfig": {"EndpointsConfig": {"lan": asked}}}
    engine.run("pod", "sleep", "300", host={"NetworkMode": "lan"}, **config)
    engine.run("sidecar", "sleep", "300", host={"NetworkMode": "container:pod"})
    engine.json("POST", "/containers/pod/restart?t=0", expect=204)
    assert containers.place("sidecar").links() == {"lo"}
    assert "203.0.113.78/24" in containers.place("pod").run("ip", "address", "show", "eth0")


@has_macvlan
def test_a_link_left_by_a_kill_is_gone_after_the_next_start(
    engine: EngineProcess, network: PrivateNetwork, networks: Networks
) -> None:
    made = create(networks, "lan")
    left = f"sp{made[:12]}"
    network.run("ip", "link", "add", left, "link", "uplink", "type", "macvlan")
    engine.kill()
    engine.start()
    until(lambda: left not in network.links())
    assert networks.inspect("lan")["Id"] == made
