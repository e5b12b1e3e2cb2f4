"""What the tests of `docker build` with the buildx plugin share."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from tests.building import need_busybox
from tests.docker_command import DockerCli

PLUGINS = Path("/usr/libexec/docker/cli-plugins")
COMPOSE = PLUGINS / "docker-compose"


def need_buildx() -> None:
    """Skip without the plugin, and without what images are made of."""
    need_busybox()
    if shutil.which("docker") is None or not (PLUGINS / "docker-buildx").exists():
        pytest.skip("needs the docker command and buildx: apt-get install docker-cli docker-buildx")


def need_compose() -> None:
    """Skip without compose."""
    if shutil.which("docker-compose") is None and not COMPOSE.exists():
        pytest.skip("needs docker compose: apt-get install docker-compose")


def shown(docker: DockerCli, *words: str, given: str | None = None, code: int = 0) -> str:
    """What `docker build` with these words shows of its steps, which have no network."""
    docker("build", "--network", "none", "--progress", "plain", *words, given=given, code=code)
    return docker.errors


def built(docker: DockerCli, *words: str, given: str | None = None) -> str:
    """The id of the image that a quiet build prints; its steps have no network."""
    return docker("build", "-q", "--network", "none", *words, given=given).strip()


def run(docker: DockerCli, image: str, *command: str, code: int = 0) -> str:
    """What a container of an image writes."""
    return docker("run", "--rm", "--network", "none", image, *command, code=code)
