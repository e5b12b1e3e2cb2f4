"""An engine in a network of its own, with another host outside."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.engine_process import EngineProcess
from tests.network_containers import Containers, Networks
from tests.private_network import PrivateNetwork, make_private_network


@pytest.fixture(scope="module")
def network() -> Iterator[PrivateNetwork]:
    made = make_private_network()
    yield made
    made.close()


@pytest.fixture(scope="module")
def engine(network: PrivateNetwork, tmp_path_factory: pytest.TempPathFactory) -> Iterator[EngineProcess]:
    with EngineProcess(tmp_path_factory.mktemp("engine"), netns_fd=network.netns_fd) as running:
        yield running


@pytest.fixture
def containers(engine: EngineProcess) -> Iterator[Containers]:
    made = Containers(engine)
    yield made
    made.close()


@pytest.fixture
def networks(engine: EngineProcess, containers: Containers) -> Iterator[Networks]:
    made = Networks(engine)
    yield made
    containers.close()
    for name in made.names:
        engine.request("DELETE", f"/networks/{name}")
