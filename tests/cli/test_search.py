"""`search`, against a scripted daemon."""

from __future__ import annotations

import json
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.cli.conftest import Command, FakeDaemon

FOUND = [
    {"name": "app", "description": "An\napp", "star_count": 7, "is_official": True, "is_automated": False},
    {"name": "x/app", "description": "d" * 60, "star_count": 0, "is_official": False, "is_automated": False},
]


def test_what_was_found_is_shown(fake_daemon: FakeDaemon, sampan: Command) -> None:
    fake_daemon.on("GET", "/images/search", fake_daemon.reply(200, FOUND))
    done = sampan("search", "--limit", "5", "-f", "is-official=true", "-f", "stars=3", "app")
    assert (done.returncode, done.stderr) == (0, b"")
    lines = done.stdout.decode().splitlines()
    assert lines[0].split() == ["NAME", "DESCRIPTION", "STARS", "OFFICIAL"]
    assert lines[1].split() == ["app", "An", "app", "7", "[OK]"]
    assert lines[2].split() == ["x/app", "d" * 44 + "…", "0"]
    query = fake_daemon.requests[-1].query
    assert (query["term"], query["limit"]) == ("app", "5")
    assert json.loads(query["filters"]) == {"is-official": {"true": True}, "stars": {"3": True}}
    assert sampan("search", "--format", "{{.Name}}", "app").stdout == b"app\nx/app\n"


@pytest.mark.skipif(shutil.which("docker") is None, reason="compares with docker")
@pytest.mark.parametrize(
    "options", [[], ["--no-trunc"], ["--format", "json"], ["--format", "{{.Name}} {{.IsOfficial}}"]]
)
def test_it_is_shown_as_docker_shows_it(fake_daemon: FakeDaemon, sampan: Command, options: list[str]) -> None:
    fake_daemon.on("*", "/_ping", fake_daemon.reply(200))
    fake_daemon.on("GET", "/info", fake_daemon.reply(200, {"IndexServerAddress": "x"}))
    fake_daemon.on("GET", "/images/search", fake_daemon.reply(200, FOUND))
    words = ["docker", "search", *options, "app"]
    docker = subprocess.run(words, env=sampan.environment(), capture_output=True, timeout=60, check=False)
    assert docker.returncode == 0, docker.stderr
    assert sampan("search", *options, "app").stdout == docker.stdout
