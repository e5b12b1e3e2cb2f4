"""What an archive makes of a directory: every kind of entry, every attribute, whiteouts."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import subprocess
from pathlib import Path

import pytest
from tests.kernel.image.conftest import Unpack, tree_of
from tests.unit.image.conftest import MakeArchive

from sampan.errors import InvalidArgument, SystemFailure
from sampan.image.tar_entry import Entry, Kind
from sampan.image.tar_write import END, encode_entry, padding
from sampan.image.unpack import unpack
from sampan.image.unpack_terms import Whiteouts
from sampan.linux.overlay import is_opaque, is_whiteout

TIME = 1_600_000_000 * 10**9 + 123_456_789
# A file capability in the kernel's form: version 2, CAP_NET_RAW permitted and effective (linux/capability.h).
NET_RAW = bytes.fromhex("0100000200200000000000000000000000000000")


def test_the_same_tree_comes_out_as_with_gnu_tar(unpacked: Unpack, root: Path, tmp_path: Path) -> None:
    source = tmp_path.parent / f"{tmp_path.name}-source"
    source.mkdir()
    (source / "dir").mkdir(mode=0o750)
    (source / "dir/file").write_bytes(b"x" * 5000)
    (source / "dir/empty").touch()
    os.link(source / "dir/file", source / "another name")
    os.symlink("../nowhere", source / "link")
    os.mkfifo(source / "pipe")
    os.mknod(source / "null", stat.S_IFCHR | 0o620, os.makedev(1, 3))
    os.mknod(source / "disk", stat.S_IFBLK | 0o600, os.makedev(240, 70000))
    (source / ("long" * 50)).mkdir()
    (source / ("long" * 50) / ("name" * 60)).write_text("deep")
    (source / "setuid").write_text("s")
    os.chown(source / "setuid", 1234, 4_000_000_000)
    os.chmod(source / "setuid", 0o6755)
    os.setxattr(source / "setuid", "user.note", b"kept\0binary")
    os.setxattr(source / "setuid", "security.capability", NET_RAW)
    os.setxattr(source / "dir", "user.note", b"on a directory")
    os.chmod(source / "dir", 0o2751)
    for number, name in enumerate(("dir/file", "setuid", "dir", "null", "pipe", "link")):
        os.utime(source / name, ns=(0, TIME + number), follow_symlinks=False)
    made = subprocess.run(
        ["tar", "-C", str(source), "--format=posix", "--xattrs", "--xattrs-include=*", "-cf", "-", "."],
        check=True,
        capture_output=True,
    ).stdout
    done = unpacked(made)
    assert tree_of(root) == tree_of(source)
    assert done.dropped_xattrs == set()
    assert done.bytes == 5000 + len("deep") + len("s") + len("../nowhere")
    assert os.getxattr(root / "setuid", "security.capability") == NET_RAW
    subprocess.run(["rm", "-rf", str(source)], check=True)


def test_a_sparse_file_keeps_its_holes(unpacked: Unpack, root: Path) -> None:
    entry = Entry(b"holes", Kind.FILE, size=1 << 30, segments=((1 << 29, 512), (1 << 30, 0)))
    done = unpacked(encode_entry(entry) + b"d" * 512 + END)
    status = (root / "holes").stat()
    assert status.st_size == done.bytes == 1 << 30
    assert status.st_blocks * 512 < 1 << 20
    with (root / "holes").open("rb") as file:
        file.seek((1 << 29) - 1)
        assert file.read(514) == b"\0" + b"d" * 512 + b"\0"


def test_modes_are_the_archive_s_whatever_the_umask(unpacked: Unpack, root: Path, archive: MakeArchive) -> None:
    kinds = (Kind.FILE, Kind.DIRECTORY, Kind.FIFO)
    before = os.umask(0o077)
    try:
        unpacked(archive(*[Entry(kind.value.encode(), kind, mode=0o7777) for kind in kinds]))
    finally:
        os.umask(before)
    assert [stat.S_IMODE((root / kind.value).stat().st_mode) for kind in kinds] == [0o7777] * 3


def test_a_set_group_id_directory_does_not_give_its_group_away(
    unpacked: Unpack, root: Path, archive: MakeArchive
) -> None:
    unpacked(archive(Entry(b"d", Kind.DIRECTORY, mode=0o2755, gid=77), Entry(b"d/sub", Kind.DIRECTORY), ("d/f", b"")))
    assert [(root / name).stat().st_gid for name in ("d", "d/sub", "d/f")] == [77, 0, 0]
    assert not (root / "d/sub").stat().st_mode & stat.S_ISGID


def test_a_directory_s_time_and_mode_survive_what_is_put_into_it(
    unpacked: Unpack, root: Path, archive: MakeArchive
) -> None:
    unpacked(archive(Entry(b"d", Kind.DIRECTORY, mode=0o500, mtime_ns=TIME), ("d/f", b"x"), ("d/e/f", b"x")))
    status = (root / "d").stat()
    assert (stat.S_IMODE(status.st_mode), status.st_mtime_ns) == (0o500, TIME)


def test_directories_that_are_only_implied_are_docker_s_and_dated_like_what_implies_them(
    unpacked: Unpack, root: Path, archive: MakeArchive
) -> None:
    unpacked(archive(Entry(b"a/b/c", Kind.FILE, mtime_ns=TIME, uid=5)))
    for name in ("a", "a/b"):
        status = (root / name).stat()
        assert (stat.S_IMODE(status.st_mode), status.st_uid, status.st_mtime_ns) == (0o755, 0, TIME)


def test_the_root_s_own_entry_sets_its_attributes(unpacked: Unpack, root: Path, archive: MakeArchive) -> None:
    unpacked(archive(Entry(b"./", Kind.DIRECTORY, mode=0o711, uid=3, mtime_ns=TIME), ("f", b"")))
    status = root.stat()
    assert (stat.S_IMODE(status.st_mode), status.st_uid, status.st_mtime_ns) == (0o711, 3, TIME)


@pytest.mark.parametrize("second", [Kind.FILE, Kind.SYMLINK, Kind.DIRECTORY, Kind.FIFO, Kind.CHARACTER])
@pytest.mark.parametrize("first", [Kind.FILE, Kind.SYMLINK, Kind.DIRECTORY, Kind.FIFO])
def test_the_later_of_two_entries_counts(
    unpacked: Unpack, root: Path, archive: MakeArchive, first: Kind, second: Kind
) -> None:
    below = [("x/below", b"b")] if first is Kind.DIRECTORY else []
    unpacked(archive(Entry(b"x", first, link=b"/etc"), *below, Entry(b"x", second, mode=0o641, link=b"there")))
    made = os.lstat(root / "x")
    assert (
        stat.S_IFMT(made.st_mode)
        == {
            Kind.FILE: stat.S_IFREG,
            Kind.SYMLINK: stat.S_IFLNK,
            Kind.DIRECTORY: stat.S_IFDIR,
            Kind.FIFO: stat.S_IFIFO,
            Kind.CHARACTER: stat.S_IFCHR,
        }[second]
    )
    if first is second is Kind.DIRECTORY:
        assert (root / "x/below").read_bytes() == b"b"
    if second is not Kind.SYMLINK:
        assert stat.S_IMODE(made.st_mode) == 0o641


def test_a_hard_link_shares_the_file_s_attributes(unpacked: Unpack, root: Path, archive: MakeArchive) -> None:
    first = Entry(b"a", Kind.FILE, mode=0o4711, uid=9, mtime_ns=TIME)
    unpacked(archive(first, Entry(b"b", Kind.LINK, mode=0o600, link=b"./a"), Entry(b"a", Kind.LINK, link=b"a")))
    one, other = (root / "a").stat(), (root / "b").stat()
    assert one.st_ino == other.st_ino
    assert (stat.S_IMODE(other.st_mode), other.st_uid, other.st_mtime_ns) == (0o4711, 9, TIME)


def test_a_whiteout_becomes_overlayfs_s_mark(unpacked: Unpack, root: Path, archive: MakeArchive) -> None:
    unpacked(archive((".wh.top", b""), ("d/.wh.file", b""), ("e/.wh..wh..opq", b""), ("e/new", b"n")))
    assert is_whiteout(os.lstat(root / "top"))
    assert is_whiteout(os.lstat(root / "d/file"))
    assert is_opaque(str(root / "e"))
    assert sorted(os.listdir(root / "e")) == ["new"]
    assert not is_opaque(str(root / "d"))


def test_aufs_s_own_files_are_left_out(unpacked: Unpack, root: Path, archive: MakeArchive) -> None:
    unpacked(archive((".wh..wh.aufs", b""), ("d/.wh..wh.plnk/12.34", b""), Entry(b".wh..wh.orph", Kind.DIRECTORY)))
    assert os.listdir(root) == []


@pytest.mark.parametrize("whiteout_first", [True, False])
def test_a_whiteout_and_a_directory_of_one_name_are_an_opaque_directory(
    unpacked: Unpack,
    root: Path,
    archive: MakeArchive,
    whiteout_first: bool,  # noqa: FBT001
) -> None:
    parts = [("d/.wh.x", b""), ("d/x/new", b"n")]
    unpacked(archive(*(parts if whiteout_first else parts[::-1])))
    assert is_opaque(str(root / "d/x"))
    assert (root / "d/x/new").read_bytes() == b"n"


@pytest.mark.parametrize("whiteout_first", [True, False])
def test_a_whiteout_and_a_file_of_one_name_are_the_file(
    unpacked: Unpack,
    root: Path,
    archive: MakeArchive,
    whiteout_first: bool,  # noqa: FBT001
) -> None:
    parts = [(".wh.x", b""), ("x", b"new")]
    unpacked(archive(*(parts if whiteout_first else parts[::-1])))
    assert (root / "x").read_bytes() == b"new"


def test_a_plain_archive_keeps_whiteout_names(unpacked: Unpack, root: Path, archive: MakeArchive) -> None:
    unpacked(archive((".wh.x", b"1"), (".wh..wh..opq", b"")), whiteouts=Whiteouts.LITERAL)  # type: ignore[call-arg]
    assert sorted(os.listdir(root)) == [".wh..wh..opq", ".wh.x"]
    assert not is_opaque(str(root))


def test_marks_of_overlayfs_in_an_archive_are_not_believed(unpacked: Unpack, root: Path, archive: MakeArchive) -> None:
    marks = {"trusted.overlay.redirect": b"/etc", "trusted.overlay.opaque": b"y", "user.overlay.opaque": b"y"}
    labels = {"security.selinux": b"system_u:object_r:shadow_t:s0", "user.ok": b"1"}
    unpacked(archive(Entry(b"d", Kind.DIRECTORY, xattrs=marks | labels), Entry(b"f", Kind.FILE, xattrs=marks)))
    assert os.listxattr(root / "d") == ["user.ok"]
    assert os.listxattr(root / "f") == []


def test_extended_attributes_of_links_and_devices_are_their_own(
    unpacked: Unpack, root: Path, archive: MakeArchive
) -> None:
    (root / "target").touch()
    unpacked(
        archive(
            Entry(b"link", Kind.SYMLINK, link=b"target", xattrs={"trusted.a": b"1"}),
            Entry(b"null", Kind.CHARACTER, major=1, minor=3, xattrs={"trusted.b": b"2"}),
        )
    )
    assert os.getxattr(root / "link", "trusted.a", follow_symlinks=False) == b"1"
    assert os.getxattr(root / "null", "trusted.b") == b"2"
    assert os.listxattr(root / "target") == []


def test_names_that_are_no_text_are_kept(unpacked: Unpack, root: Path, archive: MakeArchive) -> None:
    unpacked(archive(Entry(b"\xff\xfe", Kind.FILE), Entry(b"l", Kind.SYMLINK, link=b"\x80")))
    assert sorted(os.listdir(os.fsencode(root))) == [b"l", b"\xff\xfe"]
    assert os.readlink(os.fsencode(root / "l")) == b"\x80"


def open_files() -> list[str]:
    """What the descriptors of this process are of."""
    paths = []
    for number in os.listdir("/proc/self/fd"):
        with contextlib.suppress(FileNotFoundError):  # the listing's own
            paths.append(os.readlink(f"/proc/self/fd/{number}"))
    return paths


def test_thousands_of_directories_do_not_exhaust_the_descriptors(
    unpacked: Unpack, root: Path, archive: MakeArchive
) -> None:
    unpacked(archive(*[(f"d{number}/f", b"x") for number in range(2000)]))
    assert len(os.listdir(root)) == 2000
    assert [path for path in open_files() if path.startswith(f"{root}/")] == []


def test_a_full_disk_is_said_with_a_remedy_and_no_descriptor_leaks(host: object, tmp_path: Path) -> None:
    from tests.kernel.conftest import PrivateHost

    assert isinstance(host, PrivateHost)
    content = os.urandom(300_000)
    entry = Entry(b"big/file", Kind.FILE, size=len(content))
    data = encode_entry(entry) + content + padding(len(content)) + END

    def fill() -> tuple[str, str, int]:
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=100k", "tmpfs", "."], check=True)
        fd = os.open(host.root, os.O_RDONLY)
        before = len(os.listdir("/proc/self/fd"))
        with pytest.raises(SystemFailure) as caught:
            unpack(iter([data]), fd)
        assert isinstance(caught.value.__cause__, OSError)
        assert caught.value.__cause__.errno == errno.ENOSPC
        return str(caught.value), caught.value.remedy, len(os.listdir("/proc/self/fd")) - before

    sentence, remedy, leaked = host.run(fill)
    assert "big/file" in sentence
    assert "No space left" in sentence
    assert "make room" in remedy
    assert leaked == 0


def test_more_bytes_than_the_limit_are_refused(root: Path, archive: MakeArchive) -> None:
    from sampan.image.tar_read import ArchiveLimits

    fd = os.open(root, os.O_RDONLY)
    try:
        with pytest.raises(InvalidArgument, match="more than 5 bytes"):
            unpack(iter([archive(("f", b"123"), ("g", b"456"))]), fd, limits=ArchiveLimits(max_unpacked_bytes=5))
    finally:
        os.close(fd)
