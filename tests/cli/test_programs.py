"""The programs that start the interpreter bare: written whole, and running what they are named after."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from tests.cli.conftest import files_of_at_most

from sampan.cli.programs import MOST_SHEBANG_BYTES, programs
from sampan.version import VERSION

NAMES = {"sampan", "sampand", "sampan-runtime"}


def write(directory: Path, most_bytes: int = -1) -> subprocess.CompletedProcess[str]:
    """`python -m sampan.cli.programs DIRECTORY`."""
    argv = [sys.executable, "-B", "-m", "sampan.cli.programs", str(directory)]
    limit = files_of_at_most(most_bytes) if most_bytes >= 0 else None
    return subprocess.run(argv, capture_output=True, text=True, check=False, preexec_fn=limit)


def test_each_program_runs_bare_and_says_its_version(tmp_path: Path) -> None:
    assert write(tmp_path).returncode == 0
    assert {path.name for path in tmp_path.iterdir()} == NAMES
    for name in NAMES:
        program = tmp_path / name
        assert program.read_text().startswith(f"#!{sys.executable} -IS\n")
        done = subprocess.run([program, "--version"], capture_output=True, text=True, check=True)
        assert VERSION in done.stdout


def test_a_link_to_what_pip_installed_is_replaced_and_not_followed(tmp_path: Path) -> None:
    installed = tmp_path / "installed"
    installed.write_text("by pip")
    directory = tmp_path / "bin"
    directory.mkdir()
    (directory / "sampan").symlink_to(installed)
    assert write(directory).returncode == 0
    assert installed.read_text() == "by pip"
    assert not (directory / "sampan").is_symlink()


def test_a_directory_that_is_not_there_is_said(tmp_path: Path) -> None:
    failed = write(tmp_path / "nowhere")
    assert failed.returncode == 1
    assert failed.stderr.startswith(f"sampan: programs cannot be written to {tmp_path}/nowhere: no such file")
    assert "  try: name a directory" in failed.stderr


def test_what_does_not_fit_on_the_disk_leaves_what_was_there(tmp_path: Path) -> None:
    assert write(tmp_path).returncode == 0
    before = (tmp_path / "sampan").read_bytes()
    assert write(tmp_path, most_bytes=10).returncode == 1
    assert {path.name for path in tmp_path.iterdir()} == NAMES
    assert (tmp_path / "sampan").read_bytes() == before


def test_without_a_directory_it_says_how_it_is_used() -> None:
    argv = [sys.executable, "-m", "sampan.cli.programs"]
    failed = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert (failed.returncode, failed.stderr) == (2, "usage: python -m sampan.cli.programs DIRECTORY\n")


@pytest.mark.parametrize("python", ["/opt/my programs/bin/python", f"/{'x' * MOST_SHEBANG_BYTES}/python"])
def test_an_interpreter_that_a_script_cannot_name_is_refused(python: str) -> None:
    with pytest.raises(ValueError, match="cannot name"):
        programs(python, "/src", [])
