"""Words of single verbs: signals, sizes, durations, ids."""

from __future__ import annotations

import signal

import pytest

from sampan.errors import InvalidArgument
from sampan.runtime.commands.events import seconds
from sampan.runtime.commands.kill import signal_number
from sampan.runtime.commands.options import parse
from sampan.runtime.commands.show import table
from sampan.runtime.commands.update import OPTIONS, byte_count
from sampan.runtime.state import checked_id


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("9", 9),
        ("0", 0),
        ("KILL", 9),
        ("SIGKILL", 9),
        ("sigterm", 15),
        ("RTMIN", int(signal.SIGRTMIN)),
        ("SIGRTMIN+3", int(signal.SIGRTMIN) + 3),
        ("RTMAX-1", int(signal.SIGRTMAX) - 1),
    ],
)
def test_a_signal_has_a_number_and_names(text: str, number: int) -> None:
    assert signal_number(text) == number


@pytest.mark.parametrize("text", ["", "FOO", "-1", "65", "99", "SIG", "RTMIN+", "RTMIN+99", "KILL ", "_DFL", "9x", "²"])
def test_what_is_no_signal_is_refused(text: str) -> None:
    with pytest.raises(InvalidArgument, match="unknown signal"):
        signal_number(text)


@pytest.mark.parametrize(
    ("text", "count"),
    [("5", 5), ("-1", -1), ("50M", 50 << 20), ("1.5g", 3 << 29), ("64KiB", 65536), ("64kb", 65536), ("7b", 7)],
)
def test_a_size_is_in_bytes_or_has_a_unit_of_powers_of_1024(text: str, count: int) -> None:
    assert byte_count(parse(["--memory", text], OPTIONS), "memory") == count


@pytest.mark.parametrize("text", ["x", "5x", "M", "1.5", "--5", "nanG"])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(InvalidArgument, match="invalid size"):
        byte_count(parse([f"--memory={text}"], OPTIONS), "memory")


def test_no_size_is_none() -> None:
    assert byte_count(parse([], OPTIONS), "memory") is None


@pytest.mark.parametrize(("text", "time"), [("5s", 5), ("100ms", 0.1), ("1m30s", 90), ("1.5h", 5400), ("5us", 5e-6)])
def test_a_duration_is_written_as_go_writes_it(text: str, time: float) -> None:
    assert seconds(text) == pytest.approx(time)


@pytest.mark.parametrize("text", ["", "5", "s", "5x", "-5s", "0s", "1.2.3s", "5 s"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(InvalidArgument, match="duration"):
        seconds(text)


@pytest.mark.parametrize("name", ["a", "A9_+-.", "a" * 255])
def test_an_id_names_a_directory(name: str) -> None:
    assert checked_id(name) == name


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "../x", "a b", "a\0", "ä", "a" * 256])
def test_what_could_name_anything_else_is_no_id(name: str) -> None:
    with pytest.raises(InvalidArgument, match="invalid container id format"):
        checked_id(name)


def test_a_table_has_columns_of_at_least_twelve() -> None:
    assert table([("ID", "PID"), ("a-long-identifier", "7")]) == "ID                  PID\na-long-identifier   7\n"
    assert table([("ID", "PID")]) == "ID          PID\n"
