from __future__ import annotations

import errno
import mmap
import os
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.kernel.cgroup.conftest import directory_of, sleep, spin, text, until

from sampan.cgroup import Limits, check, hierarchies
from sampan.cgroup.limits import (
    BlockIoLimits,
    CpuLimits,
    DeviceRate,
    HugepageLimit,
    InterfacePriority,
    MemoryLimits,
    RdmaLimit,
)
from sampan.errors import InvalidArgument, NotImplementedHere, SampanError

if TYPE_CHECKING:
    from tests.kernel.cgroup.conftest import Groups

    from sampan.cgroup import Cgroup

MB = 1 << 20


def fill(size: int, *, stay: bool = False) -> int:
    """Touch `size` bytes of anonymous memory, and with `stay` keep them."""
    memory = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    for offset in range(0, size, mmap.PAGESIZE):
        memory[offset] = 1
    if stay:
        sleep()
    return 0


def memory(limit: int | None = None, swap: int | None = None, **more: int | bool | None) -> Limits:
    return Limits(memory=MemoryLimits(limit_bytes=limit, swap_bytes=swap, **more))  # type: ignore[arg-type]


def limit_of(group: Cgroup) -> str:
    return text(group, "memory.limit_in_bytes", "memory.max")


def test_memory_over_the_limit_is_killed_and_counted(groups: Groups, group: Cgroup) -> None:
    group.apply(memory(24 * MB, 24 * MB))
    assert groups.start(group, lambda: fill(64 * MB)).wait() == -signal.SIGKILL
    assert group.oom_kills() == 1


def test_memory_below_the_limit_lives(groups: Groups, group: Cgroup) -> None:
    group.apply(memory(64 * MB, 64 * MB))
    assert groups.start(group, lambda: fill(16 * MB)).wait() == 0
    assert group.oom_kills() == 0


def test_memory_and_swap_rise_and_fall_in_any_order(group: Cgroup) -> None:
    for limit, swap in ((64, 128), (256, 512), (32, 32), (-1, -1), (16, 48)):
        group.apply(memory(limit * MB if limit > 0 else -1, swap * MB if swap > 0 else -1))
        counted = group.statistics().memory
        assert counted is not None
        assert counted.memory.limit_bytes == (limit * MB if limit > 0 else None)
        if counted.swap is not None:
            both = swap if counted.swap_includes_memory else swap - limit
            assert counted.swap.limit_bytes == (both * MB if swap > 0 else None)


def test_an_unlimited_memory_lifts_the_swap_limit_too(group: Cgroup) -> None:
    group.apply(memory(64 * MB, 64 * MB))
    group.apply(memory(-1))
    counted = group.statistics().memory
    assert counted is not None
    assert counted.memory.limit_bytes is None
    assert counted.swap is None or counted.swap.limit_bytes is None


def test_swap_alone_is_counted_from_the_memory_limit_in_force(group: Cgroup) -> None:
    group.apply(memory(64 * MB, 64 * MB))
    group.apply(memory(swap=96 * MB))
    counted = group.statistics().memory
    assert counted is not None
    assert counted.swap is not None
    assert counted.swap.limit_bytes == (96 if counted.swap_includes_memory else 32) * MB


def test_memory_plus_swap_below_memory_is_refused(group: Cgroup) -> None:
    with pytest.raises(InvalidArgument, match="below memory alone"):
        group.apply(memory(64 * MB, 32 * MB))


def test_a_reservation_is_written(group: Cgroup) -> None:
    group.apply(memory(64 * MB, reservation_bytes=32 * MB))
    assert text(group, "memory.soft_limit_in_bytes", "memory.low") == str(32 * MB)


def test_a_limit_below_the_usage_is_refused_when_it_is_to_be_checked(groups: Groups, group: Cgroup) -> None:
    member = groups.start(group, lambda: fill(32 * MB, stay=True))

    def filled() -> bool:
        counted = group.statistics().memory
        return counted is not None and counted.memory.usage_bytes >= 32 * MB

    assert until(filled)
    with pytest.raises(InvalidArgument, match="in use"):
        group.apply(memory(8 * MB, check_before_update=True))
    assert member.pid in group.processes()


def test_swappiness_and_oom_control_are_v1_only_and_refused_by_name_elsewhere(group: Cgroup) -> None:
    hierarchy = hierarchies().of("memory")
    if hierarchy is None:
        pytest.skip("needs the memory controller")
    if hierarchy.version == 2:
        with pytest.raises(NotImplementedHere, match="swappiness"):
            group.apply(memory(swappiness=10))
        with pytest.raises(NotImplementedHere, match="oom killer"):
            group.apply(memory(disable_oom_killer=True))
        group.apply(memory(disable_oom_killer=False))
        return
    group.apply(memory(swappiness=10, disable_oom_killer=True))
    assert (directory_of(group, "memory") / "memory.swappiness").read_text().strip() == "10"
    counted = group.statistics().memory
    assert counted is not None
    assert counted.oom_killer_disabled
    group.apply(memory(disable_oom_killer=False))
    counted = group.statistics().memory
    assert counted is not None
    assert not counted.oom_killer_disabled


def test_a_kernel_memory_limit_that_the_kernel_does_not_heed_is_refused(group: Cgroup) -> None:
    if os.uname().release.startswith(("4.", "5.1")):
        pytest.skip("this kernel may heed it")
    with pytest.raises(NotImplementedHere, match="kernel memory limit"):
        group.apply(memory(kernel_bytes=64 * MB))


def test_forks_beyond_the_pids_limit_fail(groups: Groups, group: Cgroup) -> None:
    group.apply(Limits(pids_max=3))

    def fork() -> int:
        for count in range(10):
            try:
                if os.fork() == 0:
                    time.sleep(60)
                    os._exit(0)
            except OSError as error:
                return count if error.errno == errno.EAGAIN else 90
        return 91

    assert groups.start(group, fork).wait() == 2
    pids = group.statistics().pids
    assert pids is not None
    assert pids.limit == 3
    assert pids.failures >= 1


@pytest.mark.parametrize("limit", [0, -1])
def test_no_pids_limit_is_written_as_max(group: Cgroup, limit: int) -> None:
    group.apply(Limits(pids_max=5))
    group.apply(Limits(pids_max=limit))
    assert (directory_of(group, "pids") / "pids.max").read_text().strip() == "max"


def test_a_cpuset_is_seen_by_sched_getaffinity(groups: Groups, group: Cgroup) -> None:
    cpus = sorted(os.sched_getaffinity(0))
    if len(cpus) < 2:
        pytest.skip("needs two CPUs")
    group.apply(Limits(cpu=CpuLimits(cpus=str(cpus[-1]))))
    member = groups.start(group, lambda: 0 if os.sched_getaffinity(0) == {cpus[-1]} else 1)
    assert member.wait() == 0


def test_a_cpuset_beyond_the_machine_is_refused(group: Cgroup) -> None:
    with pytest.raises(InvalidArgument, match="cpuset cpus"):
        group.apply(Limits(cpu=CpuLimits(cpus="999")))


def test_a_quota_bounds_cpu_time(groups: Groups, group: Cgroup) -> None:
    group.apply(Limits(cpu=CpuLimits(quota_us=10000, period_us=100000)))
    groups.start(group, spin)

    def throttled() -> int:
        cpu = group.statistics().cpu
        return 0 if cpu is None else cpu.throttled_periods

    assert until(lambda: throttled() >= 5)
    cpu = group.statistics().cpu
    assert cpu is not None
    # Each period gives 10 ms; a slice may run over by a few.
    assert cpu.total_ns <= (cpu.periods + 1) * 15_000_000
    assert cpu.throttled_ns > 0


@pytest.mark.parametrize(
    ("quota", "period"), [(50000, 100000), (2000, 2000), (500000, 1000000), (-1, 100000), (8000, None)]
)
def test_quota_and_period_change_in_any_order_below_a_limited_parent(
    groups: Groups, quota: int, period: int | None
) -> None:
    above = groups.make()
    group = groups.make(above.path + "/a")
    above.apply(Limits(cpu=CpuLimits(quota_us=100000, period_us=100000)))
    group.apply(Limits(cpu=CpuLimits(quota_us=20000, period_us=20000)))
    group.apply(Limits(cpu=CpuLimits(quota_us=quota, period_us=period)))
    expected = ("max" if quota < 0 else str(quota), str(period or 20000))
    hierarchy = hierarchies().of("cpu")
    assert hierarchy is not None
    directory = directory_of(group, "cpu")
    if hierarchy.version == 2:
        assert (directory / "cpu.max").read_text().split() == list(expected)
    else:
        read = (
            (directory / "cpu.cfs_quota_us").read_text().strip(),
            (directory / "cpu.cfs_period_us").read_text().strip(),
        )
        assert read == (str(quota), expected[1])


def test_a_period_alone_keeps_the_quota(group: Cgroup) -> None:
    group.apply(Limits(cpu=CpuLimits(quota_us=20000, period_us=100000)))
    group.apply(Limits(cpu=CpuLimits(period_us=50000)))
    read = text(group, "cpu.cfs_quota_us", "cpu.max")
    assert read in ("20000", "20000 50000")


def test_a_burst_needs_a_quota_and_goes_in_with_it(group: Cgroup) -> None:
    group.apply(Limits(cpu=CpuLimits(quota_us=20000, period_us=100000, burst_us=10000)))
    assert text(group, "cpu.cfs_burst_us", "cpu.max.burst") == "10000"
    group.apply(Limits(cpu=CpuLimits(quota_us=5000, burst_us=0)))
    assert text(group, "cpu.cfs_burst_us", "cpu.max.burst") == "0"
    with pytest.raises(InvalidArgument, match="cpu burst"):
        group.apply(Limits(cpu=CpuLimits(burst_us=90000)))


def test_shares_become_a_weight_on_v2(group: Cgroup) -> None:
    group.apply(Limits(cpu=CpuLimits(shares=2048)))
    assert text(group, "cpu.shares", "cpu.weight") in ("2048", "174")


def test_an_idle_group_has_its_shares_when_it_is_idle_no_more(group: Cgroup) -> None:
    group.apply(Limits(cpu=CpuLimits(idle=1)))
    assert text(group, "cpu.idle", "cpu.idle") == "1"
    group.apply(Limits(cpu=CpuLimits(idle=1, shares=512)))
    assert text(group, "cpu.shares", "cpu.weight") not in ("512", "59")
    group.apply(Limits(cpu=CpuLimits(idle=0, shares=512)))
    assert text(group, "cpu.idle", "cpu.idle") == "0"
    assert text(group, "cpu.shares", "cpu.weight") in ("512", "59")


def disk() -> tuple[int, int]:
    for name in sorted(os.listdir("/sys/block")):
        if not name.startswith(("loop", "ram", "zram")):
            with open(f"/sys/block/{name}/dev", encoding="ascii") as file:
                major, minor = file.read().split(":")
            return int(major), int(minor)
    pytest.skip("needs a disk")


def test_device_rates_are_written_and_lifted(group: Cgroup) -> None:
    major, minor = disk()
    rates = BlockIoLimits(
        read_bps=(DeviceRate(major, minor, MB),),
        write_bps=(DeviceRate(major, minor, 2 * MB),),
        read_iops=(DeviceRate(major, minor, 100),),
        write_iops=(DeviceRate(major, minor, 200),),
    )
    group.apply(Limits(block_io=rates))
    hierarchy = hierarchies().of("blkio")
    if hierarchy is None:
        read = (directory_of(group, "io") / "io.max").read_text()
        assert read.strip() == f"{major}:{minor} rbps={MB} wbps={2 * MB} riops=100 wiops=200"
    else:
        directory = directory_of(group, "blkio")
        names = ("read_bps", "write_bps", "read_iops", "write_iops")
        read = "".join((directory / f"blkio.throttle.{name}_device").read_text() for name in names)
        assert read.split() == [
            f"{major}:{minor}",
            str(MB),
            f"{major}:{minor}",
            str(2 * MB),
            f"{major}:{minor}",
            "100",
            f"{major}:{minor}",
            "200",
        ]
    group.apply(Limits(block_io=BlockIoLimits(read_bps=(DeviceRate(major, minor, 0),))))
    assert str(MB) not in text(group, "blkio.throttle.read_bps_device", "io.max").replace(str(2 * MB), "")


def test_a_rate_of_a_device_that_is_not_there_is_refused(group: Cgroup) -> None:
    with pytest.raises(InvalidArgument, match="block io read rate"):
        group.apply(Limits(block_io=BlockIoLimits(read_bps=(DeviceRate(250, 99, MB),))))


def test_a_block_io_weight_is_written_or_refused_by_name(group: Cgroup) -> None:
    hierarchy = hierarchies().of("blkio") or hierarchies().of("io")
    if hierarchy is None:
        pytest.skip("needs the blkio or io controller")
    directory = directory_of(group, "blkio" if hierarchy.version == 1 else "io")
    files = [directory / name for name in ("blkio.bfq.weight", "blkio.weight", "io.bfq.weight", "io.weight")]
    asked = Limits(block_io=BlockIoLimits(weight=300))
    present = [file for file in files if file.exists()]
    if not present:
        with pytest.raises(NotImplementedHere, match=r"weight"):
            group.apply(asked)
        return
    group.apply(asked)
    assert present[0].read_text().split()[-1] == ("2930" if present[0].name == "io.weight" else "300")


def test_huge_pages_are_limited_or_refused_by_name(group: Cgroup) -> None:
    asked = Limits(hugepages=(HugepageLimit("2MB", 4 * MB),))
    if hierarchies().of("hugetlb") is None:
        with pytest.raises(NotImplementedHere, match="hugetlb"):
            group.apply(asked)
        return
    group.apply(asked)
    assert text(group, "hugetlb.2MB.limit_in_bytes", "hugetlb.2MB.max") == str(4 * MB)
    assert "2MB" in [page.page_size for page in group.statistics().hugepages]


@pytest.mark.parametrize(
    ("asked", "word"),
    [
        (Limits(network_class=5), "net_cls"),
        (Limits(network_priorities=(InterfacePriority("lo", 3),)), "net_prio"),
        (Limits(rdma=(RdmaLimit("mlx0", 1, 1),)), "rdma"),
    ],
)
def test_what_no_hierarchy_has_is_refused_by_name_before_and_while_applying(
    group: Cgroup, asked: Limits, word: str
) -> None:
    if hierarchies().of(word) is not None:
        pytest.skip(f"the {word} controller is here")
    with pytest.raises(NotImplementedHere, match=word) as caught:
        check(asked)
    assert caught.value.remedy
    with pytest.raises(NotImplementedHere, match=word):
        group.apply(asked)


def test_a_file_that_this_kernel_lacks_is_refused_before_anything_is_made(group: Cgroup) -> None:
    with pytest.raises(NotImplementedHere, match=r"leaf.weight"):
        check(Limits(block_io=BlockIoLimits(leaf_weight=300)))


def test_raw_keys_are_written_where_the_unified_tree_has_them(group: Cgroup) -> None:
    unified = hierarchies().unified
    if unified is None:
        with pytest.raises(NotImplementedHere, match="v2"):
            group.apply(Limits(unified=(("memory.high", "1"),)))
        return
    group.apply(Limits(unified=(("cgroup.max.depth", "3"),)))
    assert (Path(dict(group.directories())[""]) / "cgroup.max.depth").read_text().strip() == "3"


def test_a_raw_key_of_a_controller_that_is_not_on_the_unified_tree_is_refused(group: Cgroup) -> None:
    unified = hierarchies().unified
    asked = Limits(unified=(("memory.high", str(64 * MB)),))
    if unified is not None and "memory" in unified.controllers:
        group.apply(asked)
        assert (directory_of(group, "memory") / "memory.high").read_text().strip() == str(64 * MB)
        return
    with pytest.raises(SampanError, match=r"memory|unified"):
        group.apply(asked)


def test_a_raw_key_that_is_no_file_of_this_kernel_is_refused(group: Cgroup) -> None:
    unified = hierarchies().unified
    if unified is None or not unified.controllers:
        pytest.skip("needs a controller on the unified tree")
    name = min(unified.controllers)
    with pytest.raises(NotImplementedHere, match=f"{name}.nonsense"):
        group.apply(Limits(unified=((f"{name}.nonsense", "1"),)))
