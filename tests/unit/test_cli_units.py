"""Sizes, decimals, durations, moments and ages: read and written as docker does."""

from __future__ import annotations

import time

import pytest

from sampan.cli.formats.written import ago, binary_size, duration, ellipsis, go_time, quoted, short_id, size
from sampan.cli.grammar import UsageError
from sampan.cli.moments import read_moment
from sampan.cli.units import read_decimal, read_duration, read_number
from sampan.sizes import read_size


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("0", 0),
        ("512", 512),
        ("1k", 1024),
        ("1K", 1024),
        ("1kb", 1024),
        ("64m", 64 << 20),
        ("64MB", 64 << 20),
        ("64MiB", 64 << 20),
        ("1.5g", 3 << 29),
        ("2 GB", 2 << 30),
        ("1t", 1 << 40),
        ("1p", 1 << 50),
        ("10b", 10),
    ],
)
def test_sizes_are_read_in_powers_of_1024(text: str, count: int) -> None:
    assert read_size(text) == count


@pytest.mark.parametrize(
    "text", ["", "x", "1x", "1kk", "k", "-5", "1..5", "1,5m", "ib", "1ib", "1_0k", "١m", "²", "1e3.0"]
)
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="size"):
        read_size(text)


@pytest.mark.parametrize("text", ["8192p", "9" * 20, "9" * 5000, "9" * 400 + ".0"])
def test_a_size_of_more_than_64_bits_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="too large"):
        read_size(text)


def test_minus_one_is_a_size_where_it_means_no_limit() -> None:
    assert read_number("bytes", "-1") == -1


@pytest.mark.parametrize(
    ("text", "billionths"),
    [
        ("1", 10**9),
        ("1.5", 15 * 10**8),
        (".5", 5 * 10**8),
        ("1/4", 25 * 10**7),
        ("0.000000001", 1),
        ("-0.5", -5 * 10**8),
    ],
)
def test_decimals_are_read_in_billionths(text: str, billionths: int) -> None:
    assert read_decimal(text) == billionths


@pytest.mark.parametrize("text", ["x", "1.0000000001", "1/0", "1/3", "1.x"])
def test_what_is_no_decimal_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"decimal|places"):
        read_decimal(text)


@pytest.mark.parametrize(
    ("text", "nanoseconds"),
    [
        ("0", 0),
        ("1ns", 1),
        ("300ms", 300_000_000),
        ("1.5h", 5_400_000_000_000),
        ("1m30s", 90_000_000_000),
        ("-1.5h", -5_400_000_000_000),
        ("+5s", 5_000_000_000),
        ("1h2m3s4ms5us6ns", 3_723_004_005_006),
        ("1µs", 1000),
        (".5s", 500_000_000),
    ],
)
def test_durations_are_read_as_go_reads_them(text: str, nanoseconds: int) -> None:
    assert read_duration(text) == nanoseconds


@pytest.mark.parametrize("text", ["", "5", "s", "1x", "1.2.3s", "--5s", "1s2", ".s"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="duration"):
        read_duration(text)


@pytest.mark.parametrize("kind", ["bytes", "decimal", "int", "uint16"])
@pytest.mark.parametrize("text", ["١٠", " 5", "5 ", "1__0"])
def test_a_number_of_pythons_grammar_alone_is_none(kind: str, text: str) -> None:
    if kind == "bytes" and " " in text:
        return  # docker's has spaces before the unit
    with pytest.raises(ValueError, match="it is no"):
        read_number(kind, text)


@pytest.mark.parametrize(("kind", "text"), [("bytes", "1_0m"), ("decimal", "1_0")])
def test_a_size_and_a_decimal_have_no_underscores(kind: str, text: str) -> None:
    with pytest.raises(ValueError, match="it is no"):
        read_number(kind, text)


@pytest.mark.parametrize(("kind", "text"), [("bytes", "9999999999p"), ("decimal", "1" * 20), ("duration", "9999999h")])
def test_a_number_that_the_api_does_not_hold_is_too_large(kind: str, text: str) -> None:
    with pytest.raises(ValueError, match="too large"):
        read_number(kind, text)


def test_a_small_number_has_a_range() -> None:
    assert read_number("uint16", "65535") == 65535
    with pytest.raises(ValueError, match="between"):
        read_number("uint16", "65536")


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0B"), (999, "999B"), (1000, "1kB"), (1234567, "1.23MB"), (72_400_000, "72.4MB"), (10**12, "1TB")],
)
def test_sizes_are_written_in_powers_of_1000(count: int, text: str) -> None:
    assert size(count) == text


def test_memory_is_written_in_powers_of_1024() -> None:
    assert binary_size(372 * 1024) == "372KiB"
    assert binary_size(25275629568) == "23.54GiB"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.5, "Less than a second"),
        (1, "1 second"),
        (59.9, "59 seconds"),
        (60, "About a minute"),
        (119, "About a minute"),
        (120, "2 minutes"),
        (3599, "59 minutes"),
        (3600, "About an hour"),
        (5399, "About an hour"),
        (5400, "2 hours"),
        (47 * 3600, "47 hours"),
        (48 * 3600, "2 days"),
        (13 * 86400, "13 days"),
        (14 * 86400, "2 weeks"),
        (59 * 86400, "8 weeks"),
        (60 * 86400, "2 months"),
        (729 * 86400, "24 months"),
        (730 * 86400, "2 years"),
    ],
)
def test_ages_are_written_in_dockers_words(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_an_age_is_counted_from_now() -> None:
    assert ago(time.time() - 7200.5) == "2 hours ago"


def test_texts_are_shortened_and_quoted_as_go_does() -> None:
    assert ellipsis("sleep 1000", 20) == "sleep 1000"
    assert ellipsis("x" * 21, 20) == "x" * 19 + "…"
    assert quoted('say "hi"\t\\ ü\x01\x7f') == '"say \\"hi\\"\\t\\\\ ü\\x01\\x7f"'
    assert short_id("sha256:" + "ab" * 32) == "abababababab"
    assert short_id("ab" * 32) == "abababababab"


def test_a_moment_is_a_duration_before_now() -> None:
    seconds = float(read_moment("10m", "since"))

    assert 0 <= time.time() - 600 - seconds < 60


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1136073845", "1136073845"),
        ("1136073845.5", "1136073845.5"),
        ("2006-01-02T15:04:05Z", "1136214245"),
        ("2006-01-02T15:04:05.25Z", "1136214245.250000000"),
        ("2006-01-02T15:04:05+02:00", "1136207045"),
        ("2006-01-02T15:04:05-02:30", "1136223245"),
        ("2006-01-02T15:04Z", "1136214240"),
        ("2006-01-02Z", "1136160000"),
        ("", ""),
    ],
)
def test_a_moment_is_a_date_or_a_number(text: str, seconds: str) -> None:
    assert read_moment(text, "since") == seconds


def test_a_date_without_a_zone_is_local(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "XXX-01:00")
    time.tzset()
    try:
        assert read_moment("2006-01-02T15:04:05", "since") == "1136210645"
    finally:
        monkeypatch.undo()
        time.tzset()


def test_what_is_no_moment_is_refused() -> None:
    with pytest.raises(UsageError, match="--since 'yesterday' is no point in time"):
        read_moment("yesterday", "since")


def test_a_time_of_a_document_is_printed_as_go_prints_it() -> None:
    assert go_time("2026-11-30T01:07:05.380932974Z") == "2026-11-30 01:07:05.380932974 +0000 UTC"
    assert go_time("2026-11-30T01:07:05-02:30") == "2026-11-30 01:07:05 -0230 -0230"
    assert go_time("") == ""
