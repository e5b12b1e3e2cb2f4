"""`docker build` and `docker compose build` without BuildKit, pointed at our engine."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
from tests.building import need_busybox
from tests.docker_command import DockerCli
from tests.engine_process import EngineProcess


@pytest.fixture(autouse=True)
def _classic(docker: DockerCli) -> None:
    need_busybox()
    docker.environment["DOCKER_BUILDKIT"] = "0"
    docker.environment["COMPOSE_DOCKER_CLI_BUILD"] = "0"


@pytest.fixture
def context(tmp_path: Path) -> Path:
    (tmp_path / "Dockerfile").write_text("FROM busybox\nARG WHO=nobody\nCOPY f /f\nRUN cat /f && echo for $WHO\n")
    (tmp_path / "f").write_text("from the context\n")
    return tmp_path


def test_docker_build_shows_the_steps_and_names_the_image(docker: DockerCli, context: Path) -> None:
    shown = docker("build", "-t", "cli:one", "--build-arg", "WHO=me", str(context))
    assert "Step 1/4 : FROM busybox" in shown
    assert "from the context\nfor me\n" in shown
    found = re.search(r"Successfully built ([0-9a-f]{12})\nSuccessfully tagged cli:one\n", shown)
    assert found is not None
    assert docker("images", "-q", "cli:one").strip() == found[1]


def test_docker_build_from_standard_input_and_quietly(docker: DockerCli, tmp_path: Path) -> None:
    image = docker("build", "-q", "-", given="FROM busybox\nCMD echo given\n").strip()
    assert image.startswith("sha256:")
    id_file = tmp_path / "id"
    docker("build", "-q", "--iidfile", str(id_file), "-", given="FROM busybox\nCMD echo given\n")
    assert id_file.read_text().strip() == image
    assert docker("run", "--rm", "--network", "none", image) == "given\n"


def test_dockerignore_and_another_dockerfile_are_the_clients_matter(docker: DockerCli, context: Path) -> None:
    (context / ".dockerignore").write_text("f\n")
    (context / "Other").write_text("FROM busybox\nCOPY . /all\nRUN ls /all\n")
    shown = docker("build", "--no-cache", "-f", str(context / "Other"), str(context))
    assert "Dockerfile\n" in shown
    assert "\nf\n" not in shown


def test_a_dockerfile_from_standard_input_or_from_outside_of_the_context(docker: DockerCli, context: Path) -> None:
    """Both are put into the context's archive by the command, behind whose last file it writes nothing more."""
    text = "FROM busybox\nCOPY f /given\nRUN cat /given\n"
    assert "from the context\n" in docker("build", "--no-cache", "-f", "-", str(context), given=text)
    outside = context.with_name(f"{context.name}.Dockerfile")
    outside.write_text(text)
    assert "from the context\n" in docker("build", "--no-cache", "-f", str(outside), str(context))


def test_a_failing_step_fails_the_command_with_its_words(docker: DockerCli, context: Path) -> None:
    (context / "Dockerfile").write_text("FROM busybox\nRUN exit 3\n")
    docker("build", "--force-rm", str(context), code=3)
    assert "The command '/bin/sh -c exit 3' returned a non-zero code: 3" in docker.errors


def test_options_of_the_command_arrive(docker: DockerCli, context: Path) -> None:
    (context / "Dockerfile").write_text("FROM busybox AS a\nRUN ulimit -n; cat /etc/hosts\nFROM busybox\nRUN false\n")
    options = ["--target", "a", "--label", "x=y", "--ulimit", "nofile=55:66", "--add-host", "far:10.1.2.3"]
    shown = docker("build", "--no-cache", "-t", "optional", *options, str(context))
    assert "\n55\n" in shown
    assert "10.1.2.3\tfar" in shown
    assert docker("inspect", "-f", "{{.Config.Labels.x}}", "optional") == "y\n"


def test_squash_makes_one_layer_where_the_daemon_calls_itself_experimental(
    context: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    (context / "Dockerfile").write_text("FROM busybox\nRUN echo a > /a\nRUN rm /a && echo b > /b\n")
    with EngineProcess(tmp_path_factory.mktemp("experimental"), "--experimental") as engine:
        docker = DockerCli(engine, context)
        docker.environment["DOCKER_BUILDKIT"] = "0"
        assert docker("version", "-f", "{{.Server.Experimental}}") == "true\n"
        assert docker("info", "-f", "{{.ExperimentalBuild}}") == "true\n"
        docker("build", "-t", "plain", str(context))
        docker("build", "--squash", "-t", "squashed", str(context))
        assert docker("run", "--rm", "--network", "none", "squashed", "ls", "/a", "/b", code=1) == "/b\n"
        layers = [docker("inspect", "-f", "{{len .RootFS.Layers}}", name) for name in ("busybox", "plain", "squashed")]
        assert layers == ["1\n", "3\n", "2\n"]


def test_squash_is_refused_by_the_command_where_the_daemon_does_not(docker: DockerCli, context: Path) -> None:
    docker("build", "--squash", str(context), code=1)
    assert "only supported on a Docker daemon with experimental features enabled" in docker.errors


def test_compose_builds_its_services(docker: DockerCli, context: Path) -> None:
    if shutil.which("docker-compose") is None and not Path("/usr/libexec/docker/cli-plugins/docker-compose").exists():
        pytest.skip("needs docker compose: apt-get install docker-compose")
    service = "    build:\n      context: .\n      args: {WHO: compose}\n    network_mode: none\n"
    (context / "compose.yaml").write_text(f"name: built\nservices:\n  one:\n{service}")
    docker("compose", "-f", str(context / "compose.yaml"), "build", "--no-cache")
    assert docker("images", "-q", "built-one").strip()


def test_builder_prune_is_understood(docker: DockerCli) -> None:
    assert "Total reclaimed space" in docker("builder", "prune", "-f") or "Total:" in docker("builder", "prune", "-f")
