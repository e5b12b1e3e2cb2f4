"""Our builder held against what BuildKit made of the same context (`buildkit_build`)."""

from __future__ import annotations

import json
import sys
import tarfile
from pathlib import Path
from typing import Any

import pytest
from tests.building import need_busybox
from tests.compat import buildkit_build
from tests.compat.build.test_build_command import PROGRAM
from tests.docker_command import DockerCli


@pytest.fixture(scope="module")
def ours(docker: DockerCli, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    need_busybox()
    command = [sys.executable, "-I", "-S", "-c", PROGRAM, "-H", docker.environment["DOCKER_HOST"]]
    directory: Path = tmp_path_factory.mktemp("buildkit")
    return buildkit_build.facts(docker.environment, command, directory)


@pytest.fixture(scope="module")
def buildkits() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(buildkit_build.RECORDED.read_text())
    return found


def test_the_configuration_is_buildkits(ours: dict[str, Any], buildkits: dict[str, Any]) -> None:
    assert ours["config"] == buildkits["config"]


def test_every_file_is_as_buildkit_makes_it(ours: dict[str, Any], buildkits: dict[str, Any]) -> None:
    """But for three things, of which the first is an accident and the others are as Docker's documentation has them.

    Its steps leave the directories of mount points in their layers. A cache is known by its id or target alone, not by
    its mode and owner. WORKDIR makes root's directories, as Docker's own builder does, whatever USER says.
    """
    mine, theirs = dict(ours["files"]), dict(buildkits["files"])
    assert {theirs.pop(name)[0] for name in ("etc", "run")} == {tarfile.DIRTYPE.decode()}
    assert mine.pop("kept") != theirs.pop("kept")
    for name in ("late", "late/dir"):
        assert mine[name][2:4] == [0, 0]
        mine[name][2:4] = theirs[name][2:4]
    assert sorted(mine) == sorted(theirs)
    assert mine == theirs
