"""Help, the reference page and completion are made from the tables, and are whole."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import pytest

from sampan.cli.catalogue import command_names
from sampan.cli.commands import ALIASES, COMMON, GROUPS, OPTIONS, TOP_LEVEL, command_module
from sampan.cli.completion_scripts import bash, fish, zsh
from sampan.cli.grammar import REPEATED
from sampan.cli.help import help_text
from sampan.cli.reference import reference

if TYPE_CHECKING:
    from tests.cli.conftest import Command

ROOT = Path(__file__).resolve().parents[2]
KINDS = {"bool", "string", "int", "uint", "uint16", "bytes", "decimal", "duration", "alias", *REPEATED}


def modules() -> Iterator[tuple[str, ModuleType]]:
    for name in sorted({module for _, module in command_names()}):
        yield name, command_module(name)


@pytest.mark.parametrize(("name", "module"), list(modules()))
def test_a_command_describes_itself(name: str, module: ModuleType) -> None:
    assert module.SUMMARY
    assert not module.SUMMARY.endswith(".")
    assert module.USAGE
    least, most = module.WORDS
    assert most == -1 or least <= most
    assert callable(module.run)


@pytest.mark.parametrize(("name", "module"), [("", None), *modules()])
def test_every_option_has_one_name_a_kind_and_a_description(name: str, module: ModuleType | None) -> None:
    rows = OPTIONS if module is None else module.OPTIONS
    longs = [row[0] for row in rows]
    shorts = [row[1] for row in rows if row[1]]

    assert len(set(longs)) == len(longs)
    assert len(set(shorts)) == len(shorts)
    for long, short, kind, default, summary in rows:
        assert kind in KINDS, long
        assert len(short) <= 1
        assert summary, long
        assert not summary.endswith("."), long
        assert kind != "alias" or default in longs


@pytest.mark.parametrize("name", [name for name, _ in command_names()], ids=" ".join)
def test_help_shows_every_option_within_the_width(name: list[str]) -> None:
    text = help_text(name, width=80)
    module = command_module(TOP_LEVEL[name[0]] if len(name) == 1 else GROUPS[name[0]][1][name[1]])

    assert f"Usage:  sampan {' '.join(name)}" in text
    for row in module.OPTIONS:
        assert (f"--{row[0]} " in text or f"--{row[0]}\n" in text) == (row[2] != "alias"), row
    assert all(len(line) <= 80 for line in text.splitlines() if "builder cache" not in line)


@pytest.mark.parametrize("name", [name for name, _ in command_names()], ids=" ".join)
def test_help_of_every_command_is_had_from_the_command_itself(sampan: Command, name: list[str]) -> None:
    """In a process of its own: the command's module is imported before the help is."""
    assert sampan(*name, "--help").stdout == help_text(name).encode()


def test_help_that_is_not_wanted_is_not_shown(sampan: Command) -> None:
    assert sampan("version", "--help=false").stdout != help_text(["version"]).encode()


def test_help_is_had_by_the_word_as_by_the_option(sampan: Command) -> None:
    for name in (["load"], ["image", "load"], ["ps"], ["network"], []):
        assert sampan("help", *name).stdout == help_text(name).encode(), name


def test_the_overview_names_every_command_and_group() -> None:
    text = help_text([])

    for name in [*TOP_LEVEL, *GROUPS]:
        assert f"  {name} " in text, name
    assert set(COMMON) <= set(TOP_LEVEL)
    for alias, name in ALIASES.items():
        group, command = name.split(" ")
        assert command in GROUPS[group][1], alias


def test_the_reference_page_is_the_one_that_is_made() -> None:
    page = ROOT / "docs/reference/cli.md"

    assert page.read_text() == reference() + "\n", "run python -m sampan.cli.reference > docs/reference/cli.md"


def test_the_options_beyond_dockers_are_described_where_the_api_is() -> None:
    page = (ROOT / "docs/reference/api-extensions.md").read_text()

    for field in ("TimeOffsets", "ResourceView", "HealthAction", "CpuIdle", "UidMappings", "remedy"):
        assert field in page, field


@pytest.mark.parametrize(("shell", "script"), [("bash", bash), ("zsh", zsh), ("fish", fish)])
def test_a_completion_script_is_one_that_its_shell_reads(shell: str, script: object) -> None:
    text = script()  # type: ignore[operator]
    for name in TOP_LEVEL:
        assert name in text
    if shutil.which(shell):
        done = subprocess.run([shell, "-n"], input=text.encode(), capture_output=True, timeout=60, check=False)
        assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.skipif(not shutil.which("bash"), reason="completes in bash, which is not installed")
@pytest.mark.parametrize(
    ("words", "found"),
    [
        (["st"], {"start", "stats", "stop"}),
        (["container", "st"], {"start", "stats", "stop"}),
        (["-H", "unix:///x", "run", "--na"], {"--name"}),
        (["run", "--tmp"], {"--tmpfs"}),
        (["container", "run", "--sig"], {"--sig-proxy"}),
    ],
)
def test_bash_completes_commands_and_options(words: list[str], found: set[str]) -> None:
    quoted = " ".join(f"'{word}'" for word in ["sampan", *words])
    program = f"{bash()}\nCOMP_WORDS=({quoted}); COMP_CWORD={len(words)}; _sampan; printf '%s\\n' \"${{COMPREPLY[@]}}\""

    done = subprocess.run(["bash", "--norc", "-c", program], capture_output=True, timeout=60, check=True)

    assert set(done.stdout.decode().split()) == found


@pytest.mark.skipif(not shutil.which("bash"), reason="completes in bash, which is not installed")
@pytest.mark.parametrize(
    ("words", "found"),
    [
        (["rm", ""], {"of:ps"}),
        (["top", ""], {"of:ps"}),
        (["rmi", ""], {"of:images"}),
        (["run", "--network", ""], {"of:network"}),
        (["network", "connect", ""], {"of:network"}),
        (["network", "connect", "--alias", "x", "n1", ""], {"of:ps"}),
        (["builder", "cache", ""], {"ls", "rm", "export", "import"}),
        (["completion", ""], {"bash", "zsh", "fish"}),
        (["run", "--pull", ""], {"always", "missing", "never"}),
        (["run", "--log-driver", "j"], {"json-file", "journald"}),
        (["kill", "--signal", "U"], {"USR1", "USR2"}),
        (["run", "-d", "--name", "x", ""], {"of:images"}),
        (["import", ""], {"a-file"}),
        (["import", "a-file", ""], set[str]()),
        (["secret", "create", "x", ""], {"a-file"}),
        (["cp", "a"], {"a-file"}),
        (["run", "--env-file", ""], {"a-file"}),
        (["volume", "rm", ""], {"of:volume"}),
        (["volume", "rm", "x"], set[str]()),
        (["secret", "rm", ""], {"of:secret"}),
        (["inspect", ""], {"of:ps", "of:images", "of:network", "of:volume"}),
    ],
)
def test_bash_completes_names_of_what_is_to_be_named(words: list[str], found: set[str], tmp_path: Path) -> None:
    quoted = " ".join(f"'{word}'" for word in ["sampan", *words])
    program = f"{bash()}\nsampan() {{ echo of:$1; }}; COMP_WORDS=({quoted}); COMP_CWORD={len(words)}; _sampan; "
    (tmp_path / "a-file").touch()
    program += "printf '%s\\n' \"${COMPREPLY[@]}\""

    done = subprocess.run(["bash", "--norc", "-c", program], capture_output=True, timeout=60, check=True, cwd=tmp_path)

    assert set(done.stdout.decode().split()) == found


@pytest.mark.skipif(not shutil.which("bash"), reason="completes in bash, which is not installed")
@pytest.mark.parametrize(("words", "listing"), [(["stop", ""], "ps --format"), (["rm", ""], "ps -a --format")])
def test_bash_completes_those_containers_that_a_command_can_be_for(words: list[str], listing: str) -> None:
    quoted = " ".join(f"'{word}'" for word in ["sampan", *words])
    program = f'{bash()}\nsampan() {{ echo "$*" >&3; }}; COMP_WORDS=({quoted}); COMP_CWORD={len(words)}; _sampan'
    program = program.replace("2>/dev/null", "")

    done = subprocess.run(
        ["bash", "--norc", "-c", f"exec 3>&1\n{program}"], capture_output=True, timeout=60, check=False
    )

    assert done.stdout.decode().startswith(listing)


@pytest.mark.parametrize("width", [40, 60, 100])
def test_help_in_a_narrow_window_is_no_wider(width: int) -> None:
    names = [["run"], ["container"], ["update"], ["volume", "snapshots"], ["image", "tag"], []]

    for name in names:
        wide = [line for line in help_text(name, width=width).splitlines() if len(line) > width]
        assert wide == [], name
