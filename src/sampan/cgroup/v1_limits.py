"""Limits as v1 takes them: files and values by controller; no file is touched here.

What the kernel would clamp in silence is refused before (`plan`), what only the kernel can judge is left to it. Device
rules have a module of their own (`v1_devices`).
"""

from __future__ import annotations

from sampan.cgroup.limits import (
    BlockIoLimits,
    CpuLimits,
    DeviceRate,
    HugepageLimit,
    InterfacePriority,
    MemoryLimits,
    RdmaLimit,
)
from sampan.cgroup.writing import Batch, Write, one

_PARENT_QUOTA = "a group cannot have a larger share than its parent; see cpu.cfs_quota_us of the parents"
_PARENT_REALTIME = "give the parent group a real-time budget first (cpu.rt_runtime_us)"
_PARENT_CPUSET = "choose from what the parent group has; see cpuset.cpus and cpuset.mems there"
DEVICE = "it has to be a whole block device, as /dev/sda is: neither a partition nor a character device"

PIDS = "ask for at most 4194304 processes (PID_MAX_LIMIT of the kernel), or for no limit with -1"
NO_WEIGHTS = "have bfq schedule that device (/sys/block/DEVICE/queue/scheduler), or leave the weight out"


def cpu(asked: CpuLimits) -> list[Batch]:
    """cpu.*: quota, period and burst depend on each other, and so do the real-time pair."""
    bandwidth = [
        one("cpu", file, value, what, _PARENT_QUOTA)
        for file, value, what in (
            ("cpu.cfs_period_us", asked.period_us, "cpu period"),
            ("cpu.cfs_quota_us", asked.quota_us, "cpu quota"),
            ("cpu.cfs_burst_us", asked.burst_us, "cpu burst"),
        )
        if value or (value == 0 and what == "cpu burst")
    ]
    realtime = [
        one("cpu", file, value, what, _PARENT_REALTIME)
        for file, value, what in (
            ("cpu.rt_period_us", asked.realtime_period_us, "cpu real-time period"),
            ("cpu.rt_runtime_us", asked.realtime_runtime_us, "cpu real-time runtime"),
        )
        if value is not None
    ]
    # An idle group has the least weight of all, and the kernel refuses it another.
    weight = [one("cpu", "cpu.shares", asked.shares, "cpu shares")] if asked.shares and not asked.idle else []
    if asked.idle is not None:
        weight.append(one("cpu", "cpu.idle", asked.idle, "cpu idle"))
    return [tuple(batch) for batch in (weight, bandwidth, realtime) if batch]


def cpuset(asked: CpuLimits) -> list[Batch]:
    """cpuset.cpus and cpuset.mems."""
    pairs = (("cpuset.cpus", asked.cpus, "cpuset cpus"), ("cpuset.mems", asked.mems, "cpuset mems"))
    return [(one("cpuset", file, value, what, _PARENT_CPUSET),) for file, value, what in pairs if value]


def memory(asked: MemoryLimits) -> list[Batch]:
    """memory.*: the limit and memory plus swap depend on each other (memsw is never below the limit)."""
    limit, swap = asked.limit_bytes, asked.swap_bytes
    if limit == -1 and not swap:
        swap = -1  # without a limit a finite sum would be the limit after all
    plain = (
        ("memory.soft_limit_in_bytes", asked.reservation_bytes, "memory reservation"),
        ("memory.kmem.tcp.limit_in_bytes", asked.kernel_tcp_bytes, "kernel memory of tcp"),
    )
    batches: list[Batch] = [(one("memory", file, value, what),) for file, value, what in plain if value]
    if asked.kernel_bytes:
        batches.append((_kernel_memory(asked.kernel_bytes),))
    pair: list[Write] = []
    if limit:
        remedy = "raise memory-swap too, or give a limit above what the group uses now"
        pair.append(one("memory", "memory.limit_in_bytes", limit, "memory limit", remedy))
    if swap:
        remedy = "it is the sum of memory and swap: give at least the memory limit"
        pair.append(one("memory", "memory.memsw.limit_in_bytes", swap, "memory-swap limit", remedy))
    if pair:
        batches.append(tuple(pair))
    flags = (
        ("memory.use_hierarchy", asked.use_hierarchy, "hierarchical memory accounting"),
        ("memory.swappiness", asked.swappiness if asked.swappiness != -1 else None, "memory swappiness"),
        ("memory.oom_control", asked.disable_oom_killer, "oom killer"),
    )
    batches.extend((one("memory", file, int(value), what),) for file, value, what in flags if value is not None)
    return batches


def _kernel_memory(value: int) -> Write:
    # Since Linux 5.16 the file takes every value and heeds none.
    return Write("memory", (("memory.kmem.limit_in_bytes", str(value)),), "kernel memory limit", verify=True)


def pids(limit: int) -> list[Batch]:
    """pids.max; nought and below is no limit, as for Docker."""
    return [(one("pids", "pids.max", limit if limit > 0 else "max", "pids limit", PIDS),)]


def block_io(asked: BlockIoLimits) -> list[Batch]:
    """blkio.*: weights of bfq where the kernel has it, else of cfq (gone since Linux 5.0); rates by throttle."""
    writes: list[Write] = []
    if asked.weight:
        choices = (("blkio.bfq.weight", str(asked.weight)), ("blkio.weight", str(asked.weight)))
        writes.append(Write("blkio", choices, "block io weight"))
    if asked.leaf_weight:
        writes.append(one("blkio", "blkio.leaf_weight", asked.leaf_weight, "block io leaf weight"))
    for each in asked.weights:
        device = f"{each.major}:{each.minor}"
        if each.weight:
            value = f"{device} {each.weight}"
            choices = (("blkio.bfq.weight_device", value), ("blkio.weight_device", value))
            writes.append(Write("blkio", choices, f"block io weight of {device}", DEVICE, unsupported=NO_WEIGHTS))
        if each.leaf_weight:
            what = f"block io leaf weight of {device}"
            writes.append(one("blkio", "blkio.leaf_weight_device", f"{device} {each.leaf_weight}", what, DEVICE))
    for file, what, rates in throttles(asked):
        writes.extend(
            one("blkio", f"blkio.throttle.{file}_device", f"{rate.major}:{rate.minor} {rate.rate}", what, DEVICE)
            for rate in rates
        )
    return [(write,) for write in writes]


def throttles(asked: BlockIoLimits) -> tuple[tuple[str, str, tuple[DeviceRate, ...]], ...]:
    """(name in v1's file names, name in words, rates) of the four rates."""
    return (
        ("read_bps", "block io read rate", asked.read_bps),
        ("write_bps", "block io write rate", asked.write_bps),
        ("read_iops", "block io read operations", asked.read_iops),
        ("write_iops", "block io write operations", asked.write_iops),
    )


def hugepages(asked: tuple[HugepageLimit, ...]) -> list[Batch]:
    """hugetlb.<size>.limit_in_bytes."""
    return [
        (
            one(
                "hugetlb",
                f"hugetlb.{each.page_size}.limit_in_bytes",
                each.limit_bytes,
                f"limit of {each.page_size} pages",
            ),
        )
        for each in asked
    ]


def network(class_id: int | None, priorities: tuple[InterfacePriority, ...]) -> list[Batch]:
    """net_cls.classid and net_prio.ifpriomap, one interface a write."""
    batches: list[Batch] = []
    if class_id is not None:
        batches.append((one("net_cls", "net_cls.classid", class_id, "network class"),))
    remedy = "name an interface of the host"
    batches.extend(
        (one("net_prio", "net_prio.ifpriomap", f"{each.name} {each.priority}", "network priority", remedy),)
        for each in priorities
    )
    return batches


def rdma(asked: tuple[RdmaLimit, ...]) -> list[Batch]:
    """rdma.max, the same on v1 and v2."""
    batches: list[Batch] = []
    for each in asked:
        handles = "max" if each.handles is None else each.handles
        objects = "max" if each.objects is None else each.objects
        value = f"{each.device} hca_handle={handles} hca_object={objects}"
        batches.append((one("rdma", "rdma.max", value, f"rdma limit of {each.device}"),))
    return batches
