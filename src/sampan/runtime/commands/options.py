"""The command line's grammar: options by a table, as runc and crun take them, and the help made from the same table.

`--name value`, `--name=value`, `-n value`, `-nvalue`, clustered switches, `--switch=false`, and Go's `-name`. Which
verbs there are is not known here.
"""

from __future__ import annotations

from sampan.errors import InvalidArgument

SWITCH, VALUE, NUMBER, LIST = "switch", "value", "number", "list"


class Option:
    """One row of an option table: `names` such as ("--bundle", "-b"), `kind` one of the words above."""

    __slots__ = ("default", "help", "key", "kind", "names")

    def __init__(self, names: str, kind: str, help: str, default: str = "") -> None:
        self.names = tuple(names.split())
        self.key = self.names[0].lstrip("-").replace("-", "_")
        self.kind = kind
        self.help = help
        self.default = default


HELP = Option("--help -h", SWITCH, "show help")


class Words:
    """A parsed command line: `positional` words, and the options' values by the table's keys."""

    __slots__ = ("_values", "positional")

    def __init__(self) -> None:
        self._values: dict[str, str | bool | list[str]] = {}
        self.positional: list[str] = []

    def has(self, key: str) -> bool:
        """Whether the switch is set."""
        return self._values.get(key) is True

    def given(self, key: str) -> bool:
        """Whether the option is there at all."""
        return key in self._values

    def text(self, key: str, default: str = "") -> str:
        """The last value of the option."""
        value = self._values.get(key, default)
        return value if isinstance(value, str) else default

    def number(self, key: str, default: int = 0) -> int:
        """The value as a number; the parser has checked it."""
        return int(self.text(key) or default)

    def list(self, key: str) -> tuple[str, ...]:
        """All values of the option in their order."""
        value = self._values.get(key, ())
        return tuple(value) if isinstance(value, list) else ()

    def switch(self, option: Option, *, on: bool) -> None:
        """Set a switch."""
        self._values[option.key] = on

    def take(self, option: Option, value: str) -> None:
        """Set an option, or add to it when it may be given several times."""
        if option.kind == NUMBER and not value.removeprefix("-").isdecimal():
            raise InvalidArgument(f"invalid value {value!r} for {option.names[0]}: not a number")
        values = self._values.get(option.key)
        if option.kind != LIST:
            self._values[option.key] = value
        elif isinstance(values, list):
            values.append(value)
        else:
            self._values[option.key] = [value]


def parse(arguments: list[str], table: tuple[Option, ...], *, mixed: bool = True) -> Words:
    """The words of `arguments`; with `mixed` options may follow positional words, else the first of those ends them.

    "--" ends the options. Raises InvalidArgument for an option that the table does not have, or without its value.
    """
    by_name = {name: option for option in (*table, HELP) for name in option.names}
    words = Words()
    rest = list(reversed(arguments))
    while rest:
        word = rest.pop()
        if word == "--":
            words.positional += reversed(rest)
            break
        if word.startswith("-") and word != "-":
            _take_option(word, by_name, rest, words)
        elif mixed:
            words.positional.append(word)
        else:
            words.positional += [word, *reversed(rest)]
            break
    return words


def _take_option(word: str, by_name: dict[str, Option], rest: list[str], words: Words) -> None:
    name, separator, value = word.partition("=")
    option = by_name.get(name) or by_name.get(f"-{name}")
    if option is None:
        _take_cluster(word, by_name, rest, words)
    elif option.kind == SWITCH:
        words.switch(option, on=_truth(name, value) if separator else True)
    else:
        words.take(option, value if separator else _next(name, rest))


def _take_cluster(word: str, by_name: dict[str, Option], rest: list[str], words: Words) -> None:
    """Short options run together: switches, and at the end one with its value ("-itv5")."""
    if word.startswith("--"):
        raise _unknown(word.partition("=")[0])
    for place, letter in enumerate(word[1:], start=2):
        option = by_name.get(f"-{letter}")
        if option is None:
            raise _unknown(f"-{letter}" if len(word) == 2 else word)
        if option.kind == SWITCH:
            words.switch(option, on=True)
            continue
        words.take(option, word[place:] or _next(f"-{letter}", rest))
        return


def _unknown(name: str) -> InvalidArgument:
    return InvalidArgument(f"flag provided but not defined: {name}", remedy="--help lists the options")


def _next(name: str, rest: list[str]) -> str:
    if not rest:
        raise InvalidArgument(f"flag needs an argument: {name}")
    return rest.pop()


def _truth(name: str, value: str) -> bool:
    if value in {"true", "1", "t", "T", "TRUE", "True"}:
        return True
    if value in {"false", "0", "f", "F", "FALSE", "False"}:
        return False
    raise InvalidArgument(f"invalid boolean value {value!r} for {name}")


def describe(table: tuple[Option, ...]) -> str:
    """The options of a help page, a line each."""
    rows = [(_written(option), option) for option in (*table, HELP)]
    width = max(len(written) for written, _ in rows)
    return "\n".join(
        f"   {written:<{width}}  {option.help}" + (f" (default: {option.default})" if option.default else "")
        for written, option in rows
    )


def _written(option: Option) -> str:
    value = "" if option.kind == SWITCH else " value"
    return ", ".join(f"{name}{value}" for name in option.names)
