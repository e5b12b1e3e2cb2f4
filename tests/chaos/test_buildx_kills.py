"""Builds of the buildx plugin that end in the middle: Ctrl-C, a killed client, a killed daemon. Nothing is left."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.chaos.test_build_kills import PARALLEL, assert_nothing_is_left, assert_the_cache_is_sound, steps_running
from tests.compat.buildx import need_buildx
from tests.docker_command import DockerCli
from tests.engine_process import EngineProcess
from tests.waiting import until


@pytest.fixture(autouse=True)
def _plugin() -> None:
    need_buildx()


@contextmanager
def building(engine: EngineProcess, directory: Path) -> Iterator[subprocess.Popen[str]]:
    """`docker build` in a session of its own, of which two steps run by now; it has ended behind the block."""
    context = directory / "context"
    context.mkdir()
    (context / "Dockerfile").write_text(PARALLEL)
    (context / "large").write_bytes(bytes(3 << 20))
    environment = DockerCli(engine, directory).environment
    words = ("docker", "build", "--progress", "plain", str(context))
    with (directory / "shown").open("w") as shown:
        client = subprocess.Popen(words, env=environment, stdout=shown, stderr=shown, start_new_session=True, text=True)
    try:
        until(lambda: client.poll() is not None or steps_running(engine) == 2)
        assert client.poll() is None, (directory / "shown").read_text()
        yield client
        client.wait(60)
    finally:
        if client.poll() is None:
            os.killpg(client.pid, signal.SIGKILL)
            client.wait()


def test_an_interrupt_ends_a_build_and_leaves_nothing(engine: EngineProcess, tmp_path: Path) -> None:
    with building(engine, tmp_path) as client:
        os.killpg(client.pid, signal.SIGINT)
    assert client.returncode != 0
    assert "CANCELED" in (tmp_path / "shown").read_text()
    assert_nothing_is_left(engine)
    assert_the_cache_is_sound(engine)


def test_a_killed_client_ends_its_build_and_leaves_nothing(engine: EngineProcess, tmp_path: Path) -> None:
    with building(engine, tmp_path) as client:
        os.killpg(client.pid, signal.SIGKILL)
    assert client.returncode == -signal.SIGKILL
    assert_nothing_is_left(engine)
    assert_the_cache_is_sound(engine)


def test_a_killed_daemon_ends_a_build_and_the_next_one_tidies_up(engine: EngineProcess, tmp_path: Path) -> None:
    with building(engine, tmp_path) as client:
        engine.kill()
    assert client.returncode == 1
    assert "ERROR: " in (tmp_path / "shown").read_text()
    engine.start()
    assert_nothing_is_left(engine)
    assert_the_cache_is_sound(engine)
