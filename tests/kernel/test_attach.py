from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

import pytest
from tests.kernel.mount_trees import entry, error_of, targets, tree

from sampan.linux import attach, libc, mount
from sampan.linux.mount import AT_FDCWD, MountFlag

if TYPE_CHECKING:
    from tests.kernel.conftest import PrivateHost


@pytest.fixture(params=[False, True], ids=["new kernel", "old kernel"])
def either_kernel(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """The test is done as the kernel is, and as one without mount_setattr would do."""
    if request.param:
        monkeypatch.delitem(libc.NUMBERS, "mount_setattr")


EVERY_FLAG = MountFlag.RDONLY | MountFlag.NOSUID | MountFlag.NODEV | MountFlag.NOEXEC | MountFlag.NOSYMFOLLOW
PLAIN = "rw,relatime"


@pytest.mark.usefixtures("either_kernel")
@pytest.mark.parametrize(
    ("before", "flags", "clear", "after"),
    [
        (0, MountFlag.RDONLY, 0, "ro,relatime"),
        (0, MountFlag.NOSUID | MountFlag.NODEV | MountFlag.NOEXEC, 0, "rw,nosuid,nodev,noexec,relatime"),
        (0, MountFlag.NOATIME | MountFlag.NODIRATIME, 0, "rw,noatime,nodiratime"),
        (0, MountFlag.STRICTATIME, 0, "rw"),
        (0, MountFlag.NOSYMFOLLOW, 0, "rw,relatime,nosymfollow"),
        (MountFlag.NOSUID, MountFlag.RDONLY, MountFlag.NOSUID, "ro,relatime"),
        (MountFlag.NOSUID | MountFlag.NODEV, 0, MountFlag.NOSUID, "rw,nodev,relatime"),
        (EVERY_FLAG, MountFlag.NODIRATIME, 0, "ro,nosuid,nodev,noexec,nodiratime,relatime,nosymfollow"),
        (EVERY_FLAG, 0, EVERY_FLAG, PLAIN),
        (MountFlag.NOATIME | MountFlag.NODIRATIME, MountFlag.RDONLY, 0, "ro,noatime,nodiratime"),
        (MountFlag.NOATIME, MountFlag.STRICTATIME, 0, "rw"),
        (MountFlag.NOATIME, MountFlag.RELATIME, 0, PLAIN),
        (MountFlag.NOATIME, 0, MountFlag.NOATIME, PLAIN),
        (MountFlag.STRICTATIME, MountFlag.RDONLY, 0, "ro"),
        (MountFlag.STRICTATIME, MountFlag.NOATIME, 0, "rw,noatime"),
    ],
)
def test_a_mount_is_attached_with_its_attributes_and_keeps_the_others(
    host: PrivateHost, before: int, flags: int, clear: int, after: str
) -> None:
    def check() -> list[str]:
        tree()
        os.mkdir("at")
        mount.mount("", "tree", "", MountFlag.REMOUNT | MountFlag.BIND | before)
        fd = mount.open_tree(AT_FDCWD, "tree", clone=True, recursive=True)
        attach.attach_mount(fd, (AT_FDCWD, "at"), flags=flags, clear=clear)
        assert entry("at").super_options.startswith("rw")
        return [entry("at").options, entry("at/sub").options]

    assert host.run(check) == [after, PLAIN]


@pytest.mark.usefixtures("either_kernel")
def test_attributes_of_all_below_do_not_touch_what_else_is_set(host: PrivateHost) -> None:
    def check() -> list[str]:
        tree()
        mount.mount("", "tree/sub", "", MountFlag.REMOUNT | MountFlag.BIND | MountFlag.NOEXEC | MountFlag.STRICTATIME)
        os.mkdir("at")
        fd = mount.open_tree(AT_FDCWD, "tree", clone=True, recursive=True)
        target = os.open("at", os.O_PATH)
        descriptors = os.listdir("/proc/self/fd")
        attach.attach_mount(
            fd,
            target,
            flags=MountFlag.NOSUID,
            recursive_flags=MountFlag.RDONLY,
            propagation=MountFlag.SHARED | MountFlag.REC,
        )
        assert os.listdir("/proc/self/fd") == descriptors
        assert entry("at").shared
        assert entry("at/sub").shared
        return [entry(path).options for path in ("at", "at/sub", "tree", "tree/sub")]

    assert host.run(check) == ["ro,nosuid,relatime", "ro,noexec", PLAIN, "rw,noexec"]


@pytest.mark.usefixtures("either_kernel")
def test_propagation_of_one_mount_leaves_those_below(host: PrivateHost) -> None:
    def check() -> tuple[bool, bool]:
        tree()
        os.mkdir("at")
        fd = mount.open_tree(AT_FDCWD, "tree", clone=True, recursive=True)
        attach.attach_mount(fd, (AT_FDCWD, "at"), propagation=MountFlag.SHARED)
        return bool(entry("at").shared), bool(entry("at/sub").shared)

    assert host.run(check) == (True, False)


@pytest.mark.usefixtures("either_kernel")
def test_a_mount_is_attached_without_any_attribute(host: PrivateHost) -> None:
    def check() -> str:
        tree()
        os.mkdir("at")
        attach.attach_mount(mount.open_tree(AT_FDCWD, "tree", clone=True), (AT_FDCWD, "at"))
        return entry("at").options

    assert host.run(check) == PLAIN


def test_attributes_that_the_kernel_refuses_leave_the_mount_detached(host: PrivateHost) -> None:
    def check() -> tuple[int, list[str]]:
        os.mkdir("at")
        fd = mount.make_filesystem("tmpfs")
        refused = error_of(lambda: attach.attach_mount(fd, (AT_FDCWD, "at"), propagation=3))
        return refused, targets()

    assert host.run(check) == (errno.EINVAL, [])


def test_a_covered_mount_that_cannot_be_changed_is_an_error_on_an_old_kernel(
    host: PrivateHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(libc.NUMBERS, "mount_setattr")

    def check() -> None:
        tree()
        mount.mount("tmpfs", "tree/sub", "tmpfs")
        os.mkdir("at")
        fd = mount.open_tree(AT_FDCWD, "tree", clone=True, recursive=True)
        attach.attach_mount(fd, (AT_FDCWD, "at"), recursive_flags=MountFlag.RDONLY)

    with pytest.raises(OSError, match="covered") as caught:
        host.run(check)
    assert caught.value.errno == errno.EAGAIN
