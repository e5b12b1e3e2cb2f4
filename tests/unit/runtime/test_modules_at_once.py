"""The command line's modules in one file: used when it fits the sources, made anew when not, and never needed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import sampan

SOURCE = Path(sampan.__path__[0])
START = "import sys; sys.path.insert(0, sys.argv.pop(1)); from sampan.runtime.__main__ import main; main()"
USED = (
    "import sys; sys.path.insert(0, sys.argv.pop(1)); from sampan.runtime.modules_at_once import Modules\n"
    "Modules('state'); import sampan.errors; print(type(sampan.errors.__spec__.loader).__name__)\n"
    "import sampan.runtime.commands; print(*sampan.runtime.commands.__path__)"
)


class Installed:
    """A copy of what the command line is made of."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.package = root / "sampan"
        self.package.mkdir()
        for name in ("__init__.py", "errors.py"):
            shutil.copy2(SOURCE / name, self.package / name)
        for name in ("cgroup", "linux", "oci", "runtime"):
            shutil.copytree(SOURCE / name, self.package / name, ignore=shutil.ignore_patterns("__pycache__"))
        self.file = self.package / "runtime" / "__pycache__" / f"state.{sys.implementation.cache_tag}.modules"

    def help(self, *flags: str) -> str:
        """What `state --help` prints."""
        return self._run(START, *flags)

    def used(self) -> list[str]:
        """Whose loader loaded a module, and where a package looks for its own."""
        return self._run(USED).splitlines()

    def _run(self, script: str, *flags: str) -> str:
        words = [sys.executable, "-I", "-S", *flags, "-c", script, str(self.root), "state", "--help"]
        done = subprocess.run(words, check=False, capture_output=True, text=True)
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout


@pytest.fixture
def installed(tmp_path: Path) -> Installed:
    return Installed(tmp_path)


def test_the_first_call_makes_the_file_and_later_ones_use_it(installed: Installed) -> None:
    said = installed.help()
    assert "show the state of a container" in said
    assert installed.file.stat().st_mode & 0o777 & ~0o644 == 0
    assert installed.used() == ["Modules", str(installed.package / "runtime" / "commands")]
    before = installed.file.stat().st_ino
    assert installed.help() == said
    assert installed.file.stat().st_ino == before


def test_a_changed_source_counts_at_once(installed: Installed) -> None:
    installed.help()
    line = installed.package / "runtime" / "commands" / "line.py"
    line.write_text(line.read_text().replace("show the state of a container", "tell the state of a container"))
    assert installed.used()[0] == "SourceFileLoader"
    assert "tell the state of a container" in installed.help()
    assert installed.used()[0] == "Modules"
    assert "tell the state of a container" in installed.help()


def test_a_source_that_is_gone_makes_the_file_worthless(installed: Installed) -> None:
    installed.help()
    (installed.package / "runtime" / "quick_typing.py").unlink()
    assert installed.used()[0] == "SourceFileLoader"


@pytest.mark.parametrize("content", [b"", b"nonsense\n", b"1 'another interpreter'\n", None])
def test_a_damaged_file_is_passed_over_and_replaced(installed: Installed, content: bytes | None) -> None:
    said = installed.help()
    installed.file.write_bytes(installed.file.read_bytes()[:-1000] if content is None else content)
    assert installed.help() == said
    assert installed.used()[0] == "Modules"


def test_where_it_cannot_be_written_the_command_works_without(installed: Installed) -> None:
    installed.file.mkdir(parents=True)
    assert "show the state of a container" in installed.help()
    assert installed.file.is_dir()
    assert [name for name in os.listdir(installed.file.parent) if ".modules." in name] == []


def test_who_wants_no_bytecode_gets_no_file(installed: Installed) -> None:
    installed.help("-B")
    assert not installed.file.exists()
