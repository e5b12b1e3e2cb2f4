"""Builds of several images at once, on each other and on directories: bake, compose, named contexts; what they keep."""

from __future__ import annotations

import re
import tarfile
from pathlib import Path

import pytest
from tests.compat.buildx import built, need_buildx, need_compose, run, shown
from tests.docker_command import DockerCli
from tests.file_server import serving
from tests.registry_process import registry_process

BAKE = """
variable "WORD" { default = "of the file" }
group "default" { targets = ["one", "two"] }
target "one" {
  dockerfile-inline = "FROM busybox\\nARG WORD\\nENV KEPT=$WORD\\nRUN echo one > /one\\n"
  args = { WORD = WORD }
  network = "none"
  tags = ["bake:one"]
}
target "two" {
  contexts = { first = "target:one" }
  dockerfile-inline = "FROM first\\nRUN echo two $KEPT > /two\\n"
  network = "none"
  tags = ["bake:two"]
}
"""
COMPOSE = """
name: composed
services:
  one:
    build:
      context: .
      target: a
      network: none
      args: {WORD: of the file}
      additional_contexts: {extra: extra}
      secrets: [token]
      labels: {of: compose}
      tags: ["composed:extra"]
    network_mode: none
    command: cat /word /o
  two:
    image: composed:two
    build:
      context: .
      network: none
      dockerfile_inline: |
        FROM busybox
        COPY token /token
        RUN echo inline
    network_mode: none
    command: cat /token
secrets: {token: {file: token}}
"""


@pytest.fixture(autouse=True)
def _plugin() -> None:
    need_buildx()


def test_bake_builds_its_targets_on_each_other(docker: DockerCli, tmp_path: Path) -> None:
    (tmp_path / "docker-bake.hcl").write_text(BAKE)
    docker.environment["WORD"] = "of the variable"
    docker("buildx", "bake", "-f", f"{tmp_path}/docker-bake.hcl", "--progress", "plain")
    assert run(docker, "bake:one", "cat", "/one") == "one\n"
    assert run(docker, "bake:two", "cat", "/one", "/two") == "one\ntwo of the variable\n"
    docker("buildx", "bake", "-f", f"{tmp_path}/docker-bake.hcl", "--set", "one.args.WORD=said", "two")
    assert run(docker, "bake:two", "cat", "/two") == "two said\n"


def test_a_bake_of_which_one_target_fails_fails_with_its_words(docker: DockerCli, tmp_path: Path) -> None:
    (tmp_path / "docker-bake.hcl").write_text(BAKE.replace("echo one >", "false >"))
    docker("buildx", "bake", "-f", f"{tmp_path}/docker-bake.hcl", "--progress", "plain", code=1)
    assert 'process "/bin/sh -c false > /one" did not complete successfully: exit code: 1' in docker.errors
    assert docker("ps", "-aq") == ""


def test_compose_builds_its_services_and_runs_them(docker: DockerCli, tmp_path: Path) -> None:
    need_compose()
    (tmp_path / "compose.yaml").write_text(COMPOSE)
    (tmp_path / "extra").mkdir()
    (tmp_path / "extra" / "o").write_text("of another context\n")
    (tmp_path / "token").write_text("a token\n")
    (tmp_path / "Dockerfile").write_text(
        "FROM busybox AS a\nARG WORD\nRUN echo word $WORD > /word\nCOPY --from=extra /o /o\n"
        "RUN --mount=type=secret,id=token grep -q token /run/secrets/token\nFROM a\nRUN false\n"
    )
    compose = ("compose", "-f", str(tmp_path / "compose.yaml"))
    docker(*compose, "build")
    assert docker("inspect", "-f", "{{.Config.Labels.of}}", "composed:extra") == "compose\n"
    try:
        lines = docker(*compose, "up", "--build").splitlines()
        told = sorted(line.removeprefix("\x1b[2K") for line in lines if "|" in line)
        assert told == ["one-1  | of another context", "one-1  | word of the file", "two-1  | a token"]
    finally:
        docker(*compose, "down")


def test_named_contexts_are_directories_and_images(docker: DockerCli, tmp_path: Path) -> None:
    other = tmp_path / "other"
    (other / "left out").mkdir(parents=True)
    (other / "f").write_text("before\n")
    (other / ".dockerignore").write_text("left out\n")
    (tmp_path / "Dockerfile").write_text(
        "FROM base AS made\nRUN echo stage > /f\nFROM base\nCOPY --from=other / /o\n"
        "RUN --mount=type=bind,from=other,target=/m cat /m/f && ls -A /m\n"
    )
    words = ("--build-context", "base=docker-image://busybox", "--build-context", f"other={other}")
    text = shown(docker, *words, str(tmp_path))
    assert " before\n" in text
    assert "left out" not in text.split("cat /m/f", 1)[1]
    (other / "f").write_text("behind\n")
    assert run(docker, built(docker, *words, str(tmp_path)), "cat", "/o/f") == "behind\n"
    docker("save", "-o", f"{tmp_path}/layout.tar", "busybox")
    with tarfile.open(tmp_path / "layout.tar") as archive:
        archive.extractall(tmp_path / "layout", filter="data")
    layout = f"other=oci-layout://{tmp_path}/layout"
    text = shown(docker, *words[:2], "--build-context", layout, str(tmp_path), code=1)
    assert "the context other cannot be oci-layout:" in text
    assert docker("images", "-qf", "reference=other") == ""


def test_a_named_context_at_an_address_is_a_file_and_is_fetched_each_time(docker: DockerCli, tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text("FROM busybox\nCOPY --from=web / /w/\nFROM none\nCOPY --from=0 /w /w\n")
    before = docker("images", "-q")
    path = "/a.tar?x=1"
    files = {path: b"first"}
    with serving(files) as address:
        words = ("--build-context", f"web={address}{path}", "--build-context", "none=docker-image://scratch")
        for content in ("first", "second"):
            files[path] = content.encode()
            shown(docker, *words, "-o", f"type=local,dest={tmp_path}/{content}", str(tmp_path))
            assert (tmp_path / content / "w" / "a.tar").read_text() == content
        text = shown(docker, "--build-context", f"web={address}/lost", *words[2:], str(tmp_path), code=1)
    assert f"the context web cannot be had: failed to GET {address}/lost with status 404" in text
    assert ">>> COPY --from=web / /w/" in text
    built_here = docker("images", "-q")
    assert len(built_here.split()) - len(before.split()) == 4  # each build made one of each stage


def test_the_builder_is_listed_and_says_what_it_can(docker: DockerCli) -> None:
    assert re.search(r"default +default +running +v\S+ +linux/amd64", docker("buildx", "ls").replace("\\_ ", ""))
    for words in (("inspect",), ("inspect", "--bootstrap")):
        told = docker("buildx", *words)
        assert re.search(r"Driver: +docker\n", told)
        assert re.search(r"Status: +running\n", told)


def test_what_builds_keep_is_shown_and_pruned_as_far_as_it_is_meant(docker: DockerCli, tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text("FROM busybox\nRUN --mount=type=cache,target=/c echo kept > /c/f\n")
    shown(docker, str(tmp_path))
    assert "mount /c" in docker("buildx", "du", "--verbose")
    assert "mount /c" not in docker("buildx", "du", "--verbose", "--filter", "type=regular")
    for words in (("--filter", "until=24h"), ("--filter", "type=source.local"), ("--keep-storage", "100GB")):
        docker("buildx", "prune", "-af", *words)
        assert "mount /c" in docker("buildx", "du", "--verbose"), words
    docker("buildx", "prune", "-f", "--filter", "colour=red", code=1)
    assert "invalid filter 'colour==red'" in docker.errors
    assert "true" in docker("buildx", "prune", "-af")
    assert "mount /c" not in docker("buildx", "du", "--verbose")
    assert shown(docker, str(tmp_path)).count("CACHED") == 0


def test_the_steps_of_an_image_in_a_registry_count_where_they_were_never_built(
    docker: DockerCli, tmp_path: Path
) -> None:
    (tmp_path / "Dockerfile").write_text("FROM busybox\nRUN date > /made\nRUN cat /made > /copy\n")
    with registry_process(tmp_path) as domain:
        shown(docker, "--push", "-t", f"{domain}/cache:1", str(tmp_path))
        made = run(docker, f"{domain}/cache:1", "cat", "/copy")
        docker("rmi", f"{domain}/cache:1")
        docker("buildx", "prune", "-af")
        text = shown(docker, "--cache-from", f"type=registry,ref={domain}/cache:1", "-t", "cached", str(tmp_path))
    assert f"importing cache manifest from {domain}/cache:1" in text
    assert text.count("CACHED") == 2
    assert run(docker, "cached", "cat", "/made") == made


def test_an_image_is_pushed_as_it_was_built(docker: DockerCli, tmp_path: Path) -> None:
    with registry_process(tmp_path) as domain:
        (tmp_path / "Dockerfile").write_text("FROM busybox\nCMD echo pushed\n")
        shown(docker, "--push", "-t", f"{domain}/a/b:1", str(tmp_path))
        assert f"pushing {domain}/a/b:1 with docker" in docker.errors
        docker("rmi", f"{domain}/a/b:1")
        (tmp_path / "Dockerfile").write_text(f"FROM {domain}/a/b:1\nLABEL x=y\n")
        assert run(docker, built(docker, str(tmp_path))) == "pushed\n"
        text = shown(docker, "--provenance=true", str(tmp_path), code=1)
        assert "Attestation is not supported" in text
