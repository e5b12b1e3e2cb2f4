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


@pytest.fixture(scope="module", params=list(legacy_build.DOCKERFILES))
def both(request: pytest.FixtureRequest, docker: DockerCli) -> tuple[dict[str, Any], dict[str, Any]]:
    """What we make of a Dockerfile, and what Docker made of it."""
    need_busybox()
    environment = {**docker.environment, "DOCKER_BUILDKIT": "0"}
    ours = legacy_build.facts(environment, legacy_build.DOCKERFILES[request.param])
    ours["stream"] = [line for line in ours["stream"] if not _FINDING.match(line)]
    dockers: dict[str, Any] = json.loads(legacy_build.RECORDED.read_text())[request.param]
    return ours, dockers


@pytest.mark.parametrize("what", ["stream", "config", "author", "history"])
def test_it_says_and_configures_what_dockers_builder_does(
    both: tuple[dict[str, Any], dict[str, Any]], what: str
) -> None:
    ours, dockers = both
    assert ours[what] == dockers[what]


def test_every_layer_has_what_dockers_has(both: tuple[dict[str, Any], dict[str, Any]]) -> None:
    ours, dockers = both
    assert len(ours["layers"]) == len(dockers["layers"])
    for mine, theirs in zip(ours["layers"], dockers["layers"], strict=True):
        assert mine == theirs
