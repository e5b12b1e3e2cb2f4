"""Files in and out of containers, and starts with many binds: sampan and Docker side by side."""

from __future__ import annotations

import os
import shutil
from functools import partial
from pathlib import Path

from bench.engines import Engine, engines
from bench.images import file_system
from bench.measure import Row, compare, table

BIG_BYTES = 100 * 1024 * 1024
SMALL_FILES = 10_000
BINDS = 20


def rows(runs: int) -> list[Row]:
    """Every comparison. All of it is on one tmpfs made anew, which says what the engines cost and not the disk.

    What a copy made is removed before the next one, and that is not timed.
    """
    with file_system("") as folder, engines(folder) as (docker, sampan):
        _make(folder)
        for engine in (docker, sampan):
            engine.run("run", "-d", "--name", "box", "--network", "none", "bench", "sleep", "100000")
        return [*_copies(docker, sampan, folder, runs), *_binds(docker, sampan, folder, runs)]


def _make(folder: Path) -> None:
    (folder / "big").write_bytes(os.urandom(BIG_BYTES))
    for number in range(SMALL_FILES):
        place = folder / "small" / f"{number % 100:02}"
        place.mkdir(parents=True, exist_ok=True)
        (place / f"file{number}").write_bytes(b"x" * (number % 4096))
    (folder / "empty").mkdir()


def _copies(docker: Engine, sampan: Engine, folder: Path, runs: int) -> list[Row]:
    target = folder / "out"

    def copy_in(engine: Engine, source: str, command: str) -> None:
        engine.run("cp", f"{folder}/{source}", "box:/tmp/in", command=command)

    def copy_out(engine: Engine, source: str, command: str) -> None:
        engine.run("cp", f"box:/tmp/{source}", str(target), command=command)

    def remove() -> None:
        if target.is_dir():
            shutil.rmtree(target)
        target.unlink(missing_ok=True)
        for engine in (docker, sampan):
            engine.run("exec", "box", "/bin/busybox", "rm", "-rf", "/tmp/in")

    found = []
    for source, what, times, budget in (
        ("big", "100 MB", runs, 0.8),
        ("small", f"{SMALL_FILES:,} small files".replace(",", " "), max(3, runs // 3), 0.5),
    ):
        for engine in (docker, sampan):
            engine.run("cp", f"{folder}/{source}", f"box:/tmp/{source}")
        for way, work in (("in", copy_in), ("out", copy_out)):
            for clis, command in (("the docker CLI on both sides", "docker"), ("each its own CLI", sampan.command)):
                found.append(
                    compare(
                        f"cp of {what} {way}, {clis}",
                        partial(work, docker, source, "docker"),
                        partial(work, sampan, source, command),
                        runs=times,
                        budget=budget,
                        undo=remove,
                    )
                )
    return found


def _binds(docker: Engine, sampan: Engine, folder: Path, runs: int) -> list[Row]:
    binds = [word for number in range(BINDS) for word in ("-v", f"{folder}/empty:/mnt/{number}")]
    words = ("run", "--rm", "--network", "none", *binds, "bench", "true")
    return [
        compare(
            f"`run --rm` with {BINDS} binds, {clis}",
            partial(docker.run, *words),
            partial(sampan.run, *words, command=command),
            runs=runs,
            budget=0.3,
        )
        for clis, command in (("the docker CLI on both sides", "docker"), ("each its own CLI", sampan.command))
    ]


def main(runs: int) -> None:
    """Print the table."""
    print(table(rows(runs)))
