"""Points in time as --since and --until take them: a duration before now, a date, or seconds since 1970."""

from __future__ import annotations

import time

from sampan.cli.grammar import UsageError
from sampan.cli.units import read_duration

_FORMS = ("%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H", "%Y-%m-%d")


def read_moment(text: str, option: str) -> str:
    """Seconds since 1970 with their fraction, as the API takes them; "" stays empty.

    A date without a zone is local time. UsageError for anything else.
    """
    if not text or text.replace(".", "", 1).isdecimal():
        return text
    if text == "now":
        return _seconds(time.time_ns())
    try:
        return _seconds(time.time_ns() - read_duration(text))
    except ValueError:
        pass
    try:
        return _seconds(_date(text))
    except ValueError:
        raise UsageError(
            f"--{option} {text!r} is no point in time",
            remedy="write 10m, 2026-11-24T08:00:00Z, or seconds since 1970",
            code=1,
        ) from None


def _seconds(nanoseconds: int) -> str:
    seconds, rest = divmod(nanoseconds, 1_000_000_000)
    return f"{seconds}.{rest:09d}" if rest else str(seconds)


def _date(text: str) -> int:
    """Nanoseconds since 1970 of an RFC 3339 date, parts of which may be left out."""
    from calendar import timegm

    body, offset = _split_zone(text)
    whole, _, fraction = body.partition(".")
    for form in _FORMS:
        try:
            fields = time.strptime(whole, form)
        except ValueError:
            continue
        seconds = int(time.mktime(fields)) if offset is None else timegm(fields) - offset
        return seconds * 1_000_000_000 + int((fraction or "0")[:9].ljust(9, "0"))
    raise ValueError(text)


def _split_zone(text: str) -> tuple[str, int | None]:
    """The text without its zone, and the zone's seconds east of Greenwich."""
    if text.endswith("Z"):
        return text[:-1], 0
    if len(text) > 16 and text[-6] in "+-" and text[-3] == ":":
        seconds = int(text[-5:-3]) * 3600 + int(text[-2:]) * 60
        return text[:-6], seconds if text[-6] == "+" else -seconds
    return text, None
