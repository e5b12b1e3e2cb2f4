"""Durations and sizes as Dockerfile flags write them: Go's `1m30s`, and bytes as `512m`."""

from __future__ import annotations

import re
from decimal import Decimal

_UNITS_NS = {
    "ns": 1,
    "us": 10**3,
    "µs": 10**3,
    "μs": 10**3,
    "ms": 10**6,
    "s": 10**9,
    "m": 60 * 10**9,
    "h": 3600 * 10**9,
}
_PART = re.compile(r"([0-9]{1,30}\.?[0-9]{0,30}|\.[0-9]{1,30})(ns|us|µs|μs|ms|s|m|h)")
_SIZE = re.compile(r"([0-9]{1,20})(?:\.([0-9]{1,10}))? ?([kmgtp]?)(i?b)?", re.IGNORECASE | re.ASCII)
_LARGEST = 2**63 - 1


def nanoseconds(text: str) -> int:
    """A duration as Go's time.ParseDuration reads it. Raises ValueError."""
    if text == "0":
        return 0
    sign, rest = (-1, text[1:]) if text.startswith("-") else (1, text.removeprefix("+"))
    total, end = Decimal(0), 0
    while end < len(rest):
        part = _PART.match(rest, end)
        if part is None:
            break
        total += Decimal(part[1]) * _UNITS_NS[part[2]]
        end = part.end()
    if not rest or end != len(rest) or total > _LARGEST:
        raise ValueError(f"{text!r} is no duration")
    return sign * int(total)


def size_in_bytes(text: str) -> int:
    """A size with an optional unit of 1024s (b, k, m, g, t, p). Raises ValueError."""
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"{text!r} is no size")
    size = int(Decimal(f"{match[1]}.{match[2] or 0}") * 1024 ** " kmgtp".index(match[3].lower() or " "))
    if size > _LARGEST:
        raise ValueError(f"{text!r} is too large a size")
    return size
