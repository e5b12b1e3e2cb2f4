"""Volumes as the docker command makes, uses, lists and removes them."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path

import pytest
from tests.docker_command import DockerCli

RUN = ("run", "--rm", "--network", "none")


def test_a_volume_s_life(docker: DockerCli) -> None:
    assert docker("volume", "create", "--label", "tier=db", "life") == "life\n"
    shown = json.loads(docker("volume", "inspect", "life"))[0]
    assert set(shown) == {"CreatedAt", "Driver", "Labels", "Mountpoint", "Name", "Options", "Scope"}
    assert docker("volume", "ls", "--filter", "label=tier=db", "--format", "{{.Driver}} {{.Name}}") == "local life\n"
    docker(*RUN, "-v", "life:/data", "host", "sh", "-c", "echo kept > /data/file")
    assert docker(*RUN, "--mount", "source=life,target=/data,readonly", "host", "cat", "/data/file") == "kept\n"
    docker("create", "--name", "holder", "--network", "none", "-v", "life:/data", "host", "true")
    docker("volume", "rm", "life", code=1)
    assert "volume is in use - [" in docker.errors
    docker("rm", "holder")
    assert docker("volume", "rm", "life") == "life\n"
    docker("volume", "inspect", "life", code=1)
    assert "no such volume" in docker.errors


def test_prune_takes_the_anonymous_and_with_all_the_named(docker: DockerCli) -> None:
    docker("volume", "create", "named")
    anonymous = docker("volume", "create").strip()
    assert anonymous in docker("volume", "prune", "-f")
    assert "named" in docker("volume", "ls", "-q").split()
    assert "Total reclaimed space" in docker("volume", "prune", "-f", "--all", "--filter", "label!=kept")
    assert "named" not in docker("volume", "ls", "-q").split()


def test_options_of_a_mount_are_as_asked(docker: DockerCli, tmp_path: Path) -> None:
    docker(*RUN, "--mount", "type=volume,src=opts,dst=/etc/apt,volume-nocopy,volume-label=a=b", "host", "true")
    assert json.loads(docker("volume", "inspect", "opts"))[0]["Labels"] == {"a": "b"}
    assert docker(*RUN, "-v", "opts:/x", "host", "ls", "/x") == ""
    docker(*RUN, "-v", "opts:/x", "host", "mkdir", "/x/sub")
    mount = "type=volume,src=opts,dst=/y,volume-subpath=sub"
    docker(*RUN, "--mount", mount, "host", "touch", "/y/inside")
    assert docker(*RUN, "-v", "opts:/x", "host", "ls", "/x/sub") == "inside\n"
    bind = f"type=volume,dst=/b,volume-opt=type=none,volume-opt=o=bind,volume-opt=device={tmp_path}"
    docker(*RUN, "--mount", bind, "host", "touch", "/b/through")
    assert (tmp_path / "through").exists()
    docker("volume", "rm", "opts")


def test_events_tell_a_volume_s_life(docker: DockerCli) -> None:
    docker("volume", "create", "told")
    docker(*RUN, "-v", "told:/data", "host", "true")
    docker("volume", "rm", "told")
    words = (
        "--filter",
        "volume=told",
        "--since",
        "1h",
        "--until",
        str(int(time.time()) + 1),
        "--format",
        "{{.Action}}",
    )
    assert docker("events", *words).split() == ["create", "mount", "unmount", "destroy"]


def test_inspect_shows_the_mounts_of_a_container(docker: DockerCli) -> None:
    docker("create", "--name", "shown", "--network", "none", "-v", "seen:/data:ro", "-v", "/anonymous", "host", "true")
    mounts = {mount["Destination"]: mount for mount in json.loads(docker("inspect", "shown"))[0]["Mounts"]}
    named = mounts["/data"]
    assert (named["Type"], named["Name"], named["Driver"], named["RW"]) == ("volume", "seen", "local", False)
    assert named["Source"].endswith("/volumes/seen/_data")
    assert docker("ps", "-aq", "--filter", "volume=seen").strip()
    docker("rm", "-v", "shown")
    assert docker("volume", "ls", "-q", "--filter", "name=seen") == "seen\n"
    docker("volume", "rm", "seen")


@pytest.mark.parametrize("kind", ["secret", "config"])
def test_docker_s_commands_for_secrets_and_configs_work_without_a_swarm(
    docker: DockerCli, tmp_path: Path, kind: str
) -> None:
    (tmp_path / "content").write_text("hush")
    made = docker(kind, "create", "--label", "a=b", "kept", f"{tmp_path}/content").strip()
    assert docker(kind, "ls", "--format", "{{.ID}} {{.Name}} {{.Labels}}") == f"{made} kept a=b\n"
    assert json.loads(docker(kind, "inspect", "kept"))[0]["ID"] == made
    assert docker(kind, "rm", "kept") == "kept\n"
    docker(kind, "inspect", "kept", code=1)


def test_compose_s_secrets_and_configs_of_files_work(docker: DockerCli, tmp_path: Path) -> None:
    if shutil.which("docker-compose") is None:
        pytest.skip("needs compose: apt-get install docker-compose")
    (tmp_path / "password").write_text("hush\n")
    (tmp_path / "settings").write_text("colour=blue\n")
    (tmp_path / "compose.yaml").write_text(
        """
        services:
          app:
            image: host
            command: [sh, -c, "cat /run/secrets/password /etc/app.conf; touch /run/secrets/password || echo kept"]
            network_mode: none
            secrets: [password]
            configs: [{source: settings, target: /etc/app.conf}]
        secrets: {password: {file: ./password}}
        configs: {settings: {file: ./settings}}
        """
    )
    words = ("docker-compose", "-f", f"{tmp_path}/compose.yaml", "-p", "secretive")
    try:
        docker.run(*words, "up", "-d", "--no-color")
        docker("wait", "secretive-app-1")
        output = docker("logs", "secretive-app-1").splitlines()
    finally:
        docker.run(*words, "down")
    assert output[:2] == ["hush", "colour=blue"]
    assert output[-1] == "kept"
