"""Text in columns, by the rules of Go's text/tabwriter as docker sets it: at least 10 wide, 3 apart, blanks.

A column is a run of lines that have a cell there which a tab ends; the last cell of a line belongs to no column.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

MINIMUM_WIDTH = 10
PADDING = 3


def columns(lines: Sequence[Sequence[str]], minimum: int = MINIMUM_WIDTH) -> str:
    """The lines, each a sequence of cells, with their columns aligned, every line ended by a newline."""
    if len({len(line) for line in lines}) == 1:
        return _uniform(lines, minimum)
    out: list[str] = []
    _block(lines, 0, len(lines), [], out)
    return "".join(out)


def align(text: str) -> str:
    """The same for text whose cells are ended by tabs."""
    ended = text.endswith("\n")
    lines = (text[:-1] if ended else text).split("\n")
    aligned = columns([line.split("\t") for line in lines])
    return aligned if ended else aligned[:-1]


def _uniform(lines: Sequence[Sequence[str]], minimum: int) -> str:
    last = max(len(lines[0]) - 1, 0)
    widths = [max(minimum, PADDING + max(len(line[at]) for line in lines)) for at in range(last)]
    return "".join("".join(map(str.ljust, line, widths)) + "".join(line[last:]) + "\n" for line in lines)


def _block(lines: Sequence[Sequence[str]], first: int, end: int, widths: list[int], out: list[str]) -> None:
    """Write lines[first:end], of which `widths` tells the columns known so far."""
    column = len(widths)
    at = first
    while at < end:
        if column >= len(lines[at]) - 1:
            at += 1
            continue
        _write(lines, first, at, widths, out)
        first = at
        width = MINIMUM_WIDTH
        while at < end and column < len(lines[at]) - 1:
            width = max(width, len(lines[at][column]) + PADDING)
            at += 1
        _block(lines, first, at, [*widths, width], out)
        first = at
    _write(lines, first, end, widths, out)


def _write(lines: Sequence[Sequence[str]], first: int, end: int, widths: list[int], out: list[str]) -> None:
    for line in lines[first:end]:
        out.extend(cell.ljust(widths[at]) if at < len(widths) else cell for at, cell in enumerate(line))
        out.append("\n")
