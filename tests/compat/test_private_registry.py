"""A registry with TLS by an authority of its own and a password, in a network of its own, by what config.toml says.

Docker's command and sampan's both get the password from a credential helper.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.compat.buildx import need_buildx
from tests.docker_command import DockerCli
from tests.engine_process import SOURCE, EngineProcess
from tests.registry_process import CONFIG
from tests.unit.image.conftest import make_archive
from tests.waiting import until

from sampan.linux.network_namespace import make_network_namespace

ADDRESS = "192.0.2.1"
REGISTRY = f"{ADDRESS}:5000"
MIRROR = f"{ADDRESS}:5001"
PASSWORDS = "user:$2y$04$abcdefghijklmnopqrstuu2r9OfJnfCsdneAXAGHnS4UpFFP8WIrW\n"  # secret
HELPER = f"""#!/bin/sh
case $1 in
get) read -r server; [ "$server" = {REGISTRY} ] || {{ echo "credentials not found in native keychain"; exit 1; }}
     echo '{{"ServerURL": "{REGISTRY}", "Username": "user", "Secret": "secret"}}';;
esac
"""
LAYER = make_archive(("file", b"private"))


@dataclass
class Net:
    """A network namespace with one address that is no loopback."""

    fd: int

    def enter(self, *words: str) -> list[str]:
        return ["nsenter", f"--net=/proc/{os.getpid()}/fd/{self.fd}", *words]

    def run(self, *words: str) -> None:
        subprocess.run(self.enter(*words), check=True, capture_output=True)

    def is_open(self, port: int) -> bool:
        """Whether somebody listens there."""
        done = subprocess.run(self.enter("ss", "-Hltn", f"sport = :{port}"), capture_output=True, check=True)
        return bool(done.stdout.strip())

    @contextlib.contextmanager
    def registry(self, directory: Path, port: int, http: str, more: str) -> Iterator[None]:
        directory.mkdir()
        config = CONFIG.format(root=directory / "blobs", port=port, http=http, more=more)
        (directory / "registry.yml").write_text(config.replace("127.0.0.1", ADDRESS))
        words = self.enter("docker-registry", "serve", str(directory / "registry.yml"))
        with (directory / "log").open("wb") as log:
            process = subprocess.Popen(words, stdout=log, stderr=log)
        try:
            until(lambda: self.is_open(port), 30)
            yield
        finally:
            process.terminate()
            process.wait()


@pytest.fixture(scope="module")
def net() -> Iterator[Net]:
    for program in ("docker", "docker-registry", "openssl", "ss"):
        if shutil.which(program) is None:
            pytest.skip(f"needs {program}")
    fd = make_network_namespace()
    network = Net(fd)
    network.run("ip", "link", "set", "lo", "up")
    network.run("ip", "address", "add", f"{ADDRESS}/32", "dev", "lo")  # no loopback address, wherever it is
    yield network
    os.close(fd)


@pytest.fixture(scope="module")
def authority(net: Net, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The registries, one with TLS and a password, one a plain mirror; the certificate of the first."""
    directory = tmp_path_factory.mktemp("registries")
    words = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=test".split()
    places = ["-keyout", f"{directory}/key.pem", "-out", f"{directory}/cert.pem"]
    names = ["-addext", f"subjectAltName=IP:{ADDRESS}"]
    subprocess.run(["openssl", *words, *names, *places], check=True, capture_output=True)
    (directory / "passwords").write_text(PASSWORDS)
    tls = f", tls: {{certificate: {directory}/cert.pem, key: {directory}/key.pem}}"
    asking = f"auth: {{htpasswd: {{realm: test, path: {directory}/passwords}}}}"
    with net.registry(directory / "private", 5000, tls, asking), net.registry(directory / "mirror", 5001, "", ""):
        yield directory / "cert.pem"


@pytest.fixture(scope="module")
def docker(net: Net, authority: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[DockerCli]:
    """Docker's command with a credential helper, at an engine that was told of all of it in config.toml."""
    directory = tmp_path_factory.mktemp("engine")
    home = tmp_path_factory.mktemp("home")
    settings = f'registry-ca-files = ["{authority}"]\nregistry-mirrors = ["http://{MIRROR}"]\n'
    (directory / "config.toml").write_text(settings + f'insecure-registries = ["{MIRROR}"]\n')
    (home / "docker-credential-test").write_text(HELPER)
    (home / "docker-credential-test").chmod(0o755)
    (home / ".docker").mkdir()
    (home / ".docker/config.json").write_text(json.dumps({"credHelpers": {REGISTRY: "test"}}))
    options = ("--config-file", str(directory / "config.toml"), "--bridge", "none")
    with EngineProcess(directory, *options, netns_fd=net.fd) as engine:
        cli = DockerCli(engine, home)
        cli.environment["PATH"] = f"{home}:{os.environ['PATH']}"
        (home / "root.tar").write_bytes(LAYER)
        cli("import", str(home / "root.tar"), "box:1")
        yield cli


def sampan(docker: DockerCli, *words: str, code: int = 0) -> str:
    """Sampan's own command in the same surroundings."""
    program = "import sys; sys.path.insert(0, sys.argv.pop(1)); from sampan.cli.__main__ import main; main()"
    said = docker.run(sys.executable, "-I", "-c", program, str(SOURCE), *words, code=code)
    return said or docker.errors


def test_a_private_registry_is_pushed_to_and_pulled_from(docker: DockerCli) -> None:
    name = f"{REGISTRY}/box:1"
    before = docker("inspect", "-f", "{{.Id}}", "box:1")
    docker("tag", "box:1", name)
    docker("push", name)
    docker("rmi", name)
    docker("pull", name)
    assert docker("inspect", "-f", "{{.Id}}", name) == before
    docker("rmi", name)
    sampan(docker, "pull", name)
    assert docker("inspect", "-f", "{{.Id}}", name) == before
    docker("rmi", name)


def test_without_the_password_it_is_refused(docker: DockerCli, tmp_path: Path) -> None:
    stranger = DockerCli(docker.engine, tmp_path)
    docker("tag", "box:1", f"{REGISTRY}/secret:1")
    docker("push", f"{REGISTRY}/secret:1")
    stranger("pull", f"{REGISTRY}/secret:1", code=1)
    assert "docker login" in stranger.errors or "unauthorized" in stranger.errors
    stranger("login", "-u", "user", "-p", "wrong", REGISTRY, code=1)
    stranger("login", "-u", "user", "-p", "secret", REGISTRY)
    stranger("pull", f"{REGISTRY}/secret:1")
    docker("rmi", f"{REGISTRY}/secret:1")


def test_a_build_with_buildx_stands_on_a_private_image_and_is_pushed(docker: DockerCli, tmp_path: Path) -> None:
    need_buildx()
    base, made = f"{REGISTRY}/base:1", f"{REGISTRY}/made:1"
    docker("tag", "box:1", base)
    docker("push", base)
    docker("rmi", base)
    (tmp_path / "Dockerfile").write_text(f"FROM {base}\nLABEL of=private\n")
    stranger = DockerCli(docker.engine, tmp_path)
    stranger("build", str(tmp_path), code=1)
    assert "docker login" in stranger.errors or "unauthorized" in stranger.errors
    docker("build", "--push", "-t", made, str(tmp_path))
    docker("rmi", made, base)
    docker("pull", made)
    assert docker("inspect", "-f", "{{.Config.Labels.of}}", made) == "private\n"
    docker("rmi", made)


def test_a_login_is_kept_for_both_commands_until_the_logout(docker: DockerCli, tmp_path: Path) -> None:
    user = DockerCli(docker.engine, tmp_path)
    docker("tag", "box:1", f"{REGISTRY}/shared:1")
    docker("push", f"{REGISTRY}/shared:1")
    assert "incorrect username or password" in sampan(user, "login", "-u", "user", "-p", "wrong", REGISTRY, code=1)
    assert sampan(user, "logout", REGISTRY) == f"Not logged in to {REGISTRY}\n"
    assert "Login Succeeded" in sampan(user, "login", "-u", "user", "-p", "secret", REGISTRY)
    assert "unencrypted" in user.errors
    user("pull", f"{REGISTRY}/shared:1")
    assert "existing credentials...\nLogin Succeeded" in sampan(user, "login", REGISTRY)
    assert sampan(user, "logout", REGISTRY) == f"Removing login credentials for {REGISTRY}\n"
    user("pull", f"{REGISTRY}/shared:1", code=1)
    docker("rmi", f"{REGISTRY}/shared:1")


def test_a_mirror_stands_for_the_hub(docker: DockerCli) -> None:
    docker("tag", "box:1", f"{MIRROR}/library/mirrored:1")
    docker("push", f"{MIRROR}/library/mirrored:1")
    docker("rmi", f"{MIRROR}/library/mirrored:1")
    assert "Downloaded newer image for mirrored:1" in docker("pull", "mirrored:1")
    docker("rmi", "mirrored:1")


def test_an_authority_that_is_not_listed_is_not_trusted(docker: DockerCli, net: Net, tmp_path: Path) -> None:
    with EngineProcess(tmp_path, "--bridge", "none", netns_fd=net.fd) as engine:
        cli = DockerCli(engine, Path(docker.environment["HOME"]))
        cli("pull", f"{REGISTRY}/box:1", code=1)
        assert "certificate verify failed" in cli.errors
        cli("pull", f"{MIRROR}/library/mirrored:1", code=1)  # never in the clear
