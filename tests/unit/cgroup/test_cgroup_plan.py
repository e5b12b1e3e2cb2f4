from __future__ import annotations

from typing import Any

import pytest

from sampan.cgroup.host import Hierarchy, Host
from sampan.cgroup.limits import (
    BlockIoLimits,
    CpuLimits,
    DeviceRate,
    DeviceWeight,
    HugepageLimit,
    InterfacePriority,
    Limits,
    MemoryLimits,
    RdmaLimit,
)
from sampan.cgroup.plan import plan_writes
from sampan.errors import InvalidArgument, NotImplementedHere, SampanError

ALL_V1 = "blkio cpu cpuacct cpuset devices freezer hugetlb memory net_cls net_prio pids rdma"
ALL_V2 = "cpuset cpu io memory hugetlb pids rdma misc"
V1 = Host(tuple(Hierarchy(name, 1, f"/cg/{name}", frozenset({name})) for name in ALL_V1.split()))
V2 = Host((Hierarchy("", 2, "/cg", frozenset(ALL_V2.split())),))
HYBRID = Host(
    (*(one for one in V1.hierarchies if one.name != "hugetlb"), Hierarchy("", 2, "/cg/u", frozenset({"hugetlb"})))
)


def written(limits: Limits, host: Host) -> list[tuple[str, str]]:
    return [write.choices[0] for batch in plan_writes(limits, host) for write in batch]


def cpu(**fields: Any) -> Limits:
    return Limits(cpu=CpuLimits(**fields))


def memory(**fields: Any) -> Limits:
    return Limits(memory=MemoryLimits(**fields))


def block(**fields: Any) -> Limits:
    return Limits(block_io=BlockIoLimits(**fields))


EVERYTHING = [
    (cpu(shares=512), [("cpu.shares", "512")], [("cpu.weight", "59")]),
    (cpu(idle=1), [("cpu.idle", "1")], [("cpu.idle", "1")]),
    (cpu(idle=1, shares=512), [("cpu.idle", "1")], [("cpu.idle", "1")]),
    (
        cpu(idle=0, shares=512),
        [("cpu.shares", "512"), ("cpu.idle", "0")],
        [("cpu.weight", "59"), ("cpu.idle", "0")],
    ),
    (
        cpu(quota_us=5000, period_us=20000, burst_us=100),
        [("cpu.cfs_period_us", "20000"), ("cpu.cfs_quota_us", "5000"), ("cpu.cfs_burst_us", "100")],
        [("cpu.max", "5000 20000"), ("cpu.max.burst", "100")],
    ),
    (cpu(quota_us=5000), [("cpu.cfs_quota_us", "5000")], [("cpu.max", "5000")]),
    (cpu(quota_us=-1), [("cpu.cfs_quota_us", "-1")], [("cpu.max", "max")]),
    (
        cpu(cpus="0-1", mems="0"),
        [("cpuset.cpus", "0-1"), ("cpuset.mems", "0")],
        [("cpuset.cpus", "0-1"), ("cpuset.mems", "0")],
    ),
    (memory(limit_bytes=64), [("memory.limit_in_bytes", "64")], [("memory.max", "64")]),
    (
        memory(limit_bytes=64, swap_bytes=96),
        [("memory.limit_in_bytes", "64"), ("memory.memsw.limit_in_bytes", "96")],
        [("memory.swap.max", "32"), ("memory.max", "64")],
    ),
    (
        memory(limit_bytes=-1),
        [("memory.limit_in_bytes", "-1"), ("memory.memsw.limit_in_bytes", "-1")],
        [("memory.swap.max", "max"), ("memory.max", "max")],
    ),
    (memory(reservation_bytes=32), [("memory.soft_limit_in_bytes", "32")], [("memory.low", "32")]),
    (memory(disable_oom_killer=False), [("memory.oom_control", "0")], []),
    (memory(use_hierarchy=True), [("memory.use_hierarchy", "1")], []),
    (Limits(pids_max=7), [("pids.max", "7")], [("pids.max", "7")]),
    (Limits(pids_max=-1), [("pids.max", "max")], [("pids.max", "max")]),
    (block(weight=500), [("blkio.bfq.weight", "500")], [("io.bfq.weight", "500")]),
    (
        block(weights=(DeviceWeight(8, 0, 100),)),
        [("blkio.bfq.weight_device", "8:0 100")],
        [("io.bfq.weight", "8:0 100")],
    ),
    (
        block(
            read_bps=(DeviceRate(8, 0, 1),),
            write_bps=(DeviceRate(8, 0, 2),),
            read_iops=(DeviceRate(8, 0, 3),),
            write_iops=(DeviceRate(8, 0, 0),),
        ),
        [
            ("blkio.throttle.read_bps_device", "8:0 1"),
            ("blkio.throttle.write_bps_device", "8:0 2"),
            ("blkio.throttle.read_iops_device", "8:0 3"),
            ("blkio.throttle.write_iops_device", "8:0 0"),
        ],
        [("io.max", "8:0 rbps=1"), ("io.max", "8:0 wbps=2"), ("io.max", "8:0 riops=3"), ("io.max", "8:0 wiops=max")],
    ),
    (
        Limits(hugepages=(HugepageLimit("2MB", 4), HugepageLimit("1GB", -1))),
        [("hugetlb.2MB.limit_in_bytes", "4"), ("hugetlb.1GB.limit_in_bytes", "-1")],
        [("hugetlb.2MB.max", "4"), ("hugetlb.1GB.max", "max")],
    ),
    (
        Limits(rdma=(RdmaLimit("mlx4_0", 2, None),)),
        [("rdma.max", "mlx4_0 hca_handle=2 hca_object=max")],
        [("rdma.max", "mlx4_0 hca_handle=2 hca_object=max")],
    ),
]


@pytest.mark.parametrize(("limits", "v1", "v2"), EVERYTHING)
def test_every_limit_has_its_file_on_v1_and_on_v2(
    limits: Limits, v1: list[tuple[str, str]], v2: list[tuple[str, str]]
) -> None:
    assert written(limits, V1) == v1
    assert written(limits, V2) == v2


def test_a_weight_is_written_for_the_scheduler_that_is_there() -> None:
    ((write,),) = plan_writes(block(weight=500), V2)
    assert write.choices == (("io.bfq.weight", "500"), ("io.weight", "default 4950"))
    ((write,),) = plan_writes(block(weight=500), V1)
    assert write.choices == (("blkio.bfq.weight", "500"), ("blkio.weight", "500"))
    ((write,),) = plan_writes(block(weights=(DeviceWeight(8, 0, 10),)), V2)
    assert write.choices == (("io.bfq.weight", "8:0 10"), ("io.weight", "8:0 1"))


V1_ONLY = [
    (cpu(realtime_runtime_us=10), [("cpu.rt_runtime_us", "10")], "real-time"),
    (memory(swappiness=10), [("memory.swappiness", "10")], "swappiness"),
    (memory(disable_oom_killer=True), [("memory.oom_control", "1")], "oom killer"),
    (memory(use_hierarchy=False), [("memory.use_hierarchy", "0")], "hierarchy"),
    (memory(kernel_bytes=64), [("memory.kmem.limit_in_bytes", "64")], "kernel memory"),
    (memory(kernel_tcp_bytes=64), [("memory.kmem.tcp.limit_in_bytes", "64")], "tcp"),
    (block(leaf_weight=10), [("blkio.leaf_weight", "10")], "leaf weight"),
    (block(weights=(DeviceWeight(8, 0, None, 10),)), [("blkio.leaf_weight_device", "8:0 10")], "leaf weight"),
    (Limits(network_class=7), [("net_cls.classid", "7")], "net_cls"),
    (Limits(network_priorities=(InterfacePriority("lo", 5),)), [("net_prio.ifpriomap", "lo 5")], "net_prio"),
]


@pytest.mark.parametrize(("limits", "v1", "word"), V1_ONLY)
def test_what_v2_has_no_word_for_is_refused_there_by_name(limits: Limits, v1: list[tuple[str, str]], word: str) -> None:
    assert written(limits, V1) == v1
    with pytest.raises(NotImplementedHere, match=word) as caught:
        plan_writes(limits, V2)
    assert caught.value.remedy


def test_nothing_asked_is_nothing_written() -> None:
    for host in (V1, V2, HYBRID, Host(())):
        assert plan_writes(Limits(), host) == []


def test_nought_leaves_alone_what_cannot_be_nought() -> None:
    limits = Limits(
        CpuLimits(shares=0, quota_us=0, period_us=0),
        MemoryLimits(
            limit_bytes=0, swap_bytes=0, reservation_bytes=0, kernel_bytes=0, kernel_tcp_bytes=0, swappiness=-1
        ),
        block_io=BlockIoLimits(weight=0, leaf_weight=0),
    )
    assert plan_writes(limits, V1) == []
    assert plan_writes(limits, V2) == []


def test_a_hybrid_host_writes_each_controller_in_its_own_words() -> None:
    limits = Limits(pids_max=3, memory=MemoryLimits(limit_bytes=64), hugepages=(HugepageLimit("2MB", 4),))
    assert written(limits, HYBRID) == [("memory.limit_in_bytes", "64"), ("pids.max", "3"), ("hugetlb.2MB.max", "4")]


@pytest.mark.parametrize(
    ("limits", "word"),
    [
        (cpu(shares=5), "cpu"),
        (cpu(cpus="0"), "cpuset"),
        (memory(limit_bytes=64), "memory"),
        (Limits(pids_max=5), "pids"),
        (block(weight=100), "blkio"),
        (Limits(hugepages=(HugepageLimit("2MB", 4),)), "hugetlb"),
        (Limits(network_class=1), "net_cls"),
        (Limits(rdma=(RdmaLimit("x"),)), "rdma"),
    ],
)
def test_a_controller_that_no_hierarchy_has_is_refused_by_name(limits: Limits, word: str) -> None:
    bare = Host((Hierarchy("name=systemd", 1, "/cg/systemd", frozenset()),))
    with pytest.raises(NotImplementedHere, match=word) as caught:
        plan_writes(limits, bare)
    assert caught.value.remedy


@pytest.mark.parametrize(
    "limits",
    [
        cpu(shares=1),
        cpu(shares=262145),
        cpu(idle=2),
        memory(swappiness=101),
        memory(limit_bytes=-2),
        memory(limit_bytes=1 << 63),
        memory(limit_bytes=64, swap_bytes=63),
        block(weight=9),
        block(weight=1001),
        block(weights=(DeviceWeight(8, 0, 5),)),
        Limits(hugepages=(HugepageLimit("2MB", -2),)),
        Limits(hugepages=(HugepageLimit("../../x", 1),)),
        Limits(hugepages=(HugepageLimit("2MB\n", 1),)),
    ],
)
@pytest.mark.parametrize("host", [V1, V2])
def test_what_no_kernel_takes_is_refused(limits: Limits, host: Host) -> None:
    with pytest.raises(InvalidArgument):
        plan_writes(limits, host)


def test_a_sum_with_swap_needs_a_memory_limit_on_v2() -> None:
    with pytest.raises(InvalidArgument, match="memory limit"):
        plan_writes(memory(swap_bytes=64), V2)


def raw(key: str, value: str = "1") -> Limits:
    return Limits(unified=((key, value),))


def test_raw_keys_are_written_line_by_line() -> None:
    assert written(raw("io.max", "8:0 rbps=1\n8:16 rbps=2\n"), V2) == [
        ("io.max", "8:0 rbps=1"),
        ("io.max", "8:16 rbps=2"),
    ]
    assert written(raw("cgroup.max.depth", "3"), HYBRID) == [("cgroup.max.depth", "3")]


@pytest.mark.parametrize(
    "key",
    ["cgroup.procs", "cgroup.kill", "cgroup.subtree_control", "cgroup.freeze", "../x", "a/b.c", "memory", "", "x.y\n"],
)
def test_a_raw_key_that_is_no_limit_is_refused(key: str) -> None:
    with pytest.raises(InvalidArgument):
        plan_writes(raw(key), V2)


def test_raw_keys_need_the_controller_on_the_unified_tree() -> None:
    with pytest.raises(NotImplementedHere, match=r"invalid configuration: memory\.low: .* has no memory controller"):
        plan_writes(raw("memory.low"), HYBRID)
    with pytest.raises(NotImplementedHere, match=r"invalid configuration: .* need cgroup v2"):
        plan_writes(raw("memory.high"), V1)
    with pytest.raises(SampanError, match="perf"):
        plan_writes(raw("perf_event.x"), V2)
