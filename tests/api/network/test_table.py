"""The table of nftables is there while it has something in it, and what others put there is not taken from them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.engine_process import EngineProcess
from tests.private_network import PrivateNetwork, make_private_network

from sampan.network import rules


@pytest.fixture
def network() -> Iterator[PrivateNetwork]:
    made = make_private_network()
    yield made
    made.close()


@pytest.fixture
def engine(tmp_path: Path, network: PrivateNetwork) -> Iterator[EngineProcess]:
    with EngineProcess(tmp_path, "--bridge", "none", netns_fd=network.netns_fd) as running:
        yield running


def table_of(engine: EngineProcess) -> str:
    return f"inet {rules.table_of('none', engine.exec_root)}"


def make_and_remove(engine: EngineProcess, network: PrivateNetwork) -> None:
    engine.json("POST", "/networks/create", {"Name": "brief"}, expect=201)
    assert f"table {table_of(engine)}\n" in network.run("nft", "list", "tables")
    engine.json("DELETE", "/networks/brief", expect=204)


def test_it_comes_with_the_first_network_and_goes_with_the_last(engine: EngineProcess, network: PrivateNetwork) -> None:
    for _ in range(2):
        assert network.run("nft", "list", "tables") == ""
        make_and_remove(engine, network)
    assert network.run("nft", "list", "tables") == ""
    engine.json("POST", "/networks/create", {"Name": "lasting"}, expect=201)
    engine.stop()
    assert network.run("nft", "list", "tables") == f"table {table_of(engine)}\n"  # it is of use without a daemon
    engine.start()
    engine.json("DELETE", "/networks/lasting", expect=204)
    assert network.run("nft", "list", "tables") == ""


@pytest.mark.parametrize(
    "theirs",
    [
        "add rule {} user ip saddr 192.0.2.1 drop",
        "add chain {} theirs",
        "add set {} theirs {{ type ifname; }}",
    ],
)
def test_it_stays_with_what_others_have_put_there(engine: EngineProcess, network: PrivateNetwork, theirs: str) -> None:
    table = table_of(engine)
    network.run("nft", f"add table {table}; add chain {table} user")
    network.run("nft", theirs.format(table))
    make_and_remove(engine, network)
    engine.stop()
    assert "192.0.2.1" in (kept := network.run("nft", f"list table {table}")) or "theirs" in kept
