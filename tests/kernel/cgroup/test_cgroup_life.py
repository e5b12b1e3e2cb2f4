from __future__ import annotations

import errno
import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.groups import remove_groups
from tests.kernel.cgroup.conftest import entered, groups_of, sleep, until

from sampan.cgroup import Mode, hierarchies, open_cgroup
from sampan.cgroup.directory import Directory
from sampan.cgroup.v2 import UnifiedCgroup
from sampan.errors import InvalidArgument

if TYPE_CHECKING:
    from tests.kernel.cgroup.conftest import Groups

    from sampan.cgroup import Cgroup


def test_a_group_exists_in_every_hierarchy_of_the_host(group: Cgroup) -> None:
    assert {name for name, _ in group.directories()} == {one.name for one in hierarchies().hierarchies}
    assert all(os.path.isdir(path) for _, path in group.directories())


def test_making_a_group_again_says_that_it_was_there(group: Cgroup) -> None:
    assert not group.create()


@pytest.mark.parametrize("name", [one.name for one in hierarchies().hierarchies])
def test_a_group_that_was_there_in_one_hierarchy_was_there(groups: Groups, name: str) -> None:
    group = groups.open()
    os.mkdir(dict(group.directories())[name])
    assert not group.create()


def test_groups_above_are_made_on_the_way(groups: Groups) -> None:
    above = groups.open()
    below = groups.open(above.path + "/a/b")
    assert below.create()
    assert all(os.path.isdir(path) for _, path in above.directories())


def test_a_process_enters_every_hierarchy(groups: Groups, group: Cgroup) -> None:
    member = groups.start(group, sleep)
    assert entered(group, member)
    assert group.processes() == (member.pid,)


def test_a_nested_group_can_be_entered_at_once(groups: Groups) -> None:
    above = groups.open()
    group = groups.open(above.path + "/a")
    group.create()
    assert groups.start(group, lambda: 7).wait() == 7


def test_a_cpuset_that_somebody_else_has_filled_halfway_is_filled(groups: Groups) -> None:
    above = groups.open()
    place = next((Path(path) for name, path in above.directories() if name == "cpuset"), None)
    if place is None:
        pytest.skip("cpuset is no hierarchy of version 1 here")
    place.mkdir()
    (place / "cgroup.clone_children").write_text("1")
    (place / "cpuset.cpus").write_text((place.parent / "cpuset.cpus").read_text())
    group = groups.open(above.path + "/a")
    group.create()
    assert (place / "a" / "cpuset.mems").read_text() == (place.parent / "cpuset.mems").read_text()
    assert groups.start(group, lambda: 7).wait() == 7


def test_a_failure_while_making_leaves_nothing_behind(groups: Groups, monkeypatch: pytest.MonkeyPatch) -> None:
    above = groups.open()
    group = groups.open(above.path + "/a")
    last = hierarchies().hierarchies[-1].name
    real = Directory.make

    def fail_in_the_last(self: Directory, *arguments: object) -> object:
        if self.hierarchy.name == last:
            raise OSError(errno.ENOSPC, "no space")
        return real(self, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(Directory, "make", fail_in_the_last)
    with pytest.raises(OSError, match="no space"):
        group.create()
    assert not group.exists()
    assert not above.exists()


def test_removing_takes_the_groups_below_too_and_is_idempotent(groups: Groups) -> None:
    group = groups.make()
    groups.make(group.path + "/a/b")
    group.remove()
    assert not group.exists()
    group.remove()


def test_removing_what_was_never_made_is_fine(groups: Groups) -> None:
    groups.open().remove()


def test_removing_a_group_with_a_living_process_fails_as_busy(groups: Groups, group: Cgroup) -> None:
    member = groups.start(group, sleep)
    assert entered(group, member)
    with pytest.raises(OSError, match="busy") as caught:
        group.remove(timeout_s=0.05)
    assert caught.value.errno == errno.EBUSY
    assert group.processes() == (member.pid,)


def test_removing_waits_for_a_process_that_ends_meanwhile(groups: Groups, group: Cgroup) -> None:
    member = groups.start(group, sleep)
    assert entered(group, member)
    signal.pidfd_send_signal(member.pidfd, signal.SIGKILL)
    group.remove(timeout_s=30)
    assert not group.exists()


@pytest.mark.skipif(hierarchies().unified is None, reason="needs the unified tree")
def test_ending_a_group_that_somebody_else_removes_meanwhile_is_no_failure(
    group: Cgroup, monkeypatch: pytest.MonkeyPatch
) -> None:
    signal_all = UnifiedCgroup.signal_all

    def signal_and_lose(one: UnifiedCgroup) -> bool:
        told = signal_all(one)
        remove_groups(group.path)
        return told

    monkeypatch.setattr(UnifiedCgroup, "signal_all", signal_and_lose)
    group.kill_all()
    assert not group.exists()


def test_a_second_process_enters_beside_the_first_when_the_group_was_divided(groups: Groups, group: Cgroup) -> None:
    unified = hierarchies().unified
    if unified is None or hierarchies().mode is not Mode.V2:
        pytest.skip("needs controllers on the unified tree")
    root = Path(dict(group.directories())[""])

    def divide() -> None:
        (root / "init").mkdir()
        (root / "init/cgroup.procs").write_text("0")
        (root / "cgroup.subtree_control").write_text("+pids")
        sleep()

    first = groups.start(group, divide)
    assert until(lambda: "pids" in (root / "cgroup.subtree_control").read_text())
    with pytest.raises(OSError, match="busy"):
        groups.start(group, sleep)
    second = groups.start(group, sleep, beside=first.pid)
    assert groups_of(second.pid)[""] == group.path + "/init"


def test_a_relative_path_is_below_the_groups_of_this_process(groups: Groups) -> None:
    group = groups.open(groups.name().removeprefix("/"))
    for name, path in group.directories():
        hierarchy = next(one for one in hierarchies().hierarchies if one.name == name)
        own = hierarchy.own if hierarchy.version == 1 else os.path.dirname(hierarchy.own)
        assert path == os.path.join(hierarchy.mount_point, own.strip("/"), group.path)


def test_a_path_out_of_the_tree_is_refused() -> None:
    with pytest.raises(InvalidArgument, match=r"\.\."):
        open_cgroup("/sampan/../../x")


def test_descriptors_are_given_back(groups: Groups, group: Cgroup) -> None:
    before = len(os.listdir("/proc/self/fd"))
    again = open_cgroup(group.path)
    again.processes()
    with again.entry():
        assert len(os.listdir("/proc/self/fd")) > before
    again.close()
    assert len(os.listdir("/proc/self/fd")) == before


def test_groups_made_on_the_way_leave_no_descriptor(groups: Groups) -> None:
    before = set(os.listdir("/proc/self/fd"))
    above = groups.open()
    below = groups.make(above.path + "/a/b/c")
    below.close()
    assert set(os.listdir("/proc/self/fd")) == before


def test_a_directory_that_cannot_be_made_ready_is_taken_back_with_those_above(groups: Groups) -> None:
    hierarchy = hierarchies().hierarchies[0]
    above = groups.open()
    directory = Directory(hierarchy, f"{hierarchy.mount_point}{above.path}/a/b")

    def refuse_the_last(made: Directory) -> None:
        if made is directory:
            raise OSError(errno.EINVAL, "not ready")

    with pytest.raises(OSError, match="not ready"):
        directory.make(refuse_the_last)
    assert not above.exists()


def test_processes_of_the_groups_below_count(groups: Groups, group: Cgroup) -> None:
    below = groups.make(group.path + "/a")
    member = groups.start(below, sleep)
    assert entered(below, member)
    assert group.processes() == (member.pid,)


def test_a_failure_names_the_whole_path(group: Cgroup) -> None:
    hierarchy = hierarchies().hierarchies[0]
    directory = Directory(hierarchy, hierarchy.mount_point + group.path)
    for call in (lambda: directory.read("nonsense"), lambda: directory.write("nonsense", "1")):
        with pytest.raises(FileNotFoundError) as caught:
            call()
        assert caught.value.filename == f"{directory.location}/nonsense"
    directory.close()
