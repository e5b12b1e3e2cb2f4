"""What a running container uses, now: its cgroup's statistics beside the machine's own counters."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field

from sampan.cgroup import open_cgroup
from sampan.cgroup.statistics import Statistics
from sampan.engine.container import ContainerRecord
from sampan.engine.spec import cgroup_path

_TICK_NS = 1_000_000_000 // os.sysconf("SC_CLK_TCK")
_NETWORK_FIELDS = (
    *("rx_bytes", "rx_packets", "rx_errors", "rx_dropped", "", "", "", ""),
    *("tx_bytes", "tx_packets", "tx_errors", "tx_dropped"),
)


@dataclass(frozen=True, slots=True)
class Sample:
    """One look: `cgroup` is None for a container that does not run; `networks` by interface, as in proc_pid_net(5)."""

    at_ns: int = 0
    cgroup: Statistics | None = None
    system_cpu_ns: int = 0
    online_cpus: int = 0
    networks: dict[str, dict[str, int]] = field(default_factory=dict)


def sample(record: ContainerRecord, cgroup_parent: str) -> Sample:
    """Look once. A container that ends meanwhile gives an empty sample."""
    if record.running is None:
        return Sample(time.time_ns())
    cgroup = open_cgroup(cgroup_path(record, cgroup_parent))
    try:
        statistics = cgroup.statistics() if cgroup.exists() else None
    except OSError:
        statistics = None
    finally:
        cgroup.close()
    if statistics is None:
        return Sample(time.time_ns())
    return Sample(
        at_ns=time.time_ns(),
        cgroup=statistics,
        system_cpu_ns=system_cpu_ns(),
        online_cpus=os.cpu_count() or 1,
        networks=_networks(record.pid),
    )


def system_cpu_ns() -> int:
    """CPU time of the whole machine: the first seven counters of /proc/stat (moby's system_cpu_usage)."""
    with open("/proc/stat", encoding="ascii") as file:
        counters = file.readline().split()[1:8]
    return sum(int(ticks) for ticks in counters) * _TICK_NS


def _networks(pid: int) -> dict[str, dict[str, int]]:
    try:
        with open(f"/proc/{pid}/net/dev", encoding="ascii") as file:
            lines = file.read().splitlines()[2:]
    except OSError:
        return {}
    found = {}
    for line in lines:
        name, _, counters = line.partition(":")
        if name.strip() != "lo":
            values = zip(_NETWORK_FIELDS, counters.split(), strict=False)
            found[name.strip()] = {key: int(value) for key, value in values if key}
    return found


def memory_limit_bytes(statistics: Statistics) -> int:
    """The limit in force: the container's, or the machine's memory when it has none that is smaller."""
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    limit = statistics.memory.memory.limit_bytes if statistics.memory else None
    return total if limit is None else min(limit, total)
