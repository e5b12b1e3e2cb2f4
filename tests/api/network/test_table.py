"""The table of nftables is there while it has something in it, and what others put there is not taken from them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.engine_process import EngineProcess
from tests.private_network import PrivateNetwork, make_private_network

OURS = "table inet sampan\n"


@pytest.fixture
def network() -> Iterator[PrivateNetwork]:
    made = make_private_network()
    yield made
    made.close()


@pytest.fixture
def engine(tmp_path: Path, network: PrivateNetwork) -> Iterator[EngineProcess]:
    with EngineProcess(tmp_path, "--bridge", "none", netns_fd=network.netns_fd) as running:
        yield running


def make_and_remove(engine: EngineProcess, network: PrivateNetwork) -> None:
    engine.json("POST", "/networks/create", {"Name": "brief"}, expect=201)
    assert OURS in network.run("nft", "list", "tables")
    engine.json("DELETE", "/networks/brief", expect=204)


def test_it_comes_with_the_first_network_and_goes_with_the_last(engine: EngineProcess, network: PrivateNetwork) -> None:
    for _ in range(2):
        assert network.run("nft", "list", "tables") == ""
        make_and_remove(engine, network)
    assert network.run("nft", "list", "tables") == ""
    engine.json("POST", "/networks/create", {"Name": "lasting"}, expect=201)
    engine.stop()
    assert network.run("nft", "list", "tables") == OURS  # it is of use without a daemon
    engine.start()
    engine.json("DELETE", "/networks/lasting", expect=204)
    assert network.run("nft", "list", "tables") == ""


@pytest.mark.parametrize(
    "theirs",
    [
        "add rule inet sampan user ip saddr 192.0.2.1 drop",
        "add chain inet sampan theirs",
        "add set inet sampan theirs { type ifname; }",
    ],
)
def test_it_stays_with_what_others_have_put_there(engine: EngineProcess, network: PrivateNetwork, theirs: str) -> None:
    network.run("nft", "add table inet sampan; add chain inet sampan user")
    network.run("nft", theirs)
    make_and_remove(engine, network)
    engine.stop()
    assert "192.0.2.1" in (kept := network.run("nft", "list table inet sampan")) or "theirs" in kept
