"""push and pull against Debian's registry on loopback, through the docker command."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.docker_command import DockerCli
from tests.registry_process import registry_process


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A registry's domain."""
    with registry_process(tmp_path_factory.mktemp("registry")) as domain:
        yield domain


def test_an_image_goes_to_a_registry_and_comes_back_the_same(docker: DockerCli, registry: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("content\n")
    subprocess.run(["tar", "-C", str(tmp_path), "-cf", str(tmp_path / "root.tar"), "file"], check=True)
    name = f"{registry}/box:1"
    docker("import", str(tmp_path / "root.tar"), name)
    before = json.loads(docker("image", "inspect", name))[0]
    assert "digest: sha256:" in docker("push", name)
    docker("rmi", name)
    pulled = docker("pull", name)
    assert f"Status: Downloaded newer image for {name}" in pulled
    after = json.loads(docker("image", "inspect", name))[0]
    assert (after["Id"], after["RootFS"]) == (before["Id"], before["RootFS"])
    assert after["RepoDigests"][0].startswith(f"{registry}/box@sha256:")
    assert f"Status: Image is up to date for {name}" in docker("pull", name)
    docker("rmi", name)


def test_a_tag_that_is_not_there_is_told_in_docker_s_words(docker: DockerCli, registry: str) -> None:
    docker("pull", f"{registry}/nothing:1", code=1)
    assert "not found" in docker.errors or "does not exist" in docker.errors
    docker("push", f"{registry}/nothing:1", code=1)
    assert "does not exist locally with the tag" in docker.errors


def test_run_pulls_what_is_not_here(docker: DockerCli, registry: str, tmp_path: Path) -> None:
    (tmp_path / "root").mkdir()
    shutil.copy("/bin/busybox", tmp_path / "root" / "echo")
    subprocess.run(["tar", "-C", str(tmp_path / "root"), "-cf", str(tmp_path / "root.tar"), "."], check=True)
    name = f"{registry}/echo:latest"
    docker("import", str(tmp_path / "root.tar"), name)
    docker("push", name)
    docker("rmi", name)
    assert docker("run", "--rm", "--network", "none", name, "/echo", "pulled") == "pulled\n"
    docker("rmi", name)
