"""What inspect and a list tell of a container's ports and networks, as Docker tells it."""

from __future__ import annotations

import pytest
from tests.engine_process import EngineProcess
from tests.network_containers import BRIDGE, Containers
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


def test_who_joins_a_network_has_the_name_of_whose_it_is(engine: EngineProcess, containers: Containers) -> None:
    containers.names += ["named", "joining"]
    engine.run("named", "sleep", "300", host=BRIDGE, Hostname="hosty", Domainname="ex.org")
    command = ("sh", "-c", "cat /proc/sys/kernel/hostname /proc/sys/kernel/domainname; echo $HOSTNAME; sleep 300")
    engine.run("joining", *command, host={"NetworkMode": "container:named"}, Tty=True)
    told = engine.inspect("joining")["Config"]
    assert (told["Hostname"], told["Domainname"]) == ("hosty", "ex.org")
    until(lambda: log_of(engine, "joining").split() == ["hosty", "ex.org", "hosty"])


def log_of(engine: EngineProcess, name: str) -> str:
    return engine.request("GET", f"/containers/{name}/logs?stdout=1")[1].decode()
