"""Containers in several networks: which interface is the first, what the default routes go by, where ports lead."""

from __future__ import annotations

import pytest
from tests.engine_process import EngineProcess
from tests.network_containers import Containers, Networks, ip_in
from tests.private_network import Place, PrivateNetwork


@pytest.fixture
def several(networks: Networks) -> Networks:
    """Networks: "alpha" is the first by name, "zulu6" has both families, "inner" and "deep" are internal."""
    for name in ("alpha", "mike"):
        networks.create(name, EnableIPv6=False)
    networks.create("zulu6", EnableIPv6=True)
    for name in ("inner", "deep"):
        networks.create(name, Internal=True)
    return networks


def interfaces(engine: EngineProcess, container: str, place: Place) -> list[str]:
    """The networks of a container's interfaces, in the order of those."""
    text = place.run("ip", "-4", "-o", "address", "show")
    of_link = {line.split()[1]: line.split()[3].partition("/")[0] for line in text.splitlines()}
    of_address = {shown: name for name in _networks(engine, container) for shown in [ip_in(engine, container, name)]}
    return [of_address[of_link[link]] for link in sorted(of_link) if link != "lo"]


def _networks(engine: EngineProcess, container: str) -> list[str]:
    return list(engine.inspect(container)["NetworkSettings"]["Networks"])


def router(place: Place, family: str = "-4") -> str:
    """The interface that the default route of a family goes by."""
    words = place.run("ip", family, "route", "show", "default").split()
    return words[words.index("dev") + 1] if words else ""


@pytest.mark.parametrize(
    ("asked", "order"),
    [
        (["mike", "alpha"], ["alpha", "mike"]),
        (["inner", "mike", "alpha"], ["alpha", "mike", "inner"]),
        (["alpha", "zulu6"], ["zulu6", "alpha"]),
        (["inner", "deep"], ["inner", "deep"]),
    ],
)
def test_interfaces_are_in_docker_s_order(
    engine: EngineProcess, several: Networks, containers: Containers, asked: list[str], order: list[str]
) -> None:
    place = containers.run("many", networks={name: {} for name in asked}, NetworkMode=asked[0])
    assert interfaces(engine, "many", place) == order
    leads_out = order[0] != "inner"
    assert router(place) == ("eth0" if leads_out else "")


def test_a_gateway_s_priority_makes_its_interface_the_first(
    engine: EngineProcess, several: Networks, containers: Containers
) -> None:
    asked = {"alpha": {}, "zulu6": {}, "mike": {"GwPriority": 1}}
    place = containers.run("many", networks=asked, NetworkMode="alpha")
    assert interfaces(engine, "many", place) == ["mike", "zulu6", "alpha"]
    assert router(place) == "eth0"


def test_routes_and_published_ports_follow_the_first_network_as_it_comes_and_goes(
    engine: EngineProcess, several: Networks, containers: Containers, network: PrivateNetwork
) -> None:
    place = containers.run("web", "127.0.0.1:8181:80", NetworkMode="inner")
    host = Place(network.netns_fd)
    for name, interface in (("mike", "eth1"), ("alpha", "eth2"), ("zulu6", "eth3")):
        several.connect(name, "web")
        assert router(place) == interface
        with place.serving(ip_in(engine, "web", name), 80):
            assert host.ask("127.0.0.1", 8181)
    assert router(place, "-6") == "eth3"
    several.connect("deep", "web")
    assert router(place) == "eth3"
    for name, interface, heir in (("zulu6", "eth2", "alpha"), ("alpha", "eth1", "mike")):
        several.disconnect(name, "web")
        assert router(place) == interface
        with place.serving(ip_in(engine, "web", heir), 80):
            assert host.ask("127.0.0.1", 8181)
    several.disconnect("mike", "web")
    assert router(place) == ""


def test_a_port_of_ipv6_stays_where_the_first_network_has_none(
    engine: EngineProcess, several: Networks, containers: Containers
) -> None:
    def published() -> set[str]:
        return {place["HostIp"] for place in engine.inspect("web")["NetworkSettings"]["Ports"]["80/tcp"]}

    containers.run("web", "127.0.0.1:8182:80", "[::1]:8182:80", NetworkMode="zulu6")
    for name in ("mike", "alpha"):
        several.connect(name, "web", GwPriority=1)
        assert published() == {"127.0.0.1", "::1"}
    engine.kill()
    engine.start()
    for name in ("alpha", "mike"):
        several.disconnect(name, "web")
        assert published() == {"127.0.0.1", "::1"}
    several.connect("mike", "web")
    several.disconnect("zulu6", "web")
    assert published() == {"127.0.0.1"}
