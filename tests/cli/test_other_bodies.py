"""What the other commands ask for is what the docker CLI asks for, command line by command line.

calls.json was recorded from docker 26.1.5; with SAMPAN_RECORD=1 the last test writes it anew. Where sampan means to
differ, the line is in DIFFERENT with the reason.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.cli.conftest import Command, FakeDaemon

DATA = Path(__file__).parent / "data"
LINES = (DATA / "commands.txt").read_text().splitlines()
RECORD = DATA / "calls.json"
CONTAINER = {"Id": "c1", "Name": "/c1", "State": {"Running": True}, "NetworkSettings": {"Ports": {}}}
DIFFERENT: dict[str, dict[str, Any]] = {
    # refused here, with the form that a subnet has; docker leaves that to the daemon
    "network create --subnet bogus n7": {"calls": [], "code": 1},
}


def unless_said(line: str, calls: list[list[Any]]) -> list[list[Any]]:
    """Of a network's IPv6 docker 26 says no where nobody has said anything; docker 27 says nothing, as sampan does."""
    for _, _, body in calls:
        if isinstance(body, dict) and "EnableIPv6" in body and "--ipv6" not in line:
            body["EnableIPv6"] = None
    return calls


def recorded() -> dict[str, Any]:
    document: dict[str, Any] = json.loads(RECORD.read_text())
    return document


def script(daemon: FakeDaemon) -> None:
    """Answers that every command is content with."""
    daemon.on("*", ".*", daemon.reply(200, {"Id": "abc", "Name": "n", "StatusCode": 0, "Titles": [], "Processes": []}))
    daemon.on(
        "GET", "/(networks|images/json|containers/json|images/.*/history|containers/.*/changes)", daemon.reply(200, [])
    )
    daemon.on("DELETE", "/images/.*", daemon.reply(200, []))
    daemon.on("GET", "/containers/c1/json", daemon.reply(200, CONTAINER))
    daemon.on(
        "GET",
        "/info",
        daemon.reply(
            200,
            dict.fromkeys(("Containers", "ContainersRunning", "ContainersPaused", "ContainersStopped", "Images"), 0),
        ),
    )
    daemon.on("GET", "/system/df", daemon.reply(200, {"LayersSize": 0}))
    daemon.on("GET", "/events", daemon.reply(200))
    daemon.on("*", "/_ping", daemon.reply(200))


def calls(daemon: FakeDaemon, folder: Path) -> list[list[Any]]:
    """What was asked, as method and path, query, and body."""
    found = []
    for request in daemon.requests:
        if request.path == "/_ping":
            continue
        body: Any = request.body.decode(errors="replace").replace(str(folder), "$CWD")
        if request.headers.get("content-type") == "application/json":
            body = json.loads(body) if body.strip() else ""
        found.append([request.line, request.query, body])
    return found


def in_any_order(asked: list[list[Any]]) -> list[list[Any]]:
    """Both clients ask about several objects at once, and Docker's subnets come from a Go map: order is chance."""
    for _, _, body in asked:
        if isinstance(body, dict) and isinstance(body.get("IPAM"), dict):
            body["IPAM"]["Config"] = sorted(body["IPAM"].get("Config") or [], key=json.dumps)
    return sorted(asked, key=json.dumps)


def execute(argv: list[str], command: Command, folder: Path) -> int:
    done = subprocess.run(
        argv,
        env=command.environment(),
        cwd=folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=60,
        check=False,
    )
    return done.returncode


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    target = tmp_path / "work"
    shutil.copytree(DATA / "run", target)
    return target


@pytest.mark.parametrize("line", LINES)
def test_a_command_asks_what_docker_asks(line: str, fake_daemon: FakeDaemon, sampan: Command, folder: Path) -> None:
    script(fake_daemon)
    expected = DIFFERENT.get(line, recorded()[line])

    code = execute(sampan.argv(*shlex.split(line)), sampan, folder)

    assert in_any_order(calls(fake_daemon, folder)) == in_any_order(unless_said(line, expected["calls"]))
    assert code == expected["code"]


@pytest.mark.skipif(not shutil.which("docker"), reason="the docker CLI is the judge here, and is not installed")
def test_docker_still_asks_what_was_recorded(fake_daemon: FakeDaemon, sampan: Command, folder: Path) -> None:
    script(fake_daemon)
    found: dict[str, Any] = {}
    for line in LINES:
        fake_daemon.requests.clear()
        code = execute(["docker", *shlex.split(line)], sampan, folder)
        found[line] = {"code": code, "calls": calls(fake_daemon, folder)}
    if os.environ.get("SAMPAN_RECORD"):
        text = ",\n".join(f"{json.dumps(line)}: {json.dumps(call)}" for line, call in found.items())
        RECORD.write_text(f"{{\n{text}\n}}\n")
    for told in (found, known := recorded()):
        for line in LINES:
            told[line]["calls"] = in_any_order(told[line]["calls"])
    assert found == known
