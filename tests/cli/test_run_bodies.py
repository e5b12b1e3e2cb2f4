"""What `sampan run` asks for is what the docker CLI asks for, command line by command line.

run_bodies.json was recorded from docker 26.1.5; with SAMPAN_RECORD=1 the last test writes it anew. Where sampan means
to differ, the line is in DIFFERENT with the reason.
"""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import shlex
import shutil
import struct
import subprocess
import termios
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.cli.conftest import Command, FakeDaemon

DATA = Path(__file__).parent / "data"
LINES = (DATA / "run_commands.txt").read_text().splitlines()
RECORD = DATA / "run_bodies.json"
RATES = (
    "--device-read-bps /dev/sda:1mb --device-write-bps /dev/sda:2k "
    "--device-read-iops /dev/sda:10 --device-write-iops /dev/sda:20"
)
DIFFERENT: dict[str, dict[str, Any]] = {
    # docker 26.1.5 forgets these four options (GetList copies into a slice of no length)
    f"{RATES} busybox": {
        "host": {
            "BlkioDeviceReadBps": [{"Path": "/dev/sda", "Rate": 1 << 20}],
            "BlkioDeviceWriteBps": [{"Path": "/dev/sda", "Rate": 2048}],
            "BlkioDeviceReadIOps": [{"Path": "/dev/sda", "Rate": 10}],
            "BlkioDeviceWriteIOps": [{"Path": "/dev/sda", "Rate": 20}],
        }
    },
    # docker takes a name of one letter for a drive of Windows
    "--volume-driver local -v x:/y busybox": {"host": {"Binds": ["x:/y"], "VolumeDriver": "local"}},
    "-v C:/x busybox": {"host": {"Binds": ["C:/x"]}},
}


def recorded() -> dict[str, Any]:
    document: dict[str, Any] = json.loads(RECORD.read_text())
    return document


def asked(daemon: FakeDaemon, folder: Path) -> dict[str, Any] | None:
    """The request to create, as a comparable document; None when there was none."""
    requests = daemon.asked("POST", "/containers/create")
    if not requests:
        return None
    body = json.loads(requests[0].body.decode().replace(str(folder), "$CWD"))
    return {"query": requests[0].query, **flat(body)}


def flat(body: dict[str, Any]) -> dict[str, Any]:
    host = body.pop("HostConfig")
    networks = body.pop("NetworkingConfig")["EndpointsConfig"]
    return {"config": body, "host": host, "networks": networks}


def changes(document: dict[str, Any], base: dict[str, Any]) -> dict[str, Any]:
    """What is different from the plainest command, key by key; "absent" lists what is not there."""
    found: dict[str, Any] = {"query": document["query"]}
    if document["networks"] != base["networks"]:
        plain = base["networks"]["default"]
        found["networks"] = {
            name: {key: value for key, value in endpoint.items() if plain.get(key, plain) != value}
            for name, endpoint in document["networks"].items()
        }
    for part in ("config", "host"):
        found[part] = {key: value for key, value in document[part].items() if base[part].get(key, base) != value}
        absent = sorted(set(base[part]) - set(document[part]))
        if absent:
            found[f"absent from {part}"] = absent
    return {key: value for key, value in found.items() if value or key == "networks"}


def execute(argv: list[str], environment: dict[str, str], folder: Path, *, tty: bool) -> int:
    """Run in `folder`, with a terminal of 40 by 100 when asked, and give the exit code."""
    if not tty:
        done = subprocess.run(
            argv, env=environment, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, timeout=60, check=False
        )
        return done.returncode
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 100, 0, 0))
    with subprocess.Popen(
        argv, env=environment, cwd=folder, stdin=slave, stdout=slave, stderr=slave, start_new_session=True
    ) as process:
        os.close(slave)
        try:
            while os.read(master, 4096):
                pass
        except OSError:
            pass
        os.close(master)
        return process.wait(60)


def wants_terminal(line: str) -> bool:
    return re.match(r"(-\w*t\w*|--tty\S*)( |$)", line) is not None


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    target = tmp_path / "work"
    shutil.copytree(DATA / "run", target)
    return target


@pytest.mark.parametrize("line", LINES)
def test_run_asks_what_docker_asks(line: str, fake_daemon: FakeDaemon, sampan: Command, folder: Path) -> None:
    fake_daemon.script_a_run()
    expected = DIFFERENT.get(line, recorded()["commands"][line])
    argv = sampan.argv("run", *shlex.split(line))

    code = execute(argv, sampan.environment(), folder, tty=wants_terminal(line))
    document = asked(fake_daemon, folder)

    if expected is None:
        assert document is None
        assert code == 125
    else:
        assert document is not None
        assert changes(document, recorded()["base"]) == expected
        assert code == 0


@pytest.mark.skipif(not shutil.which("docker"), reason="the docker CLI is the judge here, and is not installed")
def test_docker_still_asks_what_was_recorded(fake_daemon: FakeDaemon, sampan: Command, folder: Path) -> None:
    fake_daemon.script_a_run()
    commands: dict[str, Any] = {}
    base: dict[str, Any] | None = None
    for line in LINES:
        fake_daemon.requests.clear()
        fake_daemon.exited.clear()
        (folder / "cid.txt").unlink(missing_ok=True)
        argv = ["docker", "run", *shlex.split(line)]
        code = execute(argv, sampan.environment(), folder, tty=wants_terminal(line))
        document = asked(fake_daemon, folder)
        assert code in {0, 1, 125}, line
        base = base or document
        assert base is not None
        commands[line] = None if document is None else changes(document, base)
    if os.environ.get("SAMPAN_RECORD"):
        lines = [f"{json.dumps(line)}: {json.dumps(found, sort_keys=True)}" for line, found in commands.items()]
        text = ",\n".join(lines)
        RECORD.write_text(f'{{"base": {json.dumps(base)},\n"commands": {{\n{text}\n}}}}\n')
    for found in (commands, expected := recorded()["commands"]):
        for line in filter(found.get, LINES):
            for part, name in (("host", "Binds"), ("config", "Env")):  # docker's own order is that of a Go map
                found[line].get(part, {}).get(name, []).sort()
    assert commands == expected
