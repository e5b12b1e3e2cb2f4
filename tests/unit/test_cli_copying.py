"""Files as tar archives: what is packed comes out the same, and nothing is written outside of where it belongs."""

from __future__ import annotations

import io
import os
import socket
import tarfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sampan.cli.commands.cp import split_place
from sampan.cli.copying import name_at_target, pack, unpack
from sampan.cli.grammar import Failure
from sampan.cli.one_file import pack_file
from sampan.client.transport import Connection, split_chunks
from sampan.image.file_part import FilePart, read_parts
from sampan.image.pack import pack_one_in_parts


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    source = tmp_path / "src"
    (source / "sub").mkdir(parents=True)
    (source / "f").write_bytes(b"x" * 1000)
    os.link(source / "f", source / "hard")
    (source / "soft").symlink_to("f")
    (source / "sub/g").write_bytes(b"")
    (source / "sub").chmod(0o700)
    os.mkfifo(source / "pipe")
    os.utime(source / "f", (1, 1_000_000_000))
    return source


def archive(*members: tuple[tarfile.TarInfo, bytes]) -> list[bytes]:
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as tar:
        for info, content in members:
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return [data.getvalue()]


def entry(
    name: str, kind: bytes = tarfile.REGTYPE, link: str = "", content: bytes = b""
) -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, link
    return info, content


def packed(source: str, name: str, *, follow: bool = False) -> Iterator[bytes]:
    """The archive with what was left in files read out of them."""
    for piece in pack(source, name, follow=follow):
        yield piece if isinstance(piece, bytes) else os.pread(piece.fd, piece.length, piece.offset)


def test_what_is_packed_comes_out_the_same_under_the_new_name(tree: Path, tmp_path: Path) -> None:
    unpack(packed(str(tree), "src"), str(tmp_path), "new", owners=False)

    new = tmp_path / "new"
    assert sorted(path.name for path in new.iterdir()) == ["f", "hard", "pipe", "soft", "sub"]
    assert (new / "f").read_bytes() == b"x" * 1000
    assert (new / "f").stat().st_ino == (new / "hard").stat().st_ino
    assert (new / "f").stat().st_mtime == 1_000_000_000
    assert (new / "soft").readlink() == Path("f")
    assert (new / "sub").stat().st_mode & 0o7777 == 0o700
    assert (new / "pipe").is_fifo()


def test_the_archive_is_one_that_others_can_read(tree: Path) -> None:
    with tarfile.open(fileobj=io.BytesIO(b"".join(packed(str(tree), "r")))) as tar:
        assert tar.getnames() == ["r", "r/f", "r/hard", "r/pipe", "r/soft", "r/sub", "r/sub/g"]
        assert tar.getmember("r/hard").islnk() or tar.getmember("r/f").islnk()


def test_contents_alone_are_packed_without_the_folder(tree: Path, tmp_path: Path) -> None:
    target = tmp_path / "there"
    target.mkdir()

    unpack(packed(f"{tree}/.", "."), str(target), ".", owners=False)

    assert (target / "f").exists()


def test_a_link_in_the_sources_place_is_a_link_unless_followed(tree: Path) -> None:
    def kind(*, follow: bool) -> bytes:
        with tarfile.open(fileobj=io.BytesIO(b"".join(packed(str(tree / "soft"), "x", follow=follow)))) as tar:
            return tar.getmember("x").type

    assert kind(follow=False) == tarfile.SYMTYPE
    assert kind(follow=True) == tarfile.REGTYPE


def test_a_file_that_shrinks_while_it_is_packed_leaves_the_archive_whole(tree: Path) -> None:
    (tree / "big").write_bytes(b"y" * 3_000_000)
    (tree / "medium").write_bytes(b"z" * 900_000)
    ours, theirs = socket.socketpair()
    received = bytearray()

    def receive() -> None:
        while data := theirs.recv(65536):
            received.extend(data)

    receiving = threading.Thread(target=receive)
    receiving.start()

    def shrinking() -> Iterator[bytes | FilePart]:
        for piece in pack(str(tree), "r"):
            if not isinstance(piece, bytes):
                os.truncate(tree / "big", 10)
            yield piece

    with ours, theirs:
        Connection(ours).send("PUT", "/", {}, shrinking())
        ours.shutdown(socket.SHUT_WR)
        receiving.join()
    head, _, body = bytes(received).partition(b"\r\n\r\n")
    assert b"Transfer-Encoding: chunked" in head
    data, _, _, ended = split_chunks(body, 0)
    assert ended
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        assert tar.getmember("r/big").size == 3_000_000
        file = tar.extractfile("r/big")
        assert file is not None
        assert file.read() == b"y" * 10 + bytes(2_999_990)
        assert "r/sub/g" in tar.getnames()


PLAIN_NAMES = ["r", "a/b", "x" * 100, "name with spaces"]
OTHER_NAMES = ["x" * 101, "grüße", "d" * 90 + "/" + "f" * 90]


@pytest.mark.parametrize("name", [*PLAIN_NAMES, *OTHER_NAMES])
@pytest.mark.parametrize("size", [0, 1, 511, 512, 513, 1_500_000])
def test_one_file_makes_the_same_archive_whoever_packs_it(tmp_path: Path, name: str, size: int) -> None:
    file = tmp_path / "file"
    file.write_bytes(os.urandom(size))
    file.chmod(0o4751)
    os.utime(file, (1, 1_234_567_890.5))
    directory = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        whole = b"".join(read_parts(pack_one_in_parts(directory, b"file", os.fsencode(name))))
        alone = b"".join(read_parts(pack_file(directory, "file", name)))
    finally:
        os.close(directory)
    assert alone == (whole if name in PLAIN_NAMES else b"")
    assert b"".join(packed(str(file), name)) == whole


def with_holes(file: Path) -> None:
    os.truncate(file, 1 << 30)


def with_attributes(file: Path) -> None:
    os.setxattr(file, "user.colour", b"blue")


def from_before_1970(file: Path) -> None:
    os.utime(file, (-5, -5))


def of_a_late_user(file: Path) -> None:
    os.chown(file, 1 << 22, 0)


def a_link(file: Path) -> None:
    file.unlink()
    file.symlink_to("elsewhere")


def a_fifo(file: Path) -> None:
    file.unlink()
    os.mkfifo(file)


@pytest.mark.parametrize("make", [with_holes, with_attributes, from_before_1970, of_a_late_user, a_link, a_fifo])
def test_what_one_header_does_not_say_is_packed_as_always(tmp_path: Path, make: Callable[[Path], None]) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"content")
    make(file)
    directory = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        assert list(pack_file(directory, "file", "x")) == []
        whole = b"".join(read_parts(pack_one_in_parts(directory, b"file", b"x")))
    finally:
        os.close(directory)
    assert b"".join(packed(str(file), "x")) == whole


def test_what_cannot_be_read_is_named(tree: Path) -> None:
    with pytest.raises(Failure, match="cannot read"):
        list(pack(f"{tree}/none/f", "x"))


HOSTILE: dict[str, Callable[[], list[bytes]]] = {
    "a name with ..": lambda: archive(entry("r"), entry("r/../../evil", content=b"x")),
    "a link out and a file through it": lambda: archive(
        entry("r", tarfile.DIRTYPE), entry("r/out", tarfile.SYMTYPE, "../../outside"), entry("r/out/evil", content=b"x")
    ),
    "an absolute link and a file through it": lambda: archive(
        entry("r", tarfile.DIRTYPE),
        entry("r/out", tarfile.SYMTYPE, "/tmp"),
        entry("r/out/evil-of-sampan", content=b"x"),
    ),
    "a hard link to a file outside": lambda: archive(
        entry("r", tarfile.DIRTYPE), entry("r/hard", tarfile.LNKTYPE, "../../secret")
    ),
    "a hard link through a link": lambda: archive(
        entry("r", tarfile.DIRTYPE),
        entry("r/out", tarfile.SYMTYPE, "../../.."),
        entry("r/hard", tarfile.LNKTYPE, "r/out/secret"),
        entry("r/hard", content=b"overwritten"),
    ),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_what_a_container_sends_is_written_nowhere_else(name: str, tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "secret").write_text("secret")
    target = tmp_path / "a" / "b"
    target.mkdir(parents=True)

    with pytest.raises((Failure, OSError)):
        unpack(HOSTILE[name](), str(target), "new", owners=False)

    assert not Path("/tmp/evil-of-sampan").exists()
    assert list((tmp_path / "outside").iterdir()) == []
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "outside", "secret"]
    assert (tmp_path / "secret").stat().st_nlink == 1


def test_a_file_replaces_a_link_and_is_not_written_through_it(tmp_path: Path) -> None:
    (tmp_path / "kept").write_text("kept")
    (tmp_path / "new").mkdir()
    (tmp_path / "new/a").symlink_to("../kept")
    os.link(tmp_path / "kept", tmp_path / "new/b")

    sent = archive(entry("r", tarfile.DIRTYPE), entry("r/a", content=b"x"), entry("r/b", content=b"y"))
    unpack(sent, str(tmp_path), "new", owners=False)

    assert (tmp_path / "kept").read_text() == "kept"
    assert ((tmp_path / "new/a").read_text(), (tmp_path / "new/b").read_text()) == ("x", "y")


def test_absolute_names_are_taken_below_the_target(tmp_path: Path) -> None:
    unpack(archive(entry("/r", content=b"x")), str(tmp_path), "new", owners=False)

    assert (tmp_path / "new").read_bytes() == b"x"


def test_what_is_no_archive_or_has_no_place_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Failure, match="no archive"):
        unpack([b"nonsense" * 200], str(tmp_path), "x", owners=False)
    with pytest.raises(Failure, match="does not exist"):
        unpack(archive(entry("r")), str(tmp_path / "none"), "x", owners=False)


@pytest.mark.parametrize(
    ("source", "target", "directory", "there", "expected"),
    [
        ("/a/f", "/b", False, "directory", ("/b", "f")),
        ("/a/f", "/b/g", False, "", ("/b", "g")),
        ("/a/f", "g", False, "", (".", "g")),
        ("/a/f", "/g", False, "file", ("/", "g")),
        ("/a/d", "/b", True, "directory", ("/b", "d")),
        ("/a/d/", "/b", True, "directory", ("/b", "d")),
        ("/a/d", "/b/new", True, "", ("/b", "new")),
        ("/a/d", "/b/new/", True, "", ("/b", "new")),
        ("/a/d/.", "/b", True, "directory", ("/b", ".")),
        ("/a/d/.", "/b/new", True, "", ("/b", "new")),
        (".", "/b", True, "directory", ("/b", ".")),
    ],
)
def test_the_name_at_the_target_follows_dockers_rules(
    source: str, target: str, *, directory: bool, there: str, expected: tuple[str, str]
) -> None:
    assert name_at_target(source, target, source_is_directory=directory, target_is=there) == expected


@pytest.mark.parametrize(
    ("source", "target", "directory", "there"),
    [("/a/d", "/f", True, "file"), ("/a/f", "/none/", False, ""), ("/a/f", "/f/", False, "file")],
)
def test_what_does_not_fit_is_refused(source: str, target: str, *, directory: bool, there: str) -> None:
    with pytest.raises(Failure):
        name_at_target(source, target, source_is_directory=directory, target_is=there)


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("c1:/a", ("c1", "/a")),
        ("c1:a", ("c1", "/a")),
        ("c1:", ("c1", "/")),
        ("/a:b", ("", "/a:b")),
        ("./a:b", ("", "./a:b")),
        ("file", ("", "file")),
        ("-", ("", "-")),
    ],
)
def test_a_place_is_in_a_container_or_here(text: str, place: tuple[str, str]) -> None:
    assert split_place(text) == place
