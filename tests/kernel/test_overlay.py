from __future__ import annotations

import errno
import os
import stat
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from sampan.linux import libc, limit, mount, overlay
from sampan.linux.mount import AT_FDCWD, MountAttr

if TYPE_CHECKING:
    from tests.kernel.conftest import PrivateHost


@pytest.fixture
def old_kernel(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Take away what a kernel before 6.5 lacks: overlayfs knows no `lowerdir+` there, and says EINVAL in the end."""
    is_old = bool(request.param)
    if not is_old:
        if tuple(map(int, os.uname().release.split(".")[:2])) < (6, 5):
            pytest.skip("needs a kernel that takes layers one by one")

        def mount_by_page(*_: object) -> int:
            raise OSError(errno.EINVAL, "fell back")

        monkeypatch.setattr(overlay, "_mount_by_page", mount_by_page)
    if is_old:
        plain = mount.fsconfig_set_string

        def set_string(fs_fd: int, key: str, value: str | bytes) -> None:
            plain(fs_fd, "unknown" if key == "lowerdir+" else key, value)

        monkeypatch.setattr(mount, "fsconfig_set_string", set_string)
    return is_old


both_kernels = pytest.mark.parametrize("old_kernel", [False, True], indirect=True)


def layers(*names: str) -> list[str]:
    """Make directories with a file of their own name in each, and return their whole paths from the top down."""
    for name in names:
        Path(name).mkdir(parents=True)
        Path(name, f"in-{len(name)}").touch()
        Path(name, "common").write_bytes(os.fsencode(name))
    return [os.path.realpath(name) for name in names]


def overlays() -> list[mount.MountInfo]:
    return [line for line in mount.mountinfo() if line.fstype == "overlay" and line.target.startswith(os.getcwd())]


def attached(fd: int) -> Path:
    os.makedirs("merged", exist_ok=True)
    mount.move_mount(fd, (AT_FDCWD, "merged"))
    os.close(fd)
    return Path("merged")


def upper_and_work() -> tuple[str, str]:
    for name in ("upper", "work"):
        Path(name).mkdir()
    return os.path.realpath("upper"), os.path.realpath("work")


@both_kernels
def test_layers_are_stacked_from_the_top_down_under_a_writable_one(host: PrivateHost, *, old_kernel: bool) -> None:
    def check() -> tuple[str, list[str], str, str]:
        lowers = layers("a", "bb", "ccc")
        upper, work = upper_and_work()
        merged = attached(overlay.mount_overlay(lowers, upper, work))
        first = (merged / "common").read_text()
        (merged / "common").write_text("changed")
        return first, sorted(os.listdir(merged)), Path("upper/common").read_text(), Path("a/common").read_text()

    assert host.run(check) == ("a", ["common", "in-1", "in-2", "in-3"], "changed", "a")


@both_kernels
def test_an_overlay_without_an_upper_layer_is_read_only(host: PrivateHost, *, old_kernel: bool) -> None:
    def check() -> int:
        merged = attached(overlay.mount_overlay(layers("a", "bb")))
        try:
            (merged / "new").touch()
        except OSError as error:
            return error.errno or -1
        return 0

    assert host.run(check) == errno.EROFS


@both_kernels
def test_a_single_layer_needs_no_other(host: PrivateHost, *, old_kernel: bool) -> None:
    def check() -> list[str]:
        lowers = layers("a")
        return sorted(os.listdir(attached(overlay.mount_overlay(lowers, *upper_and_work()))))

    assert host.run(check) == ["common", "in-1"]


@both_kernels
@pytest.mark.parametrize(
    "name", ["a:b", "a,b", "a\\b", "a\\:b", "a b", "a\nb", "é", os.fsdecode(b"\xff"), "x" * 250 + "/" + "y" * 250]
)
def test_a_layer_may_have_any_name(host: PrivateHost, *, old_kernel: bool, name: str) -> None:
    def check() -> tuple[str, list[str]]:
        lowers = layers(f"{name}/low", "plain")
        for directory in ("up", "work"):
            Path(name, directory).mkdir()
        upper, work = os.path.realpath(f"{name}/up"), os.path.realpath(f"{name}/work")
        merged = attached(overlay.mount_overlay(lowers, upper, work))
        (merged / "new").touch()
        return os.fsdecode((merged / "common").read_bytes()), os.listdir(f"{name}/up")

    assert host.run(check) == (f"{name}/low", ["new"])


@both_kernels
def test_a_hundred_and_twenty_eight_layers_with_long_paths_are_mounted(host: PrivateHost, *, old_kernel: bool) -> None:
    def check() -> tuple[int, str]:
        lowers = layers(*(f"layers/{number:064d}/diff" for number in range(128)))
        for number, lower in enumerate(lowers):
            Path(lower, f"of-{number}").touch()
        merged = attached(overlay.mount_overlay(lowers, *upper_and_work()))
        return len([name for name in os.listdir(merged) if name.startswith("of-")]), (merged / "common").read_text()

    count, top = host.run(check)
    assert count == 128
    assert top == f"layers/{0:064d}/diff"


@both_kernels
def test_as_many_layers_as_the_kernel_takes_are_mounted(host: PrivateHost, *, old_kernel: bool) -> None:
    def check() -> int:
        for number in range(500):
            Path(f"layers/{number}").mkdir(parents=True)
            Path(f"layers/{number}/of-{number}").touch()
        lowers = [os.path.realpath(f"layers/{number}") for number in range(500)]
        return len(os.listdir(attached(overlay.mount_overlay(lowers))))

    assert host.run(check) == 500


@both_kernels
def test_more_layers_than_the_kernel_takes_are_refused(host: PrivateHost, *, old_kernel: bool) -> None:
    def check() -> int:
        lowers = layers("a", "bb") * 251
        try:
            overlay.mount_overlay(lowers)
        except OSError as error:
            return error.errno or -1
        return 0

    assert host.run(check) == errno.EINVAL


@both_kernels
def test_options_and_attributes_are_passed_on(host: PrivateHost, *, old_kernel: bool) -> None:
    def check() -> tuple[str, str]:
        fd = overlay.mount_overlay(
            layers("a"),
            *upper_and_work(),
            [("metacopy", "on"), ("volatile", None)],
            MountAttr.NOSUID | MountAttr.RDONLY,
        )
        attached(fd)
        (entry,) = overlays()
        return entry.options, entry.super_options

    options, super_options = host.run(check)
    assert options == "ro,nosuid,relatime"
    assert "metacopy=on" in super_options
    assert "volatile" in super_options


@both_kernels
def test_the_mount_is_detached_and_leaves_no_other_trace(host: PrivateHost, *, old_kernel: bool) -> None:
    def check() -> tuple[list[mount.MountInfo], int, bool]:
        lowers = layers("a")
        upper, work = upper_and_work()
        before, here = len(os.listdir("/proc/self/fd")), os.getcwd()
        fd = overlay.mount_overlay(lowers, upper, work)
        assert not os.get_inheritable(fd)
        left = len(os.listdir("/proc/self/fd")) - before
        return overlays(), left, os.getcwd() == here

    assert host.run(check) == ([], 1, True)


@both_kernels
def test_a_failed_overlay_leaves_nothing_and_names_what_is_missing(host: PrivateHost, *, old_kernel: bool) -> None:
    def check() -> tuple[list[mount.MountInfo], int, bool]:
        lowers = layers("a")
        before, here = len(os.listdir("/proc/self/fd")), os.getcwd()
        for wrong in ([*lowers, "/missing"], [*lowers, os.path.realpath("a/common")]):
            with pytest.raises(OSError, match=wrong[-1]):
                overlay.mount_overlay(wrong)
        with pytest.raises(OSError, match="/missing"):
            overlay.mount_overlay(lowers, os.path.realpath("a"), "/missing")
        left = len(os.listdir("/proc/self/fd")) - before
        return overlays(), left, os.getcwd() == here

    assert host.run(check) == ([], 0, True)


def test_a_wrong_option_is_told_in_the_kernels_words(host: PrivateHost) -> None:
    with pytest.raises(OSError, match="Unknown parameter 'bogus'"):
        host.run(lambda: overlay.mount_overlay(layers("a"), options=[("bogus", "1")]))


def test_no_one_else_sees_the_mount_in_passing_on_an_old_kernel(
    host: PrivateHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []
    plain = mount.open_tree

    def open_tree(*arguments: int | str, clone: bool) -> int:
        own = f"/proc/self/task/{threading.get_native_id()}"
        here = [line for line in Path(own, "mountinfo").read_text().splitlines() if " - overlay " in line]
        seen.append(
            (len(here) > len(overlays()), overlays(), os.readlink(f"{own}/cwd") == os.readlink("/proc/self/cwd"))
        )
        return plain(int(arguments[0]), str(arguments[1]), clone=clone)

    def check() -> list[tuple[bool, list[mount.MountInfo], bool]]:
        monkeypatch.setattr(overlay, "open_tree", open_tree)
        overlay._mount_by_page(layers("a", "bb"), *upper_and_work(), (), 0)
        assert threading.active_count() == 1
        return seen

    assert host.run(check) == [(True, [], False)]


def test_options_that_do_not_fit_a_page_are_refused_on_an_old_kernel(host: PrivateHost) -> None:
    def check() -> None:
        limit.prlimit(0, limit.NUMBERS["RLIMIT_NOFILE"], 4096, limit.get_limit(0, limit.NUMBERS["RLIMIT_NOFILE"])[1])
        overlay._mount_by_page(layers("a", "bb") * 600, "", "", (), 0)

    with pytest.raises(OSError, match="1200 layers do not fit one page") as caught:
        host.run(check)
    assert caught.value.errno == errno.E2BIG


@pytest.mark.parametrize("missing", ["fsopen", "fsconfig", "fsmount"])
def test_a_kernel_or_sandbox_without_the_new_calls_mounts_too(
    host: PrivateHost, monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    monkeypatch.delitem(libc.NUMBERS, missing)

    def check() -> list[str]:
        return sorted(os.listdir(attached(overlay.mount_overlay(layers("a", "bb"), *upper_and_work()))))

    assert host.run(check) == ["common", "in-1", "in-2"]


def test_a_whiteout_deletes_the_name_below(host: PrivateHost) -> None:
    def check() -> tuple[list[str], bool, bool, bool]:
        lowers = layers("a", "bb")
        os.unlink("a/common")
        overlay.make_whiteout("a/common")
        directory = os.open("a", os.O_PATH)
        overlay.make_whiteout("in-2", dir_fd=directory)
        os.mknod("other", stat.S_IFCHR, os.makedev(1, 3))
        return (
            os.listdir(attached(overlay.mount_overlay(lowers))),
            overlay.is_whiteout(os.lstat("a/common")),
            overlay.is_whiteout(os.lstat("a/in-1")),
            overlay.is_whiteout(os.lstat("other")),
        )

    assert host.run(check) == (["in-1"], True, False, False)


def test_what_is_deleted_in_an_overlay_is_a_whiteout_in_its_upper_layer(host: PrivateHost) -> None:
    def check() -> bool:
        merged = attached(overlay.mount_overlay(layers("a"), *upper_and_work()))
        (merged / "common").unlink()
        return overlay.is_whiteout(os.lstat("upper/common"))

    assert host.run(check)


@pytest.mark.parametrize("user", [False, True])
def test_an_opaque_directory_hides_those_below_it(host: PrivateHost, *, user: bool) -> None:
    def check() -> tuple[list[str], bool, bool, bool]:
        lowers = layers("a/dir", "bb/dir")
        overlay.make_opaque("a/dir", user=user)
        options = [("userxattr", None)] if user else []
        fd = overlay.mount_overlay([os.path.dirname(lower) for lower in lowers], options=options)
        directory = os.open("a/dir", os.O_RDONLY)
        return (
            sorted(os.listdir(attached(fd) / "dir")),
            overlay.is_opaque(directory, user=user),
            overlay.is_opaque("bb/dir", user=user),
            overlay.is_opaque("a/dir", user=not user),
        )

    assert host.run(check) == (["common", "in-5"], True, False, False)


def test_what_is_replaced_in_an_overlay_is_opaque_in_its_upper_layer(host: PrivateHost) -> None:
    def check() -> bool:
        layers("a/dir")
        merged = attached(overlay.mount_overlay([os.path.realpath("a")], *upper_and_work()))
        for name in os.listdir(merged / "dir"):
            (merged / "dir" / name).unlink()
        (merged / "dir").rmdir()
        (merged / "dir").mkdir()
        return overlay.is_opaque("upper/dir")

    assert host.run(check)


def test_opaqueness_of_what_is_missing_is_an_error() -> None:
    with pytest.raises(FileNotFoundError):
        overlay.is_opaque("/missing")
