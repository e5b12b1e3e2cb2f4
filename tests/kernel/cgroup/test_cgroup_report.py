"""What is told of a real group's limits: those that Docker has no option for are told as well."""

from __future__ import annotations

from pathlib import Path

from tests.kernel.cgroup.conftest import directory_of

from sampan.cgroup import Cgroup, Limits, hierarchies
from sampan.cgroup.limits import CpuLimits, HugepageLimit
from sampan.cgroup.report import LimitLine, limits_of

MB = 1 << 20


def _told(group: Cgroup) -> dict[str, LimitLine]:
    return {line.name: line for line in limits_of(group.path, hierarchies())}


def test_a_burst_and_who_runs_when_nobody_else_does_are_told(group: Cgroup) -> None:
    before = _told(group)
    assert (before["cpu burst"].value, before["cpu idle"].value) == (None, None)
    group.apply(Limits(cpu=CpuLimits(quota_us=20000, period_us=100000, burst_us=10000, idle=1)))
    told = _told(group)
    assert (told["cpu burst"].value, told["cpu burst"].unit) == ("10000", "us")
    assert told["cpu idle"].value == "1"
    assert Path(told["cpu burst"].file).read_text() == "10000\n"


def test_huge_pages_of_each_size_are_told(group: Cgroup) -> None:
    directory = directory_of(group, "hugetlb")
    group.apply(Limits(hugepages=(HugepageLimit("2MB", 4 * MB),)))
    told = _told(group)["huge pages of 2MB"]
    assert (told.value, told.use, told.refused) == (str(4 * MB), 0, 0)
    assert Path(told.file).parent == directory
    group.apply(Limits(hugepages=(HugepageLimit("2MB", -1),)))
    assert _told(group)["huge pages of 2MB"].value is None


def test_a_real_time_budget_is_told_where_the_kernel_has_one(group: Cgroup) -> None:
    directory = directory_of(group, "cpu")
    told = _told(group)
    has_one = (directory / "cpu.rt_runtime_us").exists()
    assert ("real-time runtime" in told) == ("real-time period" in told) == has_one
    if has_one:
        assert (told["real-time runtime"].value, told["real-time period"].value) == ("0", "1000000")


def test_weights_of_devices_are_told_apart_from_the_weight_of_all(group: Cgroup) -> None:
    directory = directory_of(group, "blkio" if hierarchies().of("blkio") else "io")
    has_them = any((directory / name).exists() for name in ("blkio.bfq.weight_device", "io.bfq.weight", "io.weight"))
    told = _told(group)
    assert ("block io weight of devices" in told) == has_them
    if has_them:
        assert (told["block io weight"].value, told["block io weight of devices"].value) == ("100", None)
