from __future__ import annotations

import os
import select
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from sampan.monitor.client import STDERR, STDOUT
from sampan.monitor.log import Log, open_log
from sampan.monitor.log_plan import LogPlan
from sampan.monitor.log_reader import LogReader, LogRecord
from sampan.monitor.loop import Loop

Write = Callable[[str], None]


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The time that the log sees; a second later with every look."""
    now = [1_700_000_000]

    def tick() -> int:
        now[0] += 1
        return now[0] * 1_000_000_000

    monkeypatch.setattr(time, "time_ns", tick)
    return now


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "log.json")


@pytest.fixture
def open_writer(path: str, clock: list[int]) -> Iterator[Callable[..., Log]]:
    opened: list[Log] = []

    def make(**options: Any) -> Log:
        opened.append(open_log(LogPlan("json-file", path, **options), Loop(), pytest.fail))
        return opened[-1]

    yield make
    for log in opened:
        log.close()


def texts(reader: LogReader) -> list[str]:
    found: list[str] = []
    while records := reader.read():
        found += [record.text for record in records]
    return found


def numbered(first: int, count: int) -> list[str]:
    return [f"line {number}\n" for number in range(first, first + count)]


def write_each(log: Log, lines: list[str]) -> None:
    for line in lines:
        log.write(STDOUT, line.encode())


def test_what_was_written_is_read_with_stream_time_and_attributes(path: str, open_writer: Callable[..., Log]) -> None:
    log = open_writer(attributes=(("a", "b"),))
    log.write(STDOUT, b"one\ntwo\n")
    log.write(STDERR, "ä<\n".encode())
    with LogReader(path) as reader:
        assert reader.read() == [
            LogRecord("stdout", "2023-11-14T22:13:21Z", "one\n", {"a": "b"}),
            LogRecord("stdout", "2023-11-14T22:13:21Z", "two\n", {"a": "b"}),
            LogRecord("stderr", "2023-11-14T22:13:22Z", "ä<\n", {"a": "b"}),
        ]
        assert reader.read() == []
        assert reader.over


def test_a_log_that_is_not_there_is_empty(path: str) -> None:
    with LogReader(path) as reader:
        assert reader.read() == []
        assert reader.over


@pytest.mark.parametrize("options", [{}, {"compress": True}])
@pytest.mark.parametrize("tail", [0, 1, 7, 30, 65, 100])
def test_the_last_lines_are_found_across_rotated_files(
    path: str, open_writer: Callable[..., Log], tail: int, options: dict[str, bool]
) -> None:
    log = open_writer(max_size_bytes=1500, max_files=4, **options)
    write_each(log, numbered(0, 100))
    with LogReader(path) as reader:
        kept = texts(reader)
    assert kept == numbered(100 - len(kept), len(kept))
    assert 65 < len(kept) < 100
    with LogReader(path, tail=tail) as reader:
        assert texts(reader) == kept[len(kept) - min(tail, len(kept)) :]


def test_the_last_line_of_a_file_larger_than_a_block_is_found(path: str, open_writer: Callable[..., Log]) -> None:
    log = open_writer()
    log.write(STDOUT, b"".join(b"%0100d\n" % number for number in range(5000)))
    for tail in (1, 399, 400, 401, 4999, 5000, 6000):
        with LogReader(path, tail=tail) as reader:
            found = texts(reader)
        assert len(found) == min(tail, 5000)
        assert int(found[0]) == 5000 - len(found)
        assert int(found[-1]) == 4999


def test_since_and_until_take_the_lines_of_that_time(path: str, open_writer: Callable[..., Log]) -> None:
    begin = 1_700_000_000
    log = open_writer(max_size_bytes=1000, max_files=20)
    write_each(log, numbered(0, 50))
    second = 1_000_000_000
    for since, until, expected in (
        ((begin + 11) * second, 0, numbered(10, 40)),
        ((begin + 10) * second + 1, 0, numbered(10, 40)),
        (0, (begin + 10) * second, numbered(0, 10)),
        ((begin + 11) * second, (begin + 20) * second + 5, numbered(10, 10)),
        ((begin + 1000) * second, 0, []),
    ):
        with LogReader(path, since_ns=since, until_ns=until) as reader:
            assert texts(reader) == expected
            assert reader.over


def test_times_with_fewer_decimals_compare_rightly(path: str) -> None:
    stamps = ("05Z", "05.1Z", "05.12Z", "05.123Z", "06Z")
    Path(path).write_text(
        "".join(f'{{"log":"{stamp}\\n","stream":"stdout","time":"2024-01-02T03:04:{stamp}"}}\n' for stamp in stamps)
    )
    at_ns = 1_704_164_645 * 1_000_000_000
    with LogReader(path, since_ns=at_ns + 110_000_000, until_ns=at_ns + 123_000_000) as reader:
        assert texts(reader) == ["05.12Z\n", "05.123Z\n"]


def test_a_damaged_line_costs_only_itself(path: str) -> None:
    good = '{"log":"good\\n","stream":"stdout","time":"2024-01-02T03:04:05Z"}\n'
    Path(path).write_text(good + '{"log":"torn\n' + good + "\n" + '{"log":"no time"}\n[]\n' + good + '{"log":"beg')
    with LogReader(path) as reader:
        assert texts(reader) == ["good\n"] * 3


def test_without_following_it_ends_with_what_was_there(path: str, open_writer: Callable[..., Log]) -> None:
    log = open_writer()
    write_each(log, numbered(0, 3))
    with LogReader(path) as reader:
        write_each(log, numbered(3, 3))
        assert texts(reader) == numbered(0, 3)


def readable(reader: LogReader) -> bool:
    return bool(select.select([reader], [], [], 10)[0])


@pytest.mark.parametrize("compress", [False, True])
def test_a_follower_loses_and_doubles_nothing_across_rotations(
    path: str, open_writer: Callable[..., Log], *, compress: bool
) -> None:
    log = open_writer(max_size_bytes=700, max_files=3, compress=compress)
    write_each(log, numbered(0, 5))
    with LogReader(path, tail=2, follow=True) as reader:
        assert texts(reader) == numbered(3, 2)
        found: list[str] = []
        for first in range(5, 400, 5):
            write_each(log, numbered(first, 5))
            if first % 3 == 0:
                log._file._wait_for_compression()  # type: ignore[attr-defined]
            assert readable(reader)
            found += texts(reader)
        reader.stop_following()
        found += texts(reader)
        assert reader.over
    assert found == numbered(5, 395)


def test_a_slow_follower_keeps_what_is_rotated_away(path: str, open_writer: Callable[..., Log]) -> None:
    log = open_writer(max_size_bytes=700, max_files=2)
    with LogReader(path, follow=True) as reader:
        for first in range(0, 100, 5):
            write_each(log, numbered(first, 5))
            reader.keep_up()  # it is told, and reads nothing
        assert len(os.listdir(os.path.dirname(path))) == 2
        assert texts(reader) == numbered(0, 100)
        assert not reader.over


def test_a_follower_that_came_before_the_log_sees_its_first_line(path: str, open_writer: Callable[..., Log]) -> None:
    with LogReader(path, follow=True) as reader:
        assert texts(reader) == []
        assert not reader.over
        write_each(open_writer(), numbered(0, 1))
        assert readable(reader)
        assert texts(reader) == numbered(0, 1)


def test_a_line_that_the_writer_cut_off_is_not_read(path: str) -> None:
    good = b'{"log":"good\\n","stream":"stdout","time":"2024-01-02T03:04:05Z"}\n'
    with open(path, "ab", buffering=0) as file, LogReader(path, follow=True) as reader:
        file.write(good + b'{"log":"torn')
        assert texts(reader) == ["good\n"]
        file.truncate(len(good))
        assert texts(reader) == []
        file.write(good)
        assert texts(reader) == ["good\n"]


def test_files_that_were_written_at_the_same_moment_are_all_read(path: str, open_writer: Callable[..., Log]) -> None:
    log = open_writer(max_size_bytes=400, max_files=9, compress=True)
    for line in numbered(0, 20):
        log.write(STDOUT, line.encode())
    log._file._wait_for_compression()  # type: ignore[attr-defined]
    for name in os.listdir(os.path.dirname(path)):
        os.utime(os.path.join(os.path.dirname(path), name), ns=(0, 1_700_000_000_000_000_000))
    assert any(name.endswith(".gz") for name in os.listdir(os.path.dirname(path)))
    with LogReader(path) as reader:
        assert texts(reader) == numbered(0, 20)
