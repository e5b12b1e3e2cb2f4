"""Where the time of a start goes: the median of each step over many traced starts, and who spends processor time.

    ./dev bench phases [STARTS]     50 by default; sampan alone, what `run --trace` shows of one start

Steps of monitor and pid 1 lie within the engine's wait for the container.
"""

from __future__ import annotations

import http.client
import json
import os
import socket
import statistics
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bench.engines import Engine, sampan_alone
from bench.scale import timed, tree

WARM = 5
SHORTEST_MS = 0.05


def main(count: int) -> None:
    """Print both tables."""
    with tempfile.TemporaryDirectory(prefix="sampan-bench-") as name, sampan_alone(Path(name)) as engine:
        for _ in range(WARM):
            traced(engine)
        traces = [traced(engine) for _ in range(count)]
        print("\n".join(steps(traces)), end="\n\n")
        print("\n".join(processors(engine, count)))


def traced(engine: Engine) -> list[dict[str, Any]]:
    """The phases of one start of `true`; the container is gone afterwards."""
    made = engine.run("create", "--network", "none", "bench", "true", command=engine.command).decode().strip()
    connection = http.client.HTTPConnection("localhost")
    connection.sock = socket.socket(socket.AF_UNIX)
    connection.sock.connect(engine.socket)
    connection.request("POST", f"/containers/{made}/start?trace=1")
    phases: list[dict[str, Any]] = json.loads(connection.getresponse().read())["Phases"]
    connection.close()
    engine.run("wait", made, command=engine.command)
    engine.run("rm", made, command=engine.command)
    return phases


def steps(traces: list[list[dict[str, Any]]]) -> Iterator[str]:
    """A line for each step that takes long enough to be seen, in the order of the last start, and one for the rest."""
    taken: dict[tuple[str, str], list[float]] = {}
    for phases in traces:
        for phase in phases:
            taken.setdefault((phase["Process"], phase["Name"].replace("_", " ")), []).append(phase["Took"] / 1e6)
    whole = statistics.median(max(phase["Began"] + phase["Took"] for phase in phases) / 1e6 for phases in traces)
    yield f"| process | step | ms, median of {len(traces)} | quarters |\n|---|---|---|---|"
    rest: dict[str, float] = {}
    for (process, name), times in taken.items():
        median = statistics.median(times)
        if median < SHORTEST_MS:
            rest[process] = rest.get(process, 0) + median
            continue
        low, _, high = statistics.quantiles(times, n=4) if len(times) > 1 else (median,) * 3
        yield f"| {process} | {name} | {median:.2f} | {low:.2f} to {high:.2f} |"
    for process, sum_ms in rest.items():
        yield f"| {process} | all that take less than {SHORTEST_MS} ms | {sum_ms:.2f} | |"
    yield f"| | **from the first step to the last** | {whole:.2f} | |"


def processors(engine: Engine, count: int) -> Iterator[str]:
    """Processor time of one `run --rm`, user and system, by who spends it."""
    launcher = next(pid for pid, name in tree(engine.process.pid) if name.startswith("sampan-launcher"))
    before = [_times(engine.process.pid), _times(launcher), _own_children()]
    words = ("run", "--rm", "--network", "none", "bench", "true")
    wall = [timed(lambda: engine.run(*words, command=engine.command)) for _ in range(count)]
    after = [_times(engine.process.pid), _times(launcher), _own_children()]
    spent = [
        [(late - soon) / count for soon, late in zip(*pair, strict=True)] for pair in zip(before, after, strict=True)
    ]
    yield "| processor time of one `run --rm`, ms | user | system |\n|---|---|---|"
    for name, (user, system) in zip(("the daemon", "launcher", "the command"), (s[:2] for s in spent), strict=True):
        yield f"| {name} | {user:.1f} | {system:.1f} |"
    yield f"| monitor and the container's processes | {spent[1][2]:.1f} | {spent[1][3]:.1f} |"
    yield f"| **a clock on the wall, median** | {statistics.median(wall):.1f} | |"


def _times(pid: int) -> list[float]:
    """Milliseconds of a process, and of its children that have ended, user and system (proc_pid_stat(5))."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return [int(field) * 1000 / os.sysconf("SC_CLK_TCK") for field in fields[11:15]]


def _own_children() -> list[float]:
    times = os.times()
    return [times.children_user * 1000, times.children_system * 1000]
