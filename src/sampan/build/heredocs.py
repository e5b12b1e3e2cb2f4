"""Heredocs: finding where a line opens them, and what a RUN with heredocs executes.

The bodies are read by `lines`, file names and expansion of COPY and ADD are their matter. The names follow the shell:
a quoted name means that nothing in the body is expanded.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from sampan.build.instructions import Command, Run, ShellForm

_OPENING = re.compile(r"([0-9]{0,9})<<(?!<)(-?)[ \t\r]*")
_ENDS_NAME = frozenset(";|&<>()")


@dataclass(frozen=True, slots=True)
class Opening:
    """A `<<NAME` in a text: from `start` to `end`, its name without quotes."""

    name: str
    expand: bool
    strip_tabs: bool
    descriptor: int
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Script:
    """A heredoc with a first line of `#!`: a file of this name and content that is executed itself."""

    name: str
    content: str


def openings(text: str, *, escape: str, in_shell: bool) -> tuple[Opening, ...]:
    """The heredocs that the text opens, in order, each at the start of a word outside quotes.

    With `in_shell` a name ends where the shell ends a word, and nothing is opened in `$((1 << 3))`; without it only a
    blank ends a name.
    """
    found: list[Opening] = []
    index, quote, at_start = 0, "", True
    depth = 0  # of an arithmetic expansion's parentheses, counted from its dollar
    while index < len(text):
        if at_start and not quote:
            opening = _opening_at(text, index, escape, in_shell=in_shell)
            if opening is not None:
                found.append(opening)
                index, at_start = opening.end, False
                continue
        character = text[index]
        if in_shell and not depth and quote != "'" and text.startswith("$((", index):
            depth = 1
        elif depth and character in "()":
            depth += 1 if character == "(" else -1
            depth -= depth == 1  # the one that the dollar stands for
        at_start = not quote and not depth and character.isspace()
        index += 1
        if character == escape and quote != "'":
            index += 1
        elif character == quote:
            quote = ""
        elif not quote and character in "'\"":
            quote = character
    return tuple(found)


def _opening_at(text: str, start: int, escape: str, *, in_shell: bool) -> Opening | None:
    match = _OPENING.match(text, start)
    if match is None:
        return None
    name, quoted, end = _name_at(text, match.end(), escape, in_shell=in_shell)
    if not name:
        return None
    return Opening(name, not quoted, bool(match[2]), int(match[1] or 0), start, end)


def _name_at(text: str, index: int, escape: str, *, in_shell: bool) -> tuple[str, bool, int]:
    """The name without quotes, whether a part of it was quoted, and where it ends."""
    name: list[str] = []
    quote, quoted = "", False
    while index < len(text):
        character = text[index]
        if not quote and (character.isspace() or character == "<" or (in_shell and character in _ENDS_NAME)):
            break
        index += 1
        if character == escape and quote != "'":
            name.append(text[index : index + 1])
            index += 1
        elif character == quote:
            quote = ""
        elif not quote and character in "'\"":
            quote, quoted = character, True
        else:
            name.append(character)
    return ("" if quote else "".join(name)), quoted, index


def command_of(run: Run) -> Command | Script:
    """What a RUN executes once its heredocs are in place.

    `RUN <<EOF` alone is a script for the stage's shell, or an executable file when it begins with `#!`; any other
    command gets its heredocs back behind it, for the shell to read (Dockerfile reference, here-documents).
    """
    if not run.heredocs or not isinstance(run.command, ShellForm):
        return run.command
    first = run.heredocs[0]
    text = run.command.text.strip()
    if len(run.heredocs) == 1 and text.startswith("<<") and _is_opening(text):
        if first.lines.startswith("#!"):
            return Script(first.name, first.lines)
        return ShellForm(first.lines)
    bodies = (f"\n{heredoc.content}{heredoc.name}" for heredoc in run.heredocs)
    return ShellForm("".join((run.command.text, *bodies)))


def _is_opening(text: str) -> bool:
    opened = openings(text, escape="\\", in_shell=True)
    return len(opened) == 1 and opened[0].start == 0 and opened[0].end == len(text)
