"""Two engines in one network namespace, each with a bridge of its own."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.engine_process import EngineProcess
from tests.network_containers import Containers, address_of, refuses
from tests.private_network import HOST4, OUTSIDE4, PrivateNetwork, make_private_network


@pytest.fixture
def network() -> Iterator[PrivateNetwork]:
    made = make_private_network()
    yield made
    made.close()


@contextlib.contextmanager
def living(directory: Path, network: PrivateNetwork, *options: str) -> Iterator[tuple[EngineProcess, Containers]]:
    directory.mkdir()
    with EngineProcess(directory, *options, netns_fd=network.netns_fd) as engine:
        containers = Containers(engine)
        try:
            yield engine, containers
        finally:
            containers.close()


def test_each_keeps_its_ports_and_its_containers_to_itself(tmp_path: Path, network: PrivateNetwork) -> None:
    network.run("ip", "link", "add", "two0", "type", "bridge")
    network.run("ip", "address", "add", "10.20.0.1/24", "dev", "two0")
    network.run("ip", "link", "set", "two0", "up")
    with (
        living(tmp_path / "one", network) as (one, ones),
        living(tmp_path / "two", network, "--bridge", "two0") as (two, twos),
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


def test_a_bridge_that_is_not_there_is_named_with_what_to_do(tmp_path: Path, network: PrivateNetwork) -> None:
    with living(tmp_path / "one", network, "--bridge", "none0") as (engine, _):
        engine.create("alone", "true")
        made = engine.create("lost", "true", host={"NetworkMode": "default"})
        told = engine.json("POST", f"/containers/{made}/start", expect=409)
        assert told["message"].startswith("there is no bridge none0, which the daemon was started with")
        engine.json("POST", "/containers/alone/start", expect=204)
