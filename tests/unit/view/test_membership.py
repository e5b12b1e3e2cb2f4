"""What holds for a process by its groups, on made-up hierarchies of either version."""

from __future__ import annotations

from pathlib import Path

import pytest

from sampan.cgroup.host import Hierarchy, Host
from sampan.cgroup.membership import (
    Membership,
    effective_memory,
    effective_processors,
    format_list,
    parse_list,
    parse_membership,
)

MEGABYTE = 1024 * 1024
NO_LIMIT = str(0x7FFFFFFFFFFFF000)


def _write(directory: Path, **files: str) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (directory / name.replace("__", ".")).write_text(text)


def _v1(root: Path, *controllers: str) -> Host:
    return Host(tuple(Hierarchy(name, 1, str(root / name), frozenset({name})) for name in controllers))


def _v2(root: Path) -> Host:
    return Host((Hierarchy("", 2, str(root), frozenset({"cpu", "cpuset", "memory", "io", "pids"})),))


def test_the_tightest_limit_on_the_way_up_is_the_memory(tmp_path: Path) -> None:
    usage = {"memory__usage_in_bytes": "1000", "memory__stat": "cache 1\ntotal_cache 5\n"}
    _write(tmp_path / "memory/a", memory__limit_in_bytes=str(256 * MEGABYTE), **usage)
    _write(tmp_path / "memory/a/b", memory__limit_in_bytes=NO_LIMIT, **usage)
    place = parse_membership("4:memory:/a/b\n", _v1(tmp_path, "memory"))
    found = effective_memory(place)
    assert found is not None
    assert (found.limit_bytes, found.usage_bytes, found.stat) == (256 * MEGABYTE, 1000, {"cache": 5})


def test_a_nested_limit_that_is_smaller_counts(tmp_path: Path) -> None:
    _write(tmp_path / "a", memory__max=str(256 * MEGABYTE), memory__current="9000")
    _write(tmp_path / "a/b", memory__max=str(64 * MEGABYTE), memory__current="7000", memory__stat="file 3\n")
    found = effective_memory(parse_membership("0::/a/b\n", _v2(tmp_path)))
    assert found is not None
    assert (found.limit_bytes, found.usage_bytes, found.stat) == (64 * MEGABYTE, 7000, {"file": 3})


def test_swap_is_what_memory_and_swap_leave_beyond_the_memory(tmp_path: Path) -> None:
    _write(
        tmp_path / "memory/a",
        memory__limit_in_bytes=str(100 * MEGABYTE),
        memory__usage_in_bytes=str(60 * MEGABYTE),
        memory__memsw__limit_in_bytes=str(150 * MEGABYTE),
        memory__memsw__usage_in_bytes=str(70 * MEGABYTE),
        memory__stat="",
    )
    found = effective_memory(parse_membership("4:memory:/a\n", _v1(tmp_path, "memory")))
    assert found is not None
    assert (found.swap_limit_bytes, found.swap_usage_bytes) == (50 * MEGABYTE, 10 * MEGABYTE)


def test_without_any_limit_there_is_no_memory_of_its_own(tmp_path: Path) -> None:
    _write(tmp_path / "a", memory__max="max", memory__current="9000")
    assert effective_memory(parse_membership("0::/a\n", _v2(tmp_path))) is None
    assert effective_memory(parse_membership("0::/\n", _v2(tmp_path))) is None


@pytest.mark.parametrize(
    ("quota", "cpus", "shown"),
    [
        ("150000 100000", "", (0, 1)),
        ("100000 100000", "", (0,)),
        ("max 100000", "", (0, 1, 2, 3)),
        ("max 100000", "1,3", (1, 3)),
        ("250000 100000", "1,3", (1, 3)),
        ("50000 100000", "2-3", (2,)),
        ("1000 100000", "", (0,)),
    ],
)
def test_as_many_processors_as_the_smaller_of_cpuset_and_quota(
    tmp_path: Path, quota: str, cpus: str, shown: tuple[int, ...]
) -> None:
    _write(tmp_path / "a", cpu__max=quota, cpuset__cpus__effective=cpus)
    place = parse_membership("0::/a\n", _v2(tmp_path))
    assert effective_processors(place, (0, 1, 2, 3)).shown == shown


def test_the_quota_of_a_parent_counts_on_v1(tmp_path: Path) -> None:
    _write(tmp_path / "cpu/a", cpu__cfs_quota_us="150000", cpu__cfs_period_us="100000")
    _write(tmp_path / "cpu/a/b", cpu__cfs_quota_us="-1", cpu__cfs_period_us="100000")
    _write(tmp_path / "cpuset/a/b", cpuset__cpus="1-3\n")
    text = "2:cpuset:/a/b\n1:cpu:/a/b\n"
    found = effective_processors(parse_membership(text, _v1(tmp_path, "cpu", "cpuset")), (0, 1, 2, 3))
    assert (found.quota, found.shown) == (1.5, (1, 2))


def test_a_processor_that_is_offline_is_not_shown(tmp_path: Path) -> None:
    _write(tmp_path / "a", cpuset__cpus__effective="0-3")
    assert effective_processors(parse_membership("0::/a\n", _v2(tmp_path)), (0, 2)).shown == (0, 2)


def test_a_group_outside_of_what_is_mounted_is_the_root(tmp_path: Path) -> None:
    host = Host((Hierarchy("", 2, str(tmp_path), frozenset({"memory"}), root="/outer"),))
    assert parse_membership("0::/outer/a\n", host).paths == {"": "/a"}
    assert parse_membership("0::/other/a\n", host).paths == {"": "/"}
    assert Membership(host, {"": "/"}).chain("memory") == ()


@pytest.mark.parametrize("text", ["0", "0-3", "0,2-4,7", "1,3", ""])
def test_lists_of_processors_come_back_as_they_were(text: str) -> None:
    assert format_list(tuple(parse_list(text))) == text
