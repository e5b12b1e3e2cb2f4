"""Device programs that the kernel takes and obeys, in a cgroup v2 group of our own."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.child import clone_into

from sampan.cgroup import hierarchies
from sampan.errors import InvalidArgument
from sampan.linux import bpf, process
from sampan.linux.bpf import DeviceRule, attached, by_id, compile_devices, load, set_devices

DENY_ALL = DeviceRule(allow=False)


def allow(kind: str, major: int, minor: int, access: str = "rwm") -> DeviceRule:
    return DeviceRule(allow=True, kind=kind, major=major, minor=minor, access=access)


def deny(kind: str, major: int, minor: int, access: str) -> DeviceRule:
    return DeviceRule(allow=False, kind=kind, major=major, minor=minor, access=access)


class Group:
    def __init__(self, path: Path) -> None:
        self.path = path
        self.descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)

    def run(self, function: Callable[[], None]) -> int:
        """The errno that `function` met in a process of the group, 0 when it met none."""
        pid, pidfd = clone_into(self.descriptor)
        if pid == 0:
            code = 255
            try:
                function()
                code = 0
            except OSError as error:
                code = error.errno or 254
            finally:
                os._exit(code)
        os.close(pidfd)
        ended = process.wait_pid(pid)
        assert ended is not None
        return ended.code

    def open(self, path: str, flags: int) -> int:
        return self.run(lambda: os.close(os.open(path, flags)))


@pytest.fixture
def group() -> Iterator[Group]:
    unified = hierarchies().unified
    if unified is None:
        pytest.skip("this host has no cgroup v2 hierarchy")
    path = Path(unified.mount_point) / f"sampan-test-devices-{os.getpid()}"
    try:
        path.mkdir()
    except PermissionError:
        pytest.skip("needs a cgroup v2 hierarchy that may be written")
    made = Group(path)
    try:
        yield made
    finally:
        os.close(made.descriptor)
        path.rmdir()


def test_a_program_decides_about_opening_a_device(group: Group) -> None:
    set_devices(group.descriptor, [DENY_ALL, allow("c", 1, 3, "rw"), allow("c", 1, 5, "r")])
    assert group.open("/dev/null", os.O_RDWR) == 0
    assert group.open("/dev/zero", os.O_RDONLY) == 0
    assert group.open("/dev/zero", os.O_RDWR) == errno.EPERM
    assert group.open("/dev/full", os.O_RDONLY) == errno.EPERM
    assert group.open("/etc/passwd", os.O_RDONLY) == 0


def test_a_program_decides_about_making_a_device(group: Group, tmp_path: Path) -> None:
    set_devices(group.descriptor, [DENY_ALL, allow("c", -1, -1, "m"), deny("c", 1, 11, "m")])

    def make(name: str, kind: int, major: int, minor: int) -> int:
        return group.run(lambda: os.mknod(tmp_path / name, kind | 0o600, os.makedev(major, minor)))

    assert make("null", stat.S_IFCHR, 1, 3) == 0
    assert make("kmsg", stat.S_IFCHR, 1, 11) == errno.EPERM
    assert make("disk", stat.S_IFBLK, 8, 0) == errno.EPERM
    assert make("fifo", stat.S_IFIFO, 0, 0) == 0
    assert group.open(str(tmp_path / "null"), os.O_RDONLY) == errno.EPERM


def test_new_rules_take_the_place_of_the_old_ones(group: Group) -> None:
    set_devices(group.descriptor, [DENY_ALL])
    before = attached(group.descriptor)
    assert group.open("/dev/null", os.O_RDONLY) == errno.EPERM
    set_devices(group.descriptor, [DeviceRule(allow=True)])
    after = attached(group.descriptor)
    assert len(before) == len(after) == 1
    assert before != after
    assert group.open("/dev/null", os.O_RDONLY) == 0


def test_several_programs_are_all_replaced(group: Group) -> None:
    for rules in ([DENY_ALL], [DeviceRule(allow=True)]):
        program = load(compile_devices(rules))
        bpf.attach(group.descriptor, program)
        os.close(program)
    assert len(attached(group.descriptor)) == 2
    assert group.open("/dev/null", os.O_RDONLY) == errno.EPERM
    set_devices(group.descriptor, [DeviceRule(allow=True)])
    assert len(attached(group.descriptor)) == 1
    assert group.open("/dev/null", os.O_RDONLY) == 0


def test_a_detached_program_decides_nothing(group: Group) -> None:
    set_devices(group.descriptor, [DENY_ALL])
    program = by_id(attached(group.descriptor)[0])
    bpf.detach(group.descriptor, program)
    assert attached(group.descriptor) == ()
    assert group.open("/dev/null", os.O_RDONLY) == 0
    with pytest.raises(OSError, match="bpf") as again:
        bpf.detach(group.descriptor, program)
    assert again.value.errno == errno.ENOENT
    os.close(program)


def test_rules_hold_for_groups_below(group: Group) -> None:
    set_devices(group.descriptor, [DENY_ALL])
    below = group.path / "below"
    below.mkdir()
    inner = Group(below)
    try:
        set_devices(inner.descriptor, [DeviceRule(allow=True)])
        assert inner.open("/dev/null", os.O_RDONLY) == errno.EPERM
    finally:
        os.close(inner.descriptor)
        below.rmdir()


def test_the_verifier_s_reason_is_in_the_message() -> None:
    with pytest.raises(OSError, match=r"bpf: .*: .*insn") as refusal:
        load(compile_devices([DENY_ALL])[:-8])
    assert refusal.value.errno == errno.EINVAL


def test_a_refused_rule_changes_nothing(group: Group) -> None:
    set_devices(group.descriptor, [DENY_ALL])
    before = attached(group.descriptor)
    with pytest.raises(InvalidArgument, match="not a device rule"):
        set_devices(group.descriptor, [allow("c", 1, 3, "x")])
    assert attached(group.descriptor) == before


def test_no_descriptor_is_left_open(group: Group) -> None:
    before = set(os.listdir("/proc/self/fd"))
    for _ in range(3):
        set_devices(group.descriptor, [DENY_ALL])
    with contextlib.suppress(OSError):
        set_devices(0, [DENY_ALL])
    assert set(os.listdir("/proc/self/fd")) == before


def test_many_rules_are_taken(group: Group) -> None:
    many = [allow("c", number, 3, "rw") for number in range(300)]
    set_devices(group.descriptor, [DENY_ALL, *many])
    assert group.open("/dev/null", os.O_RDWR) == 0
    assert group.open("/dev/zero", os.O_RDWR) == errno.EPERM
