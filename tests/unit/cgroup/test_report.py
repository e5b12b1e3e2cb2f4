"""Limits read one by one from made-up groups of either version."""

from __future__ import annotations

from pathlib import Path

from sampan.cgroup.host import Hierarchy, Host
from sampan.cgroup.report import LimitLine, limits_of


def _write(directory: Path, files: dict[str, str]) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (directory / name).write_text(text)


def _by_name(lines: list[LimitLine]) -> dict[str, LimitLine]:
    return {line.name: line for line in lines}


def test_v2_tells_value_use_and_what_was_refused(tmp_path: Path) -> None:
    files = {
        "memory.max": "1000\n",
        "memory.current": "900\n",
        "memory.events": "high 0\nmax 7\noom_kill 2\n",
        "memory.low": "0\n",
        "memory.swap.max": "0\n",
        "cpu.max": "max 100000\n",
        "cpu.stat": "nr_throttled 5\n",
        "pids.max": "20\n",
        "pids.current": "3\n",
        "pids.events": "max 4\n",
    }
    _write(tmp_path / "s/a", files)
    host = Host((Hierarchy("", 2, str(tmp_path), frozenset({"memory", "cpu", "pids"})),))
    found = _by_name(limits_of("/s/a", host))
    memory = found["memory"]
    assert (memory.value, memory.use, memory.refused) == ("1000", 900, 7)
    assert memory.file == f"{tmp_path}/s/a/memory.max"
    assert found["memory reservation"].value is None
    assert found["swap"].value == "0"
    assert (found["cpu quota"].value, found["cpu quota"].refused) == (None, 5)
    assert (found["processes"].value, found["processes"].use, found["processes"].refused) == ("20", 3, 4)
    assert found["out of memory"].refused == 2


def test_v1_has_its_own_files_and_a_huge_number_is_no_limit(tmp_path: Path) -> None:
    unlimited = f"{0x7FFFFFFFFFFFF000}\n"
    files = {"memory.limit_in_bytes": "1000\n", "memory.failcnt": "3\n", "memory.soft_limit_in_bytes": unlimited}
    _write(tmp_path / "memory/s/a", files)
    _write(tmp_path / "cpuset/s/a", {"cpuset.cpus": "0-1\n", "cpuset.mems": "0\n"})
    host = Host(
        (
            Hierarchy("memory", 1, f"{tmp_path}/memory", frozenset({"memory"})),
            Hierarchy("cpuset", 1, f"{tmp_path}/cpuset", frozenset({"cpuset"})),
        )
    )
    found = _by_name(limits_of("/s/a", host))
    assert (found["memory"].value, found["memory"].refused) == ("1000", 3)
    assert found["memory reservation"].value is None
    assert (found["cpus"].value, found["memory nodes"].value) == ("0-1", "0")


def test_a_limit_of_a_group_above_comes_last_and_one_without_value_not_at_all(tmp_path: Path) -> None:
    _write(tmp_path / "s/a", {"pids.max": "20\n", "memory.max": "max\n"})
    _write(tmp_path / "s", {"pids.max": "50\n", "memory.max": "max\n"})
    host = Host((Hierarchy("", 2, str(tmp_path), frozenset({"memory", "pids"})),))
    found = limits_of("/s/a", host)
    assert [(line.name, line.value) for line in found] == [("memory", None), ("processes", "20"), ("processes", "50")]
    assert found[-1].file == f"{tmp_path}/s/pids.max"


def test_v1_tells_of_burst_real_time_huge_pages_and_weights_of_devices(tmp_path: Path) -> None:
    cpu = {"cpu.cfs_burst_us": "5000\n", "cpu.rt_runtime_us": "0\n", "cpu.rt_period_us": "1000000\n", "cpu.idle": "0\n"}
    _write(tmp_path / "cpu/a", cpu)
    huge = {
        "hugetlb.2MB.limit_in_bytes": "4194304\n",
        "hugetlb.2MB.usage_in_bytes": "2097152\n",
        "hugetlb.2MB.failcnt": "3\n",
        "hugetlb.2MB.rsvd.limit_in_bytes": "9223372036852678656\n",
        "hugetlb.1GB.limit_in_bytes": "9223372036854771712\n",
        "hugetlb.64KB.limit_in_bytes": "0\n",
    }
    _write(tmp_path / "hugetlb/a", huge)
    _write(tmp_path / "blkio/a", {"blkio.bfq.weight": "100\n", "blkio.bfq.weight_device": "default 100\n8:0 300\n"})
    _write(tmp_path / "memory/a", {"memory.swappiness": "0\n", "memory.limit_in_bytes": "0\n"})
    names = ("cpu", "hugetlb", "blkio", "memory")
    host = Host(tuple(Hierarchy(name, 1, f"{tmp_path}/{name}", frozenset({name})) for name in names))
    found = _by_name(limits_of("/a", host))
    assert (found["cpu burst"].value, found["cpu burst"].unit) == ("5000", "us")
    assert (found["real-time runtime"].value, found["real-time period"].value) == ("0", "1000000")
    assert found["cpu idle"].value is None
    pages = found["huge pages of 2MB"]
    assert (pages.value, pages.use, pages.refused) == ("4194304", 2097152, 3)
    assert pages.file == f"{tmp_path}/hugetlb/a/hugetlb.2MB.limit_in_bytes"
    assert (found["huge pages of 1GB"].value, found["huge pages of 64KB"].value) == (None, "0")
    assert len([name for name in found if name.startswith("huge")]) == 3
    assert (found["block io weight"].value, found["block io weight of devices"].value) == ("100", "8:0 300")
    assert (found["memory swappiness"].value, found["memory"].value) == ("0", "0")


def test_v2_tells_of_burst_huge_pages_and_weights_of_devices(tmp_path: Path) -> None:
    files = {
        "cpu.max.burst": "5000\n",
        "cpu.idle": "1\n",
        "io.weight": "default 200\n8:0 300\n8:16 50\n",
        "hugetlb.2MB.max": "0\n",
        "hugetlb.2MB.rsvd.max": "max\n",
        "hugetlb.2MB.current": "0\n",
        "hugetlb.2MB.events": "max 2\n",
        "hugetlb.1GB.max": "max\n",
    }
    _write(tmp_path / "a", files)
    host = Host((Hierarchy("", 2, str(tmp_path), frozenset({"cpu", "io", "hugetlb"})),))
    found = _by_name(limits_of("/a", host))
    assert (found["cpu burst"].value, found["cpu idle"].value) == ("5000", "1")
    assert (found["block io weight"].value, found["block io weight of devices"].value) == ("200", "8:0 300\n8:16 50")
    pages = found["huge pages of 2MB"]
    assert (pages.value, pages.use, pages.refused) == ("0", 0, 2)
    assert found["huge pages of 1GB"].value is None
    assert len([name for name in found if name.startswith("huge")]) == 2
