"""How arguments are written: the JSON form, words between white space, flags in front.

What an instruction does with them is `statements`' matter.
"""

from __future__ import annotations

import json
import re

_SPACE = re.compile(r"[\t\v\f\r ]+")
_LONE_SURROGATE = re.compile("[\ud800-\udfff]")


class NotOnlyStrings(ValueError):
    """A JSON list that holds something else than strings."""


def json_words(text: str) -> tuple[str, ...] | None:
    """The strings of a JSON list, None when the text is no JSON list. Raises NotOnlyStrings."""
    if not text.lstrip().startswith("["):
        return None
    try:
        items = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(items, list):
        return None
    if not all(isinstance(item, str) for item in items):
        raise NotOnlyStrings
    return tuple(_LONE_SURROGATE.sub("�", item) for item in items)


def between_spaces(text: str) -> tuple[str, ...]:
    """The words between white space; quotes mean nothing here."""
    return tuple(word for word in _SPACE.split(text) if word)


def cut_keyword(line: str) -> tuple[str, str]:
    """The first word of a line and the rest."""
    keyword, *rest = _SPACE.split(line.strip(), maxsplit=1)
    return keyword, rest[0] if rest else ""


def cut_flags(text: str, *, escape: str) -> tuple[tuple[str, ...], str]:
    """The words in front that begin with `--`, quotes and escapes removed, and the rest. `--` alone ends them."""
    flags: list[str] = []
    index = 0
    while True:
        while text[index : index + 1].isspace():
            index += 1
        if not text.startswith("--", index):
            return tuple(flags), text[index:].strip()
        flag, index = _flag_at(text, index, escape)
        if flag == "--":
            return tuple(flags), text[index:].strip()
        flags.append(flag)


def _flag_at(text: str, index: int, escape: str) -> tuple[str, int]:
    flag: list[str] = []
    quote = ""
    while index < len(text) and (quote or not text[index].isspace()):
        character = text[index]
        index += 1
        if character == escape:
            flag.append(text[index : index + 1])
            index += 1
        elif character == quote:
            quote = ""
        elif not quote and character in "'\"":
            quote = character
        else:
            flag.append(character)
    return "".join(flag), index
