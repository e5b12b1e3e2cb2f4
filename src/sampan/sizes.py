"""Sizes as people write them, read as docker reads them: 1024 to the k, whatever follows it."""

from __future__ import annotations

_SIZES = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40, "p": 1 << 50}


def read_size(text: str) -> int:
    """Bytes of "512", "64m", "1.5g", "2KiB", "10 MB"."""
    body = text.strip().lower()
    digits = body.rstrip("bikmgtp").rstrip()
    unit = body[len(digits) :].strip()
    letter = unit.removesuffix("b").removesuffix("i")
    if letter not in _SIZES or (unit.endswith("ib") and not letter):
        raise ValueError("it is no size (write a number and b, k, m, g, t or p)")
    try:
        number = float(digits) if "." in digits else int(digits)
    except ValueError:
        raise ValueError("it is no size (write a number and b, k, m, g, t or p)") from None
    if number < 0:
        raise ValueError("a size is not negative")
    return int(number * _SIZES[letter])
