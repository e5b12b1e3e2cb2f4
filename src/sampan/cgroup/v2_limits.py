"""Limits as v2 takes them: files and values by controller; no file is touched here.

What v2 has no word for (swappiness, switching the OOM killer off, real-time budgets, network classes) is refused by
name. Device rules are a BPF program, see `v2_devices`.
"""

from __future__ import annotations

from sampan.cgroup.conversion import count, cpu_weight, io_weight, swap_alone
from sampan.cgroup.limits import BlockIoLimits, CpuLimits, HugepageLimit, InterfacePriority, MemoryLimits
from sampan.cgroup.v1_limits import DEVICE, NO_WEIGHTS, PIDS, throttles
from sampan.cgroup.writing import Batch, Write, one
from sampan.errors import InvalidArgument, NotImplementedHere

_PARENT_CPUSET = "choose from what the parent group has; see cpuset.cpus.effective there"
_RATES = {"read_bps": "rbps", "write_bps": "wbps", "read_iops": "riops", "write_iops": "wiops"}
# Of the cgroup core's own files only these are limits; writing the others would move, kill or divide the group.
_CORE_LIMITS = frozenset({"cgroup.max.depth", "cgroup.max.descendants", "cgroup.pressure"})
_LOWER = frozenset("abcdefghijklmnopqrstuvwxyz_")
_NAME = _LOWER | frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.")


def missing(what: str, remedy: str = "") -> NotImplementedHere:
    """The refusal of what v2 does not have."""
    return NotImplementedHere(f"{what} cannot be set on cgroup v2", remedy=remedy or "leave it out")


def cpu(asked: CpuLimits) -> list[Batch]:
    """cpu.weight, cpu.idle, cpu.max and cpu.max.burst; a quota alone keeps the period, but not the reverse."""
    if asked.realtime_runtime_us is not None or asked.realtime_period_us is not None:
        raise missing("a cpu real-time budget")
    weight: list[Write] = []
    if asked.shares and not asked.idle:  # an idle group has the least weight, and the kernel refuses it another
        weight.append(one("cpu", "cpu.weight", cpu_weight(asked.shares), "cpu shares"))
    if asked.idle is not None:
        weight.append(one("cpu", "cpu.idle", asked.idle, "cpu idle"))
    bandwidth: list[Write] = []
    if asked.quota_us or asked.period_us:
        value = f"{count(asked.quota_us or -1)} {asked.period_us or ''}".rstrip()
        bandwidth.append(one("cpu", "cpu.max", value, "cpu quota and period"))
    if asked.burst_us is not None:
        bandwidth.append(one("cpu", "cpu.max.burst", asked.burst_us, "cpu burst", "it is at most the quota"))
    return [tuple(batch) for batch in (weight, bandwidth) if batch]


def cpuset(asked: CpuLimits) -> list[Batch]:
    """cpuset.cpus and cpuset.mems."""
    pairs = (("cpuset.cpus", asked.cpus, "cpuset cpus"), ("cpuset.mems", asked.mems, "cpuset mems"))
    return [(one("cpuset", file, value, what, _PARENT_CPUSET),) for file, value, what in pairs if value]


def memory(asked: MemoryLimits) -> list[Batch]:
    """memory.max, memory.low (the reservation) and memory.swap.max (memory plus swap without the memory)."""
    if asked.swappiness not in (None, -1):
        raise missing("memory swappiness")
    if asked.disable_oom_killer:
        raise missing("switching the oom killer off", "set oom_score_adj to -1000 instead")
    if asked.use_hierarchy is False:
        raise missing("memory accounting without hierarchy")
    if asked.kernel_bytes not in (None, 0, -1):
        raise missing("a kernel memory limit", "kernel memory counts into the memory limit")
    if asked.kernel_tcp_bytes not in (None, 0, -1):
        raise missing("a kernel memory limit of tcp", "socket memory counts into the memory limit")
    limit, swap = asked.limit_bytes, asked.swap_bytes
    if limit == -1 and not swap:
        swap = -1
    batches: list[Batch] = []
    if asked.reservation_bytes:
        batches.append((one("memory", "memory.low", count(asked.reservation_bytes), "memory reservation"),))
    if swap:
        value = count(swap_alone(limit, swap))
        batches.append((one("memory", "memory.swap.max", value, "memory-swap limit"),))
    if limit:
        batches.append((one("memory", "memory.max", count(limit), "memory limit"),))
    return batches


def pids(limit: int) -> list[Batch]:
    """pids.max; nought and below is no limit, as for Docker."""
    return [(one("pids", "pids.max", count(limit or -1), "pids limit", PIDS),)]


def block_io(asked: BlockIoLimits) -> list[Batch]:
    """io.bfq.weight where the kernel has it, else io.weight; io.max for rates, where nought lifts a limit."""
    if asked.leaf_weight or any(each.leaf_weight for each in asked.weights):
        raise missing("a block io leaf weight")
    writes: list[Write] = []
    if asked.weight:
        choices = (("io.bfq.weight", str(asked.weight)), ("io.weight", f"default {io_weight(asked.weight)}"))
        writes.append(Write("io", choices, "block io weight"))
    for each in asked.weights:
        device = f"{each.major}:{each.minor}"
        if each.weight:
            choices = (
                ("io.bfq.weight", f"{device} {each.weight}"),
                ("io.weight", f"{device} {io_weight(each.weight)}"),
            )
            writes.append(Write("io", choices, f"block io weight of {device}", DEVICE, unsupported=NO_WEIGHTS))
    for name, what, rates in throttles(asked):
        writes.extend(
            one("io", "io.max", f"{rate.major}:{rate.minor} {_RATES[name]}={rate.rate or 'max'}", what, DEVICE)
            for rate in rates
        )
    return [(write,) for write in writes]


def hugepages(asked: tuple[HugepageLimit, ...]) -> list[Batch]:
    """hugetlb.<size>.max."""
    return [
        (
            one(
                "hugetlb",
                f"hugetlb.{each.page_size}.max",
                count(each.limit_bytes),
                f"limit of {each.page_size} pages",
            ),
        )
        for each in asked
    ]


def network(class_id: int | None, priorities: tuple[InterfacePriority, ...]) -> list[Batch]:
    """Nothing: v2 has neither; a BPF program or nftables' `socket cgroupv2` does it there."""
    if class_id is not None:
        raise missing("a network class (net_cls)", "match the container with nftables' `socket cgroupv2`")
    if priorities:
        raise missing("network priorities (net_prio)", "match the container with nftables' `socket cgroupv2`")
    return []


def unified(asked: tuple[tuple[str, str], ...]) -> list[Batch]:
    """Raw keys: a file name of a controller and its value, a write for each line of it."""
    batches: list[Batch] = []
    for key, value in asked:
        controller, _, name = key.partition(".")
        if not (controller and name and _LOWER.issuperset(controller) and _NAME.issuperset(name)):
            raise InvalidArgument(
                f"not the name of a cgroup file: {key!r}", remedy="give CONTROLLER.NAME without a slash"
            )
        if controller == "cgroup" and key not in _CORE_LIMITS:
            raise InvalidArgument(f"{key} is not a limit", remedy="set files of a controller, such as memory.high")
        batches.extend((one(controller, key, line, key),) for line in value.splitlines() or [""])
    return batches
