"""The reference page of the command line, docs/reference/cli.md, made from the tables.

`python -m sampan.cli.reference > docs/reference/cli.md` writes it; a test holds the two together.
"""

from __future__ import annotations

import sys

from sampan.cli.commands import GROUPS, OPTIONS, TOP_LEVEL, command_module
from sampan.cli.grammar import spelled
from sampan.cli.help import default_text, names_of, usage_lines, value_word

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from sampan.cli.grammar import Row

_HEAD = """# The command line

`sampan [OPTIONS] COMMAND`. The grammar is that of Go's pflag: `-itd`, `-p80:80` and `-p 80:80`, `--rm=false`,
`--name=x` and `--name x`; `--` ends the options, and for `run`, `create` and `exec` so does the first word. What a
command refuses it says on standard error, with what to do about it on a line of its own. The daemon is found by `-H`,
`--context`, `SAMPAN_HOST`, `DOCKER_HOST`, `SAMPAN_CONTEXT` and `DOCKER_CONTEXT`, in this order; without any of them it
is the one at `/run/sampan/sampan.sock`, and it is started when it does not run.

This page is made by `python -m sampan.cli.reference`.
"""


def reference() -> str:
    """The whole page."""
    parts = [_HEAD, "## Global options\n", _table(OPTIONS)]
    for module in sorted({*TOP_LEVEL.values(), *(m for _, names in GROUPS.values() for m in names.values())}):
        parts += _section(module)
    return "\n".join(parts)


def _section(module: str) -> list[str]:
    described = command_module(module)
    names = names_of(module)
    short = min(names, key=len) if len(names) > 1 else names[0]
    lines = [f"\n## sampan {short}\n", f"{described.SUMMARY}.\n", "```"]
    lines += [*(line.removeprefix("Usage:").strip() for line in usage_lines(short, described)), "```"]
    if len(names) > 1:
        lines.append("\nAlso " + ", ".join(f"`sampan {name}`" for name in names if name != short) + ".")
    details = getattr(described, "DETAILS", "").strip()
    if details:
        lines.append(f"\n{details}" if ":  " not in details else f"\n```\n{details}\n```")
    if described.OPTIONS:
        lines += ["", _table(described.OPTIONS)]
    return lines


def _table(rows: Sequence[Row]) -> str:
    lines = ["| option | value | what it does |", "|---|---|---|"]
    for row in sorted(rows, key=lambda row: row[0]):
        text = (row[4] + default_text(row)).replace("|", "\\|")
        lines.append(f"| `{spelled(row)}` | {value_word(row)} | {text} |")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.stdout.write(reference() + "\n")
