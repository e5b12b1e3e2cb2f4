"""Limits that no option of the engine's sets, or that a group has to be made for, under a load that goes past them."""

from __future__ import annotations

import mmap
import os
import signal
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import pytest
from tests.kernel.cgroup.conftest import directory_of, spin, text, until

from sampan.cgroup import Limits, hierarchies
from sampan.cgroup.limits import CpuLimits, HugepageLimit, MemoryLimits
from sampan.errors import InvalidArgument, NotImplementedHere

if TYPE_CHECKING:
    from tests.kernel.cgroup.conftest import Groups

    from sampan.cgroup import Cgroup

MB = 1 << 20
PATIENCE_S = 60.0
_POOL = Path("/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages")


@pytest.fixture
def four_huge_pages() -> Iterator[None]:
    """Four pages of 2 MB more than the machine has, given back afterwards."""
    if hierarchies().of("hugetlb") is None or not _POOL.exists():
        pytest.skip("needs the hugetlb controller and pages of 2 MB")
    before = int(_POOL.read_text())
    _POOL.write_text(str(before + 4))
    try:
        if int(_POOL.read_text()) < before + 4:
            pytest.skip("the machine has no 8 MB in a piece")
        yield
    finally:
        _POOL.write_text(str(before))


def _take_huge_pages(count: int) -> int:
    signal.signal(signal.SIGBUS, signal.SIG_DFL)  # pytest's handler would tell it to everybody
    memory = mmap.mmap(-1, count * 2 * MB, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | 0x40000)  # MAP_HUGETLB
    for offset in range(0, len(memory), 2 * MB):
        memory[offset] = 1
    return 0


@pytest.mark.usefixtures("four_huge_pages")
def test_huge_pages_beyond_the_limit_end_the_program(groups: Groups, group: Cgroup) -> None:
    assert groups.start(group, lambda: _take_huge_pages(4)).wait() == 0
    group.apply(Limits(hugepages=(HugepageLimit("2MB", 4 * MB),)))
    assert groups.start(group, lambda: _take_huge_pages(2)).wait() == 0
    assert groups.start(group, lambda: _take_huge_pages(4)).wait() == -signal.SIGBUS
    counted = {page.page_size: page for page in group.statistics().hugepages}["2MB"]
    assert counted.failures >= 1
    group.apply(Limits(hugepages=(HugepageLimit("2MB", -1),)))
    assert groups.start(group, lambda: _take_huge_pages(4)).wait() == 0


def _cpu_ns(group: Cgroup) -> int:
    cpu = group.statistics().cpu
    assert cpu is not None
    return cpu.total_ns


def _bursts(group: Cgroup) -> int:
    lines = (directory_of(group, "cpu") / "cpu.stat").read_text().splitlines()
    return next((int(line.split()[1]) for line in lines if line.startswith("nr_bursts")), -1)


def test_a_burst_lets_saved_time_be_used(groups: Groups, group: Cgroup) -> None:
    def by_turns() -> int:
        while True:
            time.sleep(0.25)
            end = time.process_time() + 0.03
            while time.process_time() < end:
                pass

    group.apply(Limits(cpu=CpuLimits(quota_us=20000, period_us=100000)))
    if _bursts(group) < 0:
        pytest.skip("this kernel counts no bursts")
    groups.start(group, by_turns)
    assert until(lambda: _throttled(group) >= 2, PATIENCE_S)
    assert _bursts(group) == 0
    group.apply(Limits(cpu=CpuLimits(quota_us=20000, burst_us=20000)))
    assert until(lambda: _bursts(group) >= 2, PATIENCE_S)


def _throttled(group: Cgroup) -> int:
    cpu = group.statistics().cpu
    return 0 if cpu is None else cpu.throttled_periods


def _spin_in_real_time() -> int:
    try:
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))
    except OSError:
        return 7
    spin()
    return 0


@pytest.fixture
def realtime(groups: Groups) -> tuple[Cgroup, Cgroup]:
    """A group and one below it, where the kernel gives budgets of real time to groups and nobody has taken any."""
    above = groups.make()
    group = groups.make(above.path + "/a")
    hierarchy = hierarchies().of("cpu")
    if hierarchy is None:
        pytest.skip("needs the cpu controller")
    asked = Limits(cpu=CpuLimits(realtime_runtime_us=10000, realtime_period_us=1000000))
    if hierarchy.version == 2 or not (directory_of(group, "cpu") / "cpu.rt_runtime_us").exists():
        with pytest.raises(NotImplementedHere, match="real-time"):
            group.apply(asked)
        pytest.skip("groups have no budgets of real time here, which is refused by name")
    root = directory_of(above, "cpu").parent
    if any(file.read_text() != "0\n" for file in root.glob("*/cpu.rt_runtime_us")):
        pytest.skip("needs a real-time budget that nobody else has taken")
    return above, group


def test_a_real_time_budget_is_taken_from_the_parent(realtime: tuple[Cgroup, Cgroup]) -> None:
    above, group = realtime
    asked = Limits(cpu=CpuLimits(realtime_runtime_us=10000, realtime_period_us=1000000))
    with pytest.raises(InvalidArgument, match="real-time runtime"):
        group.apply(asked)
    above.apply(asked)
    group.apply(asked)
    assert (directory_of(group, "cpu") / "cpu.rt_runtime_us").read_text().strip() == "10000"


def test_a_program_of_real_time_gets_its_budget_and_no_more(groups: Groups, realtime: tuple[Cgroup, Cgroup]) -> None:
    above, group = realtime
    assert groups.start(group, _spin_in_real_time).wait() == 7  # without a budget there is no such program
    above.apply(Limits(cpu=CpuLimits(realtime_runtime_us=500000, realtime_period_us=1000000)))
    group.apply(Limits(cpu=CpuLimits(realtime_runtime_us=10000, realtime_period_us=100000)))
    groups.start(group, _spin_in_real_time)
    assert until(lambda: _cpu_ns(group) > 30_000_000, PATIENCE_S)
    assert _share_of_a_processor(group) < 0.25
    group.apply(Limits(cpu=CpuLimits(realtime_runtime_us=50000)))
    assert until(lambda: _share_of_a_processor(group) > 0.35, PATIENCE_S)


def _share_of_a_processor(group: Cgroup) -> float:
    """What is used of one in some time; never more than it was, however late this process is."""
    began = time.monotonic()
    used = _cpu_ns(group)
    time.sleep(0.3)
    used = _cpu_ns(group) - used
    return used / (time.monotonic() - began) / 1e9


def test_memory_of_a_node_that_the_machine_lacks_is_refused(group: Cgroup) -> None:
    group.apply(Limits(cpu=CpuLimits(mems="0")))
    assert text(group, "cpuset.mems", "cpuset.mems") == "0"
    with pytest.raises(InvalidArgument, match="cpuset mems"):
        group.apply(Limits(cpu=CpuLimits(mems="63")))
    assert text(group, "cpuset.mems", "cpuset.mems") == "0"


def _content(path: Path, megabytes: int) -> int:
    """Write a file and read it: memory that is given back when somebody else needs it."""
    with path.open("w+b") as file:
        for _ in range(megabytes):
            file.write(bytes(MB))
        file.flush()
        os.fsync(file.fileno())
        file.seek(0)
        while file.read(MB):
            pass
    return 0


def test_a_reservation_keeps_memory_when_a_neighbour_wants_it(groups: Groups) -> None:
    hierarchy = hierarchies().of("memory")
    if hierarchy is None or hierarchy.version == 1:
        pytest.skip("v1 heeds reservations when the whole machine is short of memory, and not below a parent's limit")
    above = groups.make()
    above.apply(Limits(memory=MemoryLimits(limit_bytes=96 * MB, swap_bytes=96 * MB)))
    free, kept = groups.make(above.path + "/free"), groups.make(above.path + "/kept")
    kept.apply(Limits(memory=MemoryLimits(reservation_bytes=40 * MB)))
    greedy = groups.make(above.path + "/greedy")
    with TemporaryDirectory(dir="/var/tmp", prefix="sampan-test-") as directory:  # on a disk, if there is one
        files = [Path(directory, Path(one.path).name) for one in (free, kept, greedy)]
        for one, file, size in zip((free, kept, greedy), files, (24, 24, 192), strict=True):
            assert groups.start(one, partial(_content, file, size)).wait(120) == 0
        assert _file_bytes(kept) > 23 * MB
        assert _file_bytes(free) < 18 * MB


def _file_bytes(group: Cgroup) -> int:
    memory = group.statistics().memory
    assert memory is not None
    return memory.stat["file"]
