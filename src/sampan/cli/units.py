"""Numbers as people write them: sizes, decimals, durations; read here, and in `formats` written.

Sizes are read as docker reads them (1024 to the k, whatever follows it), durations as Go's time.ParseDuration does.
"""

from __future__ import annotations

from sampan.sizes import read_size

_DURATIONS_NS = {
    "ns": 1,
    "us": 1_000,
    "µs": 1_000,
    "μs": 1_000,
    "ms": 1_000_000,
    "s": 1_000_000_000,
    "m": 60_000_000_000,
    "h": 3_600_000_000_000,
}
_RANGES = {
    "int": (-(1 << 63), (1 << 63) - 1),
    "uint": (0, (1 << 64) - 1),
    "uint16": (0, 65535),
}


def read_number(kind: str, text: str) -> int:
    """The value of an option of a number's kind; ValueError says what is wrong with `text`."""
    if kind in _READERS:
        value = _READERS[kind](text)
        if not -(1 << 63) <= value < 1 << 63:  # what the API's numbers hold
            raise ValueError("it is too large")
        return value
    lowest, highest = _RANGES[kind]
    try:
        value = int(plain(text), 0)
    except ValueError:
        raise ValueError("it is no whole number") from None
    if not lowest <= value <= highest:
        raise ValueError(f"it is not between {lowest} and {highest}")
    return value


def read_bytes(text: str) -> int:
    """Bytes of "512", "64m", "1.5g", "2KiB", and -1; ValueError for what is none."""
    if text == "-1":
        return -1
    return read_size(text)


def plain(text: str) -> str:
    """`text`; ValueError for one with spaces around it or with digits of other scripts, which Python takes too."""
    if not text.isascii() or text != text.strip():
        raise ValueError
    return text


def read_decimal(text: str) -> int:
    """Billionths of "1.5" or "3/2"; more than nine places behind the point are refused."""
    upper, _, lower = text.partition("/")
    try:
        if "_" in plain(text):
            raise ValueError
        if lower:
            value, rest = divmod(int(upper) * 1_000_000_000, int(lower))
        else:
            whole, _, places = upper.partition(".")
            rest = int(places[9:] or "0")
            if places and not places.isdecimal():
                raise ValueError
            sign = -1 if whole.startswith("-") else 1
            value = int(whole or "0") * 1_000_000_000 + sign * int(places[:9].ljust(9, "0"))
    except (ValueError, ZeroDivisionError):
        raise ValueError("it is no decimal number") from None
    if rest:
        raise ValueError("it has more than nine places behind the point")
    return value


def read_duration(text: str) -> int:
    """Nanoseconds of "300ms", "1m30s", "-1.5h" or "0"."""
    sign = -1 if text.startswith("-") else 1
    left = text[1:] if text[:1] in {"+", "-"} else text
    if left == "0":
        return 0
    total = 0
    if not left:
        raise ValueError("it is no duration")
    while left:
        number = _leading(left, "0123456789.")
        unit = _leading(left[len(number) :], "nuµμmsh")
        left = left[len(number) + len(unit) :]
        if unit not in _DURATIONS_NS or number.count(".") > 1 or not number.strip("."):
            raise ValueError("it is no duration (write 300ms, 1m30s, 2h)")
        whole, _, places = number.partition(".")
        scale = _DURATIONS_NS[unit]
        total += int(whole or "0") * scale + int(places or "0") * scale // 10 ** len(places)
    return sign * total


def _leading(text: str, letters: str) -> str:
    return text[: len(text) - len(text.lstrip(letters))]


_READERS = {"bytes": read_bytes, "decimal": read_decimal, "duration": read_duration}
