"""What a cgroup has used: one frozen value with units in its names, the same from v1 and from v2.

Only the shape is here; `v1_statistics` and `v2_statistics` read it. What a host does not count is `None` or empty,
never zero: zero is a measurement.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

_NOTHING: Mapping[str, int] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class PressureLine:
    """One line of a pressure file: averages in percent over 10, 60 and 300 seconds, and the whole stall time."""

    average_10_s: float = 0.0
    average_60_s: float = 0.0
    average_300_s: float = 0.0
    total_us: int = 0


@dataclass(frozen=True, slots=True)
class Pressure:
    """Pressure stall information (the kernel's accounting/psi.rst); `full` is zero where there is no such line."""

    some: PressureLine = PressureLine()
    full: PressureLine = PressureLine()


@dataclass(frozen=True, slots=True)
class CpuStatistics:
    """CPU time; `per_cpu_ns` is v1 only; throttling is counted where a quota can be set."""

    total_ns: int = 0
    user_ns: int = 0
    system_ns: int = 0
    per_cpu_ns: tuple[int, ...] = ()
    periods: int = 0
    throttled_periods: int = 0
    throttled_ns: int = 0
    bursts: int = 0
    burst_ns: int = 0
    pressure: Pressure | None = None


@dataclass(frozen=True, slots=True)
class MemoryCounter:
    """One kind of memory: a limit of `None` is no limit; `failures` counts how often the limit was hit."""

    usage_bytes: int = 0
    limit_bytes: int | None = None
    peak_bytes: int | None = None
    failures: int = 0


@dataclass(frozen=True, slots=True)
class MemoryStatistics:
    """Memory; `swap` counts memory plus swap on v1 (`swap_includes_memory`), swap alone on v2, as the kernel does."""

    memory: MemoryCounter = MemoryCounter()
    swap: MemoryCounter | None = None
    swap_includes_memory: bool = False
    kernel: MemoryCounter | None = None
    kernel_tcp: MemoryCounter | None = None
    oom_kills: int = 0
    throttled: int = 0  # how often memory.high made processes wait and reclaim (v2)
    under_oom: bool = False
    oom_killer_disabled: bool = False
    stat: Mapping[str, int] = field(default_factory=lambda: _NOTHING)  # memory.stat with the kernel's own keys
    pressure: Pressure | None = None

    @property
    def cache_bytes(self) -> int:
        """Page cache: `cache` on v1, `file` on v2."""
        return self.stat.get("cache", self.stat.get("file", 0))

    @property
    def inactive_file_bytes(self) -> int:
        """Page cache that would go first; Docker's clients take it off the usage."""
        return self.stat.get("total_inactive_file", self.stat.get("inactive_file", 0))


@dataclass(frozen=True, slots=True)
class PidsStatistics:
    """Tasks: a limit of `None` is no limit; `failures` counts the forks that the limit refused."""

    current: int = 0
    limit: int | None = None
    peak: int | None = None
    failures: int = 0


@dataclass(frozen=True, slots=True)
class BlockIoEntry:
    """One counter of one device; `operation` is "read", "write", "sync", "async", "discard" or "total"."""

    major: int
    minor: int
    operation: str
    value: int


@dataclass(frozen=True, slots=True)
class BlockIoStatistics:
    """Block input and output: bytes moved and operations done, by device and operation."""

    service_bytes: tuple[BlockIoEntry, ...] = ()
    serviced: tuple[BlockIoEntry, ...] = ()
    pressure: Pressure | None = None


@dataclass(frozen=True, slots=True)
class HugepageStatistics:
    """Pages of one size, named as the kernel does ("2MB")."""

    page_size: str
    usage_bytes: int
    peak_bytes: int | None
    failures: int


@dataclass(frozen=True, slots=True)
class RdmaStatistics:
    """What one RDMA device has in use, and its limits (`None`: no limit)."""

    device: str
    handles: int
    objects: int
    handles_limit: int | None
    objects_limit: int | None


@dataclass(frozen=True, slots=True)
class Statistics:
    """Everything that one cgroup counts; a part is `None` when its controller is not on this host."""

    cpu: CpuStatistics | None = None
    memory: MemoryStatistics | None = None
    pids: PidsStatistics | None = None
    block_io: BlockIoStatistics | None = None
    hugepages: tuple[HugepageStatistics, ...] = ()
    rdma: tuple[RdmaStatistics, ...] = ()
