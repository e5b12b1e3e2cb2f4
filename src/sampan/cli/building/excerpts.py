"""What the build checks found, and what went wrong, with the lines of the Dockerfile that it is about."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

_MOST_LINES = 5


def report(found: Sequence[dict[str, Any]], text: bytes, file: str) -> str:
    """Findings, as the daemon tells them, as lines of text: rule, place, what is wrong, and the lines themselves."""
    source = text.decode("utf-8", "replace").splitlines()
    parts = []
    for one in found:
        first = one["line"]
        parts.append(f"{file}:{first}: {one['rule']}: {one['text']}\n")
        shown = range(first, min(one["endLine"], first + _MOST_LINES - 1) + 1)
        parts += [f"  {line:4} │ {source[line - 1]}\n" for line in shown if 0 < line <= len(source)]
        parts.append(f"         {one['description']}\n")
    return "".join(parts)


def excerpt(text: bytes, line: int, around: int = 2) -> str:
    """The lines around one, which is marked."""
    source = text.decode("utf-8", "replace").splitlines()
    if not 0 < line <= len(source):
        return ""
    shown = range(max(1, line - around), min(len(source), line + around) + 1)
    return "".join(f"  {'>' if at == line else ' '} {at:4} │ {source[at - 1]}\n" for at in shown)
