from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.kernel.cgroup.conftest import entered, sleep, spin, until
from tests.kernel.cgroup.test_cgroup_limits import MB, fill

from sampan.cgroup import Limits, hierarchies
from sampan.cgroup.limits import MemoryLimits

if TYPE_CHECKING:
    from tests.kernel.cgroup.conftest import Groups

    from sampan.cgroup import Cgroup, Statistics
    from sampan.cgroup.statistics import CpuStatistics, MemoryStatistics


def cpu_of(group: Cgroup) -> CpuStatistics:
    cpu = group.statistics().cpu
    assert cpu is not None
    return cpu


def memory_of(group: Cgroup) -> MemoryStatistics:
    memory = group.statistics().memory
    assert memory is not None
    return memory


def test_cpu_time_is_counted_in_nanoseconds(groups: Groups, group: Cgroup) -> None:
    assert cpu_of(group).total_ns < 10_000_000
    groups.start(group, spin)
    assert until(lambda: cpu_of(group).total_ns > 400_000_000)
    cpu = cpu_of(group)
    assert cpu.user_ns > 200_000_000  # v1 counts it by ticks
    assert not cpu.per_cpu_ns or 0 < sum(cpu.per_cpu_ns) <= cpu_of(group).total_ns


def test_memory_is_counted(groups: Groups, group: Cgroup) -> None:
    group.apply(Limits(memory=MemoryLimits(limit_bytes=128 * MB, swap_bytes=128 * MB)))
    groups.start(group, lambda: fill(32 * MB, stay=True))
    assert until(lambda: memory_of(group).memory.usage_bytes >= 32 * MB)
    counted = memory_of(group)
    assert counted.memory.limit_bytes == 128 * MB
    assert counted.memory.usage_bytes <= 128 * MB
    assert counted.memory.peak_bytes is None or counted.memory.peak_bytes >= 32 * MB
    assert counted.stat.get("rss", counted.stat.get("anon", 0)) >= 24 * MB  # the kernel gathers it with a delay
    assert not counted.under_oom


def test_page_cache_is_counted_as_such(groups: Groups, group: Cgroup, tmp_path: Path) -> None:
    file = tmp_path / "content"

    def write() -> int:
        file.write_bytes(b"x" * (16 * MB))
        return 0

    assert groups.start(group, write).wait() == 0
    counted = memory_of(group)
    assert counted.cache_bytes >= 15 * MB
    assert counted.inactive_file_bytes <= counted.cache_bytes


def test_memory_without_a_limit_has_none(group: Cgroup) -> None:
    counted = memory_of(group)
    assert counted.memory.limit_bytes is None
    assert counted.swap is None or counted.swap.limit_bytes is None


def test_hitting_the_limit_is_counted(groups: Groups, group: Cgroup) -> None:
    # Without a limit of memory plus swap: of that one Linux 6.18 counts no failures on v1.
    group.apply(Limits(memory=MemoryLimits(limit_bytes=24 * MB)))
    groups.start(group, lambda: fill(64 * MB)).wait()
    counted = memory_of(group)
    assert counted.memory.failures > 0
    assert counted.oom_kills == 1


def test_being_throttled_by_memory_high_is_counted(groups: Groups, group: Cgroup) -> None:
    unified = hierarchies().unified
    if unified is None or "memory" not in unified.controllers:
        pytest.skip("needs the memory controller of v2")
    group.apply(Limits(unified=(("memory.high", str(8 * MB)),)))
    groups.start(group, lambda: fill(32 * MB))
    assert until(lambda: memory_of(group).throttled > 0)


def test_processes_are_counted(groups: Groups, group: Cgroup) -> None:
    for _ in range(3):
        assert entered(group, groups.start(group, sleep))
    pids = group.statistics().pids
    assert pids is not None
    assert pids.current == 3
    assert pids.limit is None


def test_written_bytes_are_counted_by_device(groups: Groups, group: Cgroup) -> None:
    path = f"/var/tmp/sampan-test-block-io-{os.getpid()}"
    device = os.stat("/var/tmp").st_dev
    if os.major(device) == 0:
        pytest.skip("needs /var/tmp on a disk")

    def write() -> int:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_DIRECT, 0o600)
        import mmap

        os.write(descriptor, mmap.mmap(-1, 4 * MB))
        os.fsync(descriptor)
        return 0

    try:
        assert groups.start(group, write).wait() == 0
    finally:
        os.unlink(path)
    counted = group.statistics().block_io
    assert counted is not None
    written = [one.value for one in counted.service_bytes if one.operation == "write"]
    assert sum(written) >= 4 * MB
    assert sum(one.value for one in counted.serviced if one.operation == "write") >= 1


def test_pressure_is_there_where_the_unified_tree_is(group: Cgroup) -> None:
    statistics: Statistics = group.statistics()
    parts = (statistics.cpu, statistics.memory, statistics.block_io)
    unified = dict(group.directories()).get("")
    for part, name in zip(parts, ("cpu", "memory", "io"), strict=True):
        kept = unified is not None and os.path.exists(os.path.join(unified, f"{name}.pressure"))
        assert part is None or (part.pressure is not None) == kept


def test_what_no_controller_counts_is_none_and_not_zero(group: Cgroup) -> None:
    controllers = hierarchies().controllers
    statistics = group.statistics()
    assert (statistics.memory is not None) == ("memory" in controllers)
    assert (statistics.pids is not None) == ("pids" in controllers)
    assert statistics.rdma == ()
    if "hugetlb" not in controllers:
        assert statistics.hugepages == ()
