from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.kernel.cgroup.conftest import sleep, until

from sampan.cgroup import Limits, Mode, hierarchies, open_cgroup
from sampan.cgroup.limits import InterfacePriority
from sampan.cgroup.v2 import vacate_root
from sampan.errors import Conflict, NotImplementedHere
from sampan.linux import mount, namespace, process

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.kernel.cgroup.conftest import Groups
    from tests.kernel.conftest import PrivateHost


def test_this_host_is_what_the_kernel_says() -> None:
    host = hierarchies()
    lines = Path("/proc/self/cgroup").read_text().splitlines()
    mounted = {one.name for one in host.hierarchies}
    assert mounted <= {line.split(":", 2)[1] for line in lines}
    for one in host.hierarchies:
        assert os.path.exists(os.path.join(one.mount_point + one.own, "cgroup.procs"))


def test_hierarchies_that_are_mounted_elsewhere_are_found_and_used(host: PrivateHost, groups: Groups) -> None:
    name = groups.open().path

    def elsewhere() -> tuple[Mode, bool, list[str]]:
        for one in hierarchies().hierarchies:
            target = host.root / (one.name or "unified")
            target.mkdir()
            mount.mount(one.mount_point, str(target), "", mount.MountFlag.BIND)
        for one in reversed(hierarchies().hierarchies):
            mount.umount(one.mount_point, mount.UmountFlag.DETACH)
        hierarchies.cache_clear()
        group = open_cgroup(name)
        made = group.create()
        group.apply(Limits(pids_max=9))
        return hierarchies().mode, made, [path for _, path in group.directories()]

    mode, made, paths = host.run(elsewhere)
    assert (mode, made) == (hierarchies().mode, True)
    assert all(path.startswith(str(host.root)) for path in paths)
    with contextlib.closing(open_cgroup(name)) as group:
        assert group.exists()
        pids = group.statistics().pids
    assert pids is not None
    assert pids.limit == 9


def test_a_host_without_any_hierarchy_is_refused_with_a_remedy(host: PrivateHost) -> None:
    def bare() -> str:
        for line in reversed(mount.mountinfo()):
            if line.fstype in ("cgroup", "cgroup2"):
                mount.umount(line.target, mount.UmountFlag.DETACH)
        hierarchies.cache_clear()
        try:
            hierarchies()
        except NotImplementedHere as error:
            return error.remedy
        return ""

    assert "mount" in host.run(bare)


def number_of(controller: str) -> str:
    """The number of the hierarchy that has `controller`; "0" is the unified tree or none."""
    lines = (line.split() for line in Path("/proc/cgroups").read_text().splitlines())
    return next((line[1] for line in lines if line[0] == controller), "")


@contextlib.contextmanager
def mounted(root: Path, controllers: str) -> Iterator[Path]:
    """A new v1 hierarchy, which is gone afterwards: removed groups linger, and one with groups survives its unmount."""
    target = root / controllers
    target.mkdir()
    mount.mount("cgroup", str(target), "cgroup", mount.MountFlag.NONE, controllers)
    hierarchies.cache_clear()
    try:
        yield target
    finally:
        mount.umount(str(target))
        first = controllers.partition(",")[0]
        for _ in range(10):
            if until(lambda: number_of(first) == "0", timeout_s=1):
                break
            mount.mount("cgroup", str(target), "cgroup", mount.MountFlag.NONE, controllers)
            mount.umount(str(target))


def test_co_mounted_controllers_are_one_hierarchy(host: PrivateHost) -> None:
    """Commonly net_cls and net_prio have no hierarchy: a private one is made for the test and goes with it."""
    if (number_of("net_cls"), number_of("net_prio")) != ("0", "0"):
        pytest.skip("needs net_cls and net_prio in no hierarchy")
    if hierarchies().mode is Mode.V2:
        pytest.skip("needs v1")

    def limits() -> tuple[str, str, str]:
        with mounted(host.root, "net_cls,net_prio") as target:
            name = f"/sampan-test-{os.getppid()}-net"
            group = open_cgroup(name)
            try:
                group.create()
                group.apply(Limits(network_class=0x100001, network_priorities=(InterfacePriority("lo", 5),)))
                names = [name for name, _ in group.directories()]
                inside = target / name[1:]
                return (
                    next(name for name in names if "net_cls" in name),
                    (inside / "net_cls.classid").read_text().strip(),
                    (inside / "net_prio.ifpriomap").read_text(),
                )
            finally:
                group.remove()
                group.close()

    name, class_id, priorities = host.run(limits)
    assert set(name.split(",")) == {"net_cls", "net_prio"}
    assert class_id == str(0x100001)
    assert "lo 5" in priorities


def test_an_engine_in_a_cgroup_namespace_makes_room_and_nests(host: PrivateHost, groups: Groups) -> None:
    if hierarchies().mode is not Mode.V2:
        pytest.skip("needs v2")
    outer = groups.make()

    def inside() -> tuple[str, bool, bool, list[int]]:
        entry = outer.entry()
        with open(f"/proc/self/fd/{entry.clone_fd}/cgroup.procs", "w", encoding="ascii") as file:
            file.write("0")
        namespace.unshare(namespace.CloneFlag.NEWCGROUP)
        target = host.root / "cgroup"
        target.mkdir()
        mount.umount(hierarchies().hierarchies[0].mount_point, mount.UmountFlag.DETACH)
        mount.mount("cgroup2", str(target), "cgroup2")
        hierarchies.cache_clear()
        group = open_cgroup("/a/b")
        refused = ""
        try:
            group.create()
        except Conflict as error:
            refused = str(error)
        assert not group.exists()
        moved = vacate_root(hierarchies())
        again = vacate_root(hierarchies())
        group.create()
        group.apply(Limits(pids_max=5))
        with group.entry() as way:
            pid, pidfd = namespace.clone3(0, cgroup_fd=way.clone_fd)
            if pid == 0:
                os._exit(0)
        process.wait_pid(pid)
        os.close(pidfd)
        pids = group.statistics().pids
        return refused, moved, again, [] if pids is None or pids.limit is None else [pids.limit]

    refused, moved, again, limit = host.run(inside)
    assert "holds processes itself" in refused
    assert (moved, again, limit) == (True, False, [5])


def test_the_real_root_is_never_vacated() -> None:
    unified = hierarchies().unified
    if unified is None:
        pytest.skip("needs the unified tree")
    if os.path.exists(os.path.join(unified.mount_point, "cgroup.type")):
        pytest.skip("needs to run outside of a cgroup namespace")
    before = Path(unified.mount_point, "cgroup.procs").read_text()
    assert not vacate_root(hierarchies())
    assert set(before.split()) & set(Path(unified.mount_point, "cgroup.procs").read_text().split())


def test_a_group_given_to_a_user_can_be_divided_by_that_user(groups: Groups) -> None:
    unified = hierarchies().unified
    if unified is None:
        pytest.skip("needs the unified tree")
    group = groups.make()
    group.delegate(100000, 100000)
    root = Path(dict(group.directories())[""])
    assert (root.stat().st_uid, root.stat().st_gid) == (100000, 100000)
    assert (root / "cgroup.procs").stat().st_uid == 100000
    assert (root / "cgroup.freeze").stat().st_uid == 0

    def divide() -> int:
        process.set_ids(100000, 100000, ())
        (root / "own").mkdir()
        return 0

    assert groups.start(group, divide).wait() == 0
    groups.start(group, sleep)
    assert (root / "own").is_dir()
