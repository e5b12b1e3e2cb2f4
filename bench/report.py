"""Table and chart out of the file that a run of the bench wrote: `python -m bench.report FILE.json`.

Beside the file there are then the same name with `.md` and `.svg`; nothing is measured.
"""

from __future__ import annotations

import sys
from pathlib import Path

from bench import chart, results
from bench.measure import Row, bound, figure, verdict


def markdown(found: results.Results) -> str:
    """Everything as tables: a table for each group, the machine, the versions, the commands that repeat it."""
    lines = [f"# sampan and Docker side by side, {found.date}", ""]
    lines += [", ".join(f"{name}: {value}" for name, value in found.machine.items()) + ".", ""]
    lines += [", ".join(f"{name} {value}" for name, value in found.versions.items()) + ".", ""]
    lines += ["Medians, with the quarters around them; a ratio is sampan's to the other's. " + _summary(found), ""]
    for title, rows in found.groups.items():
        command = found.commands.get(title, "")
        lines += [f"## {title}" + (f" — `{command}`" if command else ""), "", *_table(rows), ""]
    for title, reason in found.failures.items():
        lines += [f"## {title}", "", f"Not measured: {reason}", ""]
    return "\n".join(lines)


def _summary(found: results.Results) -> str:
    said = [row.is_met for rows in found.groups.values() for row in rows if row.is_met is not None]
    return f"{sum(said)} of {len(said)} budgets are met."


def _table(rows: list[Row]) -> list[str]:
    sides = list(dict.fromkeys(side for row in rows for side in (row.reference, *row.samples)))
    if not any(row.samples.get(side) for row in rows for side in sides[:1]):
        sides = sides[1:]  # nobody else was measured in this group
    lines = [f"| work | {' | '.join(sides)} | ratio | budget | met |", "|---" * (len(sides) + 4) + "|"]
    for row in rows:
        cells = [_cell(row, side) for side in sides]
        ratio = "" if row.ratio is None else f"{row.ratio:.2f}"
        lines.append(f"| {row.name} | {' | '.join(cells)} | {ratio} | {bound(row)} | {verdict(row)} |")
    return lines


def _cell(row: Row, side: str) -> str:
    median, spread = row.median(side), row.spread(side)
    if median is None or spread is None:
        return ""
    shown = figure(median, row.unit)
    return shown if len(row.samples[side]) == 1 else f"{shown} ({figure(spread[0], '')}–{figure(spread[1], '')})"


def render(path: Path) -> tuple[Path, Path]:
    """Write the table and the chart beside the file."""
    found = results.load(path)
    table, picture = path.with_suffix(".md"), path.with_suffix(".svg")
    table.write_text(markdown(found))
    picture.write_text(chart.draw(found))
    return table, picture


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    print(*render(Path(sys.argv[1])), sep="\n")
