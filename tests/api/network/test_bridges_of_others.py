"""Networks whose bridge has the name of a link that is there: a bridge is used and stays, another link is refused."""

from __future__ import annotations

from tests.engine_process import EngineProcess
from tests.network_containers import Containers, Networks, ip_in
from tests.private_network import HOST4, OUTSIDE4, PrivateNetwork

NAME = "com.docker.network.bridge.name"


def test_a_bridge_that_somebody_else_made_outlives_the_network_on_it(
    engine: EngineProcess, network: PrivateNetwork, networks: Networks, containers: Containers
) -> None:
    network.run("ip", "link", "add", "mine0", "type", "bridge")
    network.run("ip", "address", "add", "10.67.0.1/24", "dev", "mine0")
    try:
        for pool in ([{"Subnet": "10.67.0.0/24"}], []):
            networks.create("guest", IPAM={"Config": pool}, Options={NAME: "mine0"})
            one = containers.run("one", NetworkMode="guest")
            gateway = networks.inspect("guest")["IPAM"]["Config"][0]["Gateway"]
            with network.outside.serving("0.0.0.0", 7000), network.serving(gateway, 7001):
                assert one.ask(OUTSIDE4, 7000) == HOST4
                assert one.ask(gateway, 7001) == ip_in(engine, "one", "guest")
            containers.remove("one")
            engine.json("DELETE", "/networks/guest", expect=204)
            shown = network.run("ip", "-4", "address", "show", "mine0")
            assert [line.split()[1] for line in shown.splitlines() if " inet " in line] == ["10.67.0.1/24"]
    finally:
        network.run("ip", "link", "delete", "mine0")


def test_a_link_that_is_no_bridge_is_refused_and_left_alone(
    engine: EngineProcess, network: PrivateNetwork, networks: Networks
) -> None:
    network.run("ip", "link", "add", "ve0", "type", "veth", "peer", "name", "ve1")
    try:
        for link in ("ve0", "lo"):
            asked = {"Name": "wrong", "Options": {NAME: link}}
            refused = engine.json("POST", "/networks/create", asked, expect=409)
            assert refused["message"] == f"existing interface {link} is not a bridge"
            assert NAME in refused["remedy"]
        assert "wrong" not in networks.listed()
        assert {"ve0", "lo"} <= network.links()
    finally:
        network.run("ip", "link", "delete", "ve0")


def test_a_link_that_took_the_place_of_a_network_s_bridge_outlives_the_network(
    engine: EngineProcess, network: PrivateNetwork, networks: Networks
) -> None:
    networks.create("robbed", Options={NAME: "robbed0"})
    network.run("ip", "link", "delete", "robbed0")
    network.run("ip", "link", "add", "robbed0", "type", "veth", "peer", "name", "ve1")
    try:
        engine.json("DELETE", "/networks/robbed", expect=204)
        assert "robbed0" in network.links()
    finally:
        network.run("ip", "link", "delete", "robbed0")
