"""Help texts, in the shape of docker's, made from the commands' own constants."""

from __future__ import annotations

import os
import sys
from textwrap import wrap

from sampan.cli.commands import ALIASES, COMMON, GROUPS, OPTIONS, TOP_LEVEL, command_module

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from types import ModuleType

    from sampan.cli.grammar import Row

_LEAST = 24  # characters of a second column that can be read
FORMAT_KINDS = {"bool": "", "alias": "", "gpu-request": "request"}


def show_help(name: Sequence[str]) -> int:
    """Print the help of the command or group `name`, or of everything, and return the exit code."""
    sys.stdout.write(help_text(name, width=_width()))
    return 0


def _width() -> int:
    try:
        return max(min(os.get_terminal_size(1).columns, 120), 20)
    except OSError:
        return 80


def help_text(name: Sequence[str], *, width: int = 80) -> str:
    """The help of the command or group `name`; of everything when it is empty."""
    if not name:
        return overview(width)
    if len(name) == 1 and name[0] in GROUPS and name[0] not in TOP_LEVEL:
        return group_help(name[0], width)
    module = command_module(module_of(name))
    lines = [line for form in usage_lines(" ".join(name), module) for line in fitted(form, width)]
    lines += ["", *wrap(module.SUMMARY, width)]
    details: str = getattr(module, "DETAILS", "")
    if details:
        lines += ["", *detail_lines(details, width)]
    others = names_of(module_of(name))
    if len(others) > 1:
        lines += ["", "Aliases:", *fitted("  " + ", ".join(f"sampan {other}" for other in others), width)]
    if module.OPTIONS:
        lines += ["", "Options:", *option_lines(module.OPTIONS, width)]
    return "\n".join(["", *lines, ""])


def fitted(text: str, width: int) -> list[str]:
    """The line, or several where it is wider than `width`, those after the first indented; words stay whole."""
    if len(text) <= width:
        return [text]
    indent = " " * min(width // 4, 8)
    return wrap(text, width, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)


def detail_lines(details: str, width: int) -> list[str]:
    """The paragraphs of a command's details, wrapped at `width` where they are wider; what is in columns stays so."""
    found: list[str] = []
    for paragraph in details.strip().split("\n\n"):
        lines = paragraph.splitlines()
        if "  " not in paragraph and max(map(len, lines)) > width:
            lines = wrap(paragraph, width)
        found += [*([""] if found else []), *lines]
    return found


def module_of(name: Sequence[str]) -> str:
    """The module of a command by its name."""
    return TOP_LEVEL[name[0]] if len(name) == 1 else GROUPS[name[0]][1][name[1]]


def names_of(module: str) -> list[str]:
    """All names of the command that `module` is, the long one first."""
    found = [
        f"{group} {name}" for group, (_, names) in GROUPS.items() for name, target in names.items() if target == module
    ]
    found += [alias for alias, name in ALIASES.items() if name in found]
    return found + [name for name, target in TOP_LEVEL.items() if target == module]


def usage_lines(name: str, module: ModuleType) -> list[str]:
    """The forms of the command, as "Usage:" gives them."""
    first, *others = module.USAGE
    return [f"Usage:  sampan {name} {first}".rstrip(), *(f"        sampan {name} {form}".rstrip() for form in others)]


def value_word(row: Row) -> str:
    """The word that stands for the option's value."""
    return FORMAT_KINDS.get(row[2], row[2])


def default_text(row: Row) -> str:
    """How help tells the default; nothing for what is empty, zero or false."""
    default = row[3] if row[2] != "alias" else ""
    if not default or default in {"0", "false"}:
        return ""
    return f' (default "{default}")' if row[2] == "string" else f" (default {default})"


def option_lines(rows: Iterable[Row], width: int) -> list[str]:
    """The options with what they do, in two columns."""
    pairs = []
    for row in sorted(rows, key=lambda row: row[0].lower()):
        if row[2] == "alias":
            continue
        short = f"-{row[1]}, " if row[1] else "    "
        pairs.append((f"  {short}--{row[0]} {value_word(row)}".rstrip(), row[4] + default_text(row)))
    return two_columns(pairs, width)


def two_columns(pairs: Sequence[tuple[str, str]], width: int) -> list[str]:
    """Each pair on a line, the second column wrapped at `width`; one below the other where that is too narrow."""
    left = max(len(first) for first, _ in pairs) + 3
    lines = []
    if width - left < _LEAST:
        for first, second in pairs:
            indent = " " * min(width // 4, 8)
            lines += [first, *wrap(second, width, initial_indent=indent, subsequent_indent=indent)]
        return lines
    for first, second in pairs:
        wrapped = wrap(second, width - left) or [""]
        lines.append(first.ljust(left) + wrapped[0])
        lines += [" " * left + line for line in wrapped[1:]]
    return lines


def _commands(names: dict[str, str], width: int) -> list[str]:
    return two_columns([(f"  {name}", command_module(module).SUMMARY) for name, module in sorted(names.items())], width)


def group_help(group: str, width: int) -> str:
    """The help of a group of commands."""
    summary, names = GROUPS[group]
    lines = ["", f"Usage:  sampan {group} COMMAND", "", *wrap(summary, width), "", "Commands:"]
    more = f"Run 'sampan {group} COMMAND --help' for more information on a command."
    return "\n".join([*lines, *_commands(names, width), "", *wrap(more, width), ""])


def overview(width: int) -> str:
    """The help of everything."""
    common = {name: TOP_LEVEL[name] for name in COMMON}
    others = {name: module for name, module in TOP_LEVEL.items() if name not in COMMON}
    groups = two_columns([(f"  {group}", summary) for group, (summary, _) in sorted(GROUPS.items())], width)
    lines = ["", "Usage:  sampan [OPTIONS] COMMAND", "", *wrap("A container engine that speaks Docker's API", width)]
    lines += ["", "Common commands:", *_commands(common, width)]
    lines += ["", "Groups:", *groups]
    lines += ["", "Commands:", *_commands(others, width)]
    lines += ["", "Global options:", *option_lines(OPTIONS, width)]
    more = "Run 'sampan COMMAND --help' for more information on a command."
    return "\n".join([*lines, "", *wrap(more, width), ""])
