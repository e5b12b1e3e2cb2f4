"""The docker command's networks, in a network of their own."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.building import need_busybox
from tests.docker_command import DockerCli
from tests.engine_process import EngineProcess
from tests.private_network import HOST4, OUTSIDE4, PrivateNetwork, make_private_network

BUILDX = Path("/usr/libexec/docker/cli-plugins/docker-buildx")


@pytest.fixture(scope="module")
def network() -> Iterator[PrivateNetwork]:
    made = make_private_network()
    yield made
    made.close()


@pytest.fixture(scope="module")
def docker(network: PrivateNetwork, tmp_path_factory: pytest.TempPathFactory) -> Iterator[DockerCli]:
    if shutil.which("docker") is None:
        pytest.skip("needs the docker command: apt-get install docker-cli")
    with EngineProcess(tmp_path_factory.mktemp("engine"), netns_fd=network.netns_fd) as engine:
        yield DockerCli(engine, tmp_path_factory.mktemp("home"))


def test_a_container_without_a_word_about_networks_reaches_outside(docker: DockerCli, network: PrivateNetwork) -> None:
    script = f"exec 3<>/dev/tcp/{OUTSIDE4}/7000; echo >&3; cat <&3"
    with network.outside.serving(OUTSIDE4, 7000):
        assert docker("run", "--rm", "host", "bash", "-c", script) == HOST4


def test_networks_are_listed_made_inspected_and_removed(docker: DockerCli) -> None:
    rows = docker("network", "ls", "--format", "{{.Name}} {{.Driver}} {{.Scope}}").splitlines()
    assert sorted(rows) == ["bridge bridge local", "host host local", "none null local"]
    made = docker("network", "create", "--subnet", "10.7.0.0/24", "--label", "a=b", "lan").strip()
    shown = json.loads(docker("network", "inspect", "lan"))[0]
    assert shown["Id"] == made
    assert shown["IPAM"] == {
        "Driver": "default",
        "Options": {},
        "Config": [{"Subnet": "10.7.0.0/24", "Gateway": "10.7.0.1"}],
    }
    docker("run", "-d", "--name", "box", "--network", "lan", "--ip", "10.7.0.9", "host", "sleep", "300")
    assert docker("inspect", "-f", "{{.NetworkSettings.Networks.lan.IPAddress}}", "box") == "10.7.0.9\n"
    assert docker("network", "inspect", "-f", "{{range .Containers}}{{.Name}} {{.IPv4Address}}{{end}}", "lan") == (
        "box 10.7.0.9/24\n"
    )
    assert docker("ps", "-q", "--filter", "network=lan")
    docker("network", "rm", "lan", code=1)
    assert "has active endpoints" in docker.errors
    docker("network", "connect", "bridge", "box")
    docker("network", "disconnect", "lan", "box")
    assert docker("network", "rm", "lan") == "lan\n"
    docker("rm", "-f", "box")


def test_names_are_found_and_ports_are_told(docker: DockerCli) -> None:
    docker("network", "create", "app")
    docker(
        "run",
        "-d",
        "--name",
        "db",
        "--network",
        "app",
        "--network-alias",
        "data",
        "-p",
        "8080:80",
        "host",
        "sleep",
        "300",
    )
    address = docker("inspect", "-f", "{{.NetworkSettings.Networks.app.IPAddress}}", "db").strip()
    assert docker("run", "--rm", "--network", "app", "host", "getent", "hosts", "data").split() == [address, "data"]
    assert docker("port", "db") == "80/tcp -> 0.0.0.0:8080\n"
    docker("run", "--rm", "-p", "8080:80", "host", "true", code=125)
    assert "Bind for 0.0.0.0:8080 failed: port is already allocated" in docker.errors
    docker("rm", "-f", "db")
    assert "app" in docker("network", "prune", "-f")


def test_compose_joins_two_networks_by_name(docker: DockerCli, tmp_path: Path) -> None:
    if shutil.which("docker-compose") is None:
        pytest.skip("needs compose: apt-get install docker-compose")
    services = {
        "db": {"image": "host", "command": "sleep 300", "networks": {"back": {"aliases": ["data"]}}},
        "web": {
            "image": "host",
            "command": "sleep 300",
            "networks": ["back", "front"],
            "ports": ["8088:80"],
            "depends_on": ["db"],
        },
        "side": {"image": "host", "command": "sleep 300", "network_mode": "service:web", "depends_on": ["web"]},
    }
    file = tmp_path / "compose.yaml"
    file.write_text(json.dumps({"services": services, "networks": {"back": {"internal": True}, "front": {}}}))
    words = ("docker-compose", "-f", str(file), "-p", "stack")
    docker.run(*words, "up", "-d")
    try:
        assert docker("exec", "stack-web-1", "getent", "hosts", "data")
        assert docker("exec", "stack-side-1", "getent", "hosts", "db")
        assert "0.0.0.0:8088" in docker("port", "stack-web-1")
    finally:
        docker.run(*words, "down", "-t", "0")
    assert "stack" not in docker("network", "ls")


def test_steps_of_a_build_reach_the_machine_by_the_default_bridge(docker: DockerCli, tmp_path: Path) -> None:
    need_busybox()
    (tmp_path / "Dockerfile").write_text("FROM busybox\nRUN cat /etc/hosts > /hosts\n")
    gateway = docker("network", "inspect", "-f", "{{(index .IPAM.Config 0).Gateway}}", "bridge").strip()
    for buildkit in ("1", "0"):
        docker.environment["DOCKER_BUILDKIT"] = buildkit
        if buildkit == "0" or BUILDX.exists():
            docker("build", "--no-cache", "-q", "-t", "hosts", "--add-host", "here:host-gateway", str(tmp_path))
            assert f"{gateway}\there\n" in docker("run", "--rm", "hosts", "cat", "/hosts")
    del docker.environment["DOCKER_BUILDKIT"]
