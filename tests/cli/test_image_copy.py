"""`sampan image cp`: images between two engines."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.engine_process import SOURCE, EngineProcess, UnixConnection
from tests.unit.image.conftest import make_archive

BASE = make_archive(("base", b"b" * 2_000_000))
OWN = make_archive(("own", b"o" * 1000))


@pytest.fixture(scope="module")
def engines(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[EngineProcess, EngineProcess]]:
    with (
        EngineProcess(tmp_path_factory.mktemp("here")) as here,
        EngineProcess(tmp_path_factory.mktemp("there")) as there,
    ):
        yield here, there


def sampan(engine: EngineProcess, *words: str, code: int = 0) -> str:
    environment = {**os.environ, "SAMPAN_HOST": f"unix://{engine.socket}"}
    program = "import sys; sys.path.insert(0, sys.argv.pop(1)); from sampan.cli.__main__ import main; main()"
    command = [sys.executable, "-I", "-c", program, str(SOURCE), *words]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == code, (done.stdout, done.stderr)
    return done.stdout + done.stderr


def make(engine: EngineProcess) -> None:
    """The images base:1 and, on top of it, app:1."""
    send(engine, "POST", "/images/create?fromSrc=-&repo=base&tag=1", BASE)
    engine.create("maker", "/none", image="base:1")
    send(engine, "PUT", "/containers/maker/archive?path=/", OWN)
    engine.json("POST", "/commit?container=maker&repo=app&tag=1", {})
    engine.request("DELETE", "/containers/maker")


def send(engine: EngineProcess, method: str, path: str, body: bytes) -> None:
    connection = UnixConnection(engine.socket)
    connection.request(method, path, body, {"Content-Type": "application/x-tar"})
    answer = connection.getresponse()
    assert answer.status == 200, answer.read()
    answer.read()
    connection.close()


def identity(engine: EngineProcess, name: str) -> str:
    found: str = engine.json("GET", f"/images/{name}/json")["Id"]
    return found


def test_an_image_goes_there_and_comes_back(engines: tuple[EngineProcess, EngineProcess]) -> None:
    here, there = engines
    make(here)
    said = sampan(here, "image", "cp", "base:1", f"unix://{there.socket}")
    assert "Loaded image: base:1" in said
    assert identity(there, "base:1") == identity(here, "base:1")
    sampan(here, "image", "cp", "app:1", f"unix://{there.socket}")  # its lower layer is left out and filled in
    assert identity(there, "app:1") == identity(here, "app:1")
    there.json("DELETE", "/images/base:1")
    here.json("DELETE", "/images/app:1?force=1")
    here.json("DELETE", "/images/base:1?force=1")
    assert list((Path(here.data_root) / "layers").glob("[0-9a-f]" * 64)) == []
    sampan(here, "image", "cp", "--from", "app:1", f"unix://{there.socket}")
    assert identity(there, "app:1") == identity(here, "app:1")


def test_what_is_not_there_is_said(engines: tuple[EngineProcess, EngineProcess], tmp_path: Path) -> None:
    here, there = engines
    assert "No such image: nothing" in sampan(here, "image", "cp", "nothing", f"unix://{there.socket}", code=1)
    said = sampan(here, "image", "cp", "app:1", f"unix://{tmp_path}/no.sock", code=1)
    assert "cannot connect to the daemon" in said
