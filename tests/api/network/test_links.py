"""Links on the default network, which has no names; and what a place in a network may be asked to be."""

from __future__ import annotations

from pathlib import Path

from tests.engine_process import EngineProcess
from tests.network_containers import BRIDGE, Containers, Networks, address_of, ip_in
from tests.private_network import PrivateNetwork


def words_of(engine: EngineProcess, name: str) -> list[list[str]]:
    return [line.split() for line in Path(engine.inspect(name)["HostsPath"]).read_text().splitlines()]


def run(engine: EngineProcess, containers: Containers, name: str, *command: str, **config: object) -> None:
    containers.names.append(name)
    engine.run(name, *(command or ("sleep", "300")), host={**BRIDGE, **config.pop("host", {})}, **config)  # type: ignore[dict-item]


def test_a_link_is_a_line_of_hosts_and_variables(engine: EngineProcess, containers: Containers) -> None:
    run(
        engine,
        containers,
        "db",
        Hostname="deep",
        Env=["MODE=fast"],
        ExposedPorts={"5432/tcp": {}, "53/udp": {}, "53/tcp": {}},
    )
    there = address_of(engine, "db")
    run(engine, containers, "web", "sh", "-c", "env; cat /etc/hosts", host={"Links": ["db:data-base", "db"]})
    assert engine.wait("web") == 0
    lines = engine.output("web")
    assert f"{there}\tdata-base deep db" in lines
    assert f"{there}\tdb deep" in lines
    six = address_of(engine, "db", v6=True)
    assert six
    assert not [line for line in lines if six in line]  # no name leads to what nobody has asked for
    expected = {
        f"DATA_BASE_PORT=tcp://{there}:53",
        f"DATA_BASE_PORT_53_UDP=udp://{there}:53",
        f"DATA_BASE_PORT_5432_TCP=tcp://{there}:5432",
        f"DATA_BASE_PORT_5432_TCP_ADDR={there}",
        "DATA_BASE_PORT_5432_TCP_PORT=5432",
        "DATA_BASE_PORT_5432_TCP_PROTO=tcp",
        "DATA_BASE_NAME=/web/data-base",
        "DATA_BASE_ENV_MODE=fast",
        "DB_NAME=/web/db",
    }
    assert expected <= set(lines)
    assert not any(line.startswith("DATA_BASE_ENV_PATH") for line in lines)
    assert engine.inspect("web")["HostConfig"]["Links"] == ["/db:/web/data-base", "/db:/web/db"]


def test_who_has_a_link_learns_the_address_of_the_next_run(engine: EngineProcess, containers: Containers) -> None:
    run(engine, containers, "db")
    run(engine, containers, "web", host={"Links": ["db:database"]})
    before = address_of(engine, "db")
    assert [before, "database"] == next(line[:2] for line in words_of(engine, "web") if "database" in line)
    engine.json("POST", "/containers/db/stop?t=0", expect=204)
    containers.run("takes-the-address-if-it-can")
    engine.json("POST", "/containers/db/start", expect=204)
    after = address_of(engine, "db")
    assert after != before
    assert [line[0] for line in words_of(engine, "web") if "database" in line] == [after]
    engine.kill()
    engine.start()
    assert engine.inspect("web")["HostConfig"]["Links"] == ["/db:/web/database"]


def test_links_to_nobody_and_to_those_elsewhere_are_refused(
    engine: EngineProcess, networks: Networks, containers: Containers
) -> None:
    def create(link: str, mode: str = "default") -> dict[str, object]:
        return {"Image": "host", "Cmd": ["true"], "HostConfig": {"NetworkMode": mode, "Links": [link]}}

    refused = engine.json("POST", "/containers/create", create("nobody:x"), expect=400)["message"]
    assert refused.startswith("could not get container for nobody: No such container")
    containers.run("on-host", NetworkMode="host")
    engine.json("POST", "/containers/create", create("on-host:x"), expect=400)
    containers.run("plain")
    assert (
        "can't be used with links"
        in engine.json("POST", "/containers/create", create("plain", "host"), expect=400)["message"]
    )
    networks.create("app")
    containers.run("elsewhere", NetworkMode="app")
    for link, words in (
        ("elsewhere:x", "does not belong to the default network"),
        ("plain:x", "non running container"),
    ):
        made = engine.json("POST", "/containers/create?name=late", create(link), expect=201)["Id"]
        engine.json("POST", "/containers/plain/kill")
        assert words in engine.json("POST", f"/containers/{made}/start", expect=409)["message"]
        engine.json("DELETE", f"/containers/{made}", expect=204)
        engine.json("POST", "/containers/plain/start")


def test_interfaces_have_the_names_they_were_asked_to_have(
    engine: EngineProcess, networks: Networks, containers: Containers
) -> None:
    networks.create("one")
    networks.create("two")
    named = {"DriverOpts": {"com.docker.network.endpoint.ifname": "uplink7"}}
    place = containers.run("boat", NetworkMode="one", networks={"one": named, "two": {}})
    assert place.links() == {"lo", "uplink7", "eth1"}
    networks.disconnect("two", "boat")
    networks.connect("two", "boat", DriverOpts={"com.docker.network.endpoint.ifname": "deck0"})
    assert place.links() == {"lo", "uplink7", "deck0"}
    assert ip_in(engine, "boat", "two") in place.run("ip", "address", "show", "deck0")
    networks.disconnect("two", "boat")
    for name in ("uplink7", "a name", "sixteen-letters-", "lo"):
        body = {"Container": "boat", "EndpointConfig": {"DriverOpts": {"com.docker.network.endpoint.ifname": name}}}
        engine.json("POST", "/networks/two/connect", body, expect=400)
    assert place.links() == {"lo", "uplink7"}
    assert set(engine.inspect("boat")["NetworkSettings"]["Networks"]) == {"one"}


def test_fixed_addresses_of_both_families_and_of_the_link_are_kept_by_a_container_that_joins(
    engine: EngineProcess, network: PrivateNetwork, networks: Networks, containers: Containers
) -> None:
    pools = [{"Subnet": "10.9.0.0/24"}, {"Subnet": "2001:db8:9::/64"}]
    networks.create("fixed", EnableIPv6=True, IPAM={"Config": pools})
    asked = {
        "IPAMConfig": {"IPv4Address": "10.9.0.77", "IPv6Address": "2001:db8:9::77"},
        "MacAddress": "02:00:00:00:00:77",
        "Aliases": ["seven"],
    }
    place = containers.run("mover")
    networks.connect("fixed", "mover", **asked)
    shown = engine.inspect("mover")["NetworkSettings"]["Networks"]["fixed"]
    assert (shown["IPAddress"], shown["GlobalIPv6Address"]) == ("10.9.0.77", "2001:db8:9::77")
    assert shown["MacAddress"] == "02:00:00:00:00:77"
    link = place.run("ip", "address", "show", "eth1")
    assert all(text in link for text in ("10.9.0.77/24", "2001:db8:9::77/64", "02:00:00:00:00:77"))
    mate = containers.run(
        "mate", networks={"fixed": {"IPAMConfig": {"IPv6Address": "2001:db8:9::9"}}}, NetworkMode="fixed"
    )
    with place.serving("::", 7000):
        assert mate.ask("2001:db8:9::77", 7000) == "2001:db8:9::9"
    body = {"Container": "mate", "EndpointConfig": {"IPAMConfig": {"IPv4Address": "10.8.0.1"}}}
    engine.json("POST", "/networks/bridge/connect", body, expect=400)
