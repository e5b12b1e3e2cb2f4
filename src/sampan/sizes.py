"""Sizes as people write them, read as docker reads them: 1024 to the k, whatever follows it."""

from __future__ import annotations

_SIZES = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40, "p": 1 << 50}
_MOST_DIGITS = 19


_NO_SIZE = "it is no size (write a number and b, k, m, g, t or p)"


def read_size(text: str) -> int:
    """Bytes of "512", "64m", "1.5g", "2KiB", "10 MB"; ValueError for what is none, or does not fit into 64 bits."""
    body = text.strip().lower()
    digits = body.rstrip("bikmgtp").rstrip()
    unit = body[len(digits) :].strip()
    letter = unit.removesuffix("b").removesuffix("i")
    if letter not in _SIZES or (unit.endswith("ib") and not letter):
        raise ValueError(_NO_SIZE)
    if not (digits.isascii() and digits.replace(".", "", 1).isdigit()):  # Python has more numerals than these
        raise ValueError(_NO_SIZE)
    size = (float(digits) if "." in digits or len(digits) > _MOST_DIGITS else int(digits)) * _SIZES[letter]
    if size >= 1 << 63:
        raise ValueError("it is too large")
    return int(size)
