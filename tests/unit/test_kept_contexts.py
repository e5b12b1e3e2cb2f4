"""Contexts that are kept for the next build: how many, how long, and while somebody reads them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from sampan.engine.kept_contexts import MOST, MOST_BYTES, KeptContexts


@pytest.fixture
def gone() -> list[str]:
    return []


@pytest.fixture
def kept(tmp_path: Path, gone: list[str]) -> KeptContexts:
    found = KeptContexts(str(tmp_path / "contexts"), gone.append)
    found.prepare()
    return found


def put(kept: KeptContexts, place: Path, name: str, size_bytes: int = 1) -> None:
    (place / "context").mkdir()
    (place / "context" / "file").write_text(name)
    kept.keep(name, str(place / "context"), size_bytes)


def read(kept: KeptContexts, name: str) -> str:
    with kept.reading(name) as path:
        return Path(path, "file").read_text() if path else ""


def test_the_last_one_of_a_name_is_there(kept: KeptContexts, tmp_path: Path, gone: list[str]) -> None:
    assert read(kept, "a") == ""
    put(kept, tmp_path, "a")
    put(kept, tmp_path, "b")
    first = kept.all()[0].path
    put(kept, tmp_path, "a")
    assert (read(kept, "a"), read(kept, "b"), read(kept, "c")) == ("a", "b", "")
    assert gone == [first]


def test_who_reads_one_reads_it_to_the_end(kept: KeptContexts, tmp_path: Path, gone: list[str]) -> None:
    put(kept, tmp_path, "a")
    with kept.reading("a") as one, kept.reading("a") as same:
        assert one == same
        put(kept, tmp_path, "a")
        assert gone == []
        assert Path(one, "file").exists()
    assert gone == [one]


def test_of_many_those_go_that_were_not_used_for_the_longest_time(kept: KeptContexts, tmp_path: Path) -> None:
    for number in range(MOST):
        put(kept, tmp_path, str(number))
    assert read(kept, "0") == "0"
    put(kept, tmp_path, "new")
    assert (read(kept, "0"), read(kept, "1"), read(kept, "new")) == ("0", "", "new")
    disk = os.statvfs(tmp_path)
    most_bytes = min(MOST_BYTES, disk.f_blocks * disk.f_frsize // 20)
    put(kept, tmp_path, "large", most_bytes - 3)
    assert len(kept.all()) == 4
    put(kept, tmp_path, "too large", most_bytes + 1)
    assert read(kept, "too large") == ""


def test_nothing_is_kept_for_longer_than_an_hour(
    kept: KeptContexts, tmp_path: Path, gone: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    put(kept, tmp_path, "a")
    (one,) = kept.all()
    monkeypatch.setattr("sampan.engine.kept_contexts.time.time", lambda: one.used_s + 3601)
    assert read(kept, "a") == ""
    assert kept.all() == []
    assert gone == [one.path]


def test_a_daemon_begins_with_none(kept: KeptContexts, tmp_path: Path) -> None:
    put(kept, tmp_path, "a")
    (one,) = kept.all()
    gone: list[str] = []
    after = KeptContexts(kept.directory, gone.append)
    after.prepare()
    assert gone == [one.path]
    assert read(after, "a") == ""
