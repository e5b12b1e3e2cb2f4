"""Wildcards, modes and the order of what parallel stages say: the small rules of a build."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from sampan.build.configuring import go_duration
from sampan.build.modes import read_mode
from sampan.build.progress import MOST_KEPT_BYTES, Event, Note, Output, Voices
from sampan.build.sources import find_sources, translate
from sampan.errors import InvalidArgument, NotFound


@pytest.mark.parametrize(
    ("pattern", "fits", "misses"),
    [
        ("*.txt", ["a.txt", ".txt"], ["a.txt.x", "a/b.txt"]),
        ("a?c", ["abc"], ["ac", "a/c"]),
        ("[a-c]x", ["bx"], ["dx", "x"]),
        ("[^a]x", ["bx"], ["ax"]),
        ("a*b*c", ["abc", "aXbYc", "abbcc"], ["acb"]),
        ("\\*", ["*"], ["x"]),
        ("plain", ["plain"], ["plai", "plainn"]),
    ],
)
def test_a_wildcard_means_what_go_means_by_it(pattern: str, fits: list[str], misses: list[str]) -> None:
    expression = re.compile(translate(pattern), re.DOTALL)
    assert all(expression.fullmatch(name) for name in fits)
    assert not any(expression.fullmatch(name) for name in misses)


@pytest.mark.parametrize("pattern", ["[a", "x\\"])
def test_a_wildcard_that_is_none_is_refused(pattern: str) -> None:
    with pytest.raises(InvalidArgument):
        translate(pattern)


def test_no_wildcard_makes_a_match_slow() -> None:
    """With backtracking it would not end in anybody's life."""
    expression = re.compile(translate("*a" * 60 + "*b"), re.DOTALL)
    assert expression.fullmatch("a" * 255) is None


@pytest.mark.parametrize(
    ("text", "mode", "is_directory", "wanted"),
    [
        ("0755", 0o644, False, 0o755),
        ("4711", 0o644, False, 0o4711),
        ("u+x", 0o644, False, 0o744),
        ("go=", 0o755, False, 0o700),
        ("a=rX", 0o600, False, 0o444),
        ("a=rX", 0o700, True, 0o555),
        ("u=rwX,go=rX", 0o751, False, 0o755),
        ("+t", 0o755, True, 0o1755),
        ("u-w+x", 0o600, False, 0o500),
    ],
)
def test_chmod_says_octal_numbers_and_words(text: str, mode: int, wanted: int, *, is_directory: bool) -> None:
    assert read_mode(text).apply(mode, is_directory=is_directory) == wanted


@pytest.mark.parametrize("text", ["", "9", "888", "u+q", "x", "u=r,", "07777777"])
def test_a_mode_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(InvalidArgument):
        read_mode(text)


def test_stages_speak_in_the_order_of_the_file() -> None:
    told: list[Event] = []
    voices = Voices(told.append)
    first, second, third = (voices.of(number, "") for number in range(3))
    third(Note("3a"))
    second(Note("2a"))
    first(Note("1a"))
    voices.end(1)
    third(Note("3b"))
    first(Note("1b"))
    voices.end(0)
    assert told == [Note("1a"), Note("1b"), Note("2a"), Note("3a"), Note("3b")]


def test_a_stage_that_failed_speaks_at_once() -> None:
    told: list[Event] = []
    voices = Voices(told.append)
    voices.of(0, "")(Note("first"))
    voices.of(2, "")(Note("why"))
    voices.interrupt(2)
    assert told == [Note("first"), Note("why")]


def test_what_a_waiting_stage_says_is_kept_up_to_a_bound() -> None:
    told: list[Event] = []
    voices = Voices(told.append)
    later = voices.of(1, "")
    for _ in range(40):
        later(Output(b"x" * (1 << 20), is_error=False))
    voices.end(0)
    size = sum(len(event.content) for event in told if isinstance(event, Output))
    assert MOST_KEPT_BYTES - (1 << 20) <= size <= MOST_KEPT_BYTES + 200
    assert isinstance(told[-1], Output)
    assert b"left out" in told[-1].content


@pytest.mark.parametrize(
    ("nanoseconds", "shown"),
    [(0, "0s"), (5_000_000_000, "5s"), (90_000_000_000, "1m30s"), (3_600_000_000_000, "1h0m0s"), (1_500_000, "1.5ms")],
)
def test_durations_are_shown_as_go_shows_them(nanoseconds: int, shown: str) -> None:
    assert go_duration(nanoseconds) == shown


@pytest.mark.parametrize(
    ("path", "remedy"),
    [
        ("requirments.txt", "did you mean requirements.txt? Else look at the path, and"),
        ("src/readme.md", "did you mean src/README.md? "),
        ("scr/README.md", "did you mean src/README.md? "),
        ("scr/nothing", "look at the path, "),
        ("src/README.md/x", "look at the path, "),
        ("quite/another", "look at the path, "),
    ],
)
def test_a_path_of_nothing_is_held_against_what_is_there(tmp_path: Path, path: str, remedy: str) -> None:
    (tmp_path / "src").mkdir()
    for name in ("requirements.txt", "src/README.md"):
        (tmp_path / name).touch()
    root = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        with pytest.raises(NotFound) as refusal:
            find_sources(root, path)
    finally:
        os.close(root)
    assert refusal.value.remedy.startswith(remedy)
