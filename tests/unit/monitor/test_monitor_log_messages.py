from __future__ import annotations

import os
import re
import time

import pytest

from sampan.monitor.client import STDERR, STDOUT
from sampan.monitor.json_line import MAX_LINE_BYTES
from sampan.monitor.log_messages import JournalForm, LineCutter, SyslogForm, field
from sampan.monitor.log_plan import SendPlan

AT_NS = 1_700_000_000_123_456_789
HOST, PID = os.uname().nodename, os.getpid()


def syslog(form: str, address: str = "udp://127.0.0.1:514", stream: int = STDOUT) -> str:
    plan = SendPlan(address, form, "tag", facility=16)
    return SyslogForm(plan).message(stream, b"a line", AT_NS, is_partial=False).decode()


def test_lines_are_cut_wherever_the_chunks_end() -> None:
    cutter = LineCutter()
    assert cutter.cut(b"one\ntw") == [(b"one", False)]
    assert cutter.cut(b"o\n\nthree") == [(b"two", False), (b"", False)]
    assert cutter.finish() == [(b"three", False)]
    assert cutter.finish() == []


@pytest.mark.parametrize("ends", [b"", b"\n"])
@pytest.mark.parametrize("length", [MAX_LINE_BYTES - 1, MAX_LINE_BYTES, MAX_LINE_BYTES + 1, 3 * MAX_LINE_BYTES])
def test_a_long_line_comes_in_pieces_of_which_all_but_the_last_go_on(length: int, ends: bytes) -> None:
    cutter, line = LineCutter(), os.urandom(length).replace(b"\n", b"n")
    pieces = cutter.cut(line + ends) + cutter.finish()
    assert b"".join(piece for piece, _ in pieces) == line
    assert all(len(piece) <= MAX_LINE_BYTES for piece, _ in pieces)
    if ends:
        assert [goes_on for _, goes_on in pieces] == [True] * (len(pieces) - 1) + [False]


def test_a_line_without_an_end_is_never_kept_whole() -> None:
    cutter = LineCutter()
    pieces = [piece for _ in range(100) for piece in cutter.cut(b"x" * 1000)]
    assert len(pieces) == 100_000 // MAX_LINE_BYTES
    assert all(goes_on for _, goes_on in pieces)


def test_the_forms_of_syslog_are_dockers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    assert syslog("") == f"<134>Nov 14 22:13:20 tag[{PID}]: a line\n"
    assert syslog("rfc3164") == f"<134>Nov 14 22:13:20 {HOST} tag[{PID}]: a line\n"
    assert syslog("rfc5424") == f"<134>1 2023-11-14T22:13:20Z {HOST} tag {PID} tag - a line\n"
    assert syslog("rfc5424micro") == f"<134>1 2023-11-14T22:13:20.123456Z {HOST} tag {PID} tag - a line\n"
    assert syslog("", stream=STDERR).startswith("<131>")


@pytest.mark.parametrize(("zone", "offset"), [("XXX-5:30", "+05:30"), ("XXX8", "-08:00")])
def test_rfc_5424_names_the_zone(monkeypatch: pytest.MonkeyPatch, zone: str, offset: str) -> None:
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    try:
        assert re.search(rf"T\d\d:\d\d:\d\d{re.escape(offset)} ", syslog("rfc5424"))
    finally:
        monkeypatch.setenv("TZ", "UTC")
        time.tzset()


def test_rfc_5424_over_tls_counts_its_octets() -> None:
    length, _, rest = syslog("rfc5424", "tcp+tls://127.0.0.1:6514").partition(" ")
    assert int(length) == len(rest)
    assert not syslog("rfc3164", "tcp+tls://127.0.0.1:6514").split(" ")[0].isdigit()


def test_a_field_of_a_journal_says_its_length_when_it_has_newlines() -> None:
    assert field("MESSAGE", b"a=b") == b"MESSAGE=a=b\n"
    assert field("MESSAGE", b"a\nb") == b"MESSAGE\n\x03\0\0\0\0\0\0\0a\nb\n"


def test_a_message_to_a_journal_has_its_priority_and_whose_it_is() -> None:
    form = JournalForm(SendPlan("unixgram:///x", "journald", fields=(("CONTAINER_NAME", "web"),)))
    out = form.message(STDOUT, b"a line", AT_NS, is_partial=False).split(b"\n")
    assert {b"MESSAGE=a line", b"PRIORITY=6", b"CONTAINER_NAME=web"} < set(out)
    assert b"SYSLOG_TIMESTAMP=2023-11-14T22:13:20.123456789Z" in out
    err = form.message(STDERR, b"a line", AT_NS, is_partial=True).split(b"\n")
    assert {b"PRIORITY=3", b"CONTAINER_PARTIAL_MESSAGE=true"} < set(err)
