from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

import pytest
from tests.kernel.cgroup.conftest import directory_of

from sampan.cgroup import Limits, check, hierarchies
from sampan.cgroup.limits import DeviceRule
from sampan.errors import InvalidArgument

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.kernel.cgroup.conftest import Groups, Member

    from sampan.cgroup import Cgroup

DENY_ALL = DeviceRule(allow=False)
NULL = DeviceRule(allow=True, kind="c", major=1, minor=3)
ZERO_READ = DeviceRule(allow=True, kind="c", major=1, minor=5, access="r")
on_v1 = hierarchies().of("devices") is not None


def opens(path: str, flags: int) -> Callable[[], int]:
    """A function for a member: 0 when it can open `path`, else the errno."""

    def attempt() -> int:
        try:
            os.close(os.open(path, flags))
        except OSError as error:
            return error.errno or 99
        return 0

    return attempt


def makes(path: Path, kind: int, major: int, minor: int) -> Callable[[], int]:
    def attempt() -> int:
        try:
            os.mknod(path, kind | 0o600, os.makedev(major, minor))
        except OSError as error:
            return error.errno or 99
        return 0

    return attempt


def keep_opening(groups: Groups, group: Cgroup) -> tuple[Member, int]:
    """A member that opens /dev/null until the descriptor is closed; its exit code says whether it always could."""
    read_end, write_end = os.pipe()

    def attempts() -> int:
        os.close(write_end)
        os.set_blocking(read_end, False)
        while True:
            try:
                os.close(os.open("/dev/null", os.O_RDWR))
            except OSError:
                return 1
            try:
                if os.read(read_end, 1) == b"":
                    return 0
            except BlockingIOError:
                continue

    member = groups.start(group, attempts)
    os.close(read_end)
    return member, write_end


def test_without_rules_every_device_can_be_used(groups: Groups, group: Cgroup) -> None:
    assert groups.start(group, opens("/dev/null", os.O_RDWR)).wait() == 0


def test_a_denied_device_cannot_be_opened_and_an_allowed_one_can(groups: Groups, group: Cgroup) -> None:
    group.apply(Limits(devices=(DENY_ALL, NULL)))
    assert groups.start(group, opens("/dev/null", os.O_RDWR)).wait() == 0
    assert groups.start(group, opens("/dev/zero", os.O_RDONLY)).wait() == errno.EPERM


def test_reading_and_writing_are_told_apart(groups: Groups, group: Cgroup) -> None:
    group.apply(Limits(devices=(DENY_ALL, ZERO_READ)))
    assert groups.start(group, opens("/dev/zero", os.O_RDONLY)).wait() == 0
    assert groups.start(group, opens("/dev/zero", os.O_WRONLY)).wait() == errno.EPERM


def test_making_a_node_needs_no_right_to_open_it(groups: Groups, group: Cgroup, tmp_path: Path) -> None:
    group.apply(Limits(devices=(DENY_ALL, DeviceRule(allow=True, kind="c", major=-1, minor=-1, access="m"))))
    assert groups.start(group, makes(tmp_path / "zero", 0o020000, 1, 5)).wait() == 0
    assert groups.start(group, makes(tmp_path / "disk", 0o060000, 8, 0)).wait() == errno.EPERM
    assert groups.start(group, opens("/dev/zero", os.O_RDONLY)).wait() == errno.EPERM


def test_any_number_is_a_wildcard(groups: Groups, group: Cgroup) -> None:
    group.apply(Limits(devices=(DENY_ALL, DeviceRule(allow=True, kind="c", major=1, minor=-1, access="rw"))))
    assert groups.start(group, opens("/dev/zero", os.O_RDWR)).wait() == 0
    assert groups.start(group, opens("/dev/ptmx", os.O_RDWR)).wait() == errno.EPERM


def test_allowing_all_but_one(groups: Groups, group: Cgroup) -> None:
    group.apply(Limits(devices=(DeviceRule(allow=True), DeviceRule(allow=False, kind="c", major=1, minor=5))))
    assert groups.start(group, opens("/dev/null", os.O_RDWR)).wait() == 0
    assert groups.start(group, opens("/dev/zero", os.O_RDONLY)).wait() == errno.EPERM


def test_rules_are_read_from_a_group_that_allows_all(groups: Groups, group: Cgroup) -> None:
    group.apply(Limits(devices=(DeviceRule(allow=False, kind="c", major=1, minor=5),)))
    assert groups.start(group, opens("/dev/null", os.O_RDWR)).wait() == 0
    assert groups.start(group, opens("/dev/zero", os.O_RDONLY)).wait() == errno.EPERM


def test_new_rules_take_the_place_of_the_old(groups: Groups, group: Cgroup) -> None:
    group.apply(Limits(devices=(DENY_ALL, NULL)))
    group.apply(Limits(devices=(DENY_ALL, ZERO_READ)))
    assert groups.start(group, opens("/dev/null", os.O_RDWR)).wait() == errno.EPERM
    assert groups.start(group, opens("/dev/zero", os.O_RDONLY)).wait() == 0
    group.apply(Limits(devices=(DeviceRule(allow=True),)))
    assert groups.start(group, opens("/dev/null", os.O_RDWR)).wait() == 0
    group.apply(Limits(devices=(DENY_ALL,)))
    assert groups.start(group, opens("/dev/null", os.O_RDWR)).wait() == errno.EPERM


def test_limits_without_rules_leave_the_rules_alone(groups: Groups, group: Cgroup) -> None:
    group.apply(Limits(devices=(DENY_ALL, NULL)))
    group.apply(Limits(pids_max=50))
    assert groups.start(group, opens("/dev/zero", os.O_RDONLY)).wait() == errno.EPERM


def test_a_group_below_cannot_have_more_than_the_one_above(groups: Groups, group: Cgroup) -> None:
    group.apply(Limits(devices=(DENY_ALL, NULL)))
    below = groups.make(group.path + "/a")
    asked = Limits(devices=(DENY_ALL, NULL, ZERO_READ))
    if on_v1:
        with pytest.raises(InvalidArgument, match="device rule"):
            below.apply(asked)
    else:
        below.apply(asked)
    assert groups.start(below, opens("/dev/zero", os.O_RDONLY)).wait() == errno.EPERM
    assert groups.start(below, opens("/dev/null", os.O_RDWR)).wait() == 0


def test_a_later_rule_wins(groups: Groups, group: Cgroup) -> None:
    rules = (DENY_ALL, NULL, ZERO_READ, DeviceRule(allow=False, kind="c", major=1, minor=3, access="w"))
    group.apply(Limits(devices=rules))
    assert groups.start(group, opens("/dev/null", os.O_RDONLY)).wait() == 0
    assert groups.start(group, opens("/dev/null", os.O_WRONLY)).wait() == errno.EPERM


def test_a_device_that_stays_allowed_is_never_denied_meanwhile(
    groups: Groups, group: Cgroup, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A member opens /dev/null all the time while the rules change around it, and is not stopped for it."""
    group.apply(Limits(devices=(DENY_ALL, NULL)))
    monkeypatch.setattr(type(group), "freeze", None)
    member, stop = keep_opening(groups, group)
    for round_ in range(200):
        extra = (ZERO_READ,) if round_ % 2 else (DeviceRule(allow=True, kind="c", major=5, minor=-1),)
        group.apply(Limits(devices=(DENY_ALL, NULL, *extra)))
    os.close(stop)
    assert member.wait() == 0


def test_changing_the_default_is_not_seen_by_who_is_inside(groups: Groups, group: Cgroup) -> None:
    """/dev/null is allowed before and after, and denied between: nobody may run then."""
    group.apply(Limits(devices=(DeviceRule(allow=True),)))
    member, stop = keep_opening(groups, group)
    for _ in range(50):
        group.apply(Limits(devices=(DENY_ALL, NULL)))
        group.apply(Limits(devices=(DeviceRule(allow=True),)))
    os.close(stop)
    assert member.wait() == 0
    assert not group.frozen()


@pytest.mark.skipif(not on_v1, reason="v2 can express it")
def test_what_v1_cannot_express_is_refused_before_anything_is_written(group: Cgroup) -> None:
    asked = Limits(
        devices=(
            DENY_ALL,
            DeviceRule(allow=True, kind="c", major=1, minor=-1),
            DeviceRule(allow=False, kind="c", major=1, minor=5),
        )
    )
    with pytest.raises(InvalidArgument, match="wider rule"):
        check(asked)
    with pytest.raises(InvalidArgument, match="wider rule"):
        group.apply(asked)
    assert (directory_of(group, "devices") / "devices.list").read_text() == "a *:* rwm\n"


@pytest.mark.skipif(on_v1, reason="v1 cannot express it")
def test_v2_takes_a_part_out_of_a_wider_rule(groups: Groups, group: Cgroup) -> None:
    group.apply(
        Limits(
            devices=(
                DENY_ALL,
                DeviceRule(allow=True, kind="c", major=1, minor=-1),
                DeviceRule(allow=False, kind="c", major=1, minor=5),
            )
        )
    )
    assert groups.start(group, opens("/dev/zero", os.O_RDONLY)).wait() == errno.EPERM
    assert groups.start(group, opens("/dev/null", os.O_RDONLY)).wait() == 0
