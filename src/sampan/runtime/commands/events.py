"""`events`: what a container uses, as runc's JSON, once or again and again; and when memory runs out."""

from __future__ import annotations

import gc
import select
import time
from contextlib import closing
from typing import Any

from sampan.cgroup import Cgroup, open_cgroup
from sampan.cgroup.statistics import (
    BlockIoEntry,
    BlockIoStatistics,
    CpuStatistics,
    MemoryCounter,
    MemoryStatistics,
    PidsStatistics,
    Statistics,
)
from sampan.errors import Conflict, InvalidArgument
from sampan.linux.process import pidfd_open
from sampan.runtime.commands.options import SWITCH, VALUE, Option, Words
from sampan.runtime.commands.report import answer
from sampan.runtime.commands.verb import Command, Verb, container_id
from sampan.runtime.json_text import dumps
from sampan.runtime.state import STOPPED

_UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_SOON_S = 0.05
_PATIENCE_S = 5.0
_NO_LIMIT = 2**63 - 4096  # what v1 shows, in pages of 4096


def events(command: Command, words: Words) -> int:
    """Answer with statistics, a line each time; without --stats until the container's end."""
    name = container_id(words)
    interval = seconds(words.text("interval", "5s"))
    state = command.containers.load(name)
    if command.containers.status(state) == STOPPED:
        raise Conflict(f"container with id {name} is not running")
    with closing(open_cgroup(state.cgroup_path)) as cgroup:
        if words.has("stats"):
            _say(name, cgroup)
        else:
            _watch(name, cgroup, state.pid, interval)
    return 0


def _watch(name: str, cgroup: Cgroup, pid: int, interval: float) -> None:
    gc.enable()
    watch = cgroup.watch_oom()
    pidfd = pidfd_open(pid)
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    if watch is not None:
        poll.register(watch.fileno(), select.POLLIN)
    kills = cgroup.oom_kills()
    due = suspicion = 0.0
    while True:
        now = time.monotonic()
        if now >= due:
            _say(name, cgroup)
            due = now + interval
        # On v1 the descriptor tells that memory ran out before the victim is chosen: the count is looked at again.
        pause = _SOON_S if now < suspicion else due - now
        ready = {fd for fd, _ in poll.poll(min(pause, due - now) * 1000)}
        if watch is not None and watch.fileno() in ready:
            watch.drain()
            suspicion = time.monotonic() + _PATIENCE_S
        found = cgroup.oom_kills()
        if found > kills:
            answer(dumps({"type": "oom", "id": name}) + "\n")
            kills, suspicion = found, 0.0
        if pidfd in ready:
            return


def _say(name: str, cgroup: Cgroup) -> None:
    try:
        statistics = cgroup.statistics()
    except FileNotFoundError:
        return  # the container was deleted meanwhile
    answer(dumps({"type": "stats", "id": name, "data": document(statistics)}) + "\n")


def document(statistics: Statistics) -> dict[str, Any]:
    """The statistics in runc's words (types/events.go has the names)."""
    return {
        "cpu": _cpu(statistics.cpu or CpuStatistics()),
        "memory": _memory(statistics.memory or MemoryStatistics()),
        "pids": _pids(statistics.pids or PidsStatistics()),
        "blkio": _block_io(statistics.block_io or BlockIoStatistics()),
        "hugetlb": {
            one.page_size: {"usage": one.usage_bytes, "max": one.peak_bytes or 0, "failcnt": one.failures}
            for one in statistics.hugepages
        },
    }


def _cpu(cpu: CpuStatistics) -> dict[str, Any]:
    usage: dict[str, Any] = {"total": cpu.total_ns, "kernel": cpu.system_ns, "user": cpu.user_ns}
    if cpu.per_cpu_ns:
        usage["percpu"] = cpu.per_cpu_ns
    throttling = {"periods": cpu.periods, "throttledPeriods": cpu.throttled_periods, "throttledTime": cpu.throttled_ns}
    return {"usage": usage, "throttling": throttling}


def _counter(counter: MemoryCounter | None) -> dict[str, int]:
    counter = counter or MemoryCounter()
    return {
        "limit": _NO_LIMIT if counter.limit_bytes is None else counter.limit_bytes,
        "usage": counter.usage_bytes,
        "max": counter.peak_bytes or 0,
        "failcnt": counter.failures,
    }


def _memory(memory: MemoryStatistics) -> dict[str, Any]:
    return {
        "cache": memory.cache_bytes,
        "usage": _counter(memory.memory),
        "swap": _counter(memory.swap),
        "kernel": _counter(memory.kernel),
        "kernelTCP": _counter(memory.kernel_tcp),
        "raw": dict(memory.stat),
    }


def _pids(pids: PidsStatistics) -> dict[str, int]:
    return {"current": pids.current, "limit": pids.limit or 0}


def _block_io(block_io: BlockIoStatistics) -> dict[str, Any]:
    return {
        "ioServiceBytesRecursive": [_entry(entry) for entry in block_io.service_bytes],
        "ioServicedRecursive": [_entry(entry) for entry in block_io.serviced],
    }


def _entry(entry: BlockIoEntry) -> dict[str, Any]:
    return {"major": entry.major, "minor": entry.minor, "op": entry.operation.capitalize(), "value": entry.value}


def seconds(text: str) -> float:
    """A duration as Go writes it: "5s", "100ms", "1m30s". InvalidArgument for anything else, and for nothing at all."""
    total, rest = 0.0, text
    while rest:
        number = rest[: len(rest) - len(rest.lstrip("0123456789."))]
        rest = rest[len(number) :]
        unit = rest[: len(rest) - len(rest.lstrip("nuµmsh"))]
        rest = rest[len(unit) :]
        if unit not in _UNITS or not number.replace(".", "", 1).isdigit():
            raise InvalidArgument(f"invalid duration {text!r}", remedy="as in 5s or 100ms")
        total += float(number) * _UNITS[unit]
    if total <= 0:
        raise InvalidArgument(f"duration interval must be greater than 0, not {text!r}")
    return total


VERBS = {
    "events": Verb(
        events,
        "[command options] <container-id>",
        (
            Option("--stats", SWITCH, "show the statistics once"),
            Option("--interval", VALUE, "how often they are shown", "5s"),
        ),
    )
}
