"""What the daemon is told about the default bridge and about where subnets come from, with real traffic."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.engine_process import EngineProcess
from tests.network_containers import Containers, Networks, address_of, refuses
from tests.private_network import HOST4, OUTSIDE4, PrivateNetwork, make_private_network

from sampan.daemon.options import parse
from sampan.errors import InvalidArgument
from sampan.network.definitions import ANY4


@pytest.fixture
def network() -> Iterator[PrivateNetwork]:
    made = make_private_network()
    yield made
    made.close()


@contextlib.contextmanager
def told(
    directory: Path, network: PrivateNetwork, *options: str
) -> Iterator[tuple[EngineProcess, Containers, Networks]]:
    """A daemon with these options."""
    with EngineProcess(directory, *options, netns_fd=network.netns_fd) as engine:
        containers, networks = Containers(engine), Networks(engine)
        try:
            yield engine, containers, networks
        finally:
            containers.close()
            for name in networks.names:
                engine.request("DELETE", f"/networks/{name}")


def options_of(networks: Networks, name: str = "bridge") -> dict[str, str]:
    found: dict[str, str] = networks.inspect(name)["Options"]
    return found


def test_addresses_router_and_mtu_are_those_that_were_told(tmp_path: Path, network: PrivateNetwork) -> None:
    words = ("--bip", "10.20.0.1/24", "--fixed-cidr", "10.20.0.128/30", "--default-gateway", "10.20.0.9")
    more = ("--fixed-cidr-v6", "2001:db8:20::/64", "--mtu=1400")
    with told(tmp_path, network, *words, *more) as (engine, containers, networks):
        place = containers.run("one")
        assert address_of(engine, "one") == "10.20.0.128"
        assert address_of(engine, "one", v6=True) == "2001:db8:20::2"
        assert engine.inspect("one")["NetworkSettings"]["Gateway"] == "10.20.0.9"
        assert "via 10.20.0.9 dev eth0" in place.run("ip", "route", "show", "default")
        assert "mtu 1400" in place.run("ip", "link", "show", "eth0")
        bridge = network.run("ip", "address", "show", "sampan0")
        assert "10.20.0.1/24" in bridge
        assert "mtu 1400" in bridge
        assert options_of(networks)["com.docker.network.driver.mtu"] == "1400"
        (four, _) = networks.inspect("bridge")["IPAM"]["Config"]
        assert (four["Subnet"], four["IPRange"], four["Gateway"]) == ("10.20.0.0/24", "10.20.0.128/30", "10.20.0.1")


def test_another_address_is_taken_up_with_the_next_start(tmp_path: Path, network: PrivateNetwork) -> None:
    with told(tmp_path, network, "--bip", "10.20.0.1/24") as (engine, containers, _):
        containers.run("one")
    with told(tmp_path, network, "--bip", "10.21.0.1/24") as (engine, containers, _):
        one = containers.run("one")
        assert address_of(engine, "one") == "10.21.0.2"
        bridge = network.run("ip", "-4", "address", "show", "sampan0")
        assert "10.21.0.1/24" in bridge
        assert "10.20.0.1" not in bridge
        assert "10.20.0.0/24" not in network.run("nft", "list", "table", "inet", "sampan")
        with network.outside.serving("0.0.0.0", 7000):
            assert one.ask(OUTSIDE4, 7000) == HOST4


def test_subnets_are_taken_from_the_pools_and_ports_published_where_it_was_told(
    tmp_path: Path, network: PrivateNetwork
) -> None:
    pools = ("base=10.30.0.0/24,size=26", "base=2001:db8:30::/62,size=64")
    words = [word for pool in pools for word in ("--default-address-pool", pool)]
    with told(tmp_path, network, *words, "--ip", "127.0.0.1") as (engine, containers, networks):
        networks.create("one", EnableIPv6=True)
        binding = {"com.docker.network.bridge.host_binding_ipv4": HOST4}
        networks.create("bound", EnableIPv6=True, Options=binding)
        found = [
            pool["Subnet"] for name in ("bridge", "one", "bound") for pool in networks.inspect(name)["IPAM"]["Config"]
        ]
        assert [subnet for subnet in found if ":" not in subnet] == ["10.30.0.0/26", "10.30.0.64/26", "10.30.0.128/26"]
        assert [subnet for subnet in found if subnet.startswith("2001")] == ["2001:db8:30::/64", "2001:db8:30:1::/64"]
        networks.create("last")
        refused = engine.json("POST", "/networks/create", {"Name": "too-many"}, expect=409)["message"]
        assert "non-overlapping IPv4 address pool" in refused
        check_bindings(engine, network, containers)


def check_bindings(engine: EngineProcess, network: PrivateNetwork, containers: Containers) -> None:
    web = containers.run("web", ":8080:80/tcp", f"{HOST4}:8081:80/tcp")
    assert engine.inspect("web")["NetworkSettings"]["Ports"]["80/tcp"] == [
        {"HostIp": "127.0.0.1", "HostPort": "8080"},
        {"HostIp": HOST4, "HostPort": "8081"},
    ]
    with web.serving("0.0.0.0", 80):
        assert network.ask("127.0.0.1", 8080)
        assert refuses(network.outside, HOST4, 8080)
        assert network.outside.ask(HOST4, 8081) == OUTSIDE4
    other = containers.run("other", ":8082:80/tcp", NetworkMode="bound")
    assert engine.inspect("other")["NetworkSettings"]["Ports"]["80/tcp"] == [{"HostIp": HOST4, "HostPort": "8082"}]
    with other.serving("0.0.0.0", 80):
        assert network.outside.ask(HOST4, 8082) == OUTSIDE4
        assert refuses(network, "127.0.0.1", 8082)


def test_without_icc_and_masquerading_containers_are_strangers_and_known_outside(
    tmp_path: Path, network: PrivateNetwork
) -> None:
    with told(tmp_path, network, "--icc=false", "--ip-masq=false") as (engine, containers, networks):
        one, other = containers.run("one"), containers.run("other")
        assert options_of(networks)["com.docker.network.bridge.enable_icc"] == "false"
        network.outside.run("ip", "route", "add", "172.16.0.0/12", "via", HOST4)
        with other.serving("0.0.0.0", 7000), network.outside.serving("0.0.0.0", 7001):
            assert refuses(one, address_of(engine, "other"), 7000)
            assert one.ask(OUTSIDE4, 7001) == address_of(engine, "one")
        engine.create("linked", "true", host={"NetworkMode": "default", "Links": ["one"]})
        assert "opens no ports here" in engine.json("POST", "/containers/linked/start", expect=501)["message"]


def test_the_host_is_not_made_to_forward_when_that_was_told(tmp_path: Path, network: PrivateNetwork) -> None:
    network.run("sysctl", "-qw", "net.ipv4.ip_forward=0")
    with told(tmp_path, network, "--ip-forward=false") as (engine, containers, _):
        containers.run("one")
        assert network.run("sysctl", "-n", "net.ipv4.ip_forward").strip() == "0"
        (found,) = [one for one in engine.json("GET", "/system/doctor") if "forward IPv4" in one["Sentence"]]
        assert "net.ipv4.ip_forward=1" in found["Remedy"]


def test_a_bridge_of_somebody_else_s_is_used_and_left_as_it_was(tmp_path: Path, network: PrivateNetwork) -> None:
    network.run("ip", "link", "add", "theirs", "type", "bridge")
    network.run("ip", "address", "add", "10.40.0.1/24", "dev", "theirs")
    before = network.run("ip", "-4", "address", "show", "theirs")
    with told(tmp_path, network, "-b", "theirs") as (engine, containers, _):
        one = containers.run("one")
        assert address_of(engine, "one") == "10.40.0.2"
        with network.outside.serving("0.0.0.0", 7000):
            assert one.ask(OUTSIDE4, 7000) == HOST4
    assert "sampan0" not in network.links()
    assert network.run("ip", "-4", "address", "show", "theirs").split("inet")[1] == before.split("inet")[1]


def test_a_user_s_network_does_not_get_the_default_one_s_bridge(tmp_path: Path, network: PrivateNetwork) -> None:
    with told(tmp_path, network) as (engine, _, _):
        asked = {"Name": "thief", "Options": {"com.docker.network.bridge.name": "sampan0"}}
        refused = engine.json("POST", "/networks/create", asked, expect=409)
        assert refused["message"].endswith("networks have same bridge name")


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--bip", "10.0.0.1"), "invalid address and prefix"),
        (("--bip", "10.20.0.1/24", "--fixed-cidr", "10.21.0.0/25"), "no matching subnet for range"),
        (("--bip", "10.20.0.1/24", "--default-gateway", "10.21.0.1"), "outside of the default bridge's subnet"),
        (("--bip", "10.20.0.1/32"), "leaves no address for a container"),
        (("--bip", "10.20.0.0/24"), "stands for the network itself"),
        (("--bip", "10.20.0.255/24"), "stands for broadcasts"),
        (("--bip", "224.0.0.1/24"), "is for multicast"),
        (("--bip", "127.0.1.1/24"), "is for the host itself"),
        (("--bip", "10.20.0.1/0"), "is for this network"),
        (("--fixed-cidr", "10.20.0.1/32"), "leaves no address for a container"),
        (("--fixed-cidr-v6", "ff02::/64"), "is for multicast"),
        (("--default-gateway", "foo"), "invalid --default-gateway foo: no IP address"),
        (("--default-gateway", "2001:db8::1"), "no IPv4 address"),
        (("--default-gateway-v6", "10.20.0.1"), "no IPv6 address"),
        (("--bip", "10.20.0.1/24", "--default-gateway", "10.20.0.255"), "is no host's address in 10.20.0.0/24"),
        (("--bridge", "b", "--bip", "10.20.0.1/24"), "mutually exclusive"),
        (("--default-address-pool", "base=10.0.0.0/8"), "invalid default address pool"),
        (("--default-address-pool", "base=10.0.0.0/16,size=8"), "invalid default address pool"),
        (("--mtu", "12"), "invalid MTU"),
        (("--mtu", "many"), "invalid argument"),
        (("--ip", "here"), "invalid --ip"),
        (("--icc=perhaps",), "invalid argument"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_made(words: tuple[str, ...], sentence: str) -> None:
    with pytest.raises(InvalidArgument, match=sentence):
        parse(list(words)).networks.check()


@pytest.mark.parametrize("address", ["10.20.0.0/31", "10.20.0.1/30", "240.0.0.1/24", "fd00:20::1/64"])
def test_whatever_leaves_room_for_a_container_is_taken(address: str) -> None:
    (subnet,) = parse(["--bip", address]).networks.given()
    assert subnet.gateway == address.partition("/")[0]


def test_of_two_engines_each_keeps_its_ports_and_its_containers_to_itself(
    tmp_path: Path, network: PrivateNetwork
) -> None:
    network.run("ip", "link", "add", "two0", "type", "bridge")
    network.run("ip", "address", "add", "10.20.0.1/24", "dev", "two0")
    network.run("ip", "link", "set", "two0", "up")
    roots = tmp_path / "one", tmp_path / "two"
    for root in roots:
        root.mkdir()
    with (
        told(roots[0], network) as (one, ones, _),
        told(roots[1], network, "--bridge", "two0") as (two, twos, _),
    ):
        first, second = ones.run("first", ":8081:80/tcp"), twos.run("second", ":8082:80/tcp")
        with first.serving("0.0.0.0", 80), second.serving("0.0.0.0", 80):
            for _ in range(2):
                assert network.outside.ask(HOST4, 8081) == OUTSIDE4
                assert network.outside.ask(HOST4, 8082) == OUTSIDE4
                ones.run("another", ":8083:80/tcp")  # writes the first engine's rules anew
                one.json("DELETE", "/containers/another?force=1", expect=204)
            assert refuses(first, address_of(two, "second"), 80)
            assert first.ask(address_of(one, "first"), 80)
        for engine in (one, two):
            assert not [found for found in engine.json("GET", "/system/doctor") if found["Repairable"]]
        assert [line.split()[2] for line in network.run("nft", "list", "tables").splitlines()] == [
            "sampan",
            "sampan-two0",
        ]


def test_a_port_that_another_engine_publishes_is_refused_and_its_table_named(
    tmp_path: Path, network: PrivateNetwork
) -> None:
    for link, address in (("three0", "10.21.0.1/24"), ("four0", "10.22.0.1/24")):
        network.run("ip", "link", "add", link, "type", "bridge")
        network.run("ip", "address", "add", address, "dev", link)
        network.run("ip", "link", "set", link, "up")
    roots = tmp_path / "three", tmp_path / "four"
    for root in roots:
        root.mkdir()
    with (
        told(roots[0], network, "--bridge", "three0") as (three, threes, _),
        told(roots[1], network, "--bridge", "four0") as (four, fours, _),
    ):
        threes.run("holder", ":8091:80/tcp", "127.0.0.1:8092:80/udp")
        for address, port in (("", "8091/tcp"), ("127.0.0.1", "8091/tcp"), ("", "8092/udp"), ("127.0.0.1", "8092/udp")):
            number, protocol = port.split("/")
            bindings = {f"80/{protocol}": [{"HostIp": address, "HostPort": number}]}
            made = four.create("late", "true", host={"NetworkMode": "default", "PortBindings": bindings})
            refused = four.json("POST", f"/containers/{made}/start", expect=409)
            assert f":{number} failed: port is already allocated" in refused["message"]
            assert "table inet sampan-three0" in refused["remedy"]
            four.json("DELETE", f"/containers/{made}", expect=204)
        fours.run("beside", f"{HOST4}:8092:80/udp", ":8091:80/udp", ":8091-8099:80/tcp")
        assert four.inspect("beside")["NetworkSettings"]["Ports"]["80/tcp"] == [{"HostIp": ANY4, "HostPort": "8092"}]
        four.json("POST", "/containers/beside/update", {"PortBindings": {"81/tcp": [{"HostPort": "8091"}]}}, expect=409)
        three.json("DELETE", "/containers/holder?force=1", expect=204)
        four.json("POST", "/containers/beside/update", {"PortBindings": {"81/tcp": [{"HostPort": "8091"}]}})


def test_a_bridge_that_is_not_there_is_named_with_what_to_do(tmp_path: Path, network: PrivateNetwork) -> None:
    with told(tmp_path, network, "--bridge", "none0") as (engine, _, _):
        engine.create("alone", "true")
        made = engine.create("lost", "true", host={"NetworkMode": "default"})
        answer = engine.json("POST", f"/containers/{made}/start", expect=409)
        assert answer["message"].startswith("there is no bridge none0, which the daemon was started with")
        engine.json("POST", "/containers/alone/start", expect=204)
