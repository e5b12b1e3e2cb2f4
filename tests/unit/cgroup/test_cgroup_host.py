from __future__ import annotations

from pathlib import Path

import pytest

from sampan.cgroup.host import Mode, read_host, why_missing

V1 = r"""
31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
33 31 0:30 / /sys/fs/cgroup/cpu,cpuacct rw,nosuid shared:9 - cgroup cgroup rw,cpu,cpuacct
34 31 0:31 / /sys/fs/cgroup/memory rw,relatime shared:10 master:2 - cgroup cgroup rw,memory,clone_children
40 31 0:37 / /odd\040place/systemd rw,relatime - cgroup cgroup rw,xattr,name=systemd
"""
OWN = """5:cpu,cpuacct:/
4:memory:/user/42
1:name=systemd:/
0::/init.scope
"""


def unified(directory: Path, controllers: str = "cpu io memory pids", root: str = "/") -> str:
    (directory / "cgroup.controllers").write_text(controllers + "\n")
    return f"41 31 0:38 {root} {directory} rw,nosuid - cgroup2 cgroup2 rw,nsdelegate,memory_recursiveprot\n"


def test_v1_with_co_mounted_and_named_hierarchies() -> None:
    host = read_host(V1, OWN)
    assert host.mode is Mode.V1
    assert [one.name for one in host.hierarchies] == ["cpu,cpuacct", "memory", "name=systemd"]
    assert host.hierarchies[0].controllers == {"cpu", "cpuacct"}
    assert host.of("cpuacct") is host.hierarchies[0]
    assert host.hierarchies[1].own == "/user/42"
    assert host.hierarchies[2].mount_point == "/odd place/systemd"
    assert host.hierarchies[2].controllers == frozenset()
    assert host.of("pids") is None


def test_hybrid_is_v1_with_the_unified_tree_beside(tmp_path: Path) -> None:
    host = read_host(V1 + unified(tmp_path, "hugetlb"), OWN)
    assert host.mode is Mode.HYBRID
    assert host.unified is not None
    assert host.unified.own == "/init.scope"
    assert host.of("hugetlb") is host.unified
    assert host.hierarchies[-1] is host.unified


def test_v2_alone(tmp_path: Path) -> None:
    host = read_host(unified(tmp_path), "0::/\n")
    assert host.mode is Mode.V2
    assert host.controllers == {"cpu", "io", "memory", "pids"}


def test_the_mount_that_shows_the_whole_hierarchy_counts(tmp_path: Path) -> None:
    part = "50 31 0:31 /docker/1 /part rw - cgroup cgroup rw,memory\n"
    assert read_host(part + V1, OWN).of("memory") == read_host(V1, OWN).of("memory")
    assert read_host(V1 + part, OWN).of("memory") == read_host(V1, OWN).of("memory")


def test_inside_a_container_without_a_cgroup_namespace_paths_are_below_the_mounted_part() -> None:
    host = read_host("50 31 0:31 /docker/1 /cg rw - cgroup cgroup rw,memory\n", "4:memory:/docker/1/mine\n")
    assert host.hierarchies[0].own == "/mine"
    host = read_host("50 31 0:31 /docker/1 /cg rw - cgroup cgroup rw,memory\n", "4:memory:/docker/1\n")
    assert host.hierarchies[0].own == "/"
    host = read_host("50 31 0:31 /docker/1 /cg rw - cgroup cgroup rw,memory\n", "4:memory:/docker/12\n")
    assert host.hierarchies[0].own == "/"


def test_no_hierarchy_is_no_error_yet() -> None:
    assert read_host("23 1 254:0 / / rw - ext4 /dev/root rw\n", "").hierarchies == ()


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ("#subsys_name\thierarchy\tnum_cgroups\tenabled\nnet_cls\t0\t1\t1\n", "mount"),
        ("#subsys_name\thierarchy\tnum_cgroups\tenabled\nnet_cls\t0\t1\t0\n", "cgroup_disable"),
        ("#subsys_name\thierarchy\tnum_cgroups\tenabled\n", "built without"),
    ],
)
def test_why_a_controller_is_missing(table: str, words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sampan.cgroup.host._text", lambda _: table)
    assert words in why_missing("net_cls")
