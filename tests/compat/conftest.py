"""An engine, and Docker's own clients pointed at it; skipped where Debian's packages of them are missing."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import pytest
from tests.docker_command import DockerCli
from tests.engine_process import EngineProcess


@pytest.fixture(scope="module")
def docker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DockerCli]:
    if shutil.which("docker") is None:
        pytest.skip("needs the docker command: apt-get install docker-cli")
    with EngineProcess(tmp_path_factory.mktemp("engine")) as engine:
        yield DockerCli(engine, tmp_path_factory.mktemp("home"))
