"""Content digests: "sha256:" and 64 hex digits (OCI image specification, descriptor.md, Digests).

Parsing, and making one from bytes or from a stream. Where content is stored and how it is fetched is not known here.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass

from sampan.errors import InvalidArgument

# algorithm ::= component (separator component)*; encoded ::= [a-zA-Z0-9=_-]+
_GRAMMAR = re.compile(r"([a-z0-9]+(?:[+._-][a-z0-9]+)*):([a-zA-Z0-9=_-]+)")
_HEX_DIGITS = {"sha256": 64, "sha384": 96, "sha512": 128}
_HEX = frozenset("0123456789abcdef")


@dataclass(frozen=True, slots=True)
class Digest:
    """A digest of a registered algorithm; `hex` is lower case and of the algorithm's length."""

    algorithm: str
    hex: str

    def __str__(self) -> str:
        return f"{self.algorithm}:{self.hex}"


class Digester:
    """Takes content piece by piece, `update` after `update`, and answers with its digest."""

    def __init__(self, algorithm: str = "sha256") -> None:
        self.algorithm = _registered(algorithm)
        self._hash = hashlib.new(algorithm, usedforsecurity=False)
        self.size = 0

    def update(self, piece: bytes | bytearray | memoryview) -> None:
        """Add `piece`; `size` grows by its length."""
        self._hash.update(piece)
        self.size += len(piece)

    def digest(self) -> Digest:
        """The digest of everything so far."""
        return Digest(self.algorithm, self._hash.hexdigest())


def parse_digest(text: str) -> Digest:
    """The digest written in `text`.

    Raises InvalidArgument for what is not one, for an algorithm that is not registered, and for a wrong length.
    """
    found = _GRAMMAR.fullmatch(text)
    if not found:
        raise InvalidArgument(f"invalid digest {text!r}", remedy="a digest looks like sha256: and 64 hex digits")
    algorithm, encoded = found.groups()
    length = _HEX_DIGITS[_registered(algorithm)]
    if len(encoded) != length or not _HEX.issuperset(encoded):
        raise InvalidArgument(
            f"invalid digest {text!r}: {algorithm} has {length} lower-case hex digits",
            remedy=f"give all of it, as {algorithm}sum prints it",
        )
    return Digest(algorithm, encoded)


def digest_of(content: bytes, algorithm: str = "sha256") -> Digest:
    """The digest of `content`. InvalidArgument for an algorithm that is not registered."""
    digester = Digester(algorithm)
    digester.update(content)
    return digester.digest()


def _registered(algorithm: str) -> str:
    if algorithm not in _HEX_DIGITS:
        raise InvalidArgument(f"unsupported digest algorithm {algorithm!r}", remedy=f"use {' or '.join(_HEX_DIGITS)}")
    return algorithm
