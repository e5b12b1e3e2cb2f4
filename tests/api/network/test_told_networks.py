"""What inspect and a list tell of a container's ports and networks, as Docker tells it."""

from __future__ import annotations

from typing import Any

import pytest
from tests.engine_process import EngineProcess
from tests.network_containers import BRIDGE, Containers, Networks
from tests.waiting import until


@pytest.mark.parametrize(
    ("exposed", "shown"),
    [
        (("9001-9003/udp",), {"0/udp"}),
        (("abc/tcp", "9005-9001/tcp", "70000/tcp", "-1"), {"0/tcp"}),
        (("", "/tcp"), {"0/0"}),
        (("80/foo",), {"80/0"}),
        (("9000", "80/", "80/TCP", "080/tcp"), {"9000/tcp", "80/tcp"}),
        (("9" * 5000,), {"0/tcp"}),
    ],
)
def test_every_exposed_port_is_told_as_a_number_and_a_protocol(
    engine: EngineProcess, containers: Containers, exposed: tuple[str, ...], shown: set[str]
) -> None:
    containers.names.append("exposing")
    engine.run("exposing", "sleep", "300", host=BRIDGE, ExposedPorts={port: {} for port in exposed})
    assert engine.inspect("exposing")["NetworkSettings"]["Ports"] == dict.fromkeys(shown)
    assert set(engine.inspect("exposing")["Config"]["ExposedPorts"]) == set(exposed)
    (line,) = engine.json("GET", "/containers/json")
    assert {f"{port['PrivatePort']}/{port['Type']}" for port in line["Ports"]} == shown


def test_what_has_no_network_of_its_own_exposes_nothing(engine: EngineProcess, containers: Containers) -> None:
    containers.names.append("alone")
    engine.run("alone", "sleep", "300", ExposedPorts={"80/tcp": {}})
    assert engine.inspect("alone")["NetworkSettings"]["Ports"] == {}


@pytest.mark.parametrize("places", [None, []])
def test_a_port_with_no_place_on_the_host_is_not_published(
    engine: EngineProcess, containers: Containers, places: Any
) -> None:
    containers.names += ["placeless", "everything"]
    host = {**BRIDGE, "PortBindings": {"80/tcp": places}}
    engine.run("placeless", "sleep", "300", host=host)
    assert engine.inspect("placeless")["NetworkSettings"]["Ports"] == {}
    engine.run("everything", "sleep", "300", host={**host, "PublishAllPorts": True}, ExposedPorts={"80/tcp": {}})
    assert engine.inspect("everything")["NetworkSettings"]["Ports"]["80/tcp"][0]["HostPort"]


def test_a_port_that_is_none_is_refused_also_with_no_place_on_the_host(engine: EngineProcess) -> None:
    body = {"Image": "host", "Cmd": ["true"], "HostConfig": {**BRIDGE, "PortBindings": {"abc/tcp": None}}}
    assert "invalid port specification" in engine.json("POST", "/containers/create", body, expect=400)["message"]


def test_who_joins_a_network_has_the_name_of_whose_it_is(engine: EngineProcess, containers: Containers) -> None:
    containers.names += ["named", "joining"]
    engine.run("named", "sleep", "300", host=BRIDGE, Hostname="hosty", Domainname="ex.org")
    command = ("sh", "-c", "cat /proc/sys/kernel/hostname /proc/sys/kernel/domainname; echo $HOSTNAME; sleep 300")
    engine.run("joining", *command, host={"NetworkMode": "container:named"}, Tty=True)
    told = engine.inspect("joining")["Config"]
    assert (told["Hostname"], told["Domainname"]) == ("hosty", "ex.org")
    until(lambda: log_of(engine, "joining").split() == ["hosty", "ex.org", "hosty"])


@pytest.mark.parametrize("called", ["name", "id"])
def test_what_was_asked_of_a_network_is_told_whatever_it_was_called(
    engine: EngineProcess, containers: Containers, networks: Networks, called: str
) -> None:
    network_id = networks.create("asked")
    key = {"name": "asked", "id": network_id}[called]
    asked = {"Aliases": ["db"], "Links": ["x:y"], "DriverOpts": {"a": "b"}, "IPAMConfig": {}}
    containers.names.append("asking")
    endpoints = {"EndpointsConfig": {key: {**asked, "MacAddress": "02:00:00:00:00:09"}}}
    engine.create("asking", "sleep", "300", host={"NetworkMode": "asked"}, NetworkingConfig=endpoints)
    for _ in range(2):
        told = engine.inspect("asking")
        assert told["NetworkSettings"]["Networks"].keys() == {"asked"}
        assert told["NetworkSettings"]["Networks"]["asked"].items() >= asked.items()
        assert told["Config"]["MacAddress"] == "02:00:00:00:00:09"
        engine.request("POST", "/containers/asking/start")


def test_a_mac_address_is_told_of_the_container_when_its_main_network_has_it(
    engine: EngineProcess, containers: Containers, networks: Networks
) -> None:
    networks.create("beside")
    endpoints = {"EndpointsConfig": {"beside": {"MacAddress": "02:00:00:00:00:09"}}}
    containers.names += ["beside", "above"]
    engine.create("beside", "true", host=BRIDGE, NetworkingConfig=endpoints)
    assert "MacAddress" not in engine.inspect("beside")["Config"]
    engine.create("above", "true", host=BRIDGE, MacAddress="02:00:00:00:00:08")
    assert engine.inspect("above")["Config"]["MacAddress"] == "02:00:00:00:00:08"


def test_links_of_a_user_s_network_are_not_told(
    engine: EngineProcess, containers: Containers, networks: Networks
) -> None:
    networks.create("linked")
    containers.run("db", NetworkMode="linked")
    containers.run("web", NetworkMode="linked", Links=["db:database"])
    assert engine.inspect("web")["HostConfig"]["Links"] is None
    assert ["/db"] in [line["Names"] for line in engine.json("GET", "/containers/json")]


def log_of(engine: EngineProcess, name: str) -> str:
    return engine.request("GET", f"/containers/{name}/logs?stdout=1")[1].decode()


@pytest.mark.parametrize("mode", ["none", "host"])
def test_a_container_without_a_network_of_its_own_has_an_endpoint_while_it_runs(
    engine: EngineProcess, containers: Containers, mode: str
) -> None:
    containers.run("alone", NetworkMode=mode)
    endpoint = engine.inspect("alone")["NetworkSettings"]["Networks"][mode]["EndpointID"]
    assert len(endpoint) == 64
    (member,) = engine.json("GET", f"/networks/{mode}")["Containers"].values()
    assert member["EndpointID"] == endpoint
    engine.json("POST", "/containers/alone/kill", expect=204)
    engine.json("POST", "/containers/alone/wait")
    assert not engine.inspect("alone")["NetworkSettings"]["Networks"][mode]["EndpointID"]


def test_a_container_in_internal_networks_alone_exposes_nothing(
    engine: EngineProcess, networks: Networks, containers: Containers
) -> None:
    networks.create("inner", Internal=True)
    containers.run("inside", ":8186:80", NetworkMode="inner")
    assert engine.inspect("inside")["NetworkSettings"]["Ports"] == {}


def test_networks_are_told_in_the_order_of_their_names(
    engine: EngineProcess, networks: Networks, containers: Containers
) -> None:
    networks.create("alpha", Internal=True)
    networks.create("beta")
    containers.run("both", networks={"beta": {}, "alpha": {}}, NetworkMode="beta")
    assert list(engine.inspect("both")["NetworkSettings"]["Networks"]) == ["alpha", "beta"]


def test_the_default_network_has_no_aliases(engine: EngineProcess, containers: Containers) -> None:
    reason = (
        "invalid endpoint settings:\nnetwork-scoped alias is supported only for containers in user defined networks"
    )
    body = {"Image": "busybox", "NetworkingConfig": {"EndpointsConfig": {"bridge": {"Aliases": ["other"]}}}}
    refused = engine.json("POST", "/containers/create", body, expect=400)["message"]
    assert refused == f"invalid config for network bridge: {reason}"
    containers.run("plain")
    engine.json("POST", "/networks/bridge/disconnect", {"Container": "plain"}, expect=200)
    again = {"Container": "plain", "EndpointConfig": {"Aliases": ["other"]}}
    assert engine.json("POST", "/networks/bridge/connect", again, expect=400)["message"] == reason


def test_a_forced_disconnect_of_a_container_that_is_not_there_finds_no_endpoint(engine: EngineProcess) -> None:
    body = {"Container": "nobody", "Force": True}
    refused = engine.json("POST", "/networks/bridge/disconnect", body, expect=404)
    assert refused["message"] == "endpoint nobody not found"
