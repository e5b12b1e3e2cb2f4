"""What a container is once it runs, seen from inside and outside."""

from __future__ import annotations

import errno
import os
import select
import signal
import socket
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import pytest

from sampan.errors import Kind
from sampan.linux import libc, process
from sampan.linux.mount import MountFlag, mountinfo
from sampan.runtime import prepare
from sampan.runtime.handshake import StepFailed
from sampan.runtime.launch import launch, release
from sampan.runtime.launch_plan import (
    CapabilitiesPlan,
    DevicePlan,
    IdMap,
    IdMapping,
    MountPlan,
    NamespaceJoin,
    OverlayPlan,
    RlimitPlan,
    RootPlan,
    SchedulerPlan,
    TimeOffset,
)
from sampan.runtime.launched import Stdio, open_gate

if TYPE_CHECKING:
    from tests.runtime.conftest import Boat


@pytest.fixture(autouse=True, params=["cloned with its plan", "cloned before"])
def _way(request: pytest.FixtureRequest, boat: Boat) -> None:
    boat.ahead = request.param == "cloned before"


def test_the_program_is_pid_1_and_its_code_is_the_containers(boat: Boat) -> None:
    outcome = boat.run(boat.plan("echo $$; exit 7"))
    assert (outcome.code, outcome.out) == (7, "1\n")


def test_a_program_killed_by_a_signal_shows_it(boat: Boat) -> None:
    plan = boat.plan("kill -9 $$; (sleep 1; echo alive)")  # pid 1 is spared its own signals
    assert boat.run(plan).lines == ["alive"]
    shared = boat.plan("kill -9 $$", namespaces=boat.namespaces("pid"))
    assert boat.run(shared).code == 128 + 9


def test_standard_input_reaches_the_program(boat: Boat) -> None:
    assert boat.run(boat.plan("tr a-z A-Z; echo oops >&2"), stdin=b"ship ahoy").out == "SHIP AHOY"


@pytest.mark.parametrize("kind", ["cgroup", "ipc", "mnt", "net", "pid", "uts"])
def test_each_namespace_of_the_plan_is_a_new_one(boat: Boat, kind: str) -> None:
    inside = boat.run(boat.plan(f"readlink /proc/self/ns/{kind}")).out.strip()
    assert inside.startswith(kind)
    assert inside != os.readlink(f"/proc/self/ns/{kind}")


@pytest.mark.parametrize("kind", ["cgroup", "ipc", "net", "pid", "uts"])
def test_a_namespace_that_is_not_in_the_plan_is_the_callers(boat: Boat, kind: str) -> None:
    plan = boat.plan(f"readlink /proc/self/ns/{kind}", namespaces=boat.namespaces(kind), hostname="", masked_paths=())
    assert boat.run(plan).out.strip() == os.readlink(f"/proc/self/ns/{kind}")


def or_skip[T](function: Callable[[], T]) -> T:
    """What it returns; skips where the kernel lacks something for it, which a start must say."""
    try:
        return function()
    except StepFailed as error:
        if error.kind is Kind.NOT_IMPLEMENTED:
            pytest.skip(error.text)
        raise


def test_without_a_mount_namespace_the_host_sees_none_of_the_mounts(boat: Boat) -> None:
    plan = boat.plan("readlink /proc/self/ns/mnt; ls /proc/1/comm", namespaces=boat.namespaces("mnt"))

    def run() -> tuple[list[str], str, bool]:
        before = mountinfo()
        return boat.run_here(plan).lines, os.readlink("/proc/self/ns/mnt"), mountinfo() == before

    lines, own, same = boat.call(lambda: or_skip(run))
    assert lines == [own, "/proc/1/comm"]
    assert same


def test_names_are_set_in_the_uts_namespace_alone(boat: Boat) -> None:
    plan = boat.plan("cat /proc/sys/kernel/hostname /proc/sys/kernel/domainname", domainname="sea")
    assert boat.run(plan).lines == ["boat", "sea"]
    assert socket.gethostname() != "boat"


def test_a_container_sees_only_its_own_root(boat: Boat) -> None:
    (boat.root / "marker").touch()
    outcome = boat.run(boat.plan("ls / /.. /../.."))
    assert outcome.out.count("marker") == 3
    assert boat.run(boat.plan("cat /proc/self/mountinfo")).out.count(" / / ") == 0


def test_the_mount_table_of_a_container_names_nothing_of_the_host_but_its_root(boat: Boat) -> None:
    lines = boat.run(boat.plan("cat /proc/self/mountinfo")).lines
    targets = [line.split()[4] for line in lines]
    assert targets.count("/") == 1
    assert {"/proc", "/dev", "/dev/pts", "/sys", "/sys/fs/cgroup", "/dev/mqueue", "/dev/shm"} <= set(targets)
    assert not any("shared:" in line or "master:" in line for line in lines)


def test_the_cgroup_namespace_starts_at_the_containers_own_group(boat: Boat) -> None:
    outcome = boat.run(boat.plan("cut -d: -f3 /proc/self/cgroup | sort -u"))
    assert outcome.lines == ["/"]


def test_the_cgroup_mounts_show_the_containers_own_group(boat: Boat) -> None:
    script = "for d in /sys/fs/cgroup/*/; do [ -L ${d%/} ] || grep -qx 1 $d/cgroup.procs && echo ${d}; done; true"
    inside = boat.run(boat.plan(script)).lines
    script = "read first < /sys/fs/cgroup/cgroup.procs; echo $first"
    assert inside or boat.run(boat.plan(script)).lines == ["1"]
    readonly = boat.run(boat.plan("for d in /sys/fs/cgroup /sys/fs/cgroup/*/; do mkdir $d/x && echo made; done; true"))
    assert readonly.out == ""


def test_devices_and_links_of_dev_are_there(boat: Boat) -> None:
    extra = DevicePlan("/dev/net/tun", "c", 10, 200, 0o640, 7, 8)
    plan = boat.plan(
        "stat -c '%n %t:%T %a %u:%g' /dev/null /dev/net/tun; for l in ptmx fd stderr; do readlink /dev/$l; done"
    )
    outcome = boat.run(replace(plan, devices=(*plan.devices, extra)))
    assert outcome.lines == [
        "/dev/null 1:3 666 0:0",
        "/dev/net/tun a:c8 640 7:8",
        "pts/ptmx",
        "/proc/self/fd",
        "/proc/self/fd/2",
    ]


def test_devices_are_made_in_the_root_when_nothing_is_mounted_on_dev(boat: Boat) -> None:
    plan = boat.plan("stat -c '%n %t:%T' /dev/null; readlink /dev/fd", mounts=boat.plan("true").mounts[:1])
    assert boat.run(plan).lines == ["/dev/null 1:3", "/proc/self/fd"]


def test_something_else_in_a_devices_place_is_an_error(boat: Boat) -> None:
    (boat.root / "dev/null").write_text("not a device")
    with pytest.raises(StepFailed, match=r"make device /dev/null: .*file exists") as caught:
        boat.run(boat.plan("true", mounts=()))
    assert caught.value.step == "make_devices"


@pytest.mark.parametrize("mapped", [False, True])
def test_on_a_kernel_that_attaches_to_no_detached_mount_the_container_is_the_same(
    boat: Boat, monkeypatch: pytest.MonkeyPatch, *, mapped: bool
) -> None:
    def table() -> list[list[str]]:
        script = "cut -d' ' -f 4- /proc/self/mountinfo; ls /sys/fs/cgroup"
        lines = boat.run(boat.mapped(script) if mapped else boat.plan(script)).lines
        return sorted([word for word in line.split() if not word.startswith("inode")] for line in lines)

    before = table()

    def refuse(_fd: int, _to: object) -> None:
        raise OSError(errno.EINVAL, "before Linux 6.15")

    monkeypatch.setattr(prepare, "move_mount", refuse)
    assert table() == before
    assert any("/sys/fs/cgroup/memory" in line or "/sys/fs/cgroup" in line for line in before)


def test_masked_paths_are_empty_and_readonly_paths_refuse_writes(boat: Boat) -> None:
    script = "cat /proc/keys /proc/timer_list; ls /sys/firmware; echo x > /proc/sys/kernel/core_pattern; echo done"
    outcome = boat.run(boat.plan(script))
    assert outcome.out == "done\n"
    assert "Read-only file system" in outcome.err


def test_sysctls_of_the_plan_are_written(boat: Boat) -> None:
    plan = boat.plan("cat /proc/sys/net/ipv4/ip_forward /proc/sys/kernel/shmmni")
    settings = (("net/ipv4/ip_forward", "1"), ("kernel/shmmni", "1234"))
    assert boat.run(replace(plan, sysctl=settings)).lines == ["1", "1234"]


def test_a_sysctl_that_there_is_not_is_refused_by_name(boat: Boat) -> None:
    plan = boat.plan("true", sysctl=(("net/there/is_none", "1"),))
    with pytest.raises(StepFailed, match=r"sysctl net\.there\.is_none: this kernel has no such setting") as caught:
        boat.run(plan)
    assert (caught.value.step, caught.value.kind) == ("write_sysctls", Kind.INVALID)


def test_a_sysctl_that_the_kernel_refuses_is_named(boat: Boat) -> None:
    plan = boat.plan("true", sysctl=(("net/ipv4/ip_forward", "many"),))
    with pytest.raises(StepFailed, match=r"sysctl net\.ipv4\.ip_forward=many: .*invalid argument") as caught:
        boat.run(plan)
    assert (caught.value.step, caught.value.errno) == ("write_sysctls", 22)


def test_a_bind_shows_the_hosts_file_and_directory(boat: Boat) -> None:
    (boat.directory / "file").write_text("cargo\n")
    binds = (
        MountPlan("etc/a/new/file", str(boat.directory / "file"), "", int(MountFlag.BIND)),
        MountPlan("mnt/dir", str(boat.directory), "", int(MountFlag.BIND | MountFlag.REC | MountFlag.RDONLY)),
    )
    plan = boat.plan("cat /etc/a/new/file /mnt/dir/file; touch /mnt/dir/x")
    outcome = boat.run(replace(plan, mounts=(*plan.mounts, *binds)))
    assert outcome.out == "cargo\ncargo\n"
    assert "Read-only" in outcome.err
    assert not (boat.directory / "x").exists()


def test_a_missing_bind_source_is_made_only_when_asked(boat: Boat) -> None:
    source = boat.directory / "volume" / "data"
    plan = boat.plan("touch /data/file")
    bind = MountPlan("data", str(source), "", int(MountFlag.BIND))
    with pytest.raises(StepFailed, match="bind source path does not exist") as caught:
        boat.run(replace(plan, mounts=(*plan.mounts, bind)))
    assert caught.value.step == "make_sources"
    assert boat.run(replace(plan, mounts=(*plan.mounts, replace(bind, create_source=True)))).code == 0
    assert (source / "file").exists()


def test_a_mount_that_fails_names_source_and_target(boat: Boat) -> None:
    (boat.root / "file").touch()
    bind = MountPlan("file/below", str(boat.directory), "", int(MountFlag.BIND))
    plan = boat.plan("true")
    with pytest.raises(StepFailed, match=f"mount {boat.directory} on /file/below: .*not a directory") as caught:
        boat.run(replace(plan, mounts=(*plan.mounts, bind)))
    assert caught.value.step == "mount_filesystems"


def test_an_overlay_takes_the_writes(boat: Boat) -> None:
    upper, work = boat.directory / "upper", boat.directory / "work"
    upper.mkdir()
    work.mkdir()
    overlay = OverlayPlan((str(boat.root),), str(upper), str(work))
    boat.run(boat.plan("echo cargo > /etc/new; rm /bin/wc", root=RootPlan(str(boat.root), overlay)))
    assert (upper / "etc/new").read_text() == "cargo\n"
    assert not (boat.root / "etc/new").exists()
    assert (boat.root / "bin/wc").is_symlink()


def test_a_readonly_root_still_has_its_mounts(boat: Boat) -> None:
    plan = boat.plan("touch /x; touch /dev/shm/x && echo ok", root=RootPlan(str(boat.root), readonly=True))
    outcome = boat.run(plan)
    assert outcome.out == "ok\n"
    assert "Read-only file system" in outcome.err


def test_a_readonly_tmpfs_is_so_only_after_what_lies_in_it_is_mounted(boat: Boat) -> None:
    outer = MountPlan("outer", "tmpfs", "tmpfs", int(MountFlag.RDONLY))
    inner = MountPlan("outer/inner", "tmpfs", "tmpfs")
    plan = boat.plan("touch /outer/inner/x && echo ok; touch /outer/y")
    outcome = boat.run(replace(plan, mounts=(*plan.mounts, outer, inner)))
    assert (outcome.out, "Read-only" in outcome.err) == ("ok\n", True)


def test_a_tmpfs_has_the_mode_of_what_it_covers_and_is_everybodys_where_nothing_was(boat: Boat) -> None:
    (boat.root / "there").mkdir(mode=0o750)
    mounts = tuple(MountPlan(target, "tmpfs", "tmpfs") for target in ("there", "new", "deep/new"))
    plan = boat.plan("stat -c %a /there /new /deep /deep/new")
    assert boat.run(replace(plan, mounts=(*plan.mounts, *mounts))).lines == ["750", "1777", "755", "1777"]


def test_tmpcopyup_fills_the_tmpfs_with_what_it_covers(boat: Boat) -> None:
    source = boat.root / "data"
    (source / "deep").mkdir(parents=True)
    (source / "deep" / "file").write_text("cargo\n")
    (source / "link").symlink_to("deep/file")
    source.chmod(0o710)
    os.chown(source / "deep", 5, 6)
    plan = boat.plan("cat /data/link; stat -c '%a %u:%g' /data /data/deep; echo new > /data/deep/file")
    outcome = boat.run(replace(plan, mounts=(*plan.mounts, MountPlan("data", "tmpfs", "tmpfs", copy_up=True))))
    assert outcome.lines == ["cargo", "710 0:0", "755 5:6"]
    assert (source / "deep" / "file").read_text() == "cargo\n"


def test_without_pivot_the_root_is_changed_all_the_same(boat: Boat) -> None:
    outcome = boat.run(
        boat.plan(
            "ls -d /etc /work /root 2>/dev/null; cat /proc/1/comm; true", root=RootPlan(str(boat.root), pivot=False)
        )
    )
    assert outcome.lines == ["/etc", "sh"]


@pytest.mark.parametrize(
    ("propagation", "shown"),
    [(int(MountFlag.SHARED | MountFlag.REC), "shared:"), (int(MountFlag.UNBINDABLE), "unbindable"), (0, "")],
)
def test_the_root_gets_the_propagation_that_was_asked_for(boat: Boat, propagation: int, shown: str) -> None:
    plan = boat.plan("grep ' / / \\| / rw' /proc/self/mountinfo; head -n 1 /proc/self/mountinfo")
    plan = replace(plan, root=RootPlan(str(boat.root), propagation=propagation))
    line = next(line for line in boat.run(plan).lines if line.split()[4] == "/")
    tags = line.split(" - ")[0].split()[6:]
    assert [tag for tag in tags if tag.startswith(shown)] == tags if shown else tags == []
    assert bool(tags) == bool(shown)


def test_time_offsets_move_the_containers_clocks_and_not_the_callers(boat: Boat) -> None:
    offsets = (TimeOffset("boottime", 1_000_000, 0), TimeOffset("monotonic", 500_000, 0))
    names = boat.namespaces(new=frozenset({"mnt", "pid", "time"}), time_offsets=offsets)

    def started() -> tuple[str, str, str]:
        before = os.readlink("/proc/self/ns/time_for_children")
        inside = boat.plan("cat /proc/uptime", namespaces=names, hostname="")

        return boat.run_here(inside).out, before, os.readlink("/proc/self/ns/time_for_children")

    uptime, before, after = boat.call(started)
    assert float(uptime.split()[0]) > 1_000_000
    assert before == after


def test_namespaces_are_joined_by_path_and_the_caller_comes_back(boat: Boat) -> None:

    def both() -> tuple[list[str], list[str], bool]:
        first = launch(boat.plan("sleep 100"), None)
        first.go()
        kinds = ("net", "ipc", "uts", "pid", "cgroup")
        before = [os.readlink(f"/proc/self/ns/{kind}") for kind in kinds]
        joins = tuple(NamespaceJoin(kind, f"/proc/{first.pid}/ns/{kind}") for kind in kinds)
        names = boat.namespaces(new=frozenset({"mnt"}), join=joins)
        wanted = [os.readlink(f"/proc/{first.pid}/ns/{kind}") for kind in kinds]
        script = "; ".join(f"readlink /proc/self/ns/{kind}" for kind in kinds)
        seen = boat.run_here(boat.plan(script, namespaces=names, hostname="")).lines
        same = before == [os.readlink(f"/proc/self/ns/{kind}") for kind in kinds]
        same &= os.readlink("/proc/self/ns/pid_for_children") == before[3]
        boat.end(first)
        return seen, wanted, same

    seen, wanted, came_back = boat.call(both)
    assert seen == wanted
    assert came_back


def test_a_path_of_another_kind_of_namespace_is_refused(boat: Boat) -> None:
    joins = (NamespaceJoin("net", "/proc/self/ns/ipc"),)
    plan = boat.plan("true", namespaces=boat.namespaces("net", join=joins))
    with pytest.raises(StepFailed, match="join net namespace /proc/self/ns/ipc: invalid argument") as caught:
        boat.run(plan)
    assert caught.value.step == ("join_network" if boat.ahead else "clone_child")


def test_a_user_namespace_maps_root_and_owns_dev(boat: Boat) -> None:
    script = (
        "id -u; cat /proc/self/uid_map; stat -c '%u:%g %n' /dev /dev/null /proc/1; touch /dev/shm/x /etc/y; echo $?"
    )
    outcome = boat.run(boat.mapped(script))
    assert outcome.err == ""
    assert [line.split() for line in outcome.lines] == [
        ["0"],
        ["0", "100000", "65536"],
        ["0:0", "/dev"],
        ["0:0", "/dev/null"],
        ["0:0", "/proc/1"],
        ["0"],
    ]
    assert (boat.root / "etc/y").stat().st_uid == 100000


def test_a_user_namespace_without_a_tmpfs_on_dev_gets_the_hosts_devices(boat: Boat) -> None:
    outcome = boat.run(boat.mapped("echo x > /dev/null; stat -c %t:%T /dev/null", mounts=boat.plan("x").mounts[:1]))
    assert (outcome.out, outcome.err) == ("1:3\n", "")


def test_a_user_namespace_is_joined_by_path(boat: Boat) -> None:

    def both() -> tuple[list[str], list[str]]:
        first = launch(boat.mapped("sleep 100"), None)
        first.go()
        joins = tuple(NamespaceJoin(kind, f"/proc/{first.pid}/ns/{kind}") for kind in ("user", "net"))
        names = boat.namespaces("net", join=joins)
        wanted = [os.readlink(f"/proc/{first.pid}/ns/{kind}") for kind in ("user", "net")]
        seen = boat.run_here(
            boat.plan("readlink /proc/self/ns/user; readlink /proc/self/ns/net; id -u", namespaces=names)
        ).lines
        boat.end(first)
        return seen, wanted

    seen, wanted = boat.call(both)
    assert seen == [*wanted, "0"]


def test_a_bind_is_mapped_into_the_containers_user_namespace(boat: Boat) -> None:
    source = boat.directory / "owned"
    source.mkdir()
    (source / "file").touch()
    os.chown(source / "file", 1000, 1000)
    plan = boat.mapped("stat -c %u /data/file; touch /data/new")
    bind = MountPlan("data", str(source), "", int(MountFlag.BIND), idmap=IdMapping())
    assert boat.run(replace(plan, mounts=(*plan.mounts, bind))).out == "1000\n"
    assert (source / "new").stat().st_uid == 0


def test_a_bind_is_mapped_by_maps_of_its_own(boat: Boat) -> None:

    source = boat.directory / "owned"
    source.mkdir()
    os.chown(source, 1000, 1000)
    plan = boat.plan("stat -c %u /data; touch /data/new")
    maps = (IdMap(1000, 0, 1),)
    bind = MountPlan("data", str(source), "", int(MountFlag.BIND), idmap=IdMapping(maps, maps))
    assert boat.run(replace(plan, mounts=(*plan.mounts, bind))).out == "0\n"
    assert (source / "new").stat().st_uid == 1000


def test_ids_groups_capabilities_and_privileges_are_the_plans(boat: Boat) -> None:
    sets = CapabilitiesPlan(0x2400, 0x400, 0x400, 0x400, 0x400)
    own = boat.process(
        "grep -E '^(Uid|Gid|Groups|Cap|NoNew)' /proc/self/status; umask",
        uid=12,
        gid=34,
        additional_gids=(5, 6),
        capabilities=sets,
        no_new_privileges=True,
        umask=0o27,
    )
    lines = [line.split() for line in boat.run(boat.plan(own)).lines]
    assert lines == [
        ["Uid:", "12", "12", "12", "12"],
        ["Gid:", "34", "34", "34", "34"],
        ["Groups:", "5", "6"],
        ["CapInh:", "0000000000000400"],
        ["CapPrm:", "0000000000000400"],
        ["CapEff:", "0000000000000400"],
        ["CapBnd:", "0000000000002400"],
        ["CapAmb:", "0000000000000400"],
        ["NoNewPrivs:", "1"],
        ["0027"],
    ]


def test_without_capabilities_there_are_none(boat: Boat) -> None:
    plan = boat.plan(boat.process("grep -E '^Cap(Eff|Bnd|Prm)' /proc/self/status", capabilities=None))
    assert {line.split()[1] for line in boat.run(plan).lines} == {"0000000000000000"}


def test_limits_and_scheduling_are_the_plans(boat: Boat) -> None:
    own = boat.process(
        "ulimit -n; ulimit -Hn; cat /proc/1/oom_score_adj; taskset -p 1; cut -d' ' -f19 /proc/1/stat; ionice -p 1",
        rlimits=(RlimitPlan(7, 321, 654),),
        oom_score_adj=77,
        cpu_affinity=(0,),
        scheduler=SchedulerPlan(policy=0, nice=5),
        io_priority=2 << 13 | 6,
    )
    lines = boat.run(boat.plan(own)).lines
    assert lines[:3] == ["321", "654", "77"]
    assert lines[3].endswith(": 1")
    assert lines[4] == "5"
    assert "prio 6" in lines[5]


def test_the_program_starts_with_default_signals_and_no_descriptors_but_three(boat: Boat) -> None:
    script = "grep -E '^Sig(Ign|Blk|Cgt)' /proc/self/status; ls /proc/self/fd | wc -l"
    lines = boat.run(boat.plan(boat.process("/bin/sh", "-c", script))).lines
    assert [line.split()[1] for line in lines[:2]] == ["0000000000000000", "0000000000000000"]
    assert lines[-1] == "4"  # ls itself has the directory open


def test_preserved_descriptors_become_3_and_on(boat: Boat) -> None:
    def preserved() -> tuple[str, ...]:
        fds = tuple(os.memfd_create(name) for name in ("three", "four"))
        for fd in fds:
            os.write(fd, str(fd).encode())
        backwards = fds[::-1]
        script = "ls -1 /proc/self/fd | head -n 5 | tr '\\n' ' '; readlink /proc/self/fd/3; readlink /proc/self/fd/4"
        return tuple(boat.run_here(boat.plan(script), preserve=backwards).out.split())

    assert boat.call(preserved) == ("0", "1", "2", "3", "4", "/memfd:four", "(deleted)", "/memfd:three", "(deleted)")


def test_the_personality_is_the_plans(boat: Boat) -> None:
    assert boat.run(boat.plan("uname -m", personality=0x0008)).out.strip() in {"i686", "armv8l"}


def test_keys_of_the_callers_session_are_not_the_containers(boat: Boat) -> None:
    def shown() -> list[str]:
        libc.syscall("keyctl", 1, None)
        number = {"x86_64": 248, "aarch64": 217}[libc.MACHINE]
        session = -3
        key = libc.libc.syscall(number, b"user", b"hosts-secret", b"x", 1, session)
        assert key > 0
        libc.syscall("keyctl", 5, key, 0x3F000000)  # KEYCTL_SETPERM: for possessors alone
        plan = boat.plan("grep -c hosts-secret /proc/keys", masked_paths=())
        return [boat.run_here(replace(plan, new_keyring=new)).out.strip() for new in (False, True)]

    assert boat.call(shown) == ["1", "0"]


def test_home_is_the_users_unless_the_environment_has_it(boat: Boat) -> None:
    (boat.root / "etc/passwd").write_text("root:x:0:0::/root:/bin/sh\nsailor:x:1000:1000::/home/sailor:/bin/sh\n")
    assert boat.run(boat.plan(boat.process("echo $HOME", uid=1000))).out == "/home/sailor\n"
    assert boat.run(boat.plan(boat.process("echo $HOME", uid=4))).out == "/\n"
    own = boat.process("echo $HOME", environment=("PATH=/bin", "HOME=/elsewhere"))
    assert boat.run(boat.plan(own)).out == "/elsewhere\n"


def test_the_working_directory_is_made_and_entered(boat: Boat) -> None:
    assert boat.run(boat.plan(boat.process("pwd", cwd="/new/place"))).out == "/new/place\n"
    with pytest.raises(StepFailed, match=r'chdir to cwd \("/nowhere"\).*no such file or directory') as caught:
        boat.run(boat.plan(boat.process("pwd", cwd="/nowhere", create_cwd=False)))
    assert (caught.value.step, caught.value.kind) == ("enter_cwd", Kind.COMMAND_NOT_FOUND)


def test_a_working_directory_behind_links_in_a_circle_or_a_file_is_refused_in_dockers_words(boat: Boat) -> None:
    (boat.root / "ring").symlink_to("ring")
    (boat.root / "file").touch()
    for cwd, why in (("/ring/made", "too many levels of symbolic links"), ("/file/made", "not a directory")):
        with pytest.raises(StepFailed) as caught:
            boat.run(boat.plan(boat.process("true", cwd=cwd)))
        assert caught.value.text == f'chdir to cwd ("{cwd}") set in config.json failed: {why}'
        assert (caught.value.step, caught.value.kind) == ("enter_cwd", Kind.NOT_EXECUTABLE)


def test_a_pipe_is_given_to_the_programs_user(boat: Boat) -> None:
    def through_pipe() -> tuple[int, bytes]:
        read_end, write_end = os.pipe()
        with open("/dev/null") as null:
            own = boat.process("echo again > /dev/stdout", uid=1000, gid=1000)
            launched = launch(boat.plan(own), Stdio(null.fileno(), write_end, write_end))
        launched.go()
        os.close(write_end)
        said = os.read(read_end, 100)
        return boat.finish(launched), said

    assert boat.call(through_pipe) == (0, b"again\n")


@pytest.mark.parametrize(
    ("argv", "text", "kind"),
    [
        (("nothing", "x"), 'exec: "nothing": executable file not found in $PATH', Kind.COMMAND_NOT_FOUND),
        (
            ("/bin/nothing", "x"),
            'exec: "/bin/nothing": stat /bin/nothing: no such file or directory',
            Kind.COMMAND_NOT_FOUND,
        ),
        (("/etc", "x"), 'exec: "/etc": is a directory', Kind.NOT_EXECUTABLE),
        (("/etc/plain", "x"), 'exec: "/etc/plain": permission denied', Kind.NOT_EXECUTABLE),
        (("/etc/odd", "x"), "exec /etc/odd: exec format error", Kind.NOT_EXECUTABLE),
        (("/etc/lost", "x"), "exec /etc/lost: no such file or directory", Kind.COMMAND_NOT_FOUND),
    ],
)
def test_a_program_that_cannot_run_is_told_in_dockers_words(
    boat: Boat, argv: tuple[str, ...], text: str, kind: Kind
) -> None:
    (boat.root / "etc/plain").write_text("plain")
    for name, content in (("odd", "\x7fnot a program"), ("lost", "#!/no/such/interpreter\n")):
        (boat.root / "etc" / name).write_text(content)
        (boat.root / "etc" / name).chmod(0o755)
    with pytest.raises(StepFailed) as caught:
        boat.run(boat.plan(boat.process(*argv)))
    assert (caught.value.text, caught.value.kind) == (text, kind)
    assert caught.value.step in {"look_for_program", "execute"}


def test_the_gate_holds_the_program_until_it_is_opened(boat: Boat) -> None:

    def held() -> tuple[bool, bool]:
        launched = launch(boat.plan("touch /ran"), None)
        before = Path(f"/proc/{launched.pid}/root/ran").exists()
        launched.go()
        boat.finish(launched)
        return before, (boat.root / "ran").exists()

    assert boat.call(held) == (False, True)


def test_an_aborted_launch_never_runs_its_program(boat: Boat) -> None:

    def aborted() -> bool:
        launched = launch(boat.plan("touch /ran"), None)
        launched.abort()
        launched.abort()
        return Path(f"/proc/{launched.pid}").exists()

    assert not boat.call(aborted)
    assert not (boat.root / "ran").exists()


def test_a_gate_of_its_own_is_opened_by_another_process(boat: Boat) -> None:

    gate = str(boat.directory / "gate")

    def create_and_start() -> int:
        launched = launch(boat.plan("touch /ran; exit 3"), None, gate_path=gate)
        launched.let_go()
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as curious:
            curious.connect(gate)
        boat.call(lambda: open_gate(gate))
        return boat.finish(launched)

    assert boat.call(create_and_start) == 3
    assert (boat.root / "ran").exists()


def test_an_execve_that_fails_behind_a_gate_is_told_to_who_opened_it(boat: Boat) -> None:

    gate = str(boat.directory / "gate")
    (boat.root / "odd").write_text("\x7fnot a program")
    (boat.root / "odd").chmod(0o755)

    def create_and_start() -> str:
        launched = launch(boat.plan(boat.process("/odd")), None, gate_path=gate)
        launched.let_go()
        try:
            boat.call(lambda: open_gate(gate))
        except StepFailed as error:
            return str(error)
        finally:
            boat.end(launched)
        return ""

    assert boat.call(create_and_start) == "execute: exec /odd: exec format error"


@pytest.mark.parametrize(("go", "tied", "dies"), [(False, False, True), (True, True, True), (True, False, False)])
def test_a_child_dies_with_its_parent_before_the_gate_and_later_only_when_asked(
    boat: Boat, *, go: bool, tied: bool, dies: bool
) -> None:
    plan = boat.plan("sleep 1000")

    def leave(write_end: int) -> NoReturn:
        launched = launch(plan, None, die_with_parent=tied)
        if go:
            launched.go()
        os.write(write_end, str(launched.pid).encode())
        os._exit(0)

    def outlive() -> bool:
        """As the subreaper of both: does the container end when the one between us does?"""
        read_end, write_end = os.pipe()
        between = os.fork()
        if between == 0:
            leave(write_end)
        pidfd = process.pidfd_open(int(os.read(read_end, 20)))
        os.waitpid(between, 0)
        ended, _, _ = select.select([pidfd], [], [], 20 if dies else 0.5)
        with suppress(ProcessLookupError):
            process.pidfd_send_signal(pidfd, signal.SIGKILL)
        process.wait_pidfd(pidfd)
        assert plan.cgroup is not None
        release(plan.cgroup.path)
        return bool(ended)

    assert boat.call(outlive) == dies


def test_the_loopback_of_a_new_network_namespace_is_up(boat: Boat) -> None:
    assert "|-- 127.0.0.1" in boat.run(boat.plan("cat /proc/net/fib_trie")).out
