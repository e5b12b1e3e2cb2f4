"""Ports of a running container change in place."""

from __future__ import annotations

from tests.engine_process import EngineProcess
from tests.network_containers import Containers, refuses
from tests.private_network import HOST4, OUTSIDE4, PrivateNetwork


def update(engine: EngineProcess, name: str, expect: int = 200, **asked: object) -> None:
    engine.json("POST", f"/containers/{name}/update", asked, expect=expect)


def bound(port: str, address: str = "") -> list[dict[str, str]]:
    return [{"HostIp": address, "HostPort": port}]


def test_a_port_is_published_and_unpublished_while_the_container_runs(
    engine: EngineProcess, network: PrivateNetwork, containers: Containers
) -> None:
    web = containers.run("web", ":8080:80/tcp")
    pid = engine.inspect("web")["State"]["Pid"]
    with web.serving("0.0.0.0", 80), web.serving("0.0.0.0", 81):
        update(engine, "web", PortBindings={"81/tcp": bound("8181")})
        assert network.outside.ask(HOST4, 8181) == OUTSIDE4
        assert network.outside.ask(HOST4, 8080) == OUTSIDE4
        update(engine, "web", UnpublishPorts={"80/tcp": bound("")}, PortBindings={"80": bound("8282", "127.0.0.1")})
        assert refuses(network.outside, HOST4, 8080)
        assert refuses(network.outside, HOST4, 8282)
        assert network.ask("127.0.0.1", 8282)
    shown = engine.inspect("web")
    assert shown["State"]["Pid"] == pid
    assert shown["NetworkSettings"]["Ports"]["80/tcp"] == bound("8282", "127.0.0.1")
    assert shown["HostConfig"]["PortBindings"] == {"80/tcp": bound("8282", "127.0.0.1"), "81/tcp": bound("8181")}
    engine.json("POST", "/containers/web/restart?t=0", expect=204)
    assert set(engine.inspect("web")["NetworkSettings"]["Ports"]) == {"80/tcp", "81/tcp"}


def test_a_change_that_cannot_be_changes_nothing(
    engine: EngineProcess, network: PrivateNetwork, containers: Containers
) -> None:
    containers.run("holder", ":8383:80/tcp")
    web = containers.run("web", ":8080:80/tcp")
    before = engine.inspect("web")["HostConfig"]["PortBindings"]
    update(engine, "web", 409, UnpublishPorts={"80/tcp": None}, PortBindings={"80/tcp": bound("8383")})
    update(engine, "web", 404, UnpublishPorts={"99/tcp": None})
    update(engine, "web", 400, PortBindings={"80/icmp": bound("1")})
    with web.serving("0.0.0.0", 80):
        assert network.outside.ask(HOST4, 8080) == OUTSIDE4
    assert engine.inspect("web")["HostConfig"]["PortBindings"] == before
    containers.run("alone", NetworkMode="none")
    update(engine, "alone", 409, PortBindings={"80/tcp": bound("8484")})


def test_a_changed_port_is_there_after_a_kill_of_the_daemon(
    engine: EngineProcess, network: PrivateNetwork, containers: Containers
) -> None:
    web = containers.run("web")
    update(engine, "web", PortBindings={"80/tcp": bound("8080")})
    engine.kill()
    engine.start()
    with web.serving("0.0.0.0", 80):
        assert network.outside.ask(HOST4, 8080) == OUTSIDE4


def test_a_large_range_is_published_and_given_back(
    engine: EngineProcess, network: PrivateNetwork, containers: Containers
) -> None:
    web = containers.run("web", *(f":{port}:{port}/tcp" for port in range(20000, 22000)))
    with web.serving("0.0.0.0", 21999):
        assert network.outside.ask(HOST4, 21999) == OUTSIDE4
    taken = engine.create("late", "true", host={"NetworkMode": "default", "PortBindings": {"80/tcp": bound("21000")}})
    refused = engine.json("POST", f"/containers/{taken}/start", expect=409)
    assert refused["remedy"] == "container web has it: stop that, or publish another port"
    containers.remove("web")
    engine.json("POST", f"/containers/{taken}/start", expect=204)
    engine.json("DELETE", f"/containers/{taken}?force=1", expect=204)


def test_a_port_of_the_host_that_is_asked_for_twice_is_told_so(engine: EngineProcess) -> None:
    bindings = {"53/tcp": bound("9998") * 2}
    made = engine.create("twice", "true", host={"NetworkMode": "default", "PortBindings": bindings})
    refused = engine.json("POST", f"/containers/{made}/start", expect=409)
    assert refused["message"].endswith("Bind for 0.0.0.0:9998 failed: port is already allocated")
    assert refused["remedy"].startswith("it is asked for twice at once")
    engine.json("DELETE", f"/containers/{made}", expect=204)
