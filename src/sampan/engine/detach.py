"""The keys that detach a client: Docker's notation to the bytes that a terminal sends."""

from __future__ import annotations

from sampan.errors import InvalidArgument

DEFAULT = b"\x10\x11"  # ctrl-p,ctrl-q
_SPECIAL = {"@": 0, "[": 27, "\\": 28, "]": 29, "^": 30, "_": 31}


def parse_detach_keys(text: str) -> bytes:
    """Words as in "ctrl-p,ctrl-q", or single characters; "" is the default. Raises InvalidArgument."""
    if not text:
        return DEFAULT
    return bytes(_key(word) for word in text.split(","))


def _key(word: str) -> int:
    if len(word) == 1 and word.isascii():
        return ord(word)
    letter = word.removeprefix("ctrl-")
    if word.startswith("ctrl-") and len(letter) == 1:
        if letter in _SPECIAL:
            return _SPECIAL[letter]
        if "a" <= letter.lower() <= "z":
            return ord(letter.lower()) - 96
    raise InvalidArgument(
        f"Invalid detach keys ({word!r}) provided", remedy="as in ctrl-p,ctrl-q or a single character"
    )
