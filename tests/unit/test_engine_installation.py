from __future__ import annotations

from pathlib import Path

from sampan.engine.installation import backing_filesystem, engine_id


def test_an_id_that_cannot_be_read_is_made_anew(tmp_path: Path) -> None:
    (tmp_path / "engine-id").write_text("half a\n")
    made = engine_id(str(tmp_path))
    assert (tmp_path / "engine-id").read_text() == made
    assert [one.name for one in tmp_path.iterdir()] == ["engine-id"]


def test_the_file_system_is_the_one_that_holds_the_directory() -> None:
    assert backing_filesystem("/proc/self") == "proc"
    assert backing_filesystem("/sys") == "sysfs"
