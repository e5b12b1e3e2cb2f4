"""A child that is cloned before there is a plan for it. What it is like as a container is shown in `test_launch`."""

from __future__ import annotations

import os
import select
import signal
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.child import run_in_child
from tests.runtime.conftest import BIND, CAPABILITIES, READ_ONLY, Boat, cgroup_directories, output
from tests.waiting import until

from sampan.cgroup.limits import DeviceRule, Limits
from sampan.linux import capability, process
from sampan.linux.mount import mountinfo
from sampan.linux.namespace import CloneFlag, setns, unshare
from sampan.runtime.ahead import Ahead, make_ahead, model_of
from sampan.runtime.handshake import StepFailed
from sampan.runtime.launch import launch, release
from sampan.runtime.launch_plan import (
    CapabilitiesPlan,
    CgroupPlan,
    HookPlan,
    HooksPlan,
    LaunchPlan,
    MountPlan,
    NamespaceJoin,
    RootPlan,
)
from sampan.runtime.launched import Stdio

if TYPE_CHECKING:
    from sampan.runtime.launched import Launched

# Devices without the minute in which they were made; before Linux 6.15 mounts are listed in the order of their making.
DEVICES = "stat -c '%N %A %u %g %t %T %s' /dev/*"
SHOW = f"cat /proc/self/cgroup; ip -o link | grep -c LOWER_UP; hostname; sort /proc/mounts; {DEVICES}"


def waiting_for(plan: LaunchPlan) -> Ahead:
    model = model_of(plan, plan.id)
    assert model is not None
    return make_ahead(model)


def links_of(pid: int) -> list[str]:
    """What the descriptors of a process are of, which may be opening and closing some."""
    links = []
    for name in os.listdir(f"/proc/{pid}/fd"):
        with suppress(FileNotFoundError):
            links.append(os.readlink(f"/proc/{pid}/fd/{name}"))
    return links


def lines_of(boat: Boat, plan: LaunchPlan, ahead: Ahead) -> list[str]:
    """What the container prints that is made of the child, or beside it."""
    with output() as (out, _):
        launched = launch(plan, Stdio(-1, out.fileno(), out.fileno()), ahead=ahead)
        launched.go()
        boat.finish(launched)
        out.seek(0)
        return str(out.read().decode()).splitlines()


def kept_in_order[T](act: Callable[[], T]) -> T:
    """Nothing may stay open or be left to reap."""
    before = len(os.listdir("/proc/self/fd"))
    result = act()
    assert len(os.listdir("/proc/self/fd")) == before
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)
    return result


def test_the_child_that_waited_is_the_container(boat: Boat) -> None:
    plan = boat.plan("echo $$; readlink /proc/self/ns/net")

    def act() -> tuple[bool, list[str]]:
        ahead = waiting_for(plan)
        network = os.readlink(f"/proc/{ahead.pid}/ns/net")
        launched: Launched | None = None
        with output() as (out, _):
            launched = launch(plan, Stdio(-1, out.fileno(), -1), ahead=ahead)
            same = launched.pid == ahead.pid
            launched.go()
            boat.finish(launched)
            out.seek(0)
            return same, [*out.read().decode().splitlines(), network]

    same, (pid, inside, network) = boat.call(lambda: kept_in_order(act))
    assert (same, pid, inside) == (True, "1", network)


def test_it_looks_like_one_that_is_cloned_with_its_plan(boat: Boat) -> None:
    plan = boat.plan(SHOW)
    boat.ahead = True
    waited = boat.run(plan).lines
    boat.ahead = False
    assert boat.run(plan).lines == waited


def test_while_it_waits_it_has_its_cgroup_and_no_descriptor_of_the_callers(boat: Boat, tmp_path: Path) -> None:
    plan = boat.plan("true")

    def act() -> tuple[tuple[int, ...], int, list[str]]:
        secret = os.open(tmp_path, os.O_RDONLY)
        ahead = waiting_for(plan)
        try:
            until(lambda: Path(f"/proc/{ahead.pid}/comm").read_text().strip() == "sampan-start")  # it has closed them
            return ahead.cgroup.processes(), ahead.pid, links_of(ahead.pid)
        finally:
            ahead.discard()
            os.close(secret)

    members, pid, links = boat.call(lambda: kept_in_order(act))
    assert members == (pid,)
    assert str(tmp_path) not in links


def test_while_it_waits_it_has_nothing_of_the_host_mounted(boat: Boat) -> None:
    plan = boat.plan("true")

    def act() -> tuple[list[str], list[str]]:
        ahead = waiting_for(plan)
        try:
            until(lambda: len(mountinfo(ahead.pid)) == 1)
            return os.listdir(f"/proc/{ahead.pid}/root"), [entry.fstype for entry in mountinfo(ahead.pid)]
        finally:
            ahead.discard()

    assert boat.call(act) == ([], ["tmpfs"])


def test_nobody_gets_out_of_its_root_to_what_lies_below(boat: Boat) -> None:
    """By the oldest way out of a changed root: with a working directory outside of the next one, up and up."""
    plan = boat.plan("exec sleep 1000")

    def get_out(pidfd: int) -> tuple[list[str], list[str]]:
        setns(pidfd, CloneFlag.NEWNS)
        inside = sorted(os.listdir("/"))
        os.chroot("/tmp")
        for _ in range(10):
            os.chdir("..")
        return inside, sorted(os.listdir("."))

    def act() -> tuple[list[str], list[str]]:
        boat.ahead = True
        launched = boat.start(plan)
        try:
            return run_in_child(lambda: get_out(launched.pidfd))
        finally:
            boat.end(launched)

    inside, reached = boat.call(act)
    assert inside == reached == sorted(os.listdir(boat.root))


def test_its_root_counts_as_no_changed_one(boat: Boat) -> None:
    """Who has changed its root may make no user namespace (EPERM)."""
    boat.ahead = True
    outcome = boat.run(boat.plan("unshare -U true && echo made"))
    assert (outcome.out, outcome.err) == ("made\n", "")


def test_discarded_it_leaves_nothing(boat: Boat) -> None:
    plan = boat.plan("true")

    def act() -> list[str]:
        ahead = waiting_for(plan)
        ahead.discard()
        ahead.discard()
        return cgroup_directories(plan.id)

    assert boat.call(lambda: kept_in_order(act)) == []


def test_it_ends_when_the_caller_is_killed(boat: Boat) -> None:
    plan = boat.plan("true")

    def act() -> None:
        read_end, write_end = os.pipe()
        caller = os.fork()
        if caller == 0:
            os.write(write_end, str(waiting_for(plan).pid).encode())
            signal.pause()
        pidfd = process.pidfd_open(int(os.read(read_end, 32)))
        os.kill(caller, signal.SIGKILL)
        os.waitpid(caller, 0)
        wait_for_end(pidfd)
        release(f"/{plan.id}")  # whoever had it made knows its name

    boat.call(act)


def wait_for_end(pidfd: int) -> None:
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    assert poll.poll(60_000)


def other_id(boat: Boat, plan: LaunchPlan) -> LaunchPlan:
    return boat.plan(plan.process)


def other_namespaces(boat: Boat, plan: LaunchPlan) -> LaunchPlan:
    return replace(plan, namespaces=boat.namespaces("ipc"))


def of_a_user_namespace(boat: Boat, plan: LaunchPlan) -> LaunchPlan:
    mapped = boat.mapped(plan.process)
    return replace(mapped, id=plan.id, cgroup=plan.cgroup)


def joining(boat: Boat, plan: LaunchPlan) -> LaunchPlan:
    join = (NamespaceJoin("ipc", "/proc/self/ns/ipc"),)
    return replace(plan, namespaces=boat.namespaces("ipc", join=join))


def with_more_capabilities(_boat: Boat, plan: LaunchPlan) -> LaunchPlan:
    sets = CapabilitiesPlan(
        CAPABILITIES | 1 << capability.NAMES.index("CAP_SYS_ADMIN"), CAPABILITIES, CAPABILITIES, 0, 0
    )
    return replace(plan, process=replace(plan.process, capabilities=sets))


def with_early_hooks(boat: Boat, plan: LaunchPlan) -> LaunchPlan:
    hook = HookPlan("/bin/true", ("true",))
    return replace(plan, hooks=HooksPlan(create_runtime=(hook,)))


def with_hooks(boat: Boat, plan: LaunchPlan) -> LaunchPlan:
    hook = HookPlan("/bin/sh", ("sh", "-c", f"grep CapBnd /proc/self/status > {boat.directory}/bounding"))
    return replace(plan, hooks=HooksPlan(create_container=(hook,)))


@pytest.mark.parametrize(
    "change",
    [other_id, other_namespaces, of_a_user_namespace, joining, with_more_capabilities, with_hooks, with_early_hooks],
)
def test_a_plan_that_it_does_not_suit_gets_a_child_of_its_own(
    boat: Boat, change: Callable[[Boat, LaunchPlan], LaunchPlan]
) -> None:
    model = boat.plan("echo here")
    plan = change(boat, model)

    def act() -> tuple[list[str], bool]:
        ahead = waiting_for(model)
        lines = lines_of(boat, plan, ahead)
        return lines, os.path.exists(f"/proc/{ahead.pid}")

    assert boat.call(lambda: kept_in_order(act)) == (["here"], False)


def test_a_plan_without_rules_for_devices_may_use_what_its_model_must_not(boat: Boat) -> None:
    plan = boat.plan("head -c1 /dev/zero >/dev/null && echo here")
    rules = (DeviceRule(allow=False), DeviceRule(allow=True, kind="c", major=1, minor=3))
    model = replace(plan, cgroup=CgroupPlan(f"/{plan.id}", Limits(devices=rules)))
    assert boat.call(lambda: kept_in_order(lambda: lines_of(boat, plan, waiting_for(model)))) == ["here"]


def test_it_has_fewer_capabilities_than_its_model_where_the_plan_says_so(boat: Boat) -> None:
    model = boat.plan("grep CapBnd /proc/self/status")
    none = CapabilitiesPlan(1, 1, 1, 0, 0)
    plan = replace(model, process=replace(model.process, capabilities=none))
    lines = boat.call(lambda: kept_in_order(lambda: lines_of(boat, plan, waiting_for(model))))
    assert [line.split()[1].lstrip("0") for line in lines] == ["1"]


def test_one_that_was_killed_is_made_anew(boat: Boat) -> None:
    plan = boat.plan("echo here")

    def act() -> list[str]:
        ahead = waiting_for(plan)
        ahead.kill()
        wait_for_end(ahead.pidfd)
        return lines_of(boat, plan, ahead)

    assert boat.call(lambda: kept_in_order(act)) == ["here"]


def test_it_has_the_mounts_and_limits_of_its_plan_and_not_of_the_model(boat: Boat) -> None:
    model = boat.plan("true")
    more = MountPlan("proc/uptime", str(boat.root / "bin" / "busybox"), "bind", BIND | READ_ONLY)
    rules = (DeviceRule(allow=False), DeviceRule(allow=True, kind="c", major=1, minor=3, access="rwm"))
    plan = replace(
        model,
        process=boat.process("cat /proc/mounts; cat /dev/zero | head -c1; echo $?; ls /dev"),
        mounts=(*(mount for mount in model.mounts if mount.target != "dev/mqueue"), more),
        devices=model.devices[:2],
        cgroup=CgroupPlan(model.cgroup.path, Limits(devices=rules)) if model.cgroup else None,
    )
    lines = boat.call(lambda: kept_in_order(lambda: lines_of(boat, plan, waiting_for(model))))
    assert any(line.split()[1] == "/proc/uptime" for line in lines if line.count(" ") > 4)
    assert not any(" /dev/mqueue " in line for line in lines)
    assert "urandom" not in lines
    assert "zero" in lines
    assert any("not permitted" in line for line in lines)


def test_a_network_namespace_of_the_plan_is_joined_and_its_sysfs_shows_it(boat: Boat) -> None:
    def act() -> list[str]:
        holder = os.fork()
        if holder == 0:
            unshare(CloneFlag.NEWNET)
            signal.pause()
        path = f"/proc/{holder}/ns/net"
        while os.readlink(path) == os.readlink("/proc/self/ns/net"):
            os.sched_yield()
        names = boat.namespaces("net", join=(NamespaceJoin("net", path),))
        plan = boat.plan("readlink /proc/self/ns/net; ls /sys/class/net", namespaces=names)
        ahead = waiting_for(plan)
        try:
            return [os.readlink(path), *lines_of(boat, plan, ahead)]
        finally:
            os.kill(holder, signal.SIGKILL)
            os.waitpid(holder, 0)

    network, inside, *links = boat.call(lambda: kept_in_order(act))
    assert (inside, links) == (network, ["lo"])


def test_a_start_that_fails_gives_it_back(boat: Boat) -> None:
    plan = boat.plan("true", root=RootPlan(str(boat.root / "none")))

    def act() -> list[str]:
        with pytest.raises(StepFailed, match="make_sources"):
            lines_of(boat, plan, waiting_for(plan))
        return cgroup_directories(plan.id)

    assert boat.call(lambda: kept_in_order(act)) == []


def test_a_model_holds_nothing_of_the_program_and_its_files(boat: Boat) -> None:
    secret = MountPlan("run/secret", "/secret/source", "bind", BIND)
    plan = boat.plan(boat.process("true", environment=("TOKEN=secret",)))
    plan = replace(plan, mounts=(*plan.mounts, secret), sysctl=(("kernel.domainname", "secret"),))
    assert "secret" not in repr(model_of(plan, "other"))


@pytest.mark.parametrize("where", ["", "elsewhere"])
def test_without_a_cgroup_of_its_own_name_there_is_no_model(boat: Boat, where: str) -> None:
    plan: Any = boat.plan("true")
    assert model_of(replace(plan, cgroup=CgroupPlan(f"/{where}", Limits()) if where else None), "other") is None


def test_where_the_cgroup_is_there_already_none_is_made(boat: Boat) -> None:
    plan = boat.plan("true")

    def act() -> str:
        first = waiting_for(plan)
        try:
            with pytest.raises(FileExistsError):
                waiting_for(plan)
            return os.readlink(f"/proc/{first.pid}/ns/pid")
        finally:
            first.discard()

    assert boat.call(lambda: kept_in_order(act)).startswith("pid:")
