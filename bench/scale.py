"""Many containers on one sampan: what the next one costs, what all of them cost, and what a restarted daemon needs.

./dev bench scale [CONTAINERS]     500 by default; no Docker beside it, ratios are to the empty engine
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import functools
import os
import re
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from bench.engines import SAMPAND, Engine, sampan_alone
from bench.measure import OURS, Row, table

PROBES, WARM = 15, 5
EMPTY = "when empty"  # before there are any, and when all have gone again
IDLE_S = 10


def main(count: int) -> None:
    """Print the table."""
    print(table(rows(count)))


def rows(count: int) -> list[Row]:
    """The whole story of one engine."""
    with tempfile.TemporaryDirectory(prefix="sampan-bench-") as name, sampan_alone(Path(name)) as engine:
        empty = start_latencies(engine)
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            list(pool.map(functools.partial(_sleeper, engine), range(count)))
        full = start_latencies(engine)
        lists = [_listing(engine, words, count) for words in (("ps", "-a"), ("stats", "--no-stream"))]
        memory = [*_memory(engine, count)]
        idle = _figure("processor time of the idle daemon", idle_percent(engine), limit=1.0, unit="%")
        again, taken, running = restarted(engine, Path(name))
        if running != count:
            raise RuntimeError(f"{running} of {count} run after the daemon was killed and started again")
        restart = _figure(f"daemon killed, until {count} are served again", taken, limit=3.0, unit="s")
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda number: _own(again, "rm", "-f", f"c{number}"), range(count)))
        time.sleep(IDLE_S)  # roots of what is gone are removed meanwhile
        empty += start_latencies(again)
        again.process.terminate()
        again.process.wait(60)
    return [
        Row(f"`run --rm` beside {count} containers", {EMPTY: tuple(empty), OURS: tuple(full)}, 1.3, reference=EMPTY),
        *lists,
        *memory,
        idle,
        restart,
    ]


def _own(engine: Engine, *words: str) -> bytes:
    return engine.run(*words, command=engine.command)


def _sleeper(engine: Engine, number: int) -> None:
    _own(engine, "run", "-d", "--network", "none", "--name", f"c{number}", "bench", "sleep", "100000")


def _figure(name: str, value: float, *, unit: str, limit: float | None = None) -> Row:
    return Row(name, {OURS: (value,)}, limit=limit, unit=unit)


def _listing(engine: Engine, words: tuple[str, ...], count: int) -> Row:
    repeat = 1 if words[0] == "stats" else 3
    times = tuple(timed(functools.partial(_own, engine, *words)) for _ in range(repeat))
    return Row(f"`{' '.join(words)}` of {count} containers, own CLI", {OURS: times})


def start_latencies(engine: Engine) -> list[float]:
    """Milliseconds of `run --rm … true`, one after the other."""
    once = functools.partial(_own, engine, "run", "--rm", "--network", "none", "bench", "true")
    for _ in range(WARM):
        once()
    return [timed(once) for _ in range(PROBES)]


def _memory(engine: Engine, count: int) -> Iterator[Row]:
    """Proportional shares of the daemon and of what descends from it: launcher, monitors, servers."""
    shares: dict[str, list[int]] = {}
    for pid, name in tree(engine.process.pid):
        if name.startswith("sampan") and (share := share_kb(pid)):  # a container's own processes are not ours
            shares.setdefault(name, []).append(share)
    monitors = max(shares.values(), key=len)
    whole = sum(map(sum, shares.values()))
    yield _figure("memory of a monitor", statistics.mean(monitors) / 1024, limit=1.5, unit="MB")
    yield _figure("memory of all that is ours, per container", whole / 1024 / count, limit=1.5, unit="MB")


def tree(top: int) -> list[tuple[int, str]]:
    """(pid, name) of a process and all that descend from it."""
    found, left = [], list(processes())
    ours = {top}
    while more := [entry for entry in left if entry[0] in ours or entry[1] in ours]:
        found += [(pid, name) for pid, _, name in more]
        ours |= {pid for pid, _, _ in more}
        left = [entry for entry in left if entry[0] not in ours]
    return found


def share_kb(pid: int) -> int:
    """The proportional share of a process's memory (proc_pid_smaps_rollup(5)); 0 for one that has just ended."""
    try:
        found = re.search(r"^Pss:\s+(\d+)", Path(f"/proc/{pid}/smaps_rollup").read_text(), re.MULTILINE)
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return int(found[1]) if found else 0


def tree_memory_mb(top: int) -> float:
    """Memory of a process and all that descend from it."""
    return sum(share_kb(pid) for pid, _ in tree(top)) / 1024


def processes() -> Iterator[tuple[int, int, str]]:
    """(pid, parent's pid, name) of every process."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                name, _, rest = (entry / "stat").read_text().partition("(")[2].rpartition(")")
                yield int(entry.name), int(rest.split()[1]), name


def idle_percent(engine: Engine) -> float:
    """What the daemon does when nothing is asked of it, in hundredths of a processor."""
    before = cpu_seconds(engine.process.pid)
    time.sleep(IDLE_S)
    return (cpu_seconds(engine.process.pid) - before) / IDLE_S * 100


def cpu_seconds(pid: int) -> float:
    """User and system time of a process."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def restarted(engine: Engine, root: Path) -> tuple[Engine, float, int]:
    """Kill the daemon and start it again: the engine, the seconds until it serves a list, and how many are on it."""
    engine.process.kill()
    engine.process.wait()
    began = time.perf_counter()
    with (root / "log").open("ab") as log:
        words = [SAMPAND, "--data-root", str(root / "data"), "--exec-root", str(root / "run"), "--bridge", "none"]
        process = subprocess.Popen(words, stdout=log, stderr=log)
    again = Engine(engine.name, engine.socket, engine.command, process)
    while process.poll() is None:
        with contextlib.suppress(RuntimeError):
            running = len(_own(again, "ps", "-q").split())
            return again, time.perf_counter() - began, running
        time.sleep(0.02)
    raise RuntimeError(f"the daemon did not come up again: {(root / 'log').read_text()[-2000:]}")


def timed(work: Callable[[], object]) -> float:
    """Milliseconds that a call takes."""
    began = time.perf_counter()
    work()
    return (time.perf_counter() - began) * 1000
