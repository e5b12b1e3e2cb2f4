"""Limits that are refused before anything is made, as a group that exists has no file for them."""

from __future__ import annotations

from pathlib import Path

import pytest

from sampan.cgroup.host import Hierarchy, Host
from sampan.cgroup.limits import Limits, MemoryLimits
from sampan.cgroup.plan import plan_writes
from sampan.cgroup.presence import require_files
from sampan.errors import NotImplementedHere

LIMITS = Limits(memory=MemoryLimits(limit_bytes=1 << 20))


@pytest.fixture(params=[1, 2])
def host(request: pytest.FixtureRequest, tmp_path: Path) -> Host:
    """One hierarchy, with a group named "some" that has no file yet."""
    (tmp_path / "some").mkdir()
    version = request.param
    return Host((Hierarchy("memory" if version == 1 else "", version, str(tmp_path), frozenset({"memory"})),))


def ask(host: Host) -> None:
    require_files(host, plan_writes(LIMITS, host))


def test_a_limit_without_a_file_is_refused_by_its_name(host: Host, tmp_path: Path) -> None:
    (tmp_path / "some" / "cgroup.procs").touch()
    (tmp_path / "some" / "cgroup.controllers").write_text("memory\n")
    with pytest.raises(NotImplementedHere, match="memory"):
        ask(host)
    for file in ("memory.limit_in_bytes", "memory.max"):
        (tmp_path / "some" / file).touch()
    ask(host)


def test_a_group_that_is_removed_while_it_is_looked_at_says_nothing_about_the_kernel(host: Host) -> None:
    ask(host)  # it has no file at all, as the kernel shows one that has gone


def test_without_a_group_nothing_is_refused(host: Host, tmp_path: Path) -> None:
    (tmp_path / "some").rmdir()
    ask(host)
