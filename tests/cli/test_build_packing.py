"""What `sampan build` packs: its own headers are those of images' archive writer, and files may change meanwhile."""

from __future__ import annotations

import io
import os
import shutil
import stat
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from sampan.cli.building.packing import header, pack_directory, pack_files
from sampan.image.tar_entry import KINDS, Entry
from sampan.image.tar_write import encode_entry

LARGE = 1 << 36


@pytest.mark.parametrize("flag", [b"0", b"1", b"2", b"5", b"6"])
@pytest.mark.parametrize(
    "name", [b"f", b"d/" + b"e" * 97, b"d/" + b"e" * 99, b"d" * 90 + b"/" + b"e" * 90, "ä/ö".encode(), b"\xff"]
)
@pytest.mark.parametrize("mtime_s", [0, 1_700_000_000, -1, LARGE])
def test_a_header_is_what_the_archive_writer_writes(flag: bytes, name: bytes, mtime_s: int) -> None:
    is_file, is_link = flag == b"0", flag in {b"1", b"2"}
    for size in (0, 5, LARGE) if is_file else (0,):
        for link in (b"to", b"t" * 101, "ü".encode()) if is_link else (b"",):
            entry = Entry(name, KINDS[flag], 0o4751, size=size, mtime_ns=mtime_s * 1_000_000_000, link=link)
            assert header(flag, name, 0o4751, size=size, mtime_s=mtime_s, link=link) == encode_entry(entry)


def test_given_files_are_an_archive_that_others_read() -> None:
    archive = b"".join(pack_files({"Dockerfile": b"FROM scratch\n", "n" * 120: b""}))
    with tarfile.open(fileobj=io.BytesIO(archive)) as read:
        assert read.getnames() == ["Dockerfile", "n" * 120]
        found = read.extractfile("Dockerfile")
        assert found is not None
        assert found.read() == b"FROM scratch\n"


def packed(root: Path, meanwhile: Callable[[], object] = lambda: None) -> dict[str, tarfile.TarInfo]:
    """The entries of a directory's archive; `meanwhile` is done when its first piece is there."""
    pieces = pack_directory(str(root), None, {})
    content = next(pieces)
    meanwhile()
    with tarfile.open(fileobj=io.BytesIO(content + b"".join(pieces))) as read:
        return {entry.name: entry for entry in read}


def large_directory(root: Path) -> Path:
    """A directory whose first file alone makes the first piece of an archive."""
    (root / "a").write_bytes(bytes(1 << 20))
    for name in ("b", "c", "e"):
        (root / name).write_text(name)
    (root / "d").mkdir()
    (root / "d" / "f").write_text("f")
    return root


def test_a_file_that_vanishes_meanwhile_is_left_out(tmp_path: Path) -> None:
    root = large_directory(tmp_path)
    assert list(packed(root, (root / "b").unlink)) == ["a", "c", "d", "d/f", "e"]


def test_a_directory_that_vanishes_meanwhile_is_left_out(tmp_path: Path) -> None:
    root = large_directory(tmp_path)
    assert list(packed(root, lambda: shutil.rmtree(root / "d"))) == ["a", "b", "c", "e"]


def test_all_names_but_the_first_of_a_file_are_links_to_one_that_was_sent(tmp_path: Path) -> None:
    root = large_directory(tmp_path)
    (root / "f").hardlink_to(root / "b")
    (root / "g").hardlink_to(root / "b")
    assert packed(root)["f"].linkname == "b"
    entries = packed(root, (root / "b").unlink)
    assert (entries["f"].isreg(), entries["f"].size) == (True, 1)
    assert entries["g"].linkname == "f"


def test_capabilities_and_attributes_of_users_are_packed(tmp_path: Path) -> None:
    capability = b"\x01\x00\x00\x02\x00\x20" + bytes(14)
    (tmp_path / "d").mkdir()
    (tmp_path / "f").write_text("text")
    try:
        os.setxattr(tmp_path / "f", "security.capability", capability)
        os.setxattr(tmp_path / "f", "trusted.ours", b"no")
        os.setxattr(tmp_path / "d", "user.what", b"\xff")
    except OSError as error:
        pytest.skip(f"the file system takes no attributes: {error}")
    entries = packed(tmp_path)
    found = {name.removeprefix("SCHILY.xattr.") for name in entries["f"].pax_headers if "xattr" in name}
    assert found == {"security.capability"}
    written = entries["f"].pax_headers["SCHILY.xattr.security.capability"]
    assert written.encode("utf-8", "surrogateescape") == capability
    assert entries["d"].pax_headers["SCHILY.xattr.user.what"].encode("utf-8", "surrogateescape") == b"\xff"


def test_devices_are_packed_and_sockets_are_not(tmp_path: Path) -> None:
    try:
        os.mknod(tmp_path / "null", 0o666 | stat.S_IFCHR, os.makedev(1, 3))
        os.mknod(tmp_path / "loop", 0o660 | stat.S_IFBLK, os.makedev(7, 300))
    except PermissionError:
        pytest.skip("makes devices, for which it must be root")
    os.mknod(tmp_path / "socket", 0o666 | stat.S_IFSOCK)
    os.mkfifo(tmp_path / "fifo")
    entries = packed(tmp_path)
    assert {name: (entry.type, entry.devmajor, entry.devminor) for name, entry in entries.items()} == {
        "fifo": (tarfile.FIFOTYPE, 0, 0),
        "loop": (tarfile.BLKTYPE, 7, 300),
        "null": (tarfile.CHRTYPE, 1, 3),
    }
