"""Reading what a group has used from v1's files; a part whose controller is not there is None."""

from __future__ import annotations

import os
from collections.abc import Callable

from sampan.cgroup.directory import Directory
from sampan.cgroup.statistics import (
    BlockIoEntry,
    BlockIoStatistics,
    CpuStatistics,
    HugepageStatistics,
    MemoryCounter,
    MemoryStatistics,
    PidsStatistics,
)

Find = Callable[[str], Directory | None]
_NO_LIMIT = 0x7FFFFFFFFFFFF000 - 0xFFFF  # PAGE_COUNTER_MAX in bytes, whatever the page size rounds it down to
_TICK_NS = 1_000_000_000 // os.sysconf("SC_CLK_TCK")


def number(directory: Directory, file: str) -> int | None:
    """A file that holds one number; None when there is no such file."""
    try:
        return int(directory.read(file))
    except FileNotFoundError:
        return None


def cpu(find: Find) -> CpuStatistics | None:
    """Time from cpuacct, throttling from cpu."""
    account, bandwidth = find("cpuacct"), find("cpu")
    if account is None and bandwidth is None:
        return None
    total = user = system = 0
    each: tuple[int, ...] = ()
    if account is not None:
        total = int(account.read("cpuacct.usage"))
        each = tuple(int(word) for word in account.read("cpuacct.usage_percpu").split())
        ticks = account.numbers("cpuacct.stat")
        user = number(account, "cpuacct.usage_user") or ticks.get("user", 0) * _TICK_NS
        system = number(account, "cpuacct.usage_sys") or ticks.get("system", 0) * _TICK_NS
    stat = {} if bandwidth is None else bandwidth.numbers("cpu.stat")
    return CpuStatistics(
        total_ns=total,
        user_ns=user,
        system_ns=system,
        per_cpu_ns=each,
        periods=stat.get("nr_periods", 0),
        throttled_periods=stat.get("nr_throttled", 0),
        throttled_ns=stat.get("throttled_time", 0),
        bursts=stat.get("nr_bursts", 0),
        burst_ns=stat.get("burst_time", 0),
    )


def memory(find: Find) -> MemoryStatistics | None:
    """memory.*."""
    directory = find("memory")
    if directory is None:
        return None
    oom = directory.numbers("memory.oom_control")
    counter = _memory_counter(directory, "memory")
    return MemoryStatistics(
        memory=counter or MemoryCounter(),
        swap=_memory_counter(directory, "memory.memsw"),
        swap_includes_memory=True,
        kernel=_memory_counter(directory, "memory.kmem"),
        kernel_tcp=_memory_counter(directory, "memory.kmem.tcp"),
        oom_kills=oom.get("oom_kill", 0),
        under_oom=bool(oom.get("under_oom")),
        oom_killer_disabled=bool(oom.get("oom_kill_disable")),
        stat=directory.numbers("memory.stat"),
    )


def _memory_counter(directory: Directory, prefix: str) -> MemoryCounter | None:
    usage = number(directory, f"{prefix}.usage_in_bytes")
    if usage is None:
        return None
    limit = number(directory, f"{prefix}.limit_in_bytes")
    return MemoryCounter(
        usage_bytes=usage,
        limit_bytes=None if limit is None or limit >= _NO_LIMIT else limit,
        peak_bytes=number(directory, f"{prefix}.max_usage_in_bytes"),
        failures=number(directory, f"{prefix}.failcnt") or 0,
    )


def pids(find: Find) -> PidsStatistics | None:
    """pids.*; the same files on v1 and v2, the root group has none of them."""
    directory = find("pids")
    if directory is None or (current := number(directory, "pids.current")) is None:
        return None
    limit = directory.read("pids.max").strip()
    return PidsStatistics(
        current=current,
        limit=None if limit == "max" else int(limit),
        peak=number(directory, "pids.peak"),
        failures=directory.numbers("pids.events").get("max", 0) if directory.has("pids.events") else 0,
    )


def block_io(find: Find) -> BlockIoStatistics | None:
    """blkio.throttle.*_recursive, which count with every scheduler; those of bfq where it counted more."""
    directory = find("blkio")
    if directory is None:
        return None
    return BlockIoStatistics(
        service_bytes=_block_entries(directory, "io_service_bytes"), serviced=_block_entries(directory, "io_serviced")
    )


def _block_entries(directory: Directory, name: str) -> tuple[BlockIoEntry, ...]:
    for file in (f"blkio.throttle.{name}_recursive", f"blkio.bfq.{name}_recursive", f"blkio.{name}_recursive"):
        try:
            lines = directory.read(file).splitlines()
        except FileNotFoundError:
            continue
        entries = tuple(_block_entry(line) for line in lines if ":" in line)
        if entries:
            return entries
    return ()


def _block_entry(line: str) -> BlockIoEntry:
    device, operation, value = line.split()
    major, minor = device.split(":")
    return BlockIoEntry(int(major), int(minor), operation.lower(), int(value))


def hugepages(find: Find) -> tuple[HugepageStatistics, ...]:
    """hugetlb.<size>.*."""
    directory = find("hugetlb")
    if directory is None:
        return ()
    found = []
    for size in page_sizes():
        usage = number(directory, f"hugetlb.{size}.usage_in_bytes")
        if usage is not None:
            peak = number(directory, f"hugetlb.{size}.max_usage_in_bytes")
            failures = number(directory, f"hugetlb.{size}.failcnt") or 0
            found.append(HugepageStatistics(size, usage, peak, failures))
    return tuple(found)


def page_sizes() -> tuple[str, ...]:
    """The sizes of huge pages that this kernel has, named as the hugetlb controller names them ("2MB")."""
    try:
        names = os.listdir("/sys/kernel/mm/hugepages")
    except FileNotFoundError:
        return ()
    kilobytes = sorted(int(name.removeprefix("hugepages-").removesuffix("kB")) for name in names)
    return tuple(_size_name(size) for size in kilobytes)


def _size_name(kilobytes: int) -> str:
    for unit, factor in (("GB", 1 << 20), ("MB", 1 << 10)):
        if kilobytes >= factor:
            return f"{kilobytes // factor}{unit}"
    return f"{kilobytes}KB"
