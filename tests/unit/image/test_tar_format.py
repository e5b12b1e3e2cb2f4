"""Reading and writing tar headers, against Python's and GNU's own."""

from __future__ import annotations

import contextlib
import io
import os
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.image.conftest import MakeArchive

from sampan.errors import InvalidArgument
from sampan.image.tar_entry import BLOCK, Entry, Kind
from sampan.image.tar_read import ArchiveLimits, TarReader
from sampan.image.tar_write import END, encode_entry, padding

HUGE = 1 << 33
TIME = 1_700_000_000


def read_all(data: bytes, chunk: int = 1000, limits: ArchiveLimits | None = None) -> list[tuple[Entry, bytes]]:
    """Every entry with its payload, the archive coming in pieces of `chunk` bytes."""
    pieces = (data[at : at + chunk] for at in range(0, len(data), chunk))
    reader = TarReader(pieces, limits=limits or ArchiveLimits())
    found = [(entry, b"".join(bytes(piece) for piece in reader.payload())) for entry in reader]
    reader.drain()
    return found


def expand(entry: Entry, payload: bytes) -> bytes:
    """The file that a sparse entry stands for."""
    if entry.segments is None:
        return payload
    content = bytearray(entry.size)
    at = 0
    for offset, length in entry.segments:
        content[offset : offset + length] = payload[at : at + length]
        at += length
    return bytes(content)


names = st.binary(min_size=1, max_size=300).map(lambda raw: raw.replace(b"\0", b"n").strip(b"/ ") or b"x")
xattrs = st.dictionaries(
    st.sampled_from(["user.a", "user.b", "security.capability", "user.schlüssel"]), st.binary(max_size=600), max_size=3
)
entries = st.builds(
    Entry,
    name=names,
    kind=st.sampled_from(list(Kind)),
    mode=st.integers(0, 0o7777),
    uid=st.integers(0, 0xFFFFFFFE),
    gid=st.integers(0, 0xFFFFFFFE),
    mtime_ns=st.integers(-(1 << 62), 1 << 62),
    xattrs=xattrs,
)


@given(entry=entries, link=names, chunk=st.integers(1, 5000))
@settings(max_examples=300, deadline=None)
def test_what_is_written_is_read_again(entry: Entry, link: bytes, chunk: int) -> None:
    if entry.kind in {Kind.LINK, Kind.SYMLINK}:
        entry.link = link
    if entry.kind in {Kind.CHARACTER, Kind.BLOCK}:
        entry.major, entry.minor = 240, 70000
    ((found, payload),) = read_all(encode_entry(entry) + END, chunk)
    assert payload == b""
    found.name = found.name.rstrip(b"/")
    entry.name = entry.name.rstrip(b"/")
    assert found == entry


@given(entry=entries)
@settings(max_examples=200, deadline=None)
def test_python_reads_what_is_written(entry: Entry) -> None:
    if entry.kind in {Kind.LINK, Kind.SYMLINK}:
        entry.link = b"target"
    data = io.BytesIO(encode_entry(entry) + END)
    with tarfile.open(fileobj=data, errors="surrogateescape") as tar:
        (found,) = tar.getmembers()
    assert os.fsencode(found.name) == entry.name.rstrip(b"/")
    assert (found.uid, found.gid, found.mode) == (entry.uid, entry.gid, entry.mode)
    assert found.mtime == pytest.approx(entry.mtime_ns / 1e9)


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_python_s_archives_are_read_in_every_format(form: int) -> None:
    out = io.BytesIO()
    long = "d" * 90 + "/" + "f" * 90
    with tarfile.open(fileobj=out, mode="w", format=form) as tar:
        for name, kind, link in (
            ("plain", tarfile.REGTYPE, ""),
            (long, tarfile.REGTYPE, ""),
            ("dir", tarfile.DIRTYPE, ""),
            ("sym", tarfile.SYMTYPE, "../" + "t" * 90),
            ("hard", tarfile.LNKTYPE, "plain"),
            ("null", tarfile.CHRTYPE, ""),
            ("disk", tarfile.BLKTYPE, ""),
            ("pipe", tarfile.FIFOTYPE, ""),
        ):
            about = tarfile.TarInfo(name)
            about.type, about.linkname, about.mtime, about.mode = kind, link, TIME, 0o640
            about.devmajor, about.devminor = 1, 3
            content = b"x" * 700 if kind == tarfile.REGTYPE else b""
            about.size = len(content)
            tar.addfile(about, io.BytesIO(content))
    found = {entry.name.rstrip(b"/").decode(): (entry, payload) for entry, payload in read_all(out.getvalue())}
    assert [found[name][0].kind for name in ("plain", "dir", "sym", "hard", "null", "disk", "pipe")] == [
        Kind.FILE,
        Kind.DIRECTORY,
        Kind.SYMLINK,
        Kind.LINK,
        Kind.CHARACTER,
        Kind.BLOCK,
        Kind.FIFO,
    ]
    assert found[long][1] == b"x" * 700
    assert found["sym"][0].link == b"../" + b"t" * 90
    assert (found["null"][0].major, found["null"][0].minor) == (1, 3)
    assert found["plain"][0].mtime_ns == TIME * 10**9


@pytest.mark.parametrize("form", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_names_links_ids_and_sizes_beyond_ustar_are_read(form: Literal[1, 2]) -> None:
    about = tarfile.TarInfo("é" * 400)
    about.type, about.linkname = tarfile.SYMTYPE, "l" * 3000
    about.uid = about.gid = 4_000_000_000
    about.mtime = -5
    ((found, _),) = read_all(about.tobuf(form) + END)
    assert found.name.decode() == "é" * 400
    assert found.link == b"l" * 3000
    assert found.uid == found.gid == 4_000_000_000
    assert found.mtime_ns == -5 * 10**9
    file = tarfile.TarInfo("big")
    file.size = HUGE
    reader = TarReader(iter([file.tobuf(form)]))
    entry = reader.next()
    assert entry is not None
    assert entry.size == HUGE


def test_times_below_a_second_are_kept_in_pax_records() -> None:
    entry = Entry(b"f", Kind.FILE, mtime_ns=TIME * 10**9 + 123_456_789)
    assert b"mtime=1700000000.123456789\n" in encode_entry(entry)
    assert read_all(encode_entry(entry) + END)[0][0].mtime_ns == entry.mtime_ns


def test_global_records_hold_until_a_file_overrules_them() -> None:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT, pax_headers={"mtime": "77.5"}) as tar:
        tar.addfile(tarfile.TarInfo("a"))
        own = tarfile.TarInfo("b")
        own.pax_headers = {"mtime": "88.25"}
        tar.addfile(own)
    assert [entry.mtime_ns for entry, _ in read_all(out.getvalue())] == [77_500_000_000, 88_250_000_000]


@pytest.fixture(scope="module")
def sparse_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("sparse") / "holes"
    with path.open("wb") as file:
        for number in range(60):  # more than one block of an old GNU map, and of a pax 1.0 one
            file.seek(number * 1_000_000)
            file.write(f"island {number}".encode() * 1000)
        file.truncate(61_000_000)
    return path


@pytest.mark.parametrize(
    "options",
    [["--format=gnu"], *(["--format=posix", f"--sparse-version={version}"] for version in ("0.0", "0.1", "1.0"))],
    ids=lambda options: options[-1],
)
def test_every_form_of_gnu_sparse_file_is_read(sparse_file: Path, options: list[str]) -> None:
    data = subprocess.run(
        ["tar", "-C", str(sparse_file.parent), *options, "-S", "-cf", "-", "holes"], check=True, capture_output=True
    ).stdout
    ((entry, payload),) = read_all(data, 7000)
    assert entry.segments is not None, "GNU tar did not see the holes, so this shows nothing"
    assert entry.name == b"holes"
    assert expand(entry, payload) == sparse_file.read_bytes()


def test_gnu_tar_reads_our_sparse_form(tmp_path: Path) -> None:
    entry = Entry(b"some/holes", Kind.FILE, size=5_000_000, segments=((1024, 512), (4_999_680, 320)))
    data = encode_entry(entry) + b"a" * 512 + b"b" * 320 + padding(832) + END
    subprocess.run(["tar", "-C", str(tmp_path), "-xf", "-"], input=data, check=True)
    content = (tmp_path / "some/holes").read_bytes()
    assert content == bytes(1024) + b"a" * 512 + bytes(4_999_680 - 1536) + b"b" * 320


@pytest.fixture(scope="module")
def mixed() -> bytes:
    data = b""
    for entry in (
        Entry(b"d", Kind.DIRECTORY),
        Entry(b"n" * 200, Kind.FILE, size=700),
        Entry(b"s", Kind.SYMLINK, link=b"t" * 120),
        Entry(b"h", Kind.FILE, size=90_000, segments=((10, 700), (90_000, 0))),
    ):
        data += encode_entry(entry)
        if entry.kind is Kind.FILE:
            data += b"y" * 700 + padding(700)
    return data + END


@given(cut=st.integers(0, 10_000))
@settings(max_examples=300, deadline=None)
def test_an_archive_cut_off_anywhere_is_refused_or_ends_behind_an_entry(mixed: bytes, cut: int) -> None:
    """Go's writer leaves out what fills the last entry's block when nobody closes it, as in docker's `build -f -`."""
    cut %= len(mixed) - len(END)
    try:
        found = read_all(mixed[:cut])
    except InvalidArgument:
        return
    assert found == read_all(mixed)[: len(found)]


def test_what_fills_the_last_block_may_be_missing(mixed: bytes) -> None:
    whole = read_all(mixed)
    ends = [cut for cut in range(len(mixed) - len(END)) if cut % BLOCK and _can_be_read(mixed[:cut])]
    assert ends
    assert all(read_all(mixed[:cut]) == whole[: len(read_all(mixed[:cut]))] for cut in ends)


def _can_be_read(archive: bytes) -> bool:
    try:
        read_all(archive)
    except InvalidArgument:
        return False
    return True


@given(at=st.integers(0, 10_000), value=st.integers(0, 255))
@settings(max_examples=500, deadline=None)
def test_a_changed_byte_is_refused_or_changes_only_contents(mixed: bytes, at: int, value: int) -> None:
    damaged = bytearray(mixed)
    damaged[at % len(mixed)] = value
    with contextlib.suppress(InvalidArgument):
        read_all(bytes(damaged))


@given(data=st.binary(max_size=3000))
@settings(max_examples=200, deadline=None)
def test_what_is_no_archive_is_refused(data: bytes) -> None:
    if not data or not data.strip(b"\0"):
        return
    with pytest.raises(InvalidArgument):
        read_all(data)


def with_checksum(block: bytes) -> bytes:
    total = sum(block[:148] + b" " * 8 + block[156:])
    return block[:148] + b"%06o\0 " % total + block[156:]


def changed(entry: Entry, at: int, value: bytes) -> bytes:
    """A header with a field changed and the checksum right."""
    block = encode_entry(entry)
    return with_checksum(block[:at] + value + block[at + len(value) :])


FILE = Entry(b"f", Kind.FILE)


@pytest.mark.parametrize(
    ("archive", "words"),
    [
        (encode_entry(FILE)[:156] + b"1" + encode_entry(FILE)[157:] + END, "checksum"),
        (changed(FILE, 156, b"Z") + END, "type"),
        (changed(FILE, 156, b"M") + END, "type"),
        (changed(FILE, 108, b"00000x0") + END, "octal"),
        (b"root:x:0:0:root:/root:/bin/bash\n" * 32, "no tar archive"),
        (changed(FILE, 108, b"\xff" * 8) + END, "ids"),
        (changed(FILE, 108, b"\x80\0\0\0\xff\xff\xff\xff") + END, "ids"),
        (changed(FILE, 124, b"\xff" * 12) + END, "size"),
        (changed(Entry(b"c", Kind.CHARACTER), 329, b"7777777\0") + END, "device"),
        (bytes(BLOCK) + encode_entry(FILE) + END, "zeros"),
        (changed(FILE, 156, b"L") + END, "ends behind"),
        (changed(Entry(b"x", Kind.FILE, size=1 << 30), 156, b"x"), "limit"),
        (changed(Entry(b"x", Kind.FILE, size=1 << 30), 156, b"L"), "limit"),
        (changed(Entry(b"x", Kind.FILE, size=20), 156, b"x") + b"9999999 path=x\n".ljust(BLOCK, b"!"), "malformed"),
        (changed(Entry(b"x", Kind.FILE, size=20), 156, b"x") + b"12 path=x\n".ljust(BLOCK, b"!"), "malformed"),
    ],
)
def test_a_bad_header_is_refused_in_words(archive: bytes, words: str) -> None:
    with pytest.raises(InvalidArgument, match=words):
        read_all(archive)


@pytest.mark.parametrize(
    ("records", "words"),
    [
        ({"uid": "-1"}, "no number"),
        ({"uid": "4294967295"}, "ids"),
        ({"size": "1e3"}, "no number"),
        ({"size": "9" * 30}, "no number"),
        ({"mtime": "soon"}, "no time"),
        ({"path": "a\0b"}, "zero byte"),
        ({"GNU.sparse.map": "5,5,0,5", "GNU.sparse.size": "20"}, "backwards"),
        ({"GNU.sparse.map": "0,500", "GNU.sparse.size": "20"}, "leaves its file"),
        ({"GNU.sparse.map": "0,5", "GNU.sparse.size": "20"}, "does not fit"),
        ({"GNU.sparse.map": "0,5,1", "GNU.sparse.size": "20"}, "3 numbers"),
        ({"GNU.sparse.map": "0,x", "GNU.sparse.size": "20"}, "no number"),
        ({"GNU.sparse.map": "0,5"}, "no size"),
        ({"GNU.sparse.major": "1", "GNU.sparse.realsize": "99"}, "longer than"),
    ],
)
def test_bad_pax_records_are_refused_in_words(records: dict[str, str], words: str) -> None:
    about = tarfile.TarInfo("f")
    about.pax_headers = records
    with pytest.raises(InvalidArgument, match=words):
        read_all(about.tobuf(tarfile.PAX_FORMAT) + END)


def test_a_sparse_map_without_end_is_refused_before_it_fills_the_memory() -> None:
    about = tarfile.TarInfo("f")
    about.pax_headers = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.realsize": "99"}
    about.size = 1 << 40

    def endless() -> Iterator[bytes]:
        yield about.tobuf(tarfile.PAX_FORMAT)
        yield b"9999999999\n".ljust(BLOCK, b"1")
        while True:
            yield b"1\n" * (BLOCK // 2)

    with pytest.raises(InvalidArgument, match="longer than"):
        TarReader(endless()).next()


def test_times_that_no_file_system_holds_become_the_epoch_as_docker_has_it() -> None:
    about = tarfile.TarInfo("f")
    about.pax_headers = {"mtime": "9" * 40}
    ((entry, _),) = read_all(about.tobuf(tarfile.PAX_FORMAT) + END)
    assert entry.mtime_ns == 0


def test_more_entries_than_the_limit_are_refused(archive: MakeArchive) -> None:
    data = archive(*[Entry(b"f%d" % number, Kind.FILE) for number in range(5)])
    assert len(read_all(data, limits=ArchiveLimits(max_entries=5))) == 5
    with pytest.raises(InvalidArgument, match="more than 4 entries"):
        read_all(data, limits=ArchiveLimits(max_entries=4))


def test_links_and_directories_carry_no_data_whatever_their_size_says() -> None:
    for kind in (Kind.LINK, Kind.SYMLINK, Kind.DIRECTORY, Kind.FIFO):
        data = changed(Entry(b"x", kind, link=b"y"), 124, b"00000001000\0") + encode_entry(FILE) + END
        assert [entry.name.rstrip(b"/") for entry, _ in read_all(data)] == [b"x", b"f"]


def test_a_name_with_a_slash_behind_it_is_a_directory_in_old_archives() -> None:
    block = with_checksum(tarfile.TarInfo("old/").tobuf(tarfile.USTAR_FORMAT)[:156] + b"\0" + bytes(355))
    assert read_all(block + END)[0][0].kind is Kind.DIRECTORY
