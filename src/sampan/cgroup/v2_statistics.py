"""Reading what a group has used from v2's files; a part whose controller is not enabled is None."""

from __future__ import annotations

from sampan.cgroup.directory import Directory
from sampan.cgroup.statistics import (
    BlockIoEntry,
    BlockIoStatistics,
    CpuStatistics,
    HugepageStatistics,
    MemoryCounter,
    MemoryStatistics,
    Pressure,
    PressureLine,
    RdmaStatistics,
)
from sampan.cgroup.v1_statistics import number, page_sizes

_BYTES = {"rbytes": "read", "wbytes": "write", "dbytes": "discard"}
_OPERATIONS = {"rios": "read", "wios": "write", "dios": "discard"}


def cpu(directory: Directory) -> CpuStatistics | None:
    """cpu.stat, which every group has, with the throttling that the cpu controller adds."""
    stat = _numbers(directory, "cpu.stat")
    if stat is None:
        return None
    return CpuStatistics(
        total_ns=stat.get("usage_usec", 0) * 1000,
        user_ns=stat.get("user_usec", 0) * 1000,
        system_ns=stat.get("system_usec", 0) * 1000,
        periods=stat.get("nr_periods", 0),
        throttled_periods=stat.get("nr_throttled", 0),
        throttled_ns=stat.get("throttled_usec", 0) * 1000,
        bursts=stat.get("nr_bursts", 0),
        burst_ns=stat.get("burst_usec", 0) * 1000,
        pressure=pressure(directory, "cpu.pressure"),
    )


def memory(directory: Directory) -> MemoryStatistics | None:
    """memory.*; `failures` is how often usage was at memory.max."""
    usage = number(directory, "memory.current")
    if usage is None:
        return None
    events = directory.numbers("memory.events")
    stat = directory.numbers("memory.stat")
    swap_usage = number(directory, "memory.swap.current")
    swap = None
    if swap_usage is not None:
        swap_events = _numbers(directory, "memory.swap.events") or {}
        swap = MemoryCounter(
            swap_usage,
            _limit(directory, "memory.swap.max"),
            number(directory, "memory.swap.peak"),
            swap_events.get("max", 0),
        )
    return MemoryStatistics(
        memory=MemoryCounter(
            usage, _limit(directory, "memory.max"), number(directory, "memory.peak"), events.get("max", 0)
        ),
        swap=swap,
        kernel=MemoryCounter(stat["kernel"]) if "kernel" in stat else None,
        oom_kills=events.get("oom_kill", 0),
        throttled=events.get("high", 0),
        stat=stat,
        pressure=pressure(directory, "memory.pressure"),
    )


def block_io(directory: Directory) -> BlockIoStatistics | None:
    """io.stat."""
    try:
        lines = directory.read("io.stat").splitlines()
    except FileNotFoundError:
        return None
    moved: list[BlockIoEntry] = []
    done: list[BlockIoEntry] = []
    for line in lines:
        device, *fields = line.split()
        if ":" not in device:
            continue
        major, minor = (int(word) for word in device.split(":"))
        for key, _, value in (each.partition("=") for each in fields):
            if key in _BYTES:
                moved.append(BlockIoEntry(major, minor, _BYTES[key], int(value)))
            elif key in _OPERATIONS:
                done.append(BlockIoEntry(major, minor, _OPERATIONS[key], int(value)))
    return BlockIoStatistics(tuple(moved), tuple(done), pressure(directory, "io.pressure"))


def hugepages(directory: Directory) -> tuple[HugepageStatistics, ...]:
    """hugetlb.<size>.*; v2 keeps no peak."""
    found = []
    for size in page_sizes():
        usage = number(directory, f"hugetlb.{size}.current")
        if usage is not None:
            failures = directory.numbers(f"hugetlb.{size}.events").get("max", 0)
            found.append(HugepageStatistics(size, usage, None, failures))
    return tuple(found)


def rdma(directory: Directory) -> tuple[RdmaStatistics, ...]:
    """rdma.current and rdma.max, the same on v1 and v2."""
    try:
        current, most = _devices(directory, "rdma.current"), _devices(directory, "rdma.max")
    except FileNotFoundError:
        return ()
    return tuple(
        RdmaStatistics(
            device,
            int(used["hca_handle"]),
            int(used["hca_object"]),
            _number_or_none(most[device]["hca_handle"]),
            _number_or_none(most[device]["hca_object"]),
        )
        for device, used in current.items()
        if device in most
    )


def pressure(directory: Directory, file: str) -> Pressure | None:
    """A pressure file; None when the kernel keeps none (psi=0) or has it switched off."""
    try:
        lines = directory.read(file).splitlines()
    except OSError:
        return None
    found = {}
    for line in lines:
        kind, *fields = line.split()
        values = dict(field.split("=") for field in fields)
        found[kind] = PressureLine(
            float(values["avg10"]), float(values["avg60"]), float(values["avg300"]), int(values["total"])
        )
    return Pressure(found.get("some", PressureLine()), found.get("full", PressureLine()))


def _devices(directory: Directory, file: str) -> dict[str, dict[str, str]]:
    lines = (line.split() for line in directory.read(file).splitlines())
    return {device: dict(field.split("=") for field in fields) for device, *fields in lines}


def _numbers(directory: Directory, file: str) -> dict[str, int] | None:
    try:
        return directory.numbers(file)
    except FileNotFoundError:
        return None


def _limit(directory: Directory, file: str) -> int | None:
    return _number_or_none(directory.read(file).strip())


def _number_or_none(word: str) -> int | None:
    return None if word == "max" else int(word)
