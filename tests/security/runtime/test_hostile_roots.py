"""Roots and bundles made to lead a start astray: nothing outside the root may be mounted on, made or read.

The numbers are those of the known escapes (reference/security.md): 6, 9, 20, 21, 22, 25 and 30.
"""

from __future__ import annotations

import ctypes
import errno
import os
import stat
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from sampan.errors import Kind
from sampan.linux.mount import AT_FDCWD, MountFlag, make_filesystem, mount, mountinfo, move_mount
from sampan.runtime import init
from sampan.runtime import launch as launching
from sampan.runtime.child import Child
from sampan.runtime.dev import open_null
from sampan.runtime.handshake import Channel, StepFailed
from sampan.runtime.launch import launch
from sampan.runtime.launch_plan import DevicePlan, MountPlan, RootPlan
from sampan.runtime.rootfs import make_devices
from sampan.runtime.security import apply_labels, write_sysctls

if TYPE_CHECKING:
    from tests.runtime.conftest import Boat

    from sampan.runtime.launch import Start

BIND = int(MountFlag.BIND)
RENAME_EXCHANGE = 2
TOLERATED = {errno.ENOENT, errno.EEXIST, errno.ELOOP, errno.ENOTDIR, errno.EXDEV, errno.EAGAIN}
TOLERATED_WORDS = tuple(os.strerror(number).lower() for number in TOLERATED)


@pytest.fixture
def canary(boat: Boat) -> Path:
    """A directory of the host, whose content must stay what it is."""
    path = boat.directory / "canary"
    path.mkdir()
    (path / "file").write_text("sings")
    return path


def untouched(canary: Path) -> bool:
    return sorted(os.listdir(canary)) == ["file"] and (canary / "file").read_text() == "sings"


def refused(boat: Boat, text: str, step: str = "mount_filesystems", **changes: Any) -> None:
    with pytest.raises(StepFailed, match=text) as caught:
        boat.run(boat.plan("true", **changes))
    assert caught.value.step == step


# 6: CVE-2019-16884, CVE-2019-19921, CVE-2025-52881; 30: CVE-2023-27561, CVE-2023-28642; 22: /dev


@pytest.mark.parametrize("name", ["proc", "sys", "dev"])
@pytest.mark.parametrize("target", ["tmp", "/tmp", "../../canary", "{canary}"])
def test_a_symbolic_link_in_the_place_of_proc_sys_or_dev_is_refused(
    boat: Boat, canary: Path, name: str, target: str
) -> None:
    (boat.root / name).rmdir()
    (boat.root / name).symlink_to(target.format(canary=canary))
    refused(boat, f"/{name} must be mounted on ordinary directory")
    assert untouched(canary)
    assert os.listdir(boat.root / "tmp") == []


def test_a_file_in_the_place_of_proc_is_refused(boat: Boat) -> None:
    (boat.root / "proc").rmdir()
    (boat.root / "proc").touch()
    refused(boat, "/proc must be mounted on ordinary directory")


@pytest.mark.parametrize("kind", ["tmpfs", "bind"])
def test_nothing_but_procfs_may_lie_on_proc(boat: Boat, canary: Path, kind: str) -> None:
    volume = MountPlan("proc", "tmpfs", "tmpfs") if kind == "tmpfs" else MountPlan("proc", str(canary), "", BIND)
    refused(boat, "not the root of a procfs", mounts=(*boat.plan("x").mounts, volume))
    refused(boat, "not the root of a procfs", mounts=(volume,))
    assert untouched(canary)


@pytest.mark.parametrize("target", ["proc/sys", "proc/self/attr", "proc/1", "proc/meminfo/../sys", "link", "link/net"])
def test_nothing_may_be_mounted_inside_proc_by_whatever_name(boat: Boat, canary: Path, target: str) -> None:
    (boat.root / "link").symlink_to("/proc/sys")
    volume = MountPlan(target, str(canary), "", BIND)
    refused(boat, "inside /proc|not permitted|not a directory", mounts=(*boat.plan("x").mounts, volume))


def test_the_few_files_that_lxcfs_replaces_may_be_mounted(boat: Boat) -> None:
    (boat.directory / "meminfo").write_text("MemTotal: 1 kB\n")
    view = MountPlan("proc/meminfo", str(boat.directory / "meminfo"), "", BIND)
    plan = boat.plan("cat /proc/meminfo")
    assert boat.run(replace(plan, mounts=(*plan.mounts, view))).out == "MemTotal: 1 kB\n"


def test_settings_are_written_through_a_handle_that_sees_what_was_mounted_over_it(boat: Boat) -> None:
    """A mount that a racing container lays over /proc/sys or /proc/PID/attr is noticed, not written into."""
    plan = boat.plan(boat.process("true", apparmor_profile="x"), sysctl=(("setting", "1"),))

    def covered() -> list[str]:
        proc = make_filesystem("proc")
        move_mount(proc, (AT_FDCWD, "/mnt"))
        ours, theirs = Channel.pair()
        child = Child(plan, plan.process, theirs, proc_fd=proc)
        told = []
        for step, place in ((write_sysctls, "/mnt/sys"), (apply_labels, f"/mnt/{os.getpid()}/attr")):
            mount("tmpfs", place, "tmpfs")
            for name in ("setting", "exec"):
                Path(place, name).touch()
            try:
                step(child)
            except OSError as error:
                told.append(errno.errorcode[error.errno or 0])
            told += [path.name for path in Path(place).iterdir() if path.stat().st_size]
        ours.close()
        return told

    assert boat.call(covered) == ["EXDEV", "EXDEV"]


def test_a_label_that_cannot_be_written_stops_the_start(boat: Boat) -> None:
    if Path("/sys/kernel/security/apparmor").exists():
        pytest.skip("AppArmor is there: the label can be written")
    with pytest.raises(StepFailed) as caught:
        boat.run(boat.plan(boat.process("true", apparmor_profile="no-such-profile")))
    assert caught.value.step == "apply_labels"


# 9 and 20: CVE-2021-30465, CVE-2024-45310


@pytest.mark.parametrize("target", ["../../canary/made", "/../canary/made", "mnt/../../../canary/made"])
def test_dots_in_a_target_stay_inside_the_root(boat: Boat, canary: Path, target: str) -> None:
    plan = boat.plan("ls -d /canary/made /mnt/../canary/made")
    tmpfs = MountPlan(target, "tmpfs", "tmpfs")
    assert boat.run(replace(plan, mounts=(*plan.mounts, tmpfs))).lines[0] == "/canary/made"
    assert untouched(canary)


@pytest.mark.parametrize("kind", ["directory", "file", "tmpfs"])
@pytest.mark.parametrize("link", ["{canary}", "../../canary", "/../../../../{canary}"])
def test_a_symbolic_link_at_a_target_leads_inside_the_root_only(boat: Boat, canary: Path, kind: str, link: str) -> None:
    (boat.root / "volume").symlink_to(link.format(canary=canary))
    (boat.directory / "source").mkdir()
    (boat.directory / "source-file").touch()
    mounts = {
        "directory": MountPlan("volume/made", str(boat.directory / "source"), "", BIND),
        "file": MountPlan("volume/made", str(boat.directory / "source-file"), "", BIND),
        "tmpfs": MountPlan("volume/made", "tmpfs", "tmpfs"),
    }
    plan = boat.plan("true")
    assert boat.run(replace(plan, mounts=(*plan.mounts, mounts[kind]))).code == 0
    assert untouched(canary)


@pytest.mark.parametrize("path", ["/volume/null", "/dev/../volume/null"])
def test_a_device_behind_a_symbolic_link_is_made_inside_the_root(boat: Boat, canary: Path, path: str) -> None:
    (boat.root / "volume").symlink_to(canary)
    plan = boat.plan("true")
    device = DevicePlan(path, "c", 1, 3, 0o666, 0, 0)
    assert boat.run(replace(plan, devices=(*plan.devices, device))).code == 0
    assert untouched(canary)
    assert stat.S_ISCHR((boat.root / str(canary).lstrip("/") / "null").stat().st_mode)


def test_a_working_directory_behind_a_symbolic_link_is_made_inside_the_root(boat: Boat, canary: Path) -> None:
    (boat.root / "work").symlink_to(canary)
    assert boat.run(boat.plan(boat.process("pwd", cwd="/work/made"))).out.strip() == f"{canary}/made"
    assert untouched(canary)


@contextmanager
def exchanging(one: Path, other: Path) -> Iterator[None]:
    """Swap two names of one directory as fast as can be, all the while."""
    done = threading.Event()
    first, second = os.fsencode(one), os.fsencode(other)
    call = ctypes.CDLL(None).renameat2

    def swap() -> None:
        while not done.is_set():
            call(AT_FDCWD, first, AT_FDCWD, second, RENAME_EXCHANGE)

    thread = threading.Thread(target=swap)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def stays_inside(child: Child) -> None:
    """A step of a test: every mount marked as ours hangs below the root."""
    with open(f"/proc/self/fdinfo/{child.root_fd}") as file:
        root = next(int(line.split()[1]) for line in file if line.startswith("mnt_id"))
    table = {entry.id: entry for entry in mountinfo()}
    for entry in table.values():
        if entry.source != "marked":
            continue
        above = entry
        while above.id != root:
            if above.parent not in table or above.parent == above.id:
                raise OSError(errno.EXDEV, "a mount is outside of the root", entry.target)
            above = table[above.parent]


@pytest.mark.parametrize("kind", ["directory", "file", "tmpfs", "device", "cwd"])
def test_a_target_exchanged_for_a_symbolic_link_during_the_start_leads_nowhere_else(
    boat: Boat, canary: Path, kind: str
) -> None:
    (boat.root / "shared" / "target").mkdir(parents=True)
    (boat.root / "shared" / "link").symlink_to(f"../../../../../../../../../../../../{canary}")
    source = boat.directory / "source"
    source.mkdir()
    (source / "file").touch()
    plan = boat.plan("true", mounts=(*boat.plan("x").mounts, MountPlan("marked", "marked", "tmpfs")))
    changed = {
        "directory": replace(plan, mounts=(*plan.mounts, MountPlan("shared/target/a/b", str(source), "", BIND))),
        "file": replace(plan, mounts=(*plan.mounts, MountPlan("shared/target/c/d", str(source / "file"), "", BIND))),
        "tmpfs": replace(plan, mounts=(*plan.mounts, MountPlan("shared/target/e", "marked", "tmpfs"))),
        "device": replace(plan, devices=(*plan.devices, DevicePlan("/shared/target/null", "c", 1, 3, 0o666, 0, 0))),
        "cwd": replace(plan, process=boat.process("true", cwd="/shared/target/f/g")),
    }[kind]
    at = init.STEPS.index(make_devices)
    steps = (*init.STEPS[:at], stays_inside, *init.STEPS[at:])

    def many() -> list[str]:
        init.STEPS = steps
        wrong = []
        for _ in range(40):
            try:
                boat.run_here(changed)
            except StepFailed as error:
                # the race may make a name vanish, be something else or another at each try; outside is no answer
                told = error.text.endswith(TOLERATED_WORDS) if error.step == "enter_cwd" else error.errno in TOLERATED
                if not told or "outside" in error.text:
                    wrong.append(str(error))
        return wrong

    with exchanging(boat.root / "shared" / "target", boat.root / "shared" / "link"):
        wrong = boat.call(many)
    assert wrong == []
    assert untouched(canary)


def test_a_root_exchanged_after_it_was_opened_is_not_followed(
    boat: Boat, canary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    moved = boat.directory / "moved"

    def exchange(_: Start) -> None:
        boat.root.rename(moved)
        boat.root.symlink_to(canary)

    at = launching.ACTS.index(launching.make_sources) + 1
    monkeypatch.setattr(launching, "ACTS", (*launching.ACTS[:at], exchange, *launching.ACTS[at:]))
    assert boat.run(boat.plan("touch /made; mkdir -p /etc/made")).code == 0
    assert untouched(canary)
    assert (moved / "made").exists()


# 21: CVE-2025-31133


def test_a_false_null_device_in_the_root_masks_nothing(boat: Boat, canary: Path) -> None:
    (boat.root / "dev" / "null").symlink_to("/proc/sys/kernel/core_pattern")
    plan = boat.plan(
        "stat -c %t:%T /proc/keys; echo x > /proc/sys/kernel/core_pattern; cat /proc/keys",
        mounts=tuple(entry for entry in boat.plan("x").mounts if entry.target in {"proc", "sys"}),
        devices=(),
        own_dev=False,
    )
    outcome = boat.run(plan)
    assert outcome.out == "1:3\n"
    assert "Read-only file system" in outcome.err


def test_what_masks_a_path_is_not_the_hosts_to_change(boat: Boat) -> None:
    before = os.stat("/dev/null")
    script = "chmod 0 /proc/keys; chown 5 /proc/keys; echo x > /proc/keys; cat /proc/keys; stat -c %a /proc/keys"
    outcome = boat.run(boat.plan(script))
    assert outcome.err.count("Read-only file system") == 2
    assert outcome.out == "666\n"
    after = os.stat("/dev/null")
    assert (after.st_mode, after.st_uid) == (before.st_mode, before.st_uid)


def test_a_false_null_device_of_the_host_is_refused(boat: Boat) -> None:
    def masked() -> str:
        false = boat.directory / "false"
        false.write_text("not null")
        mount(str(false), "/dev/null", "", BIND)
        try:
            os.close(open_null())
        except OSError as error:
            return errno.errorcode[error.errno or 0]
        return "taken"

    assert boat.call(masked) == "ENODEV"


# 22: CVE-2025-52565, CVE-2026-41579, CVE-2026-47766


def test_a_console_behind_a_symbolic_link_is_laid_inside_the_root(boat: Boat, canary: Path) -> None:
    (boat.root / "dev" / "pts").mkdir()
    (boat.root / "dev" / "console").symlink_to(canary / "console")
    plan = boat.plan(boat.process("true", terminal=True))
    plan = replace(plan, mounts=tuple(entry for entry in plan.mounts if entry.target in {"proc", "dev/pts"}))

    def run() -> int:
        launched = launch(plan, None)
        launched.go()
        return boat.finish(launched)

    assert boat.call(run) == 0
    assert untouched(canary)
    assert (boat.root / str(canary).lstrip("/") / "console").is_file()


def test_a_false_devpts_gives_no_terminal(boat: Boat) -> None:
    (boat.root / "dev" / "pts").mkdir()
    (boat.root / "dev" / "pts" / "ptmx").touch()
    plan = boat.plan(boat.process("true", terminal=True))
    plan = replace(plan, mounts=plan.mounts[:1])
    with pytest.raises(StepFailed, match="not a devpts file system") as caught:
        boat.call(lambda: launch(plan, None) and None)
    assert caught.value.step == "open_console"


# 24: CVE-2022-36109; 25: CVE-2024-9676


def test_the_primary_group_is_among_the_supplementary_ones(boat: Boat) -> None:
    (boat.root / "etc/passwd").write_text("sailor:x:1000:50::/:/bin/sh\n")
    (boat.root / "etc/group").write_text("crew:x:50:\nwatch:x:51:sailor\n")
    (boat.root / "denied").write_text("secret")
    os.chown(boat.root / "denied", 0, 50)
    (boat.root / "denied").chmod(0o604)  # everyone may read, the group may not
    outcome = boat.run(boat.plan(boat.process("id -G; sg() { :; }; cat /denied", user_spec="sailor")))
    assert outcome.lines == ["50 51"]
    assert "Permission denied" in outcome.err


def fifo(path: Path) -> None:
    os.mkfifo(path)


def zeroes(path: Path) -> None:
    os.mknod(path, stat.S_IFCHR | 0o666, os.makedev(1, 5))


def hosts(path: Path) -> None:
    path.symlink_to("/proc/1/root/etc/passwd" if path.name == "passwd" else "../../../../../../../../../../etc/group")


@pytest.mark.parametrize("make", [fifo, zeroes, Path.mkdir, hosts])
@pytest.mark.parametrize("name", ["passwd", "group"])
def test_a_user_database_that_is_no_regular_file_of_the_root_is_not_read(
    boat: Boat, make: Callable[[Path], None], name: str
) -> None:
    make(boat.root / "etc" / name)
    own = boat.process("grep ^Uid /proc/self/status", user_spec="1000:1000", extra_groups=("7",))
    assert boat.run(boat.plan(own)).out.split() == ["Uid:", *["1000"] * 4]
    with pytest.raises(StepFailed, match="unable to find user daemon") as caught:
        boat.run(boat.plan(boat.process("id -u", user_spec="daemon")))
    assert caught.value.kind is Kind.INVALID


def test_a_bundle_with_many_mounts_leaves_nothing_open(boat: Boat) -> None:
    volumes = tuple(MountPlan(f"volumes/{number}", str(boat.directory), "", BIND) for number in range(100))
    plan = boat.plan("ls /volumes | wc -l")

    def twice() -> tuple[str, int, int]:
        boat.run_here(boat.plan("true"))
        before = len(os.listdir("/proc/self/fd"))
        out = boat.run_here(replace(plan, mounts=(*plan.mounts, *volumes))).out
        return out, before, len(os.listdir("/proc/self/fd"))

    out, before, after = boat.call(twice)
    assert (out, after) == ("100\n", before)


def test_the_root_may_be_no_symbolic_links_plaything(boat: Boat) -> None:
    with ExitStack() as undo:
        link = boat.directory / "link"
        link.symlink_to(boat.root)
        undo.callback(link.unlink)
        assert boat.run(boat.plan("ls -d /etc", root=RootPlan(str(link)))).out == "/etc\n"
