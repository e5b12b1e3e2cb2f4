"""One engine for the tests of a module, and a directory of the host that no container may read or change."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.engine_process import EngineProcess

SECRET = "secret of the host\n"


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EngineProcess]:
    with EngineProcess(tmp_path_factory.mktemp("engine"), own_mounts=True) as running:
        yield running


class Canary:
    """A directory of the host with a file in it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        (path / "file").write_text(SECRET)
        self.before = self._state()

    def _state(self) -> object:
        entries = [(name, os.lstat(self.path / name)) for name in sorted(os.listdir(self.path))]
        own = os.lstat(self.path)
        return (own.st_mode, own.st_uid, own.st_mtime_ns), [
            (name, status.st_mode, status.st_uid, status.st_ino, status.st_mtime_ns, status.st_size)
            for name, status in entries
        ]

    def check(self) -> None:
        """Nothing has been read into, changed or made here."""
        assert self._state() == self.before
        assert (self.path / "file").read_text() == SECRET


@pytest.fixture
def canary(tmp_path: Path, engine: EngineProcess) -> Iterator[Canary]:
    """In the daemon's mount namespace, which is the host to its containers and has no neighbours, no mount may come."""
    (tmp_path / "canary").mkdir()
    found = Canary(tmp_path / "canary")
    mounts = _mounts_of(engine.pid)
    yield found
    found.check()
    now = _mounts_of(engine.pid)
    assert now <= mounts, "a mount has come"
    # what others had mounted below /tmp when the daemon started goes when they remove its place
    assert not [line for line in mounts - now if not line.split()[4].startswith(f"{tempfile.gettempdir()}/")]
    assert str(tmp_path) not in Path("/proc/self/mountinfo").read_text()


def _mounts_of(pid: int) -> set[str]:
    return set(Path(f"/proc/{pid}/mountinfo").read_text().splitlines())


@pytest.fixture
def for_a_while(request: pytest.FixtureRequest) -> Callable[[], Iterator[int]]:
    """Rounds until the time for a race is over."""
    seconds = float(request.config.getoption("--race-seconds"))

    def rounds() -> Iterator[int]:
        end = time.monotonic() + seconds
        number = 0
        while time.monotonic() < end:
            yield number
            number += 1

    return rounds
