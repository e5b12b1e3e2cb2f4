"""From limits to writes, and every refusal that needs no kernel: `plan_writes` is pure but for what the host has.

The version that a controller is written in is that of the hierarchy that has it, so hybrid hosts need no case of
their own.
"""

from __future__ import annotations

from typing import Protocol

from sampan.cgroup import v1_limits, v2_limits
from sampan.cgroup.conversion import MAX_SHARES, MIN_SHARES
from sampan.cgroup.host import Hierarchy, Host, why_missing
from sampan.cgroup.limits import BlockIoLimits, CpuLimits, HugepageLimit, InterfacePriority, Limits, MemoryLimits
from sampan.cgroup.writing import Batch
from sampan.errors import InvalidArgument, NotImplementedHere


class _Version(Protocol):
    """What `v1_limits` and `v2_limits` have in common."""

    def cpu(self, asked: CpuLimits) -> list[Batch]: ...
    def cpuset(self, asked: CpuLimits) -> list[Batch]: ...
    def memory(self, asked: MemoryLimits) -> list[Batch]: ...
    def pids(self, limit: int) -> list[Batch]: ...
    def block_io(self, asked: BlockIoLimits) -> list[Batch]: ...
    def hugepages(self, asked: tuple[HugepageLimit, ...]) -> list[Batch]: ...
    def network(self, class_id: int | None, priorities: tuple[InterfacePriority, ...]) -> list[Batch]: ...


def plan_writes(limits: Limits, host: Host) -> list[Batch]:
    """What is to be written for `limits` on `host`, device rules excepted, in order.

    Raises InvalidArgument for what no kernel takes, NotImplementedHere for what this host's hierarchies cannot do.
    """
    _refuse_impossible(limits)
    batches: list[Batch] = []
    batches += _version(host, "cpu").cpu(limits.cpu)
    if limits.cpu.cpus or limits.cpu.mems:
        batches += _version(host, "cpuset").cpuset(limits.cpu)
    batches += _version(host, "memory").memory(limits.memory)
    if limits.pids_max is not None:
        batches += _version(host, "pids").pids(limits.pids_max)
    batches += _version(host, "blkio", "io").block_io(limits.block_io)
    if limits.hugepages:
        batches += _version(host, "hugetlb").hugepages(limits.hugepages)
    if limits.network_class is not None or limits.network_priorities:
        batches += _version(host, "net_cls").network(limits.network_class, limits.network_priorities)
    batches += v1_limits.rdma(limits.rdma)
    if limits.unified:
        if host.unified is None:
            raise _not_unified("raw cgroup keys (unified) need cgroup v2, which is not mounted here")
        batches += _raw_keys(limits, host.unified)
    for batch in batches:
        require(host, batch[0].controller, batch[0].what)
    return batches


def require(host: Host, controller: str, what: str) -> None:
    """NotImplementedHere, naming `what` was asked, when no hierarchy of `host` has `controller`."""
    if controller == "cgroup" or host.of(controller) is not None:
        return
    raise NotImplementedHere(
        f"{what}: no cgroup hierarchy of this host has the {controller} controller", remedy=why_missing(controller)
    )


def _raw_keys(limits: Limits, unified: Hierarchy) -> list[Batch]:
    batches = v2_limits.unified(limits.unified)
    for batch in batches:
        # On a hybrid host a v1 hierarchy may have the controller: its files are not what the raw key means.
        name = batch[0].controller
        if name not in ("cgroup", *unified.controllers):
            raise _not_unified(f"{batch[0].what}: the unified cgroup tree of this host has no {name} controller")
    return batches


def _not_unified(reason: str) -> NotImplementedHere:
    """In runc's words, as far as it has any."""
    return NotImplementedHere(f"invalid configuration: {reason}", remedy="use the named limits instead")


def _version(host: Host, controller: str, unified_name: str = "") -> _Version:
    """The module whose words the hierarchy with `controller` understands; on a host without it, of its majority."""
    if any(controller in one.controllers for one in host.legacy):
        return v1_limits
    if host.unified is not None and (unified_name or controller) in host.unified.controllers:
        return v2_limits
    return v1_limits if host.legacy else v2_limits


def _refuse_impossible(limits: Limits) -> None:
    cpu, memory, block = limits.cpu, limits.memory, limits.block_io
    _within("cpu shares", cpu.shares or None, MIN_SHARES, MAX_SHARES)
    _within("cpu idle", cpu.idle, 0, 1)
    _within("memory swappiness", memory.swappiness, -1, 100)
    weights = [block.weight, block.leaf_weight]
    weights += [weight for each in block.weights for weight in (each.weight, each.leaf_weight)]
    for weight in weights:
        _within("block io weight", weight or None, 10, 1000)
    sizes = (memory.limit_bytes, memory.reservation_bytes, memory.swap_bytes, memory.kernel_bytes)
    for size in (*sizes, memory.kernel_tcp_bytes, *(page.limit_bytes for page in limits.hugepages)):
        _within("a limit in bytes", size, -1, 2**63 - 1)
    for page in limits.hugepages:
        if not _is_page_size(page.page_size):
            raise InvalidArgument(f"not a page size: {page.page_size!r}", remedy="write it as in 2MB or 1GB")
    limit, swap = memory.limit_bytes or 0, memory.swap_bytes or 0
    if swap > 0 and limit > 0 and swap < limit:
        raise InvalidArgument(
            f"memory plus swap ({swap} bytes) is limited below memory alone ({limit} bytes)",
            remedy="memory-swap is the sum of memory and swap; give at least the memory limit",
        )


def _within(what: str, value: int | None, least: int, most: int) -> None:
    if value is not None and not least <= value <= most:
        raise InvalidArgument(
            f"{what} must be from {least} to {most}, not {value}", remedy="choose from that range, or leave it out"
        )


def _is_page_size(text: str) -> bool:
    number, unit = text[:-2], text[-2:]
    return unit in {"KB", "MB", "GB"} and number.isascii() and number.isdecimal() and not number.startswith("0")
