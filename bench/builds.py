"""Builds: sampan against Docker's own builder, and against BuildKit where the docker command has buildx."""

from __future__ import annotations

import itertools
import os
import subprocess
import tempfile
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from bench.engines import Engine, engines
from bench.measure import Row, compare, table

STEPS = 10
SMALL_FILES = 10_000
STAGES, STAGES_LIMIT_MS = 4, 1500.0
OWN = ", each its own CLI"


@dataclass(frozen=True, slots=True)
class Rival:
    """What sampan is held against: a name, DOCKER_BUILDKIT for it, words for both sides, and the budgets.

    BuildKit's steps have no network: Docker is started without a bridge here, and BuildKit insists on one.
    """

    name: str
    buildkit: str
    words: tuple[str, ...]
    budgets: tuple[float, float, float]


LEGACY = Rival("the legacy builder", "0", (), (0.10, 0.50, 0.50))
BUILDKIT = Rival("BuildKit", "1", ("--network", "none"), (0.30, 0.50, 0.50))


def rows(runs: int) -> list[Row]:
    """Every comparison, in one run."""
    with tempfile.TemporaryDirectory(prefix="sampan-bench-builds-") as name, engines() as (docker, sampan):
        folder = Path(name)
        contexts = {"steps": _steps(folder), "files": _files(folder), "stages": _stages(folder)}
        found = _against(docker, sampan, contexts, runs, LEGACY)
        if _has_buildx(docker):
            found += _against(docker, sampan, contexts, runs, BUILDKIT)
        return found


def _steps(folder: Path) -> Path:
    place = folder / "steps"
    place.mkdir()
    lines = ["FROM bench", *(f"RUN echo {number} > /f{number}" for number in range(STEPS))]
    (place / "Dockerfile").write_text("\n".join(lines) + "\n")
    return place


def _files(folder: Path) -> Path:
    place = folder / "files"
    for number in range(SMALL_FILES):
        path = place / "f" / f"{number % 100:02}" / f"file{number}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x" * (number % 4096))
    (place / "Dockerfile").write_text("FROM bench\nCOPY f /f\n")
    return place


def _stages(folder: Path) -> Path:
    place = folder / "stages"
    place.mkdir()
    lines = []
    for number in range(STAGES):
        lines += [f"FROM bench AS s{number}", f"RUN sleep 1; echo {number} > /f"]
    lines += ["FROM bench", *(f"COPY --from=s{number} /f /f{number}" for number in range(STAGES))]
    (place / "Dockerfile").write_text("\n".join(lines) + "\n")
    return place


def _against(docker: Engine, sampan: Engine, contexts: dict[str, Path], runs: int, rival: Rival) -> list[Row]:
    changes = itertools.count()

    def build(engine: Engine, command: str, context: str, *words: str, changed: bool = False) -> None:
        place = contexts[context]
        if changed:
            (place / "f" / "changed").write_text(str(next(changes)))
        environment = {**engine.environment(), "DOCKER_BUILDKIT": rival.buildkit if engine is docker else "0"}
        argv = [command, "build", "-q", *rival.words, *words, str(place)]
        done = subprocess.run(argv, env=environment, capture_output=True, check=False)
        if done.returncode:
            raise RuntimeError(f"{engine.name}: {done.stderr.decode()}")

    def row(
        what: str,
        budget: float,
        context: str,
        *words: str,
        changed: bool = False,
        limit: float | None = None,
        own: bool = False,
    ) -> Row:
        first = partial(build, docker, "docker", context, *words, changed=changed)
        second = partial(build, sampan, sampan.command if own else "docker", context, *words, changed=changed)
        name = f"{what}, against {rival.name}{OWN if own else ''}"
        return compare(name, first, second, runs=runs, budget=budget, limit=limit)

    steps, cached, copy = rival.budgets
    return [
        row(f"build of {STEPS} RUN steps, no cache", steps, "steps", "--no-cache"),
        row(f"build of {STEPS} RUN steps, no cache", steps, "steps", "--no-cache", own=True),
        row(f"build of {STEPS} RUN steps, all cached", cached, "steps"),
        row(f"build of {STEPS} RUN steps, all cached", cached, "steps", own=True),
        row(f"COPY of {SMALL_FILES:,} files".replace(",", " "), copy, "files", changed=True),
        row(f"{STAGES} independent stages of one second", 0.0, "stages", "--no-cache", limit=STAGES_LIMIT_MS),
    ]


def _has_buildx(docker: Engine) -> bool:
    environment = {**os.environ, **docker.environment()}
    done = subprocess.run(["docker", "buildx", "version"], env=environment, capture_output=True, check=False)
    return done.returncode == 0


def main(runs: int) -> None:
    """Print the table."""
    print(table(rows(runs)))
