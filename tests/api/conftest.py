"""One engine for the tests of a module, with the machine itself as its image."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.engine_process import EngineProcess


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EngineProcess]:
    with EngineProcess(tmp_path_factory.mktemp("engine")) as running:
        yield running
