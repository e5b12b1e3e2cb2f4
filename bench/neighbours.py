"""A well-behaved container beside a fork bomb, a memory hog and a disk hog, each within limits of its own.

    python -m bench neighbours [SECONDS]     8 by default, for each; sampan alone, ratios within one run

Loaded is measured four times: with limits of processors, memory and processes alone; after `update
--device-write-bps` has given the disk hog a rate, before which the disk is anybody's; with a neighbour that besides
keeps its file in memory (`--tmpfs`) and asks the kernel to be let in soon (`chrt --sched-runtime`), which shows what it
waited for: the disk, and the end of a hog's slice of processor time; and, the neighbour as in the beginning, after
`update --cpu-idle --cpuset-cpus` has put all hogs into the background, on one processor.

The neighbour does a small piece of work every ten milliseconds (some computing, a file written and read) and notes how
long it took from the moment it was due. Limits leave it room: half a CPU for all hogs together.
"""

from __future__ import annotations

import json
import os
import statistics
import tempfile
import time
from pathlib import Path

from bench.engines import Engine, sampan_alone
from bench.measure import OURS, Row, table

QUIET, BUDGET = "without hogs", 2.0
NEIGHBOUR = """
import json, sys, time
end = time.monotonic() + float(sys.argv[1])
due, taken = time.monotonic(), []
while due < end:
    due += 0.01
    time.sleep(max(0, due - time.monotonic()))
    with open('/tmp/piece', 'wb') as file: file.write(bytes(16384))
    with open('/tmp/piece', 'rb') as file: sum(file.read())
    taken.append((time.monotonic() - due) * 1000)
print(json.dumps(taken))
"""
FORK_BOMB = "import os\nwhile True:\n    try: os.fork()\n    except OSError: pass"
MEMORY_HOG = "while true; do python3 -c 'x = bytearray(b\"x\") * (1 << 30)'; done"
DISK_RATE = "10mb"
SPARED = ("--tmpfs", "/tmp")
HASTE = ("chrt", "--other", "--sched-runtime", "100000", "0")  # a slice of 0.1 ms, the shortest (sched_setattr(2))
DISK_HOG = "while true; do dd if=/dev/zero of=/tmp/big bs=1M count=256 oflag=direct 2>/dev/null; done"


def main(seconds: float) -> None:
    """Print the table, and what the hogs were told."""
    found, told = measure(seconds)
    print(table(found), *told, sep="\n")


def rows(seconds: float) -> list[Row]:
    """The latencies, quiet and loaded."""
    return measure(seconds)[0]


def measure(seconds: float) -> tuple[list[Row], list[str]]:
    """Latencies as rows, and what is known of the hogs afterwards."""
    with tempfile.TemporaryDirectory(prefix="sampan-bench-") as name, sampan_alone(Path(name)) as engine:
        quiet, listing = _neighbour(engine, seconds), _listing(engine)
        quiet_spared = _neighbour(engine, seconds, SPARED, HASTE)
        _start_hogs(engine)
        time.sleep(1)
        loaded, listing_loaded = _neighbour(engine, seconds), _listing(engine)
        disk = _disk(name)
        if disk:
            engine.run("update", "--device-write-bps", f"{disk}:{DISK_RATE}", "disk", command=engine.command)
        rated = _neighbour(engine, seconds) if disk else []
        spared = _neighbour(engine, seconds, SPARED, HASTE)
        background = ("--cpu-idle", "--cpuset-cpus", str(max(os.sched_getaffinity(0))))
        engine.run("update", *background, "forks", "memory", "disk", command=engine.command)
        beside_idle = _neighbour(engine, seconds)
        killed = (
            json.loads(engine.run("inspect", "memory", command=engine.command))[0]["State"].get("MemoryKills") or []
        )
        limits = engine.run("limits", "forks", command=engine.command).decode().splitlines()
        engine.run("rm", "-f", "forks", "memory", "disk", command=engine.command)
    parts = (("median", 50), ("90 of 100", 90), ("99 of 100", 99))
    cases = (
        ("no limit for the disk", quiet, loaded),
        (f"disk hog at {DISK_RATE}/s", quiet, rated),
        ("the same, its file in memory and a short slice", quiet_spared, spared),
        (f"disk hog at {DISK_RATE}/s, hogs idle on one processor", quiet, beside_idle),
    )
    found = [
        _row(f"a neighbour's work, {case}, {what}", [_percentile(alone, part)], [_percentile(times, part)])
        for case, alone, times in cases
        if times
        for what, part in parts
    ]
    told = [f"kills for want of memory told: {len(killed)} latest"]
    told += [line for line in limits if line.startswith("processes")]
    return [*found, _row("`ps` meanwhile", listing, listing_loaded)], told


def _start_hogs(engine: Engine) -> None:
    """Each with its limits; together half a CPU."""
    common = ("run", "-d", "--network", "none")
    python = ("host", "python3", "-c")
    engine.run(
        *common, "--name", "forks", "--cpus", "0.2", "--pids-limit", "64", *python, FORK_BOMB, command=engine.command
    )
    limits = ("--memory", "64m", "--memory-swap", "64m", "--cpus", "0.2")
    engine.run(*common, "--name", "memory", *limits, "host", "bash", "-c", MEMORY_HOG, command=engine.command)
    engine.run(*common, "--name", "disk", "--cpus", "0.1", "host", "bash", "-c", DISK_HOG, command=engine.command)


def _disk(directory: str) -> str:
    """The whole block device below a directory; "" where there is none, as on tmpfs."""
    device = os.stat(directory).st_dev
    place = Path(f"/sys/dev/block/{os.major(device)}:{os.minor(device)}")
    if not place.exists():
        return ""
    place = place.resolve()
    return f"/dev/{(place.parent if (place / 'partition').exists() else place).name}"


def _neighbour(
    engine: Engine, seconds: float, options: tuple[str, ...] = (), before: tuple[str, ...] = ()
) -> list[float]:
    """Milliseconds of each piece of work, with these options of `run`, its program begun with these words."""
    words = ("run", "--rm", "--network", "none", *options, "host", *before, "python3", "-c", NEIGHBOUR, str(seconds))
    taken: list[float] = json.loads(engine.run(*words, command=engine.command))
    return taken


def _listing(engine: Engine) -> list[float]:
    """Milliseconds of `ps`, nine times."""
    times = []
    for _ in range(9):
        began = time.perf_counter()
        engine.run("ps", command=engine.command)
        times.append((time.perf_counter() - began) * 1000)
    return times


def _percentile(values: list[float], part: int) -> float:
    return statistics.quantiles(values, n=100)[part - 1]


def _row(what: str, quiet: list[float], loaded: list[float]) -> Row:
    return Row(what, {QUIET: tuple(quiet), OURS: tuple(loaded)}, budget=BUDGET, reference=QUIET)
