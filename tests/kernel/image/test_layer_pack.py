"""A tree becomes an archive: always the same, whole, and readable by others; an upper directory becomes a layer."""

from __future__ import annotations

import io
import os
import socket
import stat
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.kernel.conftest import PrivateHost
from tests.kernel.image.conftest import Unpack, tree_of

from sampan.errors import SystemFailure
from sampan.image.pack import PackOptions, pack
from sampan.image.unpack import unpack
from sampan.linux.mount import move_mount
from sampan.linux.overlay import make_opaque, make_whiteout, mount_overlay

TIME = 1_600_000_000 * 10**9
ALL_OFF = (("index", "off"), ("redirect_dir", "off"), ("metacopy", "off"))
Fill = Callable[[Path], None]


def packed(path: Path | str, options: PackOptions = PackOptions()) -> bytes:  # noqa: B008
    fd = os.open(path, os.O_RDONLY)
    try:
        return b"".join(pack(fd, options))
    finally:
        os.close(fd)


def names_in(data: bytes) -> list[str]:
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        return tar.getnames()


@pytest.fixture
def source(tmp_path: Path) -> Path:
    made = tmp_path / "source"
    (made / "b/c").mkdir(parents=True)
    (made / "b/file").write_bytes(b"content" * 100_000)
    (made / "b/c/deep").write_text("deep")
    os.link(made / "b/file", made / "z-link")
    os.symlink("b/file", made / "symbolic")
    os.mknod(made / "null", stat.S_IFCHR | 0o666, os.makedev(1, 3))
    os.mkfifo(made / "pipe")
    (made / "owned").touch()
    os.chown(made / "owned", 4_000_000_000, 70_000)
    os.chmod(made / "owned", 0o4751)
    os.setxattr(made / "owned", "user.note", b"\0\xff")
    (made / ("n" * 120)).touch()
    (made / "schlüssel").touch()
    (made / os.fsdecode(b"\xff\xfe")).touch()
    for directory, names, files in os.walk(made):
        for name in [*names, *files]:
            os.utime(os.path.join(directory, name), ns=(TIME, TIME), follow_symlinks=False)
    os.utime(made, ns=(TIME, TIME))
    return made


def test_what_is_packed_unpacks_to_the_same_tree(source: Path, unpacked: Unpack, root: Path) -> None:
    unpacked(packed(source))
    os.utime(root, ns=(TIME, TIME))
    assert tree_of(root) == tree_of(source)


def test_gnu_tar_and_python_read_it(source: Path, tmp_path: Path) -> None:
    data = packed(source)
    by_tar, by_python = tmp_path / "by tar", tmp_path / "by python"
    by_tar.mkdir()
    subprocess.run(["tar", "-C", str(by_tar), "--xattrs", "--xattrs-include=*", "-xpf", "-"], input=data, check=True)
    os.utime(by_tar, ns=(TIME, TIME))
    assert tree_of(by_tar) == tree_of(source)
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        tar.extractall(by_python, filter="fully_trusted")
    assert (by_python / "b/c/deep").read_text() == "deep"
    assert (by_python / "owned").stat().st_uid == 4_000_000_000


def test_the_same_files_give_the_same_bytes_however_they_came_to_be(source: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    copy.mkdir()
    for name in sorted(os.listdir(source), reverse=True):
        subprocess.run(["cp", "-a", str(source / name), str(copy / name)], check=True)
    os.unlink(copy / "z-link")
    os.link(copy / "b/file", copy / "z-link")
    os.utime(copy / "b/file", ns=(TIME + 999, TIME + 999))
    os.utime(copy / "b", ns=(TIME, TIME))
    assert packed(copy) == packed(source)


def test_times_are_whole_seconds_unless_exact_ones_are_asked_for(tmp_path: Path) -> None:
    (tmp_path / "f").touch()
    os.utime(tmp_path / "f", ns=(0, TIME + 123_456_789))
    assert b"mtime=" not in packed(tmp_path)
    assert b"mtime=1600000000.123456789" in packed(tmp_path, PackOptions(exact_times=True))


def test_no_time_is_later_than_the_one_asked_for(source: Path) -> None:
    early = TIME // 10**9 - 1000
    with tarfile.open(fileobj=io.BytesIO(packed(source, PackOptions(latest_mtime_s=early)))) as tar:
        assert {member.mtime for member in tar} == {early}


def test_the_root_is_named_only_when_it_is_not_as_usual(tmp_path: Path) -> None:
    made = tmp_path / "made"
    made.mkdir(mode=0o755)
    assert names_in(packed(made)) == []
    made.chmod(0o700)
    assert names_in(packed(made)) == ["."]


def test_sockets_are_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("s")
    (tmp_path / "f").touch()
    assert names_in(packed(tmp_path)) == [".", "f"]


def test_the_holes_of_a_sparse_file_are_not_written(tmp_path: Path) -> None:
    source, into = tmp_path / "source", tmp_path / "into"
    source.mkdir()
    into.mkdir()
    with (source / "holes").open("wb") as file:
        for at in (0, 10_000_000, 40_000_123):
            file.seek(at)
            file.write(b"island")
        file.truncate(1 << 26)
    data = packed(source)
    assert len(data) < 200_000
    fd = os.open(into, os.O_RDONLY)
    try:
        unpack(iter([data]), fd)
    finally:
        os.close(fd)
    subprocess.run(["cmp", str(source / "holes"), str(into / "holes")], check=True)
    assert (into / "holes").stat().st_blocks * 512 < 1 << 20


def test_a_file_that_shrinks_while_it_is_packed_does_not_break_the_archive(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"x" * 5_000_000)
    (tmp_path / "b").write_bytes(b"after")
    fd = os.open(tmp_path, os.O_RDONLY)
    try:
        pieces = pack(fd)
        data = next(pieces)
        os.truncate(tmp_path / "a", 100)
        data += b"".join(pieces)
    finally:
        os.close(fd)
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        after = tar.extractfile("b")
        assert after is not None
        assert after.read() == b"after"
        assert tar.getmember("a").size == 5_000_000


def test_marks_of_an_upper_directory_become_whiteout_names(tmp_path: Path) -> None:
    upper = tmp_path / "upper"
    (upper / "d").mkdir(parents=True)
    make_whiteout(str(upper / "gone"))
    make_whiteout(str(upper / "d/gone too"))
    make_opaque(str(upper / "d"))
    data = packed(upper, PackOptions(upper=True))
    assert names_in(data) == [".wh.gone", "d", "d/.wh..wh..opq", "d/.wh.gone too"]
    assert b"trusted.overlay" not in data
    assert names_in(packed(upper)) == ["gone", "d", "d/gone too"]


def test_an_upper_directory_that_leans_on_its_lowers_is_refused(tmp_path: Path) -> None:
    (tmp_path / "moved").mkdir()
    os.setxattr(tmp_path / "moved", "trusted.overlay.redirect", b"/elsewhere")
    with pytest.raises(SystemFailure, match="needs the layers below"):
        packed(tmp_path, PackOptions(upper=True))


def test_what_a_container_wrote_comes_back_as_a_layer(host: PrivateHost) -> None:
    """Write into an overlay, pack its upper, unpack it as a layer over the same lower: the same tree is seen."""

    def go() -> None:
        for name in ("lower/etc/keep", "lower/var/cache/apt", "lower/usr/bin", "upper", "work", "layer", "one", "two"):
            os.makedirs(name)
        for name in ("etc/passwd", "etc/shadow", "var/cache/apt/a", "var/cache/b", "usr/bin/tool", "etc/keep/k"):
            Path("lower", name).write_text(name)
        os.link("lower/usr/bin/tool", "lower/usr/bin/other")
        move_mount(mount_overlay(["lower"], "upper", "work", ALL_OFF), (-100, "one"))
        Path("one/etc/passwd").write_text("changed")
        Path("one/new").write_text("new")
        os.chmod("one/etc/keep", 0o700)
        os.unlink("one/etc/shadow")
        subprocess.run(["rm", "-r", "one/var/cache"], check=True)
        os.makedirs("one/var/cache/fresh")
        os.setxattr("one/usr/bin/tool", "user.changed", b"1")
        os.rename("one/etc/keep/k", "one/etc/keep/moved")
        os.mknod("one/fifo", stat.S_IFIFO | 0o600)
        stamp = 1_700_000_000 * 10**9
        for directory, names, files in os.walk("upper"):
            for name in [*names, *files]:
                path = os.path.join(directory, name).replace("upper/", "one/", 1)
                if os.path.lexists(path):
                    os.utime(path, ns=(stamp, stamp), follow_symlinks=False)
        data = packed("upper", PackOptions(upper=True))
        fd = os.open("layer", os.O_RDONLY)
        unpack(iter([data]), fd)
        move_mount(mount_overlay(["layer", "lower"]), (-100, "two"))
        for name in ("one", "two"):
            os.utime(f"{name}" if name == "one" else "layer", ns=(stamp, stamp))
        seen, wanted = tree_of("two"), tree_of("one")
        del seen["."], wanted["."]
        assert seen == wanted
        assert "etc/shadow" not in seen
        assert "var/cache/b" not in seen
        assert "var/cache/fresh" in seen

    host.run(go)
