from __future__ import annotations

from pathlib import Path

from sampan.monitor import exit_record
from sampan.monitor.protocol import Exited


def test_a_record_is_read_as_it_was_written(tmp_path: Path) -> None:
    record = Exited(137, 9, oom_killed=True, at_ns=123, pid=7)
    exit_record.write(record, str(tmp_path))
    assert exit_record.read(str(tmp_path)) == record
    assert [path.name for path in tmp_path.iterdir()] == ["exit.json"]


def test_a_missing_or_damaged_record_counts_as_none(tmp_path: Path) -> None:
    assert exit_record.read(str(tmp_path)) is None
    for content in (b"", b"{", b"[]", b'{"say":"Go"}'):
        (tmp_path / "exit.json").write_bytes(content)
        assert exit_record.read(str(tmp_path)) is None


def test_an_earlier_record_is_removed(tmp_path: Path) -> None:
    exit_record.write(Exited(0), str(tmp_path))
    exit_record.remove(str(tmp_path))
    exit_record.remove(str(tmp_path))
    assert exit_record.read(str(tmp_path)) is None
