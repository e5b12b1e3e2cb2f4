from __future__ import annotations

import os
import signal
import time
from typing import TYPE_CHECKING

import pytest
from tests.kernel.cgroup.conftest import directory_of, entered, sleep, spin, until

from sampan.cgroup import hierarchies, open_cgroup
from sampan.cgroup.directory import Directory
from sampan.cgroup.host import Host

if TYPE_CHECKING:
    from tests.kernel.cgroup.conftest import Groups

    from sampan.cgroup import Cgroup

legacy_only = Host(hierarchies().legacy)
needs_v1_freezer = pytest.mark.skipif(legacy_only.of("freezer") is None, reason="needs the freezer controller of v1")


def cpu_time(pid: int) -> int:
    with open(f"/proc/{pid}/stat", encoding="ascii") as file:
        fields = file.read().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def advances(pid: int) -> bool:
    start = cpu_time(pid)
    return until(lambda: cpu_time(pid) > start)


def stands(pid: int) -> bool:
    """Whether it gets no time while another process gets plenty."""
    start = cpu_time(pid)
    own = time.process_time()
    while time.process_time() < own + 0.2:
        pass
    return cpu_time(pid) == start


def test_freezing_stops_a_spinner_and_thawing_lets_it_go_on(groups: Groups, group: Cgroup) -> None:
    member = groups.start(group, spin)
    assert entered(group, member)
    assert not group.frozen()
    group.freeze()
    assert group.frozen()
    assert stands(member.pid)
    group.thaw()
    assert not group.frozen()
    assert advances(member.pid)


@needs_v1_freezer
def test_the_freezer_of_v1_does_the_same_without_a_unified_tree(groups: Groups, group: Cgroup) -> None:
    member = groups.start(group, spin)
    assert entered(group, member)
    v1 = open_cgroup(group.path, legacy_only)
    v1.freeze()
    assert (directory_of(group, "freezer") / "freezer.state").read_text() == "FROZEN\n"
    assert v1.frozen()
    assert stands(member.pid)
    v1.thaw()
    assert advances(member.pid)
    v1.close()


@needs_v1_freezer
def test_thawing_undoes_a_freeze_by_someone_else_through_v1(groups: Groups, group: Cgroup) -> None:
    member = groups.start(group, spin)
    assert entered(group, member)
    (directory_of(group, "freezer") / "freezer.state").write_text("FROZEN")
    assert group.frozen()
    group.thaw()
    assert not group.frozen()
    assert advances(member.pid)


def test_freezing_twice_and_thawing_what_runs_is_fine(group: Cgroup) -> None:
    group.thaw()
    group.freeze()
    group.freeze()
    group.thaw()


def test_a_group_that_is_not_there_is_not_frozen(groups: Groups) -> None:
    assert not groups.open().frozen()


@pytest.mark.parametrize("host", [pytest.param(hierarchies(), id="all"), pytest.param(legacy_only, id="v1")])
def test_a_freeze_that_cannot_end_is_undone(groups: Groups, host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    if not host.hierarchies:
        pytest.skip("needs v1")
    made = groups.make()
    member = groups.start(made, spin)
    assert entered(made, member)
    group = open_cgroup(made.path, host)
    monkeypatch.setattr("sampan.cgroup.freezer.wait_for_event", lambda *_: False)
    if host is legacy_only:
        real = type(group).freeze.__globals__["freezer"].Directory.read
        monkeypatch.setattr(
            "sampan.cgroup.directory.Directory.read",
            lambda self, file: "FREEZING\n" if file == "freezer.state" else real(self, file),
        )
    with pytest.raises(TimeoutError):
        group.freeze(timeout_s=0)
    monkeypatch.undo()
    group.close()
    assert not made.frozen()
    assert advances(member.pid)


def bomb() -> None:
    """Fork for ever; every child does the same."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    while True:
        try:
            os.fork()
        except OSError:
            time.sleep(0.001)


@pytest.mark.parametrize("host", [pytest.param(hierarchies(), id="all"), pytest.param(legacy_only, id="v1")])
def test_a_fork_bomb_is_ended(groups: Groups, host: Host) -> None:
    if not host.hierarchies:
        pytest.skip("needs v1")
    made = groups.make()
    directory_of(made, "pids").joinpath("pids.max").write_text("60")
    groups.start(made, bomb)
    assert until(lambda: len(made.processes()) > 40)
    group = open_cgroup(made.path, host)
    group.kill_all()
    group.close()
    assert made.processes() == ()
    assert directory_of(made, "pids").joinpath("pids.max").read_text() == "60\n"


def flee() -> None:
    """Fork and leave the rest to the child, for ever: who signals the pids that it has read comes too late."""
    while True:
        try:
            if os.fork():
                os._exit(0)
        except OSError:
            continue


@pytest.mark.parametrize(
    "host",
    [
        pytest.param(hierarchies(), id="all"),
        pytest.param(legacy_only, id="v1"),
        pytest.param(Host(tuple(one for one in legacy_only.hierarchies if one.name != "pids")), id="v1-without-pids"),
    ],
)
def test_who_forks_and_leaves_for_ever_is_ended(groups: Groups, host: Host) -> None:
    if not host.hierarchies:
        pytest.skip("needs v1")
    made = groups.make()
    member = groups.start(made, flee)
    assert member.wait() == 0  # it has left for its child
    group = open_cgroup(made.path, host)
    group.kill_all()
    group.close()
    assert made.processes() == ()


def test_a_frozen_group_can_be_ended(groups: Groups, group: Cgroup) -> None:
    member = groups.start(group, sleep)
    assert entered(group, member)
    group.freeze()
    group.kill_all()
    assert member.wait() == -signal.SIGKILL


@needs_v1_freezer
def test_a_group_frozen_by_v1_can_be_ended(groups: Groups, group: Cgroup) -> None:
    member = groups.start(group, sleep)
    assert entered(group, member)
    (directory_of(group, "freezer") / "freezer.state").write_text("FROZEN")
    group.kill_all()
    assert member.wait() == -signal.SIGKILL


def test_ending_reaches_the_groups_below(groups: Groups, group: Cgroup) -> None:
    below = groups.make(group.path + "/a/b")
    member = groups.start(below, sleep)
    assert entered(below, member)
    group.kill_all()
    assert member.wait() == -signal.SIGKILL


@pytest.mark.skipif(len(hierarchies().hierarchies) < 2, reason="needs two hierarchies")
def test_who_left_one_hierarchy_is_ended_by_the_others(groups: Groups, group: Cgroup) -> None:
    member = groups.start(group, sleep)
    assert entered(group, member)
    left = hierarchies().hierarchies[-1]
    with open(os.path.join(left.mount_point, "cgroup.procs"), "w", encoding="ascii") as file:
        file.write(str(member.pid))
    group.kill_all()
    assert member.wait() == -signal.SIGKILL


def test_ending_an_empty_group_or_one_that_is_gone_is_fine(groups: Groups, group: Cgroup) -> None:
    group.kill_all()
    group.remove()
    group.kill_all()


@pytest.mark.parametrize(
    "file", ["cgroup.kill", "cgroup.events", "cgroup.freeze", "freezer.state", "freezer.self_freezing", "cgroup.procs"]
)
def test_a_group_that_somebody_removes_meanwhile_has_nobody_to_end_and_is_not_frozen(
    group: Cgroup, monkeypatch: pytest.MonkeyPatch, file: str
) -> None:
    opened = Directory.open

    def open_and_lose(self: Directory, name: str, flags: int) -> int:
        descriptor = opened(self, name, flags)
        if name == file:
            os.rmdir(self.location)
        return descriptor

    monkeypatch.setattr(Directory, "open", open_and_lose)
    group.kill_all()
    assert not group.frozen()
    group.remove()


def test_ending_gives_up_at_its_time_limit(groups: Groups, group: Cgroup, monkeypatch: pytest.MonkeyPatch) -> None:
    member = groups.start(group, sleep)
    assert entered(group, member)
    monkeypatch.setattr("sampan.cgroup.directory.Directory.write", lambda *_: None)
    monkeypatch.setattr("sampan.cgroup.killing.signal.pidfd_send_signal", lambda *_: None)
    with pytest.raises(TimeoutError, match="do not die"):
        group.kill_all(timeout_s=0.05)
