"""Digests: parsing and making them."""

from __future__ import annotations

import hashlib

import pytest

from sampan.errors import InvalidArgument
from sampan.oci.digest import Digester, digest_of, parse_digest


def test_a_digest_reads_back_as_it_was_written() -> None:
    text = f"sha256:{hashlib.sha256(b'x').hexdigest()}"
    assert str(parse_digest(text)) == text
    assert digest_of(b"x") == parse_digest(text)


def test_a_digester_answers_the_same_for_any_cut_of_the_content() -> None:
    digester = Digester("sha512")
    for piece in (b"a", bytearray(b"bc"), memoryview(b"def")):
        digester.update(piece)
    assert digester.digest() == digest_of(b"abcdef", "sha512")
    assert digester.size == 6


@pytest.mark.parametrize(
    "text",
    [
        "",
        "sha256",
        "sha256:",
        "sha256:" + "0" * 63,
        "sha256:" + "0" * 65,
        "sha256:" + "A" * 64,
        "sha256:" + "0" * 64 + "\n",
        "SHA256:" + "0" * 64,
        "sha256:../../../../etc/passwd",
        "md5:" + "0" * 32,
        "sha256:" + "g" * 64,
    ],
)
def test_what_is_not_a_registered_digest_is_refused(text: str) -> None:
    with pytest.raises(InvalidArgument) as refusal:
        parse_digest(text)
    assert refusal.value.remedy


def test_an_unknown_algorithm_is_named() -> None:
    with pytest.raises(InvalidArgument, match="unsupported digest algorithm 'md5'"):
        digest_of(b"", "md5")
