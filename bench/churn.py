"""Containers that come and go on one sampan, one by one and many at once: none may fail, and nothing may be left.

./dev bench churn [IN A ROW]     1000 by default, and twice as many 16 at once
"""

from __future__ import annotations

import concurrent.futures
import functools
import os
import tempfile
import time
from pathlib import Path

from bench.engines import Engine, sampan_alone
from bench.measure import OURS, Row, table
from bench.scale import timed, tree, tree_memory_mb

AT_ONCE = 16
SETTLE_S = 30.0


def main(count: int) -> None:
    """Print the table."""
    print(table(rows(count)))


def rows(count: int) -> list[Row]:
    """Times, what is left, and what the daemon has grown by."""
    with tempfile.TemporaryDirectory(prefix="sampan-bench-") as name, sampan_alone(Path(name)) as engine:
        once = functools.partial(
            engine.run, "run", "--rm", "--network", "none", "bench", "true", command=engine.command
        )
        with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
            list(pool.map(lambda _: once(), range(AT_ONCE * 4)))  # what is made once and stays is made
            settled(engine, {})
            before, memory = inventory(engine), tree_memory_mb(engine.process.pid)
            one_by_one = tuple(timed(once) for _ in range(count))
            many = timed(lambda: list(pool.map(lambda _: once(), range(2 * count))))
        after = settled(engine, before)
        grown = tree_memory_mb(engine.process.pid) - memory
    left = [Row(f"{what} left", {OURS: (after[what] - before[what],)}, limit=0, unit="") for what in before]
    return [
        Row(f"`run --rm`, {count} in a row, each", {OURS: one_by_one}),
        Row(f"`run --rm`, {2 * count}, {AT_ONCE} at once, each", {OURS: (many / 2 / count,)}),
        *left,
        Row(f"memory of the engine, grown by {3 * count} containers", {OURS: (grown,)}, unit="MB"),
    ]


def inventory(engine: Engine) -> dict[str, int]:
    """What could be left behind, counted."""
    data, run = Path(engine.socket).parent.parent / "data", Path(engine.socket).parent
    return {
        "mounts": len(Path("/proc/self/mountinfo").read_text().splitlines()),
        "links": len(os.listdir("/sys/class/net")),
        "cgroups": sum(1 for path in Path("/sys/fs/cgroup").glob("*/sampan/*") if path.is_dir()),
        "containers": len(engine.run("ps", "-aq", command=engine.command).split()),
        "folders": sum(len(name) == 64 for place in (data / "containers", run) for name in os.listdir(place)),
        "processes": len(tree(engine.process.pid)),
        "descriptors": len(os.listdir(f"/proc/{engine.process.pid}/fd")),
    }


def settled(engine: Engine, goal: dict[str, int]) -> dict[str, int]:
    """The inventory, once it is the goal or has been the same for two seconds."""
    end = time.monotonic() + SETTLE_S
    seen = inventory(engine)
    while seen != goal and time.monotonic() < end:
        time.sleep(2)
        last, seen = seen, inventory(engine)
        if seen == last and not goal:
            break
    return seen
