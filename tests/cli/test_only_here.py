"""A daemon of Docker's at the other end: what it lacks is refused, not dropped unsaid."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from sampan.cli.commands import create, update
from sampan.cli.container_options import SHARED

if TYPE_CHECKING:
    from tests.cli.conftest import Command, FakeDaemon

DOCKERS = {"Platform": {"Name": ""}, "Components": [{"Name": "Engine"}, {"Name": "runc"}]}


@pytest.mark.parametrize(
    ("line", "code", "options"),
    [
        ("create --secret a app", 125, "--secret"),
        ("run --rm --network-rate 5mbit --time-offset boottime=1h app", 125, "--network-rate, --time-offset"),
        ("update --publish 80:80 c1", 1, "--publish"),
        ("update -m 64m --mount type=bind,source=/a,target=/b c1", 1, "--mount"),
        ("save --since base app", 1, "--since"),
        ("cp --chown 1 /etc/hostname c1:/tmp", 1, "--chown"),
    ],
)
def test_an_option_that_docker_s_engine_would_drop_unsaid_is_refused(
    fake_daemon: FakeDaemon, sampan: Command, line: str, code: int, options: str
) -> None:
    fake_daemon.script_a_run()
    fake_daemon.on("GET", "/version", fake_daemon.reply(200, DOCKERS))

    done = sampan(*line.split())

    assert done.returncode == code
    assert f"is not sampan's and would not heed {options}\n  try: name one" in done.stderr.decode()
    assert fake_daemon.lines == ["GET /version"]


def test_nobody_is_asked_whose_engine_it_is_for_options_that_docker_has(
    fake_daemon: FakeDaemon, sampan: Command
) -> None:
    fake_daemon.script_a_run()
    fake_daemon.exited.set()

    assert sampan("run", "--rm", "-m", "64m", "app").returncode == 0
    assert fake_daemon.asked("GET", "/version") == []


def test_every_option_that_is_said_to_be_sampan_s_alone_is_refused_elsewhere() -> None:
    assert {row[0] for row in SHARED if row[-1].endswith("(sampan only)")} == set(create.OF_CONTAINERS)
    assert set(update.ONLY_HERE) <= {name for name, *_ in update.OPTIONS}


@pytest.mark.parametrize(
    "line", ["limits c1", "doctor", "image diet app", "volume snapshots db", "volume export db", "builder cache ls"]
)
def test_a_command_that_is_sampan_s_alone_says_so_when_its_path_is_not_there(
    fake_daemon: FakeDaemon, sampan: Command, line: str
) -> None:
    fake_daemon.on("*", "/.*", fake_daemon.reply(404, {"message": "page not found"}))

    done = sampan(*line.split())

    assert done.returncode == 1
    assert done.stderr.decode().endswith("` is for engines of sampan's: name one with -H\n")


def test_an_image_is_copied_to_no_engine_of_an_empty_name(
    fake_daemon: FakeDaemon, sampan: Command, tmp_path: Path
) -> None:
    done = sampan("image", "cp", "app", "", cwd=tmp_path)

    assert (done.returncode, fake_daemon.lines) == (1, [])
    assert done.stderr.startswith(b"sampan: the other engine's address is empty")
