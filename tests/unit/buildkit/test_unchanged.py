"""Files of a client that are the same as in its last build: they are not asked for, and are there all the same."""

from __future__ import annotations

import os
import random
import shutil
import tempfile
from pathlib import Path
from typing import Any

import pytest
from tests.buildkit_client import DIFF_COPY, Serves, files, served, streaming

from sampan.build.context import receive_plain
from sampan.buildkit.filesync import END_OF_ARCHIVE, Wanted, listing_of
from sampan.buildkit.proto.session_pb2 import Stat
from sampan.buildkit.stats import FileKind
from sampan.errors import SystemFailure

SECOND = 1_000_000_000


def listed(root: Path) -> tuple[list[Stat], dict[str, bytes]]:
    """What a client lists that has these files, and the contents."""
    entries: list[Stat] = []
    contents: dict[str, bytes] = {}
    first: dict[int, str] = {}
    for path in sorted(root.rglob("*"), key=lambda path: path.relative_to(root).parts):
        name, status = str(path.relative_to(root)), path.lstat()
        mode = status.st_mode & 0o777
        if path.is_symlink():
            entries.append(
                Stat(path=os.fsencode(name), mode=FileKind.SYMLINK | mode, linkname=os.readlink(bytes(path)))
            )
        elif path.is_dir():
            entries.append(Stat(path=os.fsencode(name), mode=FileKind.DIRECTORY | mode, modTime=status.st_mtime_ns))
        elif (other := first.setdefault(status.st_ino, name)) != name:
            entries.append(Stat(path=os.fsencode(name), mode=mode, size=status.st_size, linkname=os.fsencode(other)))
        else:
            attributes = {key: os.getxattr(path, key) for key in os.listxattr(path)}
            entries.append(
                Stat(
                    path=os.fsencode(name),
                    mode=mode,
                    size=status.st_size,
                    modTime=status.st_mtime_ns,
                    xattrs=attributes,
                )
            )
            contents[name] = path.read_bytes()
    return entries, contents


def asks(entries: list[Stat], contents: dict[str, bytes], asked: list[str]) -> Serves:
    """The client, which takes down what it is asked for."""

    class Told(dict[str, bytes]):
        def __getitem__(self, name: str) -> bytes:
            asked.append(name)
            return super().__getitem__(name)

    return files(entries, Told(contents))


async def received(client: Serves, place: Path, kept: Path | None = None) -> Path:
    """The context that comes of what a client sends, at `place`."""
    os.mkdir(place)
    async with (
        served({DIFF_COPY: streaming(client)}) as session,
        listing_of(session, Wanted("context"), lambda _: None) as listing,
    ):
        size = await listing.leave_out(str(kept)) if kept is not None else 0
        archive = b"".join([piece async for piece in listing.archive()])
        receive_plain([archive + END_OF_ARCHIVE], str(place))
        listing.link(str(place))
    assert len(archive) + size >= bytes_of(place)
    return place


def bytes_of(place: Path) -> int:
    return sum(path.lstat().st_size for path in place.rglob("*") if path.is_file())


def tree(place: Path) -> dict[str, tuple[Any, ...]]:
    """Everything that there is to each file below a directory."""
    found: dict[str, tuple[Any, ...]] = {}
    for path in place.rglob("*"):
        status = path.lstat()
        content = os.readlink(path) if path.is_symlink() else path.read_bytes() if path.is_file() else b""
        attributes = [] if path.is_symlink() else [(key, os.getxattr(path, key)) for key in os.listxattr(path)]
        moment = 0 if path.is_symlink() else status.st_mtime_ns
        found[str(path.relative_to(place))] = (status.st_mode, status.st_uid, moment, content, attributes)
    return found


async def test_files_that_are_the_same_as_before_are_not_asked_for(tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    kept.mkdir()
    for name in ("same", "longer", "touched", "mode", "large", "marked", "unmarked"):
        (kept / name).write_bytes(name.encode() * (100_000 if name == "large" else 1))
        os.utime(kept / name, ns=(0, 5 * SECOND + 7))
    os.setxattr(kept / "unmarked", "user.k", b"v")
    entries, contents = listed(kept)
    by_name = {os.fsdecode(one.path): one for one in entries}
    contents |= {"longer": b"longer!", "touched": b"TOUCHED", "new": b"new"}
    by_name["longer"].size += 1
    by_name["touched"].modTime += 1
    by_name["mode"].mode ^= 0o100
    by_name["marked"].xattrs["user.k"] = b"v"
    del by_name["unmarked"].xattrs["user.k"]
    entries.append(Stat(path=b"new", mode=0o644, size=3))
    asked: list[str] = []
    place = await received(asks(entries, contents, asked), tmp_path / "place", kept)
    assert sorted(asked) == ["longer", "marked", "mode", "new", "touched", "unmarked"]
    assert {path.name: path.read_bytes() for path in place.iterdir()} == contents
    assert (place / "same").stat().st_mtime_ns == 5 * SECOND + 7
    assert os.listxattr(place / "unmarked") == []


async def test_a_file_with_several_names_comes_again(tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    kept.mkdir()
    (kept / "a").write_bytes(b"one")
    (kept / "b").hardlink_to(kept / "a")
    (kept / "c").write_bytes(b"two")
    asked: list[str] = []
    place = await received(asks(*listed(kept), asked), tmp_path / "place", kept)
    assert asked == ["a"]
    assert (place / "a").samefile(place / "b")
    assert (place / "c").samefile(kept / "c")


async def test_where_there_can_be_no_links_there_are_copies(tmp_path: Path) -> None:
    with tempfile.TemporaryDirectory(dir="/dev/shm") as elsewhere:
        if os.stat(elsewhere).st_dev == os.stat(tmp_path).st_dev:
            pytest.skip("needs two file systems")
        kept = Path(elsewhere)
        (kept / "d").mkdir()
        (kept / "d" / "f").write_bytes(b"content")
        (kept / "d" / "f").chmod(0o750)
        asked: list[str] = []
        place = await received(asks(*listed(kept), asked), tmp_path / "place", kept)
        assert asked == []
        assert tree(place) == tree(kept)


async def test_what_is_kept_is_not_left_by_its_links(tmp_path: Path) -> None:
    """The directory of an earlier context may have had a link where the next one has a directory."""
    secret = tmp_path / "outside" / "secret"
    secret.parent.mkdir()
    secret.write_bytes(b"not yours")
    kept = tmp_path / "kept"
    kept.mkdir()
    (kept / "d").symlink_to(secret.parent)
    (kept / "secret").symlink_to(secret)
    status = secret.stat()

    def like_it(path: str) -> Stat:
        return Stat(path=os.fsencode(path), mode=status.st_mode & 0o777, size=9, modTime=status.st_mtime_ns)

    entries = [Stat(path=b"d", mode=FileKind.DIRECTORY | 0o755), like_it("d/secret"), like_it("secret")]
    place = await received(files(entries, {"d/secret": b"my own 1.", "secret": b"my own 2."}), tmp_path / "place", kept)
    assert ((place / "d" / "secret").read_bytes(), (place / "secret").read_bytes()) == (b"my own 1.", b"my own 2.")


async def test_a_directory_that_was_a_link_has_none_of_the_files_that_the_link_led_to(tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    (kept / "e").mkdir(parents=True)
    (kept / "e" / "f").write_bytes(b"old")
    (kept / "d").symlink_to("e")
    status = (kept / "e" / "f").stat()
    entries = [
        Stat(path=b"d", mode=FileKind.DIRECTORY | 0o755),
        Stat(path=b"d/f", mode=status.st_mode & 0o777, size=3, modTime=status.st_mtime_ns),
    ]
    place = await received(files(entries, {"d/f": b"new"}), tmp_path / "place", kept)
    assert (place / "d" / "f").read_bytes() == b"new"


@pytest.mark.parametrize("odd", ["../out", "/out", "d/../../out", "nowhere/f", "d/", "", "./f"])
async def test_names_that_no_client_gives_lead_nowhere(tmp_path: Path, odd: str) -> None:
    """What is asked for is the archive's to refuse; none of it is linked."""
    kept = tmp_path / "kept"
    (kept / "d").mkdir(parents=True)
    for path in (tmp_path / "out", kept / "f", kept / "d" / "f"):
        path.write_bytes(b"x")
        os.utime(path, ns=(0, SECOND))
    entries = [
        Stat(path=b"d", mode=FileKind.DIRECTORY | 0o755),
        Stat(path=os.fsencode(odd), mode=0o644, size=1, modTime=SECOND),
    ]
    async with (
        served({DIFF_COPY: streaming(files(entries, {odd: b"y"}))}) as session,
        listing_of(session, Wanted("context"), lambda _: None) as listing,
    ):
        assert await listing.leave_out(str(kept)) == 0
        await listing.end()


async def test_a_directory_that_became_a_link_meanwhile_is_not_followed(tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    (kept / "d").mkdir(parents=True)
    (kept / "d" / "f").write_bytes(b"x")
    outside = tmp_path / "outside"
    outside.mkdir()
    entries, contents = listed(kept)
    entries.append(Stat(path=b"d", mode=FileKind.SYMLINK | 0o777, linkname=bytes(outside)))
    with pytest.raises(SystemFailure, match="the context cannot be put together"):
        await received(files(entries, contents), tmp_path / "place", kept)
    assert list(outside.iterdir()) == []


async def test_whatever_changes_the_context_is_that_of_a_client_whose_files_were_never_kept(tmp_path: Path) -> None:
    chance = random.Random(20261130)
    source = tmp_path / "source"
    source.mkdir()
    clock = 1_700_000_000 * SECOND
    kept = await received(files(*listed(source)), tmp_path / "kept")
    for turn in range(60):
        for _ in range(chance.randrange(1, 6)):
            clock += chance.randrange(1, SECOND)
            _change(source, chance, clock)
        sent = listed(source)
        fresh = await received(files(*sent), tmp_path / "fresh")
        context = await received(files(*sent), tmp_path / f"context-{turn}", kept)
        assert tree(context) == tree(fresh)
        shutil.rmtree(fresh)
        shutil.rmtree(kept)
        kept = context


def _change(source: Path, chance: random.Random, clock: int) -> None:
    """Write, replace, link, mark, move or remove one of a few names."""
    path = source / chance.choice(["a", "b", "d/a", "d/b", "d/e/f"])
    for parent in (path.parent.parent, path.parent):
        if source in parent.parents and (parent.is_symlink() or (parent.exists() and not parent.is_dir())):
            parent.unlink()
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    path.unlink(missing_ok=True)
    match chance.randrange(7):
        case 0:
            path.symlink_to(chance.choice(["../a", "b", "/etc"]))
        case 1:
            path.mkdir()
        case 2:
            return
        case 3 if (other := source / "b").is_file() and not other.is_symlink() and other != path:
            path.hardlink_to(other)
        case number:
            path.write_bytes(chance.randbytes(chance.choice([0, 3, 3, 3, 70_000])))
            os.utime(path, ns=(clock, clock))
            if number == 4:
                os.setxattr(path, "user.k", chance.randbytes(3))
