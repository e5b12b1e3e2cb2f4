"""Archives made to do harm are refused, or stay in their directory (CVE-2025-47290, CVE-2021-32760 and their kin)."""

from __future__ import annotations

import ctypes
import os
import stat
import threading
from contextlib import suppress
from pathlib import Path

import pytest
from tests.kernel.image.conftest import Unpack
from tests.unit.image.conftest import MakeArchive

from sampan.errors import InvalidArgument, SystemFailure
from sampan.image.tar_entry import Entry, Kind
from sampan.image.unpack import unpack


def symlink(name: str, target: str) -> Entry:
    return Entry(name.encode(), Kind.SYMLINK, link=target.encode())


def hard_link(name: str, target: str) -> Entry:
    return Entry(name.encode(), Kind.LINK, link=target.encode())


def directory(name: str, mode: int = 0o755) -> Entry:
    return Entry(name.encode(), Kind.DIRECTORY, mode=mode)


OUT = "../outside"
REFUSED = {
    "up": ([("../outside/canary", b"dead")], "goes up"),
    "up from below": ([directory("a"), ("a/../../outside/canary", b"dead")], "goes up"),
    "up and back": ([directory("a"), ("a/../b", b"")], "goes up"),
    "file in the root's place": ([(".", b"")], "root's place"),
    "link in the root's place": ([symlink("/", OUT)], "root's place"),
    "hard link up": ([hard_link("x", "../outside/canary")], "goes up"),
    "hard link to nothing": ([hard_link("x", "/etc/passwd")], "no file of this archive"),
    "hard link through a link": ([symlink("o", "../../outside"), hard_link("x", "o/canary")], "no file of this"),
    "hard link to a directory": ([directory("d"), hard_link("x", "d")], "no file of this archive"),
    "hard link to the root": ([hard_link("x", "/")], "the root"),
    "file through a file": ([("a", b""), ("a/b", b"")], "no directory"),
    "file through a device": ([Entry(b"a", Kind.CHARACTER, major=1, minor=3), ("a/b", b"")], "no directory"),
    "file through a dangling link": ([symlink("a", "nowhere"), ("a/b", b"")], "leads nowhere"),
    "file through a link to itself": ([symlink("a", "a"), ("a/b", b"")], "symbolic links"),
    "file through /proc": ([symlink("a", "/proc/self/root"), ("a/b", b"")], "leads nowhere"),
    "whiteout of nothing": ([(".wh.", b"")], "whiteout of nothing"),
    "whiteout of dot": ([("a/.wh..", b"")], "whiteout of nothing"),
    "whiteout of dot dot": ([("a/.wh...", b"")], "whiteout of nothing"),
    "whiteout up": ([("../.wh.outside", b"")], "goes up"),
    "through a whiteout": ([("a/.wh.b/c", b"")], "passes through a whiteout"),
    "a name too long": ([("n" * 300, b"")], "name too long"),
    "a path too long": ([("/".join(["d" * 200] * 30), b"")], "name too long"),
}


@pytest.mark.parametrize(("entries", "words"), REFUSED.values(), ids=REFUSED.keys())
def test_it_is_refused_and_nothing_outside_changes(
    unpacked: Unpack, archive: MakeArchive, entries: list[Entry | tuple[str, bytes]], words: str
) -> None:
    with pytest.raises(InvalidArgument, match=words) as caught:
        unpacked(archive(*entries))
    assert caught.value.remedy


CONFINED = {
    "absolute name": ([("/etc/passwd", b"x")], "etc/passwd"),
    "link out, then a file through it": ([symlink("a", "../../outside"), directory("outside"), ("a/new", b"x")], ""),
    "absolute link, then a file through it": ([symlink("a", "/"), ("a/canary", b"x")], "canary"),
    "chain of links": (
        [directory("d"), symlink("d/a", ".."), symlink("d/b", "a/.."), symlink("d/c", "b/../../.."), ("d/c/new", b"x")],
        "new",
    ),
    "link replaced under an open directory": (
        [directory("d"), ("d/one", b"1"), symlink("d", "/"), ("d/two", b"x")],
        "two",
    ),
    "directory replaced below a link": (
        [directory("d/e"), symlink("l", "d"), ("l/e/one", b"1"), symlink("d/e", "/"), ("l/e/two", b"x")],
        "two",
    ),
    "mode through a link": ([symlink("a", "../outside"), directory("a", 0o777)], "a"),
    "mode of a directory that became a link": ([directory("a", 0o777), symlink("a", "../outside/canary")], "a"),
    "symlink over a symlink": ([symlink("a", "../outside/canary"), ("a", b"x")], "a"),
    "whiteout through a link": ([symlink("a", "../outside"), directory("outside"), ("a/.wh.canary", b"")], ""),
    "opaque through a link": ([symlink("a", "/"), ("a/.wh..wh..opq", b"")], ""),
    "device": ([Entry(b"sda", Kind.BLOCK, mode=0o666, major=8)], "sda"),
    "fifo in the way": ([Entry(b"p", Kind.FIFO), ("p", b"x")], "p"),
}


@pytest.mark.parametrize(("entries", "made"), CONFINED.values(), ids=CONFINED.keys())
def test_it_is_confined(
    unpacked: Unpack, archive: MakeArchive, root: Path, entries: list[Entry | tuple[str, bytes]], made: str
) -> None:
    unpacked(archive(*entries))
    if made:
        assert os.path.lexists(root / made)


def test_a_device_of_an_archive_is_never_opened(unpacked: Unpack, archive: MakeArchive, root: Path) -> None:
    os.mkfifo(root / "pipe")  # opening it would wait for ever
    unpacked(archive(("pipe", b"now a file"), Entry(b"d", Kind.DIRECTORY)))
    assert (root / "pipe").read_bytes() == b"now a file"


def test_a_very_deep_tree_is_made_and_removed(unpacked: Unpack, archive: MakeArchive, root: Path) -> None:
    from sampan.image.tree import remove_tree

    unpacked(archive(("a/" * 2000 + "f", b"x")))
    remove_tree(str(root / "a"))
    assert os.listdir(root) == []


def test_a_racing_swap_of_directory_and_link_leads_nowhere(root: Path, archive: MakeArchive) -> None:
    """Another swaps a directory for a link to the outside while files are unpacked through it (CVE-2018-15664)."""
    (root / "d").mkdir()
    os.symlink(f"{root.parent}/outside", root / "link")
    stop = threading.Event()
    exchange = ctypes.CDLL(None).renameat2

    def swap() -> None:
        while not stop.is_set():
            exchange(-100, os.fsencode(root / "d"), -100, os.fsencode(root / "link"), 2)  # RENAME_EXCHANGE

    swapper = threading.Thread(target=swap)
    swapper.start()
    fd = os.open(root, os.O_RDONLY)
    try:
        for number in range(300):
            with suppress(InvalidArgument, SystemFailure):
                unpack(iter([archive((f"d/f{number}", b"x"), Entry(b"d/canary", Kind.FILE, mode=0o777))]), fd)
    finally:
        stop.set()
        swapper.join()
    assert os.listdir(root.parent / "outside") == ["canary"]
    assert (root.parent / "outside/canary").read_text() == "alive"
    assert stat.S_IMODE((root.parent / "outside/canary").stat().st_mode) == 0o600
    if (root / "d").is_symlink():
        exchange(-100, os.fsencode(root / "d"), -100, os.fsencode(root / "link"), 2)
    unpack(iter([archive(("d/last", b"x"))]), fd)
    os.close(fd)
    assert (root / "d/last").read_text() == "x"
