"""Our builder held against what Docker's own made of the same context (`legacy_build`)."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from tests.building import need_busybox
from tests.compat import legacy_build
from tests.docker_command import DockerCli

_FINDING = re.compile(r"\[Warning\] [A-Z][A-Za-z]+: ")  # the build checks, which that builder does not have


@pytest.fixture(scope="module")
def ours(docker: DockerCli) -> dict[str, Any]:
    need_busybox()
    found = legacy_build.facts({**docker.environment, "DOCKER_BUILDKIT": "0"})
    found["stream"] = [line for line in found["stream"] if not _FINDING.match(line)]
    return found


@pytest.fixture(scope="module")
def dockers() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(legacy_build.RECORDED.read_text())
    return found


@pytest.mark.parametrize("what", ["stream", "config", "author", "history"])
def test_it_says_and_configures_what_dockers_builder_does(
    ours: dict[str, Any], dockers: dict[str, Any], what: str
) -> None:
    assert ours[what] == dockers[what]


def test_every_layer_has_what_dockers_has(ours: dict[str, Any], dockers: dict[str, Any]) -> None:
    assert len(ours["layers"]) == len(dockers["layers"])
    for mine, theirs in zip(ours["layers"], dockers["layers"], strict=True):
        assert mine == theirs
