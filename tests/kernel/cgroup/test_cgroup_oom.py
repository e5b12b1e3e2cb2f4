from __future__ import annotations

import select
import signal
from typing import TYPE_CHECKING

import pytest
from tests.kernel.cgroup.conftest import entered, sleep
from tests.kernel.cgroup.test_cgroup_limits import MB, fill

from sampan.cgroup import Limits
from sampan.cgroup.limits import MemoryLimits

if TYPE_CHECKING:
    from tests.kernel.cgroup.conftest import Groups

    from sampan.cgroup import Cgroup, OomWatch

SMALL = Limits(memory=MemoryLimits(limit_bytes=24 * MB, swap_bytes=24 * MB))


def readable(watch: OomWatch, timeout_s: float) -> bool:
    return bool(select.select([watch], [], [], timeout_s)[0])


def watch_of(group: Cgroup) -> OomWatch:
    watch = group.watch_oom()
    if watch is None:
        pytest.skip("needs the memory controller")
    return watch


def test_a_watch_becomes_readable_when_memory_runs_out(groups: Groups, group: Cgroup) -> None:
    group.apply(SMALL)
    watch = watch_of(group)
    assert not readable(watch, 0)
    member = groups.start(group, lambda: fill(64 * MB))
    assert readable(watch, 60)
    assert member.wait() == -signal.SIGKILL
    assert group.oom_kills() == 1
    watch.drain()
    assert not readable(watch, 0)
    watch.close()
    watch.close()
    assert watch.fileno() == -1


def test_a_watch_stays_quiet_when_a_process_ends_otherwise(groups: Groups, group: Cgroup) -> None:
    group.apply(SMALL)
    watch = watch_of(group)
    member = groups.start(group, sleep)
    assert entered(group, member)
    group.kill_all()
    assert member.wait() == -signal.SIGKILL
    assert not readable(watch, 0)
    assert group.oom_kills() == 0
    watch.close()


def test_every_victim_is_counted(groups: Groups, group: Cgroup) -> None:
    group.apply(SMALL)
    for count in (1, 2, 3):
        groups.start(group, lambda: fill(64 * MB)).wait()
        assert group.oom_kills() == count


def test_a_group_that_is_gone_has_no_victims(groups: Groups, group: Cgroup) -> None:
    group.oom_kills()
    group.remove()
    assert group.oom_kills() == 0
