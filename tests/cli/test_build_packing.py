"""The headers that `sampan build` writes by itself are those that the archive writer of images would write."""

from __future__ import annotations

import io
import tarfile

import pytest

from sampan.cli.building.packing import header, pack_files
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
