"""The files that hold the code of all modules that a command begins with: what is in them is what the sources say."""

from __future__ import annotations

import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.cli.conftest import SOURCE, files_of_at_most

from sampan.cli.programs import programs

SHARED, OWN = "sampan.client.session", "sampan.cli.commands.completion"
FEW_BYTES = 1000


@dataclass
class Copy:
    """A copy of the package, with the program that reads the files."""

    package: Path
    program: Path

    @property
    def files(self) -> dict[str, Path]:
        return {path.name.partition(".")[0]: path for path in self.package.rglob("*.code")}

    def run(self, *interpreter: str, most_bytes: int = -1) -> subprocess.CompletedProcess[str]:
        """`sampan completion bash`, with what it imported on standard error."""
        argv = [sys.executable, "-IS", *interpreter, "-X", "importtime", str(self.program), "completion", "bash"]
        limit = files_of_at_most(most_bytes) if most_bytes >= 0 else None
        done = subprocess.run(argv, capture_output=True, text=True, check=True, preexec_fn=limit)
        assert "complete" in done.stdout
        return done

    def imported(self) -> set[str]:
        """The modules that a run looked for one by one."""
        return {line.rpartition("|")[2].strip() for line in self.run().stderr.splitlines()}


@pytest.fixture
def copy(tmp_path: Path) -> Copy:
    package = tmp_path / "src" / "sampan"
    shutil.copytree(SOURCE / "sampan", package, ignore=shutil.ignore_patterns("__pycache__"))
    program = tmp_path / "program"
    program.write_text(programs(sys.executable, str(package.parent), [])["sampan"])
    return Copy(package, program)


def test_the_second_run_looks_for_no_module_that_the_first_began_with(copy: Copy) -> None:
    assert {SHARED, OWN} <= copy.imported()
    assert set(copy.files) == {"start", "completion"}
    assert not {"__future__", SHARED, OWN} & copy.imported()


@pytest.mark.parametrize("name", [SHARED, OWN])
def test_a_changed_source_counts_at_once_and_is_in_the_file_of_the_next_run(copy: Copy, name: str) -> None:
    copy.run()
    source = copy.package.parent / f"{name.replace('.', '/')}.py"
    source.write_text(f"{source.read_text()}\nimport sys\n\nsys.stderr.write('changed\\n')\n")
    first = copy.run().stderr
    assert "changed" in first
    assert name in first
    second = copy.run().stderr
    assert "changed" in second
    assert name not in second


def test_a_module_that_is_gone_is_not_taken_from_the_file(copy: Copy) -> None:
    copy.run()
    (copy.package / "client" / "failure.py").unlink()
    with pytest.raises(subprocess.CalledProcessError) as failed:
        copy.run()
    assert "No module named 'sampan.client.failure'" in failed.value.stderr


@pytest.mark.parametrize("content", [b"", b"\0" * 5000, b"no code at all", b"(\2NN", b"half"])
@pytest.mark.parametrize("name", ["start", "completion"])
def test_a_damaged_file_is_made_anew(copy: Copy, name: str, content: bytes) -> None:
    copy.run()
    good = copy.files[name].read_bytes()
    copy.files[name].write_bytes(good[: len(good) // 2] if content == b"half" else content)
    assert (SHARED if name == "start" else OWN) in copy.imported()
    assert not {SHARED, OWN} & copy.imported()


def test_a_file_that_does_not_fit_on_the_disk_is_not_left_half_written(copy: Copy) -> None:
    copy.run(most_bytes=FEW_BYTES)
    assert copy.files == {}
    assert not list(copy.package.rglob("*.code*"))
    copy.run()
    assert set(copy.files) == {"start", "completion"}


def test_who_cannot_write_there_runs_the_command_all_the_same(copy: Copy) -> None:
    for package in (copy.package / "cli", copy.package / "cli" / "commands"):
        (package / "__pycache__").write_text("no directory")
    copy.run()
    assert copy.files == {}


def test_nothing_is_written_where_the_interpreter_is_to_write_no_code(copy: Copy) -> None:
    copy.run("-B")
    assert copy.files == {}


def test_an_error_shows_the_line_of_the_source(copy: Copy) -> None:
    source = copy.package / "cli" / "commands" / "completion.py"
    source.write_text(source.read_text().replace('    """Print it."""\n', "    raise RuntimeError(arguments)\n"))
    argv = [sys.executable, "-IS", str(copy.program), "-D", "completion", "bash"]
    for _ in range(2):
        failed = subprocess.run(argv, capture_output=True, text=True, check=False)
        assert failed.returncode == 1
        assert f'File "{source}", line' in failed.stderr
        assert "raise RuntimeError(arguments)" in failed.stderr
