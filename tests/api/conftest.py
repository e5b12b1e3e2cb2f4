"""The Python client of a module's engine."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.engine_process import EngineProcess

import sampan
from sampan.client.connect import Client


@pytest.fixture
def client(engine: EngineProcess) -> Iterator[Client]:
    """Connected; what containers there are by then go with the test."""
    with sampan.connect(f"unix://{engine.socket}") as connected:
        yield connected
        for container in connected.containers.list(all=True):
            container.remove(force=True, v=True)
