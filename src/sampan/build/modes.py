"""--chmod: an octal mode, or chmod(1)'s words ("u=rwX,go=rX"), read once and applied to each file."""

from __future__ import annotations

import re
from dataclasses import dataclass

from sampan.errors import InvalidArgument

_CLAUSE = re.compile(r"([ugoa]*)((?:[-+=][rwxXst]*)+)")
_ACTION = re.compile(r"([-+=])([rwxXst]*)")
_SHIFTS = {"u": 6, "g": 3, "o": 0}


@dataclass(frozen=True, slots=True)
class ModeChange:
    """What becomes of a mode."""

    text: str

    def apply(self, mode: int, *, is_directory: bool) -> int:
        """The mode of a file that had `mode`."""
        if self.text[:1].isdigit():
            return int(self.text, 8)
        for clause in self.text.split(","):
            found = _CLAUSE.fullmatch(clause)
            if found is not None:
                for action in _ACTION.finditer(found[2]):
                    mode = _changed(mode, found[1] or "a", action[1], action[2], is_directory=is_directory)
        return mode


def read_mode(text: str) -> ModeChange:
    """The change that the text says. Raises InvalidArgument."""
    is_octal = re.fullmatch(r"[0-7]{1,4}|0o?[0-7]{1,4}", text) is not None
    if is_octal:
        return ModeChange(text.replace("o", ""))
    if not text or not all(_CLAUSE.fullmatch(clause) for clause in text.split(",")):
        raise InvalidArgument(f"invalid chmod parameter: '{text}'", remedy="write it as in 0755 or u=rwX,go=rX")
    return ModeChange(text)


def _changed(mode: int, who: str, sign: str, letters: str, *, is_directory: bool) -> int:
    who = "ugo" if "a" in who else who
    bits = mask = 0
    for one in who:
        shift = _SHIFTS[one]
        mask |= 7 << shift
        for letter, bit in (("r", 4), ("w", 2), ("x", 1)):
            if letter in letters:
                bits |= bit << shift
        if "X" in letters and (is_directory or mode & 0o111):
            bits |= 1 << shift
    if "s" in letters:
        bits |= (0o4000 if "u" in who else 0) | (0o2000 if "g" in who else 0)
    if "t" in letters:
        bits |= 0o1000
    if sign == "+":
        return mode | bits
    if sign == "-":
        return mode & ~bits
    return (mode & ~mask) | bits
