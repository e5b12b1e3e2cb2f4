"""Moments in queries: what is one, and what Python alone would take for one."""

from __future__ import annotations

import pytest

from sampan.api.call import parse_time
from sampan.errors import InvalidArgument

NOW_NS = 1_700_000_000 * 10**9


@pytest.mark.parametrize(
    ("text", "at_ns"),
    [
        ("", None),
        ("0", None),
        ("12", 12 * 10**9),
        ("12.5", 12_500_000_000),
        ("12.", 12 * 10**9),
        ("-5", 1),
        ("1h30m", NOW_NS - 5400 * 10**9),
        ("1970-01-01T00:00:12Z", 12 * 10**9),
    ],
)
def test_a_moment_is_seconds_a_duration_before_now_or_a_date(text: str, at_ns: int | None) -> None:
    assert parse_time(text, NOW_NS) == at_ns


@pytest.mark.parametrize("text", ["x", "1_0", "١٢", "1.-5", "1.1_0", "²", "9" * 5000, "9" * 400 + "h", "١h"])
def test_what_is_no_moment_is_refused(text: str) -> None:
    with pytest.raises(InvalidArgument, match="invalid time"):
        parse_time(text, NOW_NS)
