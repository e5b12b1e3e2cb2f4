"""The grammar of command lines, which is Go pflag's, over tables of options that are plain tuples.

A command describes itself by constants; from the same rows come this parser, the help, the reference page and the
shell completion. A row is (long name, short name, kind, default, what it does). The kind is the word that help shows
for the value, and decides how the value is read: "bool" needs none, numbers are checked here, REPEATED ones gather
every occurrence; an "alias" is another name of the option that its default names. No regular expressions, no argparse:
they cost more than the rest of a short command.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    Row = tuple[str, str, str, str, str]

REPEATED = frozenset({"list", "map", "filter", "mount", "network", "ulimit", "gpu-request"})
_TRUE = frozenset({"1", "t", "T", "TRUE", "true", "True"})
_FALSE = frozenset({"0", "f", "F", "FALSE", "false", "False"})


class Failure(Exception):
    """A command that cannot go on: what happened, what to do about it, and the code to leave with.

    An empty sentence leaves without a word.
    """

    def __init__(self, sentence: str, *, remedy: str = "", code: int = 1) -> None:
        super().__init__(sentence)
        self.sentence = sentence
        self.remedy = remedy
        self.code = code


class UsageError(Failure):
    """A command line that cannot be understood. The remedy, unless there is a better one, is the command's help."""

    def __init__(self, sentence: str, *, remedy: str = "", code: int = 125) -> None:
        super().__init__(sentence, remedy=remedy, code=code)


class HelpWanted(Exception):
    """--help stands among the options."""


class Arguments:
    """What a command line says: options by their long names, and the words that are no options."""

    __slots__ = ("_rows", "_values", "words")

    def __init__(self, rows: dict[str, Row]) -> None:
        self._rows = rows
        self._values: dict[str, Any] = {}
        self.words: list[str] = []

    def given(self, name: str) -> bool:
        """Whether the option was on the command line."""
        return name in self._values

    def names(self) -> list[str]:
        """The options that were on the command line."""
        return list(self._values)

    def flag(self, name: str) -> bool:
        """The value of a bool."""
        value = self._values.get(name)
        return self._rows[name][3] == "true" if value is None else bool(value)

    def text(self, name: str) -> str:
        """The value of an option whose kind is none of the others."""
        value = self._values.get(name)
        return self._rows[name][3] if value is None else str(value)

    def number(self, name: str) -> int:
        """The value of a number: bytes, nanoseconds (duration), billionths (decimal) or as it stands."""
        value = self._values.get(name)
        return int(self._rows[name][3] or "0") if value is None else int(value)

    def items(self, name: str) -> list[str]:
        """The values of a repeated option, in order."""
        value: list[str] | None = self._values.get(name)
        return value or []

    def set(self, row: Row, text: str, said: str) -> None:
        """Take `text` as the value of `row`; `said` is the option as help writes it."""
        name, _, kind, _, _ = row
        if kind == "bool":
            if text not in _TRUE and text not in _FALSE:
                raise UsageError(f"{said} is true or false, not {text!r}")
            self._values[name] = text in _TRUE
        elif kind in REPEATED:
            self._values.setdefault(name, []).append(text)
        elif kind == "string":
            self._values[name] = text
        else:
            from sampan.cli.units import read_number

            try:
                self._values[name] = read_number(kind, text)
            except ValueError as error:
                raise UsageError(f"{said} cannot be {text!r}: {error}") from None


def spelled(row: Row) -> str:
    """The option as help writes it: "-m, --memory"."""
    return f"-{row[1]}, --{row[0]}" if row[1] else f"--{row[0]}"


def parse(rows: Sequence[Row], words: Sequence[str], *, interspersed: bool = True) -> Arguments:
    """Take `words` apart.

    Without `interspersed` the first word that is no option ends them, as `run` and `exec` need it. Raises HelpWanted
    for --help (and for -h where no row has it), UsageError for what is not in the grammar or the rows.
    """
    arguments = Arguments({row[0]: row for row in rows})
    at = 0
    count = len(words)
    while at < count:
        word = words[at]
        at += 1
        if word[:1] != "-" or word == "-":
            arguments.words.append(word)
            if not interspersed:
                break
        elif word == "--":
            break
        elif word[1] == "-":
            at = _long(arguments, rows, word, words, at)
        else:
            at = _short(arguments, rows, word, words, at)
    arguments.words.extend(words[at:])
    return arguments


def _long(arguments: Arguments, rows: Sequence[Row], word: str, words: Sequence[str], at: int) -> int:
    name, mark, value = word[2:].partition("=")
    row = arguments._rows.get(name)  # noqa: SLF001 - the parser makes the object
    if row is None:
        if name == "help" and mark and value in _FALSE:
            return at
        if name == "help":
            raise HelpWanted
        raise UsageError(f"unknown option --{name}", remedy=_nearest(name, rows))
    if row[2] == "alias":
        row = arguments._rows[row[3]]  # noqa: SLF001 - the parser makes the object
    if mark:
        pass
    elif row[2] == "bool":
        value = "true"
    elif at < len(words):
        value = words[at]
        at += 1
    else:
        raise UsageError(f"{spelled(row)} needs a value ({row[2]})")
    arguments.set(row, value, spelled(row))
    return at


def _short(arguments: Arguments, rows: Sequence[Row], word: str, words: Sequence[str], at: int) -> int:
    left = word[1:]
    while left:
        letter, left = left[0], left[1:]
        row = next((row for row in rows if row[1] == letter), None)
        if row is None:
            if letter == "h":
                raise HelpWanted
            place = f" in {word}" if len(word) > 2 else ""
            raise UsageError(f"unknown option -{letter}{place}")
        if left[:1] == "=":
            value, left = left[1:], ""
        elif row[2] == "bool":
            value = "true"
        elif left:
            value, left = left, ""
        elif at < len(words):
            value = words[at]
            at += 1
        else:
            raise UsageError(f"{spelled(row)} needs a value ({row[2]})")
        arguments.set(row, value, spelled(row))
    return at


def _nearest(name: str, rows: Sequence[Row]) -> str:
    from difflib import get_close_matches

    close = get_close_matches(name, [row[0] for row in rows], n=1)
    return f"did you mean --{close[0]}?" if close else ""
