"""Names of files as people are told them."""

from __future__ import annotations

import pytest

from sampan.errors import InvalidArgument
from sampan.image.name_text import shown
from sampan.image.tar_entry import split_name


@pytest.mark.parametrize(
    ("name", "text"),
    [
        (b"etc/passwd", "'etc/passwd'"),
        ("name", "'name'"),
        ("größe".encode(), "'größe'"),
        (b"\xff\xfeok", r"'\xff\xfeok'"),
        (b"two\nlines", r"'two\nlines'"),
        (None, "a file"),
        (3, "a file"),
    ],
)
def test_names_are_told_as_text(name: bytes | str | int | None, text: str) -> None:
    assert shown(name) == text


def test_what_an_archive_does_wrong_is_told_without_the_marks_of_bytes() -> None:
    with pytest.raises(InvalidArgument, match=r"^entry 'a/\.\./b' goes up with '\.\.'$"):
        split_name(b"a/../b")
