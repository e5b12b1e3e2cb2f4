from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.kernel.mount_trees import entry, error_of, targets, tree

from sampan.linux import libc, mount, namespace
from sampan.linux.mount import AT_FDCWD, MountAttr, Propagation, UmountFlag

if TYPE_CHECKING:
    from tests.kernel.conftest import PrivateHost

MAP = [(0, 100000, 65536)]


def test_a_file_system_is_made_detached_and_attached_where_it_belongs(host: PrivateHost) -> None:
    def check() -> tuple[list[str], mount.MountInfo]:
        os.mkdir("at")
        options = [("source", "name"), ("size", "1m"), ("mode", "0700")]
        fd = mount.make_filesystem("tmpfs", options, MountAttr.NOSUID | MountAttr.NODEV)
        assert not os.get_inheritable(fd)
        before = targets()
        mount.move_mount(fd, (AT_FDCWD, "at"))
        return before, entry("at")

    before, there = host.run(check)
    assert before == []
    assert (there.fstype, there.source, there.options) == ("tmpfs", "name", "rw,nosuid,nodev,relatime")
    assert there.super_options.startswith("rw,size=1024k,mode=700")


def test_a_mount_is_attached_on_a_descriptor(host: PrivateHost) -> None:
    def check() -> list[str]:
        os.mkdir("at")
        target = os.open("at", os.O_PATH)
        os.rename("at", "elsewhere")
        mount.move_mount(mount.make_filesystem("tmpfs"), target)
        return targets()

    assert host.run(check) == ["elsewhere"]


def test_a_symbolic_link_is_no_target(host: PrivateHost) -> None:
    def check() -> tuple[int, list[str]]:
        os.mkdir("at")
        os.symlink("at", "link")
        fd = mount.make_filesystem("tmpfs")
        return error_of(lambda: mount.move_mount(fd, (AT_FDCWD, "link"))), targets()

    assert host.run(check) == (errno.EINVAL, [])


def test_an_option_that_the_file_system_does_not_know_is_named_with_the_kernels_words(host: PrivateHost) -> None:
    with pytest.raises(OSError, match="Unknown parameter 'bogus'") as caught:
        host.run(lambda: mount.make_filesystem("tmpfs", [("bogus", "1")]))
    assert (caught.value.errno, caught.value.filename) == (errno.EINVAL, "bogus=1")


def test_an_unknown_file_system_is_named(host: PrivateHost) -> None:
    with pytest.raises(OSError, match="nofs") as caught:
        host.run(lambda: mount.make_filesystem("nofs"))
    assert caught.value.errno == errno.ENODEV


def test_a_failed_file_system_leaves_no_descriptor(host: PrivateHost) -> None:
    def check() -> bool:
        before = os.listdir("/proc/self/fd")
        error_of(lambda: mount.make_filesystem("tmpfs", [("size", "x")]))
        error_of(lambda: mount.make_filesystem("tmpfs", [("bogus", None)]))
        return os.listdir("/proc/self/fd") == before

    assert host.run(check)


def test_a_mounted_file_system_is_reconfigured(host: PrivateHost) -> None:
    def check() -> str:
        os.mkdir("at")
        mount.mount("tmpfs", "at", "tmpfs", 0, "size=1m")
        context = mount.fspick(AT_FDCWD, "at")
        mount.fsconfig_set_string(context, "size", "2m")
        mount.fsconfig_set_flag(context, "ro")
        mount.fsconfig_reconfigure(context)
        return entry("at").super_options

    assert host.run(check).startswith("ro,size=2048k")


def test_a_bind_shows_the_directory_alone_or_with_what_is_mounted_below(host: PrivateHost) -> None:
    def check() -> tuple[list[str], list[str]]:
        tree()
        os.mkdir("one")
        os.mkdir("all")
        mount.move_mount(mount.open_tree(AT_FDCWD, "tree", clone=True), (AT_FDCWD, "one"))
        mount.move_mount(mount.open_tree(AT_FDCWD, "tree", clone=True, recursive=True), (AT_FDCWD, "all"))
        return sorted(os.listdir("one/sub")), sorted(os.listdir("all/sub"))

    assert host.run(check) == ([], ["file"])


def test_a_bind_of_a_descriptor_needs_no_path(host: PrivateHost) -> None:
    def check() -> str:
        Path("file").write_text("here")
        source = os.open("file", os.O_PATH)
        os.rename("file", "moved")
        Path("file").touch()
        mount.move_mount(mount.open_tree(source, "", clone=True), (AT_FDCWD, "file"))
        return Path("file").read_text()

    assert host.run(check) == "here"


def test_a_tree_is_opened_without_following_the_last_link(host: PrivateHost) -> None:
    def check() -> tuple[bool, bool]:
        os.mkdir("at")
        os.symlink("at", "link")
        followed, kept = mount.open_tree(AT_FDCWD, "link"), mount.open_tree(AT_FDCWD, "link", follow=False)
        return os.path.isdir(f"/proc/self/fd/{followed}"), os.readlink("", dir_fd=kept) == "at"

    assert host.run(check) == (True, True)


def test_read_only_is_for_one_mount_or_for_all_below(host: PrivateHost) -> None:
    def check() -> list[int]:
        tree()
        for path, recursive in (("one", False), ("all", True)):
            os.mkdir(path)
            fd = mount.open_tree(AT_FDCWD, "tree", clone=True, recursive=True)
            mount.mount_setattr(fd, set=MountAttr.RDONLY, recursive=recursive)
            mount.move_mount(fd, (AT_FDCWD, path))
        return [error_of(Path(path).touch) for path in ("one/new", "one/sub/new", "all/new", "all/sub/new", "tree/new")]

    assert host.run(check) == [errno.EROFS, 0, errno.EROFS, errno.EROFS, 0]


def test_an_access_time_mode_replaces_the_one_before(host: PrivateHost) -> None:
    def check() -> list[str]:
        os.mkdir("at")
        mount.mount("tmpfs", "at", "tmpfs")
        seen = []
        for attribute in (MountAttr.NOATIME, MountAttr.STRICTATIME):
            mount.mount_setattr(AT_FDCWD, "at", set=attribute)
            seen.append(entry("at").options)
        mount.mount_setattr(AT_FDCWD, "at", clear=MountAttr.NOATIME)
        return [*seen, entry("at").options]

    assert host.run(check) == ["rw,noatime", "rw", "rw,relatime"]


@pytest.mark.parametrize(
    ("kind", "shown"),
    [
        (Propagation.PRIVATE, (False, False, False)),
        (Propagation.SHARED, (True, False, False)),
        (Propagation.UNBINDABLE, (False, False, True)),
    ],
)
def test_propagation_is_set(host: PrivateHost, kind: Propagation, shown: tuple[bool, bool, bool]) -> None:
    def check() -> tuple[bool, bool, bool]:
        os.mkdir("at")
        mount.mount("tmpfs", "at", "tmpfs")
        mount.mount_setattr(AT_FDCWD, "at", propagation=kind)
        there = entry("at")
        return bool(there.shared), bool(there.master), there.unbindable

    assert host.run(check) == shown


def test_mounts_pass_from_a_shared_mount_to_its_slave_and_not_back(host: PrivateHost) -> None:
    def check() -> list[str]:
        os.mkdir("shared")
        os.mkdir("slave")
        mount.mount("tmpfs", "shared", "tmpfs")
        for name in ("a", "b"):
            os.mkdir(f"shared/{name}")
        mount.mount_setattr(AT_FDCWD, "shared", propagation=Propagation.SHARED)
        mount.move_mount(mount.open_tree(AT_FDCWD, "shared", clone=True), (AT_FDCWD, "slave"))
        mount.mount_setattr(AT_FDCWD, "slave", propagation=Propagation.SLAVE)
        assert entry("slave").master == entry("shared").shared
        mount.mount("tmpfs", "shared/a", "tmpfs")
        mount.mount("tmpfs", "slave/b", "tmpfs")
        return sorted(targets())

    assert host.run(check) == ["shared", "shared/a", "slave", "slave/a", "slave/b"]


def test_an_idmapped_mount_shows_other_owners_and_writes_back_its_own(host: PrivateHost) -> None:
    def check() -> tuple[int, int, int]:
        os.mkdir("source")
        mount.mount("tmpfs", "source", "tmpfs", 0, "mode=0777")
        Path("source/old").touch()
        os.chown("source/old", 5, 5)
        os.mkdir("at")
        fd = mount.open_tree(AT_FDCWD, "source", clone=True)
        mount.mount_setattr(fd, userns_fd=namespace.make_user_namespace(MAP, MAP))
        mount.move_mount(fd, (AT_FDCWD, "at"))
        seen = os.stat("at/old").st_uid
        denied = error_of(Path("at/new").touch)  # id 0 of the host has no place there
        os.setresgid(100007, 100007, 0)
        os.setresuid(100007, 100007, 0)
        Path("at/new").touch()
        os.setresuid(0, 0, 0)
        return seen, denied, os.stat("source/new").st_uid

    assert host.run(check) == (100005, errno.EOVERFLOW, 7)


def test_an_id_mapping_is_refused_on_a_mount_that_is_attached_already(host: PrivateHost) -> None:
    def check() -> int:
        os.mkdir("at")
        mount.mount("tmpfs", "at", "tmpfs")
        owned = namespace.make_user_namespace(MAP, MAP)
        return error_of(lambda: mount.mount_setattr(AT_FDCWD, "at", userns_fd=owned))

    assert host.run(check) == errno.EINVAL


def test_the_root_is_exchanged_and_the_old_one_let_go(host: PrivateHost) -> None:
    def check() -> tuple[list[str], int]:
        os.mkdir("new")
        mount.mount("tmpfs", "new", "tmpfs")
        Path("new/mark").touch()
        os.chdir("new")
        mount.pivot_root(".", ".")
        mount.umount(".", UmountFlag.DETACH)
        os.chdir("/")
        return os.listdir("/"), error_of(lambda: os.stat("/etc"))

    assert host.run(check) == (["mark"], errno.ENOENT)


def test_a_new_root_that_is_no_mount_is_refused(host: PrivateHost) -> None:
    def check() -> None:
        os.mkdir("new")
        mount.pivot_root("new", "new")

    with pytest.raises(OSError, match=r"pivot_root.*new") as caught:
        host.run(check)
    assert caught.value.errno == errno.EINVAL


def test_unmounting_follows_no_link_when_told_so(host: PrivateHost) -> None:
    def check() -> tuple[int, int, list[str]]:
        os.mkdir("at")
        mount.mount("tmpfs", "at", "tmpfs")
        os.symlink("at", "link")
        refused = error_of(lambda: mount.umount("link", UmountFlag.NOFOLLOW))
        busy = os.open("at", os.O_RDONLY)
        kept = error_of(lambda: mount.umount("at"))
        mount.umount("at", UmountFlag.DETACH)
        os.close(busy)
        return refused, kept, targets()

    assert host.run(check) == (errno.EINVAL, errno.EBUSY, [])


def test_a_mount_that_fails_is_an_error_that_names_its_target(host: PrivateHost) -> None:
    with pytest.raises(OSError, match="mount") as caught:
        host.run(lambda: mount.mount("tmpfs", "missing", "tmpfs"))
    assert (caught.value.errno, caught.value.filename) == (errno.ENOENT, "missing")
    with pytest.raises(OSError, match="mount") as caught:
        host.run(lambda: mount.mount("x", ".", "nofs"))
    assert (caught.value.errno, caught.value.filename) == (errno.ENODEV, ".")


def test_an_option_may_be_a_descriptor(host: PrivateHost) -> None:
    # overlayfs takes layers as descriptors since Linux 6.13
    if tuple(map(int, os.uname().release.split(".")[:2])) < (6, 13):
        pytest.skip("needs a file system that takes descriptors")

    def check() -> list[str]:
        for name in ("low", "lower", "at"):
            os.mkdir(name)
            Path(name, f"in-{name}").touch()
        context = mount.fsopen("overlay")
        for name in ("low", "lower"):
            mount.fsconfig_set_fd(context, "lowerdir+", os.open(name, os.O_PATH))
        mount.fsconfig_create(context)
        mount.move_mount(mount.fsmount(context), (AT_FDCWD, "at"))
        return sorted(os.listdir("at"))

    assert host.run(check) == ["in-low", "in-lower"]


def test_a_file_system_is_picked_by_its_descriptor(host: PrivateHost) -> None:
    def check() -> tuple[str, bool]:
        os.mkdir("at")
        mount.mount("tmpfs", "at", "tmpfs", 0, "size=1m")
        context = mount.fspick(os.open("at", os.O_PATH))
        mount.fsconfig_set_string(context, "size", "2m")
        mount.fsconfig_reconfigure(context)
        return entry("at").super_options, os.get_inheritable(context)

    options, inheritable = host.run(check)
    assert "size=2048k" in options
    assert not inheritable


def test_a_path_with_a_null_byte_is_refused(host: PrivateHost) -> None:
    with pytest.raises(OSError, match="null byte"):
        host.run(lambda: mount.umount("/\0at"))


def test_an_id_mapping_without_the_kernels_help_is_refused(host: PrivateHost, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(libc.NUMBERS, "mount_setattr")

    def check() -> int:
        fd = mount.make_filesystem("tmpfs")
        return error_of(lambda: mount.mount_setattr(fd, userns_fd=namespace.make_user_namespace(MAP, MAP)))

    assert host.run(check) == errno.ENOSYS
