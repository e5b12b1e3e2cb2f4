from __future__ import annotations

import errno
import os
import signal
import stat
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from sampan.linux import libc, mount, namespace, openat, process
from sampan.linux.openat import Resolve

if TYPE_CHECKING:
    from tests.kernel.conftest import PrivateHost

ROUNDS = 300


@pytest.fixture
def root(tmp_path: Path) -> Path:
    path = tmp_path / "root"
    path.mkdir()
    return path


def opened(root: Path, fd: int) -> str:
    """Where an open descriptor is, seen from the root; closes it."""
    path = os.readlink(f"/proc/self/fd/{fd}")
    os.close(fd)
    return os.path.relpath(path, root)


def in_root(root: Path, path: str) -> str:
    fd = os.open(root, os.O_PATH)
    try:
        return opened(root, openat.open_in_root(fd, path, os.O_PATH))
    finally:
        os.close(fd)


def made(root: Path, path: str, *, mode: int = 0o755, uid: int = -1, gid: int = -1) -> str:
    fd = os.open(root, os.O_PATH)
    try:
        return opened(root, openat.make_directories_in_root(fd, path, mode, uid, gid))
    finally:
        os.close(fd)


def made_file(root: Path, path: str, mode: int = 0o644) -> str:
    fd = os.open(root, os.O_PATH)
    try:
        return opened(root, openat.make_file_in_root(fd, path, mode))
    finally:
        os.close(fd)


def tree(top: Path) -> set[str]:
    return {os.path.relpath(os.path.join(where, name), top) for where, ds, fs in os.walk(top) for name in ds + fs}


@pytest.mark.parametrize(
    "path", ["etc/file", "/etc/file", "../../etc/file", "link/file", "up/etc/file", "absolute/file", "//etc/./file"]
)
def test_a_path_is_resolved_inside_the_root(root: Path, path: str) -> None:
    (root / "etc").mkdir()
    (root / "etc/file").touch()
    (root / "link").symlink_to("etc")
    (root / "up").symlink_to("../../../..")
    (root / "absolute").symlink_to("/etc")
    assert in_root(root, path) == "etc/file"


def test_an_empty_path_is_the_root(root: Path) -> None:
    assert in_root(root, "") == "."
    assert made(root, "") == "."
    assert made(root, "/") == "."


def test_a_descriptor_is_close_on_exec(root: Path) -> None:
    fd = openat.openat2(-100, str(root), os.O_PATH)
    assert not os.get_inheritable(fd)
    os.close(fd)


def test_a_magic_link_is_refused(root: Path) -> None:
    fd = os.open("/proc/self", os.O_PATH)
    with pytest.raises(OSError, match="openat2") as caught:
        openat.open_in_root(fd, "root/etc", os.O_PATH)
    assert caught.value.errno == errno.ELOOP
    with pytest.raises(OSError, match="openat2") as caught:
        openat.make_directories_in_root(fd, "cwd/x")
    assert caught.value.errno == errno.ELOOP
    os.close(fd)


def test_resolve_flags_are_the_kernels(root: Path) -> None:
    (root / "link").symlink_to("/etc")
    fd = os.open(root, os.O_PATH)
    for flag, path, expected in (
        (Resolve.BENEATH, "..", errno.EXDEV),
        (Resolve.NO_SYMLINKS, "link", errno.ELOOP),
        (Resolve.NO_XDEV, "/proc", errno.EXDEV),
        (0x8000, ".", errno.EINVAL),
    ):
        with pytest.raises(OSError, match="openat2") as caught:
            openat.openat2(fd, path, os.O_PATH, 0, flag)
        assert (caught.value.errno, caught.value.filename) == (expected, path)
    os.close(fd)


def test_a_lookup_that_is_always_given_up_ends_at_last(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    def give_up(*_: object) -> int:
        calls.append(1)
        raise BlockingIOError(errno.EAGAIN, "again")

    monkeypatch.setattr(openat, "check", give_up)
    with pytest.raises(BlockingIOError):
        openat.openat2(-100, str(root), os.O_PATH, 0, Resolve.IN_ROOT)
    assert len(calls) == openat._TRIES
    with pytest.raises(BlockingIOError):  # what is not in the cache is not there at the next try either
        openat.openat2(-100, str(root / "missing"), os.O_PATH, 0, Resolve.CACHED)
    assert len(calls) == openat._TRIES + 1


def test_missing_directories_are_made_with_mode_and_owner_whatever_the_umask(root: Path) -> None:
    (root / "there").mkdir(mode=0o700)
    before = os.umask(0o077)
    try:
        uid, gid = (1000, 1001) if os.geteuid() == 0 else (-1, -1)
        assert made(root, "there/a/b", mode=0o751, uid=uid, gid=gid) == "there/a/b"
    finally:
        os.umask(before)
    for path in ("there/a", "there/a/b"):
        status = (root / path).stat()
        assert stat.S_IMODE(status.st_mode) == 0o751
        assert (status.st_uid, status.st_gid) == ((1000, 1001) if os.geteuid() == 0 else (os.getuid(), os.getgid()))
    status = (root / "there").stat()
    assert (stat.S_IMODE(status.st_mode), status.st_uid) == (0o700, os.geteuid())


def test_directories_in_a_directory_with_a_group_of_its_own_inherit_it(root: Path) -> None:
    (root / "shared").mkdir()
    (root / "shared").chmod(0o2775)
    made(root, "shared/new", mode=0o750)
    assert stat.S_IMODE((root / "shared/new").stat().st_mode) == 0o2750


def test_what_exists_is_opened_and_not_touched(root: Path) -> None:
    (root / "a").mkdir(mode=0o700)
    assert made(root, "a", mode=0o777, uid=1000, gid=1000) == "a"
    assert stat.S_IMODE((root / "a").stat().st_mode) == 0o700
    assert (root / "a").stat().st_uid == os.geteuid()


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("x/y", "x/y"),
        ("/x/y/", "x/y"),
        ("../../x", "x"),
        ("x/../y", "y"),
        ("x/./y//z", "x/y/z"),
        ("x/../" * 100 + "y", "y"),
        ("x/../../../y/../z", "z"),
        ("link/new", "etc/new"),
        ("absolute/new", "etc/new"),
        ("outside/new", "tmp/new"),
        ("dangling/new", "var/gone/new"),
        ("relative/new", "etc/deep/new"),
        ("etc/up/new", "new"),
        ("chain/x", "var/gone/x"),
        ("dangling", "var/gone"),
        ("etc/far/new/er", "var/gone/new/er"),
        ("etc/near/new/er", "etc/gone/new/er"),
        ("etc/../etc/near/new/er", "etc/gone/new/er"),
    ],
)
def test_directories_are_made_inside_the_root_through_whatever_links(root: Path, path: str, expected: str) -> None:
    (root / "etc").mkdir()
    (root / "link").symlink_to("etc")
    (root / "absolute").symlink_to("/etc")
    (root / "outside").symlink_to("../../../../../tmp")
    (root / "dangling").symlink_to("/var/gone")
    (root / "relative").symlink_to("etc/deep")
    (root / "etc/up").symlink_to("../..")
    (root / "chain").symlink_to("dangling")
    (root / "etc/far").symlink_to("/var/gone")
    (root / "etc/near").symlink_to("gone")
    beside = tree(root.parent) - tree(root)
    assert made(root, path) == expected
    assert (root / expected).is_dir()
    assert {name for name in tree(root.parent) if not name.startswith("root")} == {
        name for name in beside if not name.startswith("root")
    }


def test_a_file_in_the_way_is_an_error_that_names_the_path(root: Path) -> None:
    (root / "file").touch()
    for path in ("file", "file/x", "file/x/y"):
        with pytest.raises(NotADirectoryError) as caught:
            made(root, path)
        assert caught.value.filename == path


def test_a_ring_of_links_is_an_error(root: Path) -> None:
    (root / "a").symlink_to("b")
    (root / "b").symlink_to("a")
    for path in ("a", "a/x"):
        with pytest.raises(OSError, match="symbolic links") as caught:
            made(root, path)
        assert caught.value.errno == errno.ELOOP
        with pytest.raises(OSError, match="symbolic links"):
            made_file(root, path)


def test_links_that_grow_for_ever_are_an_error(root: Path) -> None:
    (root / "a").symlink_to("a/x")
    with pytest.raises(OSError, match="symbolic links") as caught:
        made(root, "a/y")
    assert caught.value.errno == errno.ELOOP


def test_links_without_end_behind_missing_directories_are_an_error(root: Path) -> None:
    # the kernel never sees more than one of them at a time
    for number in range(50):
        (root / f"link-{number}").symlink_to(f"missing-{number}/../link-{number + 1}")
    for make in (made, made_file):
        with pytest.raises(OSError, match="too many symbolic links") as caught:
            make(root, "link-0")
        assert (caught.value.errno, caught.value.filename) == (errno.ELOOP, "link-0")
        assert make(root, "link-40") == "link-50"
        (root / "link-50").rmdir() if (root / "link-50").is_dir() else (root / "link-50").unlink()


def test_a_name_that_is_another_at_each_try_is_refused(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def exchanged(*_: object, **__: object) -> str:
        raise OSError(errno.EINVAL, "a directory by now")

    (root / "link").symlink_to("/behind")
    monkeypatch.setattr(os, "readlink", exchanged)
    for make in (made, made_file):
        with pytest.raises(OSError, match="changed by others at each try") as caught:
            make(root, "link/x")
        assert caught.value.errno == errno.ELOOP
    assert tree(root) == {"link"}


def test_modes_are_the_usual_ones_when_none_is_asked_for(root: Path) -> None:
    before = os.umask(0)
    try:
        made(root, "directory")
        made_file(root, "file")
    finally:
        os.umask(before)
    assert stat.S_IMODE((root / "directory").stat().st_mode) == 0o755
    assert stat.S_IMODE((root / "file").stat().st_mode) == 0o644


def test_a_path_with_a_null_byte_is_refused(root: Path) -> None:
    for make in (made, made_file):
        with pytest.raises(OSError, match="null byte"):
            make(root, "a\0b")
    assert tree(root) == set()


def test_no_descriptor_is_left_whatever_happens(root: Path) -> None:
    (root / "file").touch()
    (root / "dangling").symlink_to("/var/gone")
    (root / "ring").symlink_to("ring")
    before = os.listdir("/proc/self/fd")
    made_file(root, "d/e/f")
    for path in ("a/b/c", "file/x", "dangling/x", "ring/x", "a/../../b", "new/../file/", "new"):
        for make in (made, made_file):
            try:
                make(root, path)
            except OSError:
                continue
    assert os.listdir("/proc/self/fd") == before


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("new", "new"),
        ("/a/b/new", "a/b/new"),
        ("absolute/new", "etc/new"),
        ("dangling", "var/gone"),
        ("etc/local", "etc/other"),
        ("../new", "new"),
    ],
)
def test_a_file_is_made_inside_the_root_with_its_directories(root: Path, path: str, expected: str) -> None:
    (root / "etc").mkdir()
    (root / "absolute").symlink_to("/etc")
    (root / "dangling").symlink_to("/var/gone")
    (root / "etc/local").symlink_to("other")
    assert made_file(root, path) == expected
    assert (root / expected).read_bytes() == b""


def test_a_file_that_exists_is_opened_and_not_touched(root: Path) -> None:
    (root / "file").write_text("mine")
    (root / "file").chmod(0o600)
    assert made_file(root, "file", 0o666) == "file"
    assert (root / "file").read_text() == "mine"
    assert stat.S_IMODE((root / "file").stat().st_mode) == 0o600


def test_a_pipe_in_the_place_of_a_file_is_not_waited_for(root: Path) -> None:
    os.mkfifo(root / "pipe")
    assert made_file(root, "pipe") == "pipe"


@pytest.mark.parametrize("path", ["dir", "dir/", "new/", "/", ".", "new/.."])
def test_a_directory_in_the_place_of_a_file_is_an_error(root: Path, path: str) -> None:
    (root / "dir").mkdir()
    with pytest.raises(IsADirectoryError):
        made_file(root, path)


def racing(root: Path, names: tuple[str, str], function: Callable[[], object]) -> int:
    """Call the function again and again while another process exchanges the two names; count the calls that failed."""
    first, second = (os.fsencode(root / name) for name in names)
    pid = os.fork()
    if pid == 0:
        process.set_parent_death_signal(signal.SIGKILL)
        while True:
            libc.syscall("renameat2", -100, first, -100, second, 2)  # RENAME_EXCHANGE
    failed = 0
    try:
        for _ in range(ROUNDS):
            try:
                function()
            except OSError as error:
                assert error.errno in {errno.ELOOP, errno.ENOTDIR, errno.ENOENT, errno.EAGAIN}  # noqa: PT017 - counted
                failed += 1
    finally:
        os.kill(pid, signal.SIGKILL)
        process.wait_pid(pid)
    return failed


@pytest.mark.parametrize("target", ["/", "/..", "../../../../../../../..", "/proc/self/root"])
def test_nothing_is_made_outside_while_another_swaps_a_directory_and_a_link(root: Path, target: str) -> None:
    # Outside, where a link that escaped would lead: beside the root, and at the machine's own root.
    mark = f"sampan-test-race-{os.getpid()}"
    (root / "a").mkdir()
    (root / "b").symlink_to(target)
    count = iter(range(10**6))
    beside = {name for name in tree(root.parent) if not name.startswith("root")}

    def act() -> None:
        number = next(count)
        made(root, f"a/{mark}-{number}/deep/er")
        made_file(root, f"a/{mark}-{number}/deep/file")
        made_file(root, f"a/{mark}-file-{number}")

    failed = racing(root, ("a", "b"), act)
    assert failed < ROUNDS
    inside = tree(root)
    assert any(name.startswith((f"a/{mark}", f"b/{mark}")) for name in inside)
    assert any(name.startswith(mark) for name in inside) or target == "/proc/self/root"
    assert {name for name in tree(root.parent) if not name.startswith("root")} == beside
    assert not [name for name in os.listdir("/") if name.startswith(mark)]


def test_a_mount_below_the_root_is_entered(host: PrivateHost) -> None:
    def check() -> list[str]:
        os.makedirs("root/at")
        mount.mount("tmpfs", "root/at", "tmpfs")
        made(Path(os.path.realpath("root")), "at/x/y")
        return os.listdir("root/at")

    assert host.run(check) == ["x"]


def test_what_is_made_in_a_user_namespace_has_its_ids(host: PrivateHost) -> None:
    def check() -> int:
        os.mkdir("root")
        made(Path(os.path.realpath("root")), "x", uid=100005, gid=100005)
        owned = namespace.make_user_namespace([(0, 100000, 65536)], [(0, 100000, 65536)])
        namespace.setns(owned, namespace.CloneFlag.NEWUSER)
        return os.stat("root/x").st_uid

    assert host.run(check) == 5
