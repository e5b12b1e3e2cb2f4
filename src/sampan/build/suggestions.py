"""What somebody may have meant: the nearest of the known names, for remedies."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def meant(word: str, known: Iterable[str], *, before: str = "") -> str:
    """`did you mean X?` for the nearest known name, else the list of what is known; `before` is written before each."""
    names = sorted(known)
    close = difflib.get_close_matches(word[:64].lower(), [name.lower() for name in names], n=1, cutoff=0.65)
    if close:
        return f"did you mean {before}{next(name for name in names if name.lower() == close[0])}?"
    return f"known are {', '.join(before + name for name in names)}"


def nearest(word: str, known: Iterable[str]) -> str:
    """The known name that is nearest, whatever its case, "" when none is near."""
    names = {name.lower(): name for name in sorted(known)}
    close = difflib.get_close_matches(word[:64].lower(), names, n=1, cutoff=0.65)
    return names[close[0]] if close else ""
