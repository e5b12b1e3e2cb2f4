"""What a container uses at one moment, computed from the daemon's samples as docker's CLI computes it."""

from __future__ import annotations

from sampan.cli.formats.table import columns
from sampan.cli.formats.written import binary_size, size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from sampan.cli.formats.listing import Column

    Sample = dict[str, Any]

UNKNOWN = "--"
_STEPS = "▁▂▃▄▅▆▇█"
_BAR_WIDTH = 10
HISTORY_LENGTH = 20


class Usage:
    """Use of processors in per cent of one, of memory, network and disk in bytes. `known` is False before a sample."""

    __slots__ = (
        *("asked", "cpu", "cpu_before", "id", "known", "limit", "memory", "name"),
        *("pressure", "processes", "read", "received", "sent", "written"),
    )

    def __init__(self, id: str, name: str) -> None:
        self.id = id
        self.asked = id  # as it was named on the command line
        self.name = name
        self.known = False
        self.cpu = 0.0
        self.cpu_before: tuple[float, ...] = ()  # of earlier samples, the latest last
        self.pressure: dict[str, float] = {}  # per cent of the last 10 seconds that some task waited, by what for
        self.memory = self.limit = self.read = self.written = self.received = self.sent = self.processes = 0

    @property
    def memory_share(self) -> float:
        """Memory in per cent of the limit."""
        return self.memory * 100 / self.limit if self.limit else 0.0


def usage_of(id: str, name: str, sample: Sample | None, before: Sample | None = None) -> Usage:
    """The use that a sample of GET /containers/ID/stats tells; `before` stands in for its own precpu_stats."""
    usage = Usage(id, name)
    if not sample or sample.get("read", "0001").startswith("0001"):
        return usage
    usage.known = True
    usage.cpu = _cpu_percent(sample, (before or {}).get("cpu_stats") or sample.get("precpu_stats") or {})
    memory = sample.get("memory_stats") or {}
    usage.memory = _memory_used(memory)
    usage.limit = memory.get("limit") or 0
    for interface in (sample.get("networks") or {}).values():
        usage.received += interface["rx_bytes"]
        usage.sent += interface["tx_bytes"]
    for entry in (sample.get("blkio_stats") or {}).get("io_service_bytes_recursive") or []:
        operation = entry["op"].lower()
        usage.read += entry["value"] if operation == "read" else 0
        usage.written += entry["value"] if operation == "write" else 0
    usage.processes = (sample.get("pids_stats") or {}).get("current") or 0
    usage.pressure = {
        what: lines["some"]["avg10"] for what, lines in sorted((sample.get("pressure_stats") or {}).items())
    }
    return usage


def _cpu_percent(sample: Sample, before: Sample) -> float:
    now = sample.get("cpu_stats") or {}
    used = now["cpu_usage"]["total_usage"] - (before.get("cpu_usage") or {}).get("total_usage", 0)
    passed = now.get("system_cpu_usage", 0) - before.get("system_cpu_usage", 0)
    count = now.get("online_cpus") or len(now["cpu_usage"].get("percpu_usage") or []) or 1
    return used / passed * count * 100 if used > 0 and passed > 0 else 0.0


def _memory_used(memory: Sample) -> int:
    """What is used without the page cache that could be dropped (cgroup v1 and v2 name it differently)."""
    used: int = memory.get("usage") or 0
    details = memory.get("stats") or {}
    for name in ("total_inactive_file", "inactive_file"):
        if name in details:
            return used - details[name] if details[name] < used else used
    return used


def usage_columns(*, full: bool = False) -> dict[str, Column]:
    """The columns of `stats`."""

    def shown(text: str, usage: Usage) -> str:
        return text if usage.known else UNKNOWN

    return {
        "BlockIO": ("BLOCK I/O", lambda usage: shown(f"{size(usage.read)} / {size(usage.written)}", usage)),
        "CPUPerc": ("CPU %", lambda usage: shown(f"{usage.cpu:.2f}%", usage)),
        "Container": ("CONTAINER", lambda usage: usage.id[:12] if usage.asked == usage.id else usage.asked),
        "ID": ("CONTAINER ID", lambda usage: usage.id if full else usage.id[:12]),
        "MemPerc": ("MEM %", lambda usage: shown(f"{usage.memory_share:.2f}%", usage)),
        "MemUsage": (
            "MEM USAGE / LIMIT",
            lambda usage: f"{binary_size(usage.memory)} / {binary_size(usage.limit)}" if usage.known else "-- / --",
        ),
        "Name": ("NAME", lambda usage: usage.name or UNKNOWN),
        "NetIO": ("NET I/O", lambda usage: shown(f"{size(usage.received)} / {size(usage.sent)}", usage)),
        "PIDs": ("PIDS", lambda usage: shown(str(usage.processes), usage)),
    }


def drawn_columns() -> dict[str, Column]:
    """The columns that are drawn on a terminal beside those; docker's templates know nothing of them."""
    return {
        "CPUHistory": ("CPU", lambda usage: sparkline(usage.cpu_before) if usage.known else UNKNOWN),
        "MemBar": (
            "MEM",
            lambda usage: f"{bar(usage.memory_share)} {usage.memory_share:.0f}%" if usage.known else UNKNOWN,
        ),
        "Pressure": ("WAITING %", lambda usage: _pressure(usage.pressure) if usage.known else UNKNOWN),
    }


def fitted(usages: Sequence[Usage], known: Mapping[str, Column], height: int, width: int, kept: str = "") -> str:
    """The table of a terminal, as many columns and lines of it as there is room for; 0 is any room.

    `kept` is a column that stays however narrow it gets.
    """
    count = len(usages)
    if height and count + 2 > height:  # a line for headings, one for the cursor
        usages = usages[: max(1, height - 3)]
    left = count - len(usages)
    shown: tuple[str, ...] = TERMINAL
    text = ""
    for unwanted in ("", *_LEAST_WANTED):
        shown = tuple(name for name in shown if name != unwanted or name == kept)
        lines = [[known[name][0] for name in shown]]
        lines += [[str(known[name][1](usage)) for name in shown] for usage in usages]
        text = columns(lines)
        if not width or max(map(len, text.splitlines())) <= width:
            break
    return text + (f"and {left} more\n" if left else "")


def usage_document(usage: Usage) -> dict[str, Any]:
    """A use as numbers, for programs: bytes, and per cent of one processor."""
    return {
        "ID": usage.id,
        "Name": usage.name,
        "CPUPercent": round(usage.cpu, 2),
        "MemoryBytes": usage.memory,
        "MemoryLimitBytes": usage.limit,
        "ReceivedBytes": usage.received,
        "SentBytes": usage.sent,
        "ReadBytes": usage.read,
        "WrittenBytes": usage.written,
        "Processes": usage.processes,
        "PressurePercent": usage.pressure,
    }


def bar(percent: float) -> str:
    """A part of a whole as a bar of ten places."""
    full = min(_BAR_WIDTH, round(percent / 100 * _BAR_WIDTH))
    return "█" * full + "░" * (_BAR_WIDTH - full)


def sparkline(values: tuple[float, ...]) -> str:
    """Values one after the other as heights, the highest step for the largest of them and for 100."""
    top = max([100.0, *values])
    steps = (min(len(_STEPS) - 1, int(value / top * len(_STEPS))) for value in values[-HISTORY_LENGTH:])
    return "".join(_STEPS[step] for step in steps).ljust(HISTORY_LENGTH)


def _pressure(found: dict[str, float]) -> str:
    return " ".join(f"{what} {percent:.0f}" for what, percent in found.items() if percent >= 0.5) or "-"


TERMINAL = ("ID", "Name", "CPUPerc", "CPUHistory", "MemUsage", "MemBar", "NetIO", "BlockIO", "PIDs", "Pressure")
# What a narrow terminal goes without, one after the other until the rest fits.
_LEAST_WANTED = ("ID", "BlockIO", "NetIO", "Pressure", "PIDs", "CPUHistory", "MemBar")
DEFAULT = ("ID", "Name", "CPUPerc", "MemUsage", "MemPerc", "NetIO", "BlockIO", "PIDs")
