"""IPv6 on networks that nobody has asked about it: what it is for, who gets it, and what clients see of it."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator
from ipaddress import IPv6Address, IPv6Network
from pathlib import Path
from typing import Any

import pytest
from tests.engine_process import EngineProcess
from tests.network_containers import Containers, Networks, ip_in
from tests.private_network import HOST6, OUTSIDE6, PrivateNetwork, make_private_network

KINDS = (socket.SOCK_STREAM, socket.SOCK_DGRAM)


def six(engine: EngineProcess, container: str, network: str) -> str:
    return ip_in(engine, container, network, "GlobalIPv6Address")


def unasked(shown: Any) -> IPv6Network:
    (pool,) = shown["UnaskedIPv6"]
    return IPv6Network(pool["Subnet"])


@pytest.fixture
def elsewhere() -> Iterator[PrivateNetwork]:
    """A host of this test's own."""
    made = make_private_network()
    yield made
    made.close()


@contextlib.contextmanager
def told(directory: Path, network: PrivateNetwork, *options: str) -> Iterator[tuple[EngineProcess, Networks]]:
    """A daemon with these options, and a network of a user's that nothing is said about."""
    with EngineProcess(directory, *options, netns_fd=network.netns_fd) as engine:
        networks = Networks(engine)
        networks.create("app")
        try:
            yield engine, networks
        finally:
            engine.json("DELETE", "/networks/app", expect=204)


def test_it_leads_out_and_in_and_keeps_the_client_s_address(
    engine: EngineProcess, network: PrivateNetwork, networks: Networks, containers: Containers
) -> None:
    networks.create("app")
    for mode, name in (("app", "app"), ("default", "bridge")):
        web = containers.run(f"web-{name}", ":8080:80/tcp", ":8080:80/udp", NetworkMode=mode)
        assert IPv6Address(six(engine, f"web-{name}", name)) in unasked(networks.inspect(name))
        for kind in KINDS:
            with network.outside.serving(OUTSIDE6, 7700, kind):
                assert web.ask(OUTSIDE6, 7700, kind) == HOST6
            with web.serving("::", 80, kind):
                assert network.outside.ask(HOST6, 8080, kind) == OUTSIDE6
        containers.remove(f"web-{name}")


def test_clients_see_what_they_asked_for_and_no_name_leads_there(
    engine: EngineProcess, networks: Networks, containers: Containers
) -> None:
    networks.create("app", IPAM={"Config": [{"Subnet": "10.9.0.0/24"}]})
    containers.run("db", NetworkMode="app")
    web = containers.run("web", NetworkMode="app")
    for name in ("app", "bridge"):
        shown = networks.inspect(name)
        (pool,) = shown["IPAM"]["Config"]
        assert (shown["EnableIPv6"], ":" in pool["Subnet"]) == (False, False)
    assert networks.inspect("app")["Containers"][engine.inspect("db")["Id"]]["IPv6Address"]
    there = six(engine, "db", "app")
    with containers.place("db").serving("::", 7701):
        assert web.ask(there, 7701) == six(engine, "web", "app")
    asking = engine.json("POST", "/containers/web/exec", {"Cmd": ["getent", "ahosts", "db"], "AttachStdout": True})
    found = engine.request("POST", f"/exec/{asking['Id']}/start", {"Detach": False})[1].decode()
    assert ip_in(engine, "db", "app") in found
    assert ":" not in found
    assert six(engine, "web", "app") not in Path(engine.inspect("web")["HostsPath"]).read_text()


def test_all_are_of_one_prefix_of_the_engine_s_which_lasts(
    engine: EngineProcess, networks: Networks, containers: Containers
) -> None:
    for name in ("one", "two"):
        networks.create(name)
    networks.create("asked", EnableIPv6=True)
    found = [unasked(networks.inspect(name)) for name in ("bridge", "one", "two")]
    found.append(IPv6Network(networks.inspect("asked")["IPAM"]["Config"][1]["Subnet"]))
    assert len(set(found)) == 4
    assert len({one.supernet(new_prefix=48) for one in found}) == 1
    assert found[0].subnet_of(IPv6Network("fd00::/8"))
    engine.kill()
    engine.start()
    assert [unasked(networks.inspect(name)) for name in ("bridge", "one", "two")] == found[:3]


def test_who_says_no_or_would_not_translate_has_none(
    engine: EngineProcess, networks: Networks, containers: Containers
) -> None:
    bridge = "com.docker.network.bridge"
    cases: dict[str, dict[str, Any]] = {
        "no": {"EnableIPv6": False},
        "inner": {"Internal": True},
        "plain": {"Options": {f"{bridge}.enable_ip_masquerade": "false"}},
        "routed": {"Options": {f"{bridge}.gateway_mode_ipv6": "routed"}},
    }
    for name, asked in cases.items():
        networks.create(name, **asked)
        assert "UnaskedIPv6" not in networks.inspect(name), name
        place = containers.run(f"in-{name}", NetworkMode=name)
        assert "inet6" not in place.run("ip", "address", "show", "eth0"), name


def test_a_host_without_ipv6_gives_none_until_it_has_some(tmp_path: Path, elsewhere: PrivateNetwork) -> None:
    elsewhere.run("ip", "address", "delete", f"{HOST6}/64", "dev", "uplink")
    with told(tmp_path, elsewhere) as (engine, networks):
        engine.json("POST", "/networks/create", {"Name": "asked", "EnableIPv6": True}, expect=201)
        networks.create("after")  # the address of a bridge of ours is none of the host's
        for name in ("app", "bridge", "after"):
            assert "UnaskedIPv6" not in networks.inspect(name), name
        for name in ("asked", "after"):
            engine.json("DELETE", f"/networks/{name}", expect=204)
        elsewhere.run("ip", "address", "add", f"{HOST6}/64", "dev", "uplink", "nodad")
        engine.kill()
        engine.start()
        assert unasked(networks.inspect("bridge"))
        assert "UnaskedIPv6" not in networks.inspect("app")  # what a user's network is does not change


def test_the_daemon_can_be_told_to_give_it_or_not(tmp_path: Path, elsewhere: PrivateNetwork) -> None:
    with told(tmp_path, elsewhere, "--ipv6=false") as (_, networks):
        for name in ("app", "bridge"):
            assert "UnaskedIPv6" not in networks.inspect(name), name
    elsewhere.run("ip", "address", "delete", f"{HOST6}/64", "dev", "uplink")
    with told(tmp_path, elsewhere, "--ipv6") as (_, networks):
        assert unasked(networks.inspect("app"))
        assert networks.inspect("bridge")["EnableIPv6"] is True  # as dockerd's --ipv6


def test_no_address_waits_to_be_checked_for_a_double(
    engine: EngineProcess, network: PrivateNetwork, networks: Networks, containers: Containers
) -> None:
    """While one does (RFC 4862, for a second or two) a new bridge asks for nobody on behalf of other hosts."""
    networks.create("fresh", EnableIPv6=True)
    web = containers.run("web", ":8080:80/tcp", NetworkMode="fresh")
    bridge = f"br-{networks.inspect('fresh')['Id'][:12]}"
    for place, link in ((network, bridge), (web, "eth0")):
        shown = place.run("ip", "-6", "address", "show", "dev", link)
        assert "scope link" in shown
        assert "tentative" not in shown
    with web.serving("::", 80):
        assert network.outside.ask(HOST6, 8080) == OUTSIDE6
