"""One engine for all tests of builds in a worker: making the base images takes longer than most tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.compat.build.corpus_files import BUSYBOX, busybox_root, context
from tests.compat.build.yard import BASES, Yard
from tests.engine_process import EngineProcess


@pytest.fixture(scope="session")
def yard(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Yard]:
    if not BUSYBOX:
        pytest.skip("there is no busybox to make a base image of")
    with EngineProcess(tmp_path_factory.mktemp("corpus")) as engine:
        made = Yard(engine, context())
        status, content = made.post("/images/create?fromSrc=-&repo=corpus/busybox&tag=latest", busybox_root())
        assert status == 200, content
        for name in BASES:
            made.build(name)
        yield made
