"""Flags of instructions (`--name=value` in front of the arguments): which there are, what was given, what was meant."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from sampan.build.instructions import Position
from sampan.build.suggestions import meant


class Takes(Enum):
    """What a flag takes: a value, values of several occurrences, or yes and no."""

    VALUE = 1
    VALUES = 2
    SWITCH = 3


@dataclass(frozen=True, slots=True)
class Flags:
    """The flags that an instruction was given."""

    values: dict[str, list[str]]

    def text(self, name: str) -> str:
        """The value of a flag, "" when it was not given."""
        return self.values.get(name, [""])[0]

    def texts(self, name: str) -> tuple[str, ...]:
        """All values of a flag, in order."""
        return tuple(self.values.get(name, ()))

    def switch(self, name: str) -> bool | None:
        """Whether a switch is on, None when it was not given."""
        return self.values[name][0] == "true" if name in self.values else None


def read_flags(words: tuple[str, ...], known: Mapping[str, Takes], *, keyword: str, where: Position) -> Flags:
    """The flags of an instruction. Raises InvalidArgument for unknown, repeated, empty and wrong ones."""
    values: dict[str, list[str]] = {}
    for word in words:
        name, equals, value = word.removeprefix("--").partition("=")
        takes = known.get(name)
        if takes is None:
            without = f"{keyword} takes no flags; put `--` behind it or use the JSON form"
            remedy = meant(name, known, before="--") if known else without
            raise where.refusal(f"unknown flag --{name} of {keyword}", remedy=remedy)
        if name in values and takes is not Takes.VALUES:
            raise where.refusal(f"duplicate flag --{name}", remedy="give it once")
        if takes is Takes.SWITCH:
            value = _switch(name, value.lower(), given=bool(equals), where=where)
        elif not equals:
            raise where.refusal(f"missing a value on flag --{name}", remedy=f"write --{name}=VALUE, without a space")
        values.setdefault(name, []).append(value)
    return Flags(values)


def _switch(name: str, value: str, *, given: bool, where: Position) -> str:
    if not given:
        return "true"
    if value not in {"true", "false"}:
        raise where.refusal(f"--{name} is no yes or no: {value!r}", remedy=f"write --{name}, or --{name}=false")
    return value
