"""Builds: sampan against Docker's own builder, and against BuildKit where the docker command has buildx."""

from __future__ import annotations

import http.client
import io
import itertools
import os
import socket
import subprocess
import tarfile
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from bench.engines import Engine, engines
from bench.images import file_system
from bench.measure import Row, compare, table

STEPS = 10
SMALL_FILES = 10_000
STAGES, STAGES_LIMIT_MS = 4, 1500.0
OWN = ", each its own CLI"
ASKED = 3  # so many times as many runs where a work takes a millisecond or two


@dataclass(frozen=True, slots=True)
class Rival:
    """What sampan is held against: a name, DOCKER_BUILDKIT for it, words for both sides, and the budgets.

    BuildKit's steps have no network: Docker is started without a bridge here, and BuildKit insists on one.
    """

    name: str
    buildkit: str
    words: tuple[str, ...]
    budgets: tuple[float, float, float]
    ours: str = "0"  # DOCKER_BUILDKIT for sampan


LEGACY = Rival("the legacy builder", "0", (), (0.10, 0.50, 0.50))
BUILDKIT = Rival("BuildKit", "1", ("--network", "none"), (0.30, 0.50, 0.50))
BUILDX = Rival("BuildKit, buildx on both sides", "1", ("--network", "none"), (0.30, 0.50, 0.0), ours="1")


def rows(runs: int) -> list[Row]:
    """Every comparison, in one run. COPY is on one tmpfs made anew, which says what the engines cost and not the disk.

    On ext4 both take from one to ten times as long, by what was removed before.
    """
    with tempfile.TemporaryDirectory(prefix="sampan-bench-builds-") as name, engines() as (docker, sampan):
        folder = Path(name)
        contexts = {"steps": _steps_context(folder), "stages": _stages_context(folder)}
        pairs = [_Pair(docker, sampan, contexts, runs, rival) for rival in _rivals(docker)]
        found = [row for pair in pairs for row in _steps(pair)]
        found += [row for pair in pairs[1:] for row in _by_buildx(replace(pair, rival=BUILDX))]
        found.insert(4, _asked(pairs[0]))
    with file_system("") as folder, engines(folder) as (docker, sampan):
        contexts = {"files": _files_context(folder)}
        pairs = [_Pair(docker, sampan, contexts, runs, rival) for rival in _rivals(docker)]
        found += [_copy(pair) for pair in pairs]
        found += [_copy(replace(pair, rival=BUILDX)) for pair in pairs[1:]]
        found += [_out(replace(pair, rival=BUILDX), folder) for pair in pairs[1:]]
    return found


def _steps_context(folder: Path) -> Path:
    place = folder / "steps"
    place.mkdir()
    lines = ["FROM bench", *(f"RUN echo {number} > /f{number}" for number in range(STEPS))]
    (place / "Dockerfile").write_text("\n".join(lines) + "\n")
    return place


def _files_context(folder: Path) -> Path:
    place = folder / "files"
    for number in range(SMALL_FILES):
        path = place / "f" / f"{number % 100:02}" / f"file{number}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x" * (number % 4096))
    (place / "Dockerfile").write_text("FROM bench\nCOPY f /f\n")
    return place


def _stages_context(folder: Path) -> Path:
    place = folder / "stages"
    place.mkdir()
    lines = []
    for number in range(STAGES):
        lines += [f"FROM bench AS s{number}", f"RUN sleep 1; echo {number} > /f"]
    lines += ["FROM bench", *(f"COPY --from=s{number} /f /f{number}" for number in range(STAGES))]
    (place / "Dockerfile").write_text("\n".join(lines) + "\n")
    return place


@dataclass(frozen=True, slots=True)
class _Pair:
    """Both sides of a comparison, and what they build."""

    docker: Engine
    sampan: Engine
    contexts: dict[str, Path]
    runs: int
    rival: Rival

    def build(self, engine: Engine, command: str, context: str, *words: str) -> None:
        """Build a context with an engine's command."""
        buildkit = self.rival.buildkit if engine is self.docker else self.rival.ours
        argv = [command, "build", "-q", *self.rival.words, *words, str(self.contexts[context])]
        environment = {**engine.environment(), "DOCKER_BUILDKIT": buildkit}
        done = subprocess.run(argv, env=environment, capture_output=True, check=False)
        if done.returncode:
            raise RuntimeError(f"{engine.name}: {done.stderr.decode()}")

    def row(
        self, what: str, budget: float, context: str, *words: str, own: bool = False, limit: float | None = None
    ) -> Row:
        """The times of building a context, with docker's command or each with its own."""
        command = self.sampan.command if own else "docker"
        return compare(
            f"{what}, against {self.rival.name}{OWN if own else ''}",
            partial(self.build, self.docker, "docker", context, *words),
            partial(self.build, self.sampan, command, context, *words),
            runs=self.runs,
            budget=budget,
            limit=limit,
        )


def _steps(pair: _Pair) -> list[Row]:
    steps, cached, _ = pair.rival.budgets
    return [
        pair.row(f"build of {STEPS} RUN steps, no cache", steps, "steps", "--no-cache"),
        pair.row(f"build of {STEPS} RUN steps, no cache", steps, "steps", "--no-cache", own=True),
        pair.row(f"build of {STEPS} RUN steps, all cached", cached, "steps"),
        pair.row(f"build of {STEPS} RUN steps, all cached", cached, "steps", own=True),
        pair.row(f"{STAGES} independent stages of one second", 0.0, "stages", "--no-cache", limit=STAGES_LIMIT_MS),
    ]


def _by_buildx(pair: _Pair) -> list[Row]:
    """The same command on both sides, which speaks BuildKit's protocol to both."""
    steps, cached, _ = pair.rival.budgets
    return [
        pair.row(f"build of {STEPS} RUN steps, no cache", steps, "steps", "--no-cache"),
        pair.row(f"build of {STEPS} RUN steps, all cached", cached, "steps"),
    ]


def _asked(pair: _Pair) -> Row:
    """The same without a client that is started each time: over one connection, as docker-py and CI servers have it."""
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        tar.add(pair.contexts["steps"] / "Dockerfile", "Dockerfile")
    return compare(
        f"build of {STEPS} RUN steps, all cached, against {pair.rival.name}, asked by a client that is there",
        _asking(pair.docker, archive.getvalue()),
        _asking(pair.sampan, archive.getvalue()),
        runs=ASKED * pair.runs,
        budget=pair.rival.budgets[1],
    )


def _asking(engine: Engine, archive: bytes) -> Callable[[], None]:
    connection = http.client.HTTPConnection("localhost")
    connection.sock = socket.socket(socket.AF_UNIX)
    connection.sock.connect(engine.socket)

    def ask() -> None:
        connection.request("POST", "/v1.45/build?t=bench-cached", archive, {"Content-Type": "application/x-tar"})
        told = connection.getresponse().read()
        if b"Successfully tagged" not in told or b"Running in" in told:
            raise RuntimeError(f"{engine.name}: {told.decode()[-500:]}")

    return ask


def _copy(pair: _Pair) -> Row:
    """A file is another each time, so that nothing comes out of a cache."""
    changes = itertools.count()

    def build(engine: Engine) -> None:
        (pair.contexts["files"] / "f" / "changed").write_text(f"{pair.rival.name} {next(changes)}")
        pair.build(engine, "docker", "files")

    name = f"COPY of {SMALL_FILES:,} files".replace(",", " ")
    return compare(
        f"{name}, against {pair.rival.name}",
        partial(build, pair.docker),
        partial(build, pair.sampan),
        runs=pair.runs,
        budget=pair.rival.budgets[2],
    )


def _out(pair: _Pair, folder: Path) -> Row:
    """The tree of an image that is cached, into another directory of the client's each time."""
    places = itertools.count()

    def build(engine: Engine) -> None:
        pair.build(engine, "docker", "files", "-o", f"type=local,dest={folder}/out{next(places)}")

    return compare(
        f"-o of {SMALL_FILES:,} files into a directory, against {pair.rival.name}".replace(",", " ", 1),
        partial(build, pair.docker),
        partial(build, pair.sampan),
        runs=pair.runs,
    )


def _rivals(docker: Engine) -> tuple[Rival, ...]:
    return (LEGACY, BUILDKIT) if _has_buildx(docker) else (LEGACY,)


def _has_buildx(docker: Engine) -> bool:
    environment = {**os.environ, **docker.environment()}
    done = subprocess.run(["docker", "buildx", "version"], env=environment, capture_output=True, check=False)
    return done.returncode == 0


def main(runs: int) -> None:
    """Print the table."""
    print(table(rows(runs)))
