"""sampan and Docker side by side: the same docker command on both, and each side's own."""

from __future__ import annotations

import itertools
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from bench.engines import Engine, engines
from bench.measure import OURS, Row, compare, table
from bench.podman import Podman, podman
from bench.scale import tree_memory_mb

NONE = ("--network", "none")
LISTED, INSPECTED = 500, 200
IDLE_LIMIT_MB = 60


def rows(runs: int) -> list[Row]:
    """Every comparison."""
    with engines() as (docker, sampan), podman() as other:
        idle = _idle(docker, sampan)
        found = [*_runs(docker, sampan, other, runs), *_execs(docker, sampan, other, runs), *_logs(docker, sampan)]
        return [*found, *_many(docker, sampan), *_lists(docker, sampan, runs), idle]


def _runs(docker: Engine, sampan: Engine, other: Podman | None, runs: int) -> list[Row]:
    found = []
    for network, budget in (("none", 0.30), ("host", 0.30)):
        words = ("run", "--rm", "--network", network, "bench", "true")
        found.append(
            compare(
                f"`run --rm --network {network}`, the docker CLI on both sides",
                partial(docker.run, *words),
                partial(sampan.run, *words),
                runs=runs,
                budget=budget,
            )
        )
        found.append(
            compare(
                f"`run --rm --network {network}`, each its own CLI",
                partial(docker.run, *words),
                partial(sampan.run, *words, command=sampan.command),
                runs=runs,
                beside={"Podman": partial(other.run, *words)} if other else None,
            )
        )
    return found


def _execs(docker: Engine, sampan: Engine, other: Podman | None, runs: int) -> list[Row]:
    for engine in (docker, sampan):
        engine.run("run", "-d", "--name", "execs", *NONE, "bench", "sleep", "1000")
    if other:
        other.run("run", "-d", "--name", "execs", *NONE, "bench", "sleep", "1000")
    words = ("exec", "execs", "true")
    return [
        compare(
            "`exec true`, the docker CLI on both sides",
            lambda: docker.run(*words),
            lambda: sampan.run(*words),
            runs=runs,
            budget=0.45,
        ),
        compare(
            "`exec true`, each its own CLI",
            lambda: docker.run(*words),
            lambda: sampan.run(*words, command=sampan.command),
            runs=runs,
            budget=0.30,
            beside={"Podman": partial(other.run, *words)} if other else None,
        ),
    ]


def _logs(docker: Engine, sampan: Engine) -> list[Row]:
    number = itertools.count()
    printing = ("--network", "none", "bench", "seq", "200000")

    def print_lines(engine: Engine) -> None:
        engine.run("run", "--rm", *printing)

    for engine in (docker, sampan):
        engine.run("run", "--name", f"printed{next(number)}", *printing)
    names = {docker.name: "printed0", sampan.name: "printed1"}
    return [
        compare(
            "`run` printing 200 000 lines",
            lambda: print_lines(docker),
            lambda: print_lines(sampan),
            runs=3,
            budget=0.80,
        ),
        compare(
            "`logs` of 200 000 lines",
            lambda: docker.run("logs", names["docker"]),
            lambda: sampan.run("logs", names["sampan"]),
            runs=3,
            budget=0.70,
        ),
    ]


def _many(docker: Engine, sampan: Engine) -> list[Row]:
    """20 containers, 8 at once, and all of them away again."""

    def come_and_go(engine: Engine) -> None:
        names = [f"many{number}" for number in range(20)]
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda name: _start(engine, name), names))
        engine.run("rm", "-f", *names, command=engine.command)

    def _start(engine: Engine, name: str) -> None:
        engine.run("run", "-d", "--name", name, *NONE, "bench", "sleep", "1000", command=engine.command)

    name = "20 x `run -d`, 8 at once, then `rm -f`, each its own CLI"
    return [compare(name, partial(come_and_go, docker), partial(come_and_go, sampan), runs=3, budget=0.20)]


def _lists(docker: Engine, sampan: Engine, runs: int) -> list[Row]:
    """What is asked of an engine with many containers."""
    for engine in (docker, sampan):
        create = partial(engine.run, "create", *NONE, "bench", "true")
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda _, create=create: create(), range(LISTED)))
    ids = {engine.name: engine.run("ps", "-aq", "--no-trunc").decode().split() for engine in (docker, sampan)}

    def inspect_all(engine: Engine) -> None:
        with ThreadPoolExecutor(16) as pool:
            list(pool.map(partial(_inspect, engine), ids[engine.name][:INSPECTED]))

    return [
        compare(
            f"`ps -a` with {LISTED} containers, the docker CLI on both sides",
            partial(docker.run, "ps", "-a"),
            partial(sampan.run, "ps", "-a"),
            runs=runs,
            budget=1.0,
        ),
        compare(
            f"{INSPECTED} x inspect, 16 at once, over the socket",
            partial(inspect_all, docker),
            partial(inspect_all, sampan),
            runs=runs,
            budget=1.0,
        ),
    ]


def _inspect(engine: Engine, container: str) -> None:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(engine.socket)
        connection.sendall(f"GET /v1.45/containers/{container}/json HTTP/1.0\r\nHost: bench\r\n\r\n".encode())
        answer = b""
        while chunk := connection.recv(1 << 20):
            answer += chunk
    if not answer.startswith((b"HTTP/1.0 200", b"HTTP/1.1 200")):
        raise RuntimeError(f"{engine.name}: {answer[:200]!r}")


def _idle(docker: Engine, sampan: Engine) -> Row:
    """Memory (proportional shares) of each daemon and all that descends from it."""
    time.sleep(3)
    samples = {"Docker": (tree_memory_mb(docker.process.pid),), OURS: (tree_memory_mb(sampan.process.pid),)}
    return Row("idle engine with all its processes, memory", samples, limit=IDLE_LIMIT_MB, unit="MB")


def main(runs: int) -> None:
    """Print the table."""
    print(table(rows(runs)))
