"""The patterns of ignore files as regular expressions; which of them decides is `ignore`'s matter.

They cannot backtrack across names, so that an odd pattern costs no more than another. Imported by who has a pattern:
`re` costs a command line 5 ms.
"""

from __future__ import annotations

import re

_LOOSE_STARS = 2


class BadPattern(Exception):
    """Text that is no pattern: why, and what to write instead."""

    def __init__(self, sentence: str, remedy: str) -> None:
        super().__init__(sentence)
        self.remedy = remedy


def compiled(pattern: str) -> re.Pattern[str]:
    """What a whole path has to match to fit a cleaned pattern. Raises BadPattern."""
    return re.compile(_expression(pattern), re.DOTALL)


def _expression(pattern: str) -> str:
    if pattern.startswith("**") and not pattern.startswith("**/") and not re.search(r"[*?\[\\]", pattern[2:]):
        return ".*" + re.escape(pattern[2:])
    aligned, loose = _double_stars(pattern)
    if loose > _LOOSE_STARS:
        raise BadPattern(f"more than {_LOOSE_STARS} '**' inside names", "write '**' between slashes")
    if loose:
        *before, end = _segments(pattern)
        between = [_glob(part, atomic=False) if part != "**" else "(?:.*/)?" for part in before]
        return "".join((*between, ".*" if end == "**" else _glob(end, atomic=False)))
    parts = []
    for number, part in enumerate(aligned):
        last = number == len(aligned) - 1
        if number == 0:
            parts.append(_glob(part, atomic=True))
        elif last and not part:
            parts.append(".*")
        elif last:
            parts.append(f"(?:.*?/)??{_glob(part, atomic=True)}")
        else:
            parts.append(f"(?>(?:.*?/)??{_glob(part, atomic=True)})")
    return "".join(parts)


def _double_stars(pattern: str) -> tuple[list[str], int]:
    """The pattern cut at every `**` between slashes (each part keeps its slash at the end), and how many others."""
    names = pattern.split("/")
    loose = sum(name.count("**") for name in names if name != "**")
    parts: list[str] = [""]
    for number, name in enumerate(names):
        if name == "**":
            parts.append("")
        else:
            parts[-1] += name + ("/" if number < len(names) - 1 else "")
    return parts, loose


def _segments(pattern: str) -> list[str]:
    """The pattern cut at every `**`, those kept; a slash behind `**` belongs to it."""
    return ["**" if part.startswith("**") else part for part in re.split(r"(\*\*/?)", pattern) if part]


def _glob(pattern: str, *, atomic: bool) -> str:
    """The regular expression of a pattern without `**`; a star's match is final once what follows it was found."""
    items = _items(pattern)
    out: list[str] = []
    for name in "\0".join(items).split("/"):
        first, *others = [part.replace("\0", "") for part in name.split("*")]
        last = "[^/]*" + others.pop() if others else ""
        between = (f"(?>[^/]*?{part})" if atomic else f"[^/]*{part}" for part in others)
        out.append("".join((first, *between, last)))
    return "/".join(out)


def _items(pattern: str) -> list[str]:
    """The pattern's items: "*" and "/" as they are, all others as regular expressions without either in them."""
    items: list[str] = []
    index = 0
    while index < len(pattern):
        character = pattern[index]
        index += 1
        if character in "*/":
            items.append(character)
        elif character == "?":
            items.append("[^\\x2f]")
        elif character == "[":
            expression, index = _class(pattern, index)
            items.append(expression)
        elif character == "\\":
            if index == len(pattern):
                raise BadPattern("it ends in an escape", "write two backslashes for one")
            items.append(_escaped(pattern[index]))
            index += 1
        else:
            items.append(_escaped(character))
    return items


def _escaped(character: str) -> str:
    return {"*": "\\x2a", "/": "\\x2f", "\0": "\\x00"}.get(character) or re.escape(character)


def _class(pattern: str, index: int) -> tuple[str, int]:
    """A character class, whose bracket is open: ranges, `^` in front negates; it never matches a slash."""
    negated = pattern.startswith("^", index)
    index += negated
    ranges: list[str] = []
    while index < len(pattern) and (pattern[index] != "]" or not ranges):
        low, index = _class_character(pattern, index)
        high = low
        if pattern.startswith("-", index):
            high, index = _class_character(pattern, index + 1)
        if low > high:
            raise BadPattern(f"the range {low}-{high} is backwards", f"write {high}-{low}")
        ranges.append(_escaped(low) if low == high else f"{_escaped(low)}-{_escaped(high)}")
    if index >= len(pattern) or not ranges:
        raise BadPattern("a bracket is not closed", "close it with ], or write \\[ for the character")
    return f"(?!\\x2f)[{'^' * negated}{''.join(ranges)}]", index + 1


def _class_character(pattern: str, index: int) -> tuple[str, int]:
    character = pattern[index : index + 1]
    if character == "\\":
        index += 1
        character = pattern[index : index + 1]
    elif character in ("]", "-"):
        raise BadPattern(f"{character!r} in a class needs an escape", f"write \\{character}")
    if not character:
        raise BadPattern("a bracket is not closed", "close it with ], or write \\[ for the character")
    return character, index + 1


def may_match_below(pattern: str, names: list[str]) -> bool:
    """Whether the pattern could match something below the directory with these names; true when in doubt."""
    parts = pattern.split("/")
    for part, name in zip(parts, names, strict=False):
        if "**" in part:
            return True
        try:
            expression = _glob(part, atomic=True)
        except BadPattern:  # a slash in brackets, which cuts them in two here
            return True
        if not re.fullmatch(expression, name, re.DOTALL):
            return False
    return len(parts) > len(names)
