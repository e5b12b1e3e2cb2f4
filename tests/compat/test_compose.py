"""Docker's compose of Debian with a stack of services, as people write one: everything that it asks of an engine."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.docker_command import DockerCli
from tests.engine_process import EngineProcess
from tests.private_network import PrivateNetwork, make_private_network
from tests.waiting import until

STACK = """
name: stack
x-small: &small {image: busybox, init: true}
services:
  db:
    <<: *small
    command: sh -c 'mkdir /www; hostname > /www/who; httpd -f -p 80 -h /www'
    networks: {back: {aliases: [data]}}
    volumes: ["store:/data"]
    healthcheck: {test: [CMD, test, -e, /www/who], interval: 1h, start_period: 60s, start_interval: 100ms}
  setup:
    <<: *small
    command: sh -c 'echo from-setup > /data/state'
    volumes: ["store:/data"]
    network_mode: none
  web:
    <<: *small
    command: sh -c 'cd /tmp; cat /run/secrets/token /etc/app.conf /data/state > page; echo serving; httpd -f -p 8000'
    environment: {COLOUR: blue}
    networks: [front, back]
    ports: ["18088:8000"]
    volumes: ["store:/data:ro"]
    secrets: [token]
    configs: [{source: app, target: /etc/app.conf}]
    depends_on:
      db: {condition: service_healthy}
      setup: {condition: service_completed_successfully}
  side:
    <<: *small
    command: sleep 1000
    network_mode: service:web
    depends_on: [web]
networks: {back: {internal: true}, front: {}}
volumes: {store: {}}
secrets: {token: {file: ./token}}
configs: {app: {file: ./app.conf}}
"""


class Compose:
    """docker-compose in the stack's directory."""

    def __init__(self, docker: DockerCli, directory: Path) -> None:
        self.docker = docker
        self.file = directory / "compose.yaml"

    def __call__(self, *words: str, code: int = 0) -> str:
        return self.docker.run("docker-compose", "-f", str(self.file), "--ansi", "never", *words, code=code)

    def serves(self, service: str, url: str) -> bool:
        """Whether a service answers itself."""
        words = ["docker-compose", "-f", str(self.file), "exec", "-T", service, "wget", "-qO", "/dev/null", url]
        done = subprocess.run(words, env=self.docker.environment, capture_output=True, timeout=60, check=False)
        return done.returncode == 0

    def states(self) -> dict[str, str]:
        """Each container of the stack and its state."""
        rows = [json.loads(line) for line in self("ps", "-a", "--format", "json").splitlines()]
        return {row["Name"].removeprefix("stack-"): row["State"] for row in rows}


@pytest.fixture(scope="module")
def network() -> Iterator[PrivateNetwork]:
    if shutil.which("docker-compose") is None:
        pytest.skip("needs compose: apt-get install docker-compose")
    made = make_private_network()
    yield made
    made.close()


@pytest.fixture(scope="module")
def compose(network: PrivateNetwork, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Compose]:
    """A stack that is up."""
    directory = tmp_path_factory.mktemp("stack")
    (directory / "compose.yaml").write_text(STACK)
    (directory / "token").write_text("a-secret\n")
    (directory / "app.conf").write_text("a-setting\n")
    with EngineProcess(tmp_path_factory.mktemp("engine"), netns_fd=network.netns_fd) as engine:
        made = Compose(DockerCli(engine, directory), directory)
        made("up", "-d")
        until(lambda: made.serves("db", "http://127.0.0.1/who") and made.serves("web", "http://127.0.0.1:8000/page"))
        yield made
        made("down", "-t", "0", "-v")
        assert "stack" not in made.docker("network", "ls") + made.docker("volume", "ls") + made.docker("ps", "-a")


def test_what_depends_on_others_is_started_after_them(compose: Compose) -> None:
    assert compose.states() == {"db-1": "running", "setup-1": "exited", "web-1": "running", "side-1": "running"}
    health = compose.docker("inspect", "-f", "{{.State.Health.Status}}", "stack-db-1").strip()
    assert health == "healthy"
    ended, begun = (
        compose.docker("inspect", "-f", f"{{{{.State.{moment}}}}}", f"stack-{name}-1").strip()
        for moment, name in (("FinishedAt", "setup"), ("StartedAt", "web"))
    )
    assert ended < begun


def test_services_find_each_other_and_those_that_share_a_network_share_it(
    compose: Compose, network: PrivateNetwork
) -> None:
    shown = "a-secret\na-setting\nfrom-setup\n"
    who = compose("exec", "-T", "web", "wget", "-qO-", "http://data/who")
    assert who.strip() == compose.docker("inspect", "-f", "{{.Config.Hostname}}", "stack-db-1").strip()
    assert compose("exec", "-T", "side", "wget", "-qO-", "http://127.0.0.1:8000/page") == shown
    assert network.run("busybox", "wget", "-qO-", "http://127.0.0.1:18088/page") == shown
    assert compose("port", "web", "8000") == "0.0.0.0:18088\n"


def test_logs_exec_run_and_top_show_what_goes_on_inside(compose: Compose) -> None:
    until(lambda: compose("logs", "--no-log-prefix", "web").endswith("serving\n"))
    assert compose("exec", "-T", "web", "sh", "-c", "echo $COLOUR") == "blue\n"
    compose("exec", "-T", "web", "sh", "-c", "exit 4", code=4)
    assert compose("run", "--rm", "-T", "--no-deps", "web", "cat", "/run/secrets/token") == "a-secret\n"
    assert "httpd -f -p 80" in compose("top", "db")
    compose("cp", "web:/etc/app.conf", str(compose.file.parent / "copied"))
    assert (compose.file.parent / "copied").read_text() == "a-setting\n"


def test_a_service_is_scaled_up_and_down(compose: Compose) -> None:
    compose("up", "-d", "--no-recreate", "--scale", "db=3", "db")
    assert {name for name in compose.states() if name.startswith("db")} == {"db-1", "db-2", "db-3"}
    found = compose("exec", "-T", "web", "nslookup", "data")
    assert found.count("Address: ") >= 3, found
    compose("scale", "db=1")
    assert {name for name in compose.states() if name.startswith("db")} == {"db-1"}


def test_events_tell_of_pause_unpause_restart_and_kill(compose: Compose) -> None:
    log = compose.file.parent / "events"
    words = ["docker-compose", "-f", str(compose.file), "events", "--json"]
    with log.open("wb") as out, subprocess.Popen(words, stdout=out, env=compose.docker.environment) as telling:
        try:
            until(lambda: compose.docker.engine.json("GET", "/info")["NEventsListener"] > 0)
            compose("pause", "db")
            assert compose.states()["db-1"] == "paused"
            compose("unpause", "db")
            compose("restart", "-t", "0", "db")
            compose("kill", "-s", "KILL", "side")
            until(lambda: {"pause", "unpause", "restart", "kill", "die"} <= {row["action"] for row in _rows(log)})
            assert {row["service"] for row in _rows(log)} == {"db", "side"}
        finally:
            telling.kill()
    compose("up", "-d")
    assert compose.states()["side-1"] == "running"


def test_stopped_services_start_again_and_changed_ones_are_made_anew(compose: Compose) -> None:
    compose("stop", "-t", "0")
    assert set(compose.states().values()) == {"exited"}
    compose("start")
    assert compose.states()["web-1"] == "running"
    before = compose.docker("inspect", "-f", "{{.Id}}", "stack-web-1")
    compose.file.write_text(STACK.replace("COLOUR: blue", "COLOUR: red"))
    compose("up", "-d", "-t", "0")
    assert compose.docker("inspect", "-f", "{{.Id}}", "stack-web-1") != before
    assert compose("exec", "-T", "web", "sh", "-c", "echo $COLOUR; cat /data/state") == "red\nfrom-setup\n"


def _rows(log: Path) -> list[Any]:
    whole, _, _ = log.read_text().rpartition("\n")  # what follows is still being written
    return [json.loads(line) for line in whole.splitlines()]
