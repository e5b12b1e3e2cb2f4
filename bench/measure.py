"""Taking times in turn, A B A B, and what was seen of one work: the samples of each side, and the budget for it."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

OURS = "sampan"


@dataclass(frozen=True, slots=True)
class Row:
    """One work. A budget is a ratio to the reference, 0 for none; a limit is a figure in the row's unit.

    A side that is missing was not measured; `noise` is the part by which two equal sides differ on this machine.
    """

    name: str
    samples: Mapping[str, tuple[float, ...]]
    budget: float = 0.0
    limit: float | None = None
    unit: str = "ms"
    reference: str = "Docker"
    more_is_better: bool = False
    noise: float = 0.0

    def median(self, side: str) -> float | None:
        """The median of a side, None when it was not measured."""
        found = self.samples.get(side)
        return statistics.median(found) if found else None

    def spread(self, side: str) -> tuple[float, float] | None:
        """The quarters around the median: half of all samples lie between these two."""
        found = self.samples.get(side)
        if not found:
            return None
        if len(found) < 4:
            return min(found), max(found)
        quarters = statistics.quantiles(found, n=4, method="inclusive")
        return quarters[0], quarters[2]

    @property
    def ratio(self) -> float | None:
        """Ours to the reference's."""
        reference, ours = self.median(self.reference), self.median(OURS)
        return ours / reference if reference and ours is not None else None

    @property
    def is_met(self) -> bool | None:
        """Whether budget and limit are kept; None when there is none, or what it is about was not measured."""
        said = [self._keeps(self.ratio, self.budget or None), self._keeps(self.median(OURS), self.limit)]
        known = [one for one in said if one is not None]
        return all(known) if known else None

    def _keeps(self, value: float | None, bound: float | None) -> bool | None:
        if bound is None or value is None:
            return None
        return value >= bound * (1 - self.noise) if self.more_is_better else value <= bound * (1 + self.noise)

    def plain(self) -> dict[str, Any]:
        """As JSON keeps it."""
        return {
            "name": self.name,
            "unit": self.unit,
            "reference": self.reference,
            "budget": self.budget,
            "limit": self.limit,
            "more_is_better": self.more_is_better,
            "noise": self.noise,
            "samples": {side: [round(sample, 4) for sample in found] for side, found in self.samples.items()},
        }


def row_of(plain: Mapping[str, Any]) -> Row:
    """A row out of its JSON."""
    samples = {side: tuple(found) for side, found in plain["samples"].items()}
    return Row(**{**plain, "samples": samples})


def compare(
    name: str,
    first: Callable[[], object],
    second: Callable[[], object],
    *,
    runs: int,
    budget: float = 0.0,
    limit: float | None = None,
    beside: Mapping[str, Callable[[], object]] | None = None,
    undo: Callable[[], object] = lambda: None,
) -> Row:
    """Docker's and ours (and others `beside` them) in turn, after one run each that does not count; milliseconds.

    `undo` follows each run, and is not timed.
    """
    ways = {"Docker": first, OURS: second, **(beside or {})}
    samples: dict[str, list[float]] = {side: [] for side in ways}
    for number in range(runs + 1):
        for side, work in ways.items():
            start = time.perf_counter()
            work()
            if number:
                samples[side].append((time.perf_counter() - start) * 1000)
            undo()
    return Row(name, {side: tuple(found) for side, found in samples.items()}, budget, limit)


def table(rows: list[Row]) -> str:
    """A Markdown table, for the terminal: medians alone."""
    sides = list(dict.fromkeys(side for row in rows for side in (row.reference, *row.samples)))
    lines = [f"| work | {' | '.join(sides)} | ratio | budget | met |", "|---" * (len(sides) + 4) + "|"]
    for row in rows:
        cells = [figure(row.median(side), row.unit) for side in sides]
        lines.append(f"| {row.name} | {' | '.join(cells)} | {_ratio(row)} | {bound(row)} | {verdict(row)} |")
    return "\n".join(lines)


def figure(value: float | None, unit: str) -> str:
    """A figure with its unit, as many digits as say something; empty when it was not measured."""
    if value is None:
        return ""
    digits = 0 if abs(value) >= 1000 or float(value).is_integer() else 1 if abs(value) >= 10 else 2
    return f"{value:,.{digits}f} {unit}".replace(",", " ").rstrip()


def bound(row: Row) -> str:
    """What is promised, as a ratio or as a figure."""
    ratio = f"{row.budget:.2f}" if row.budget else ""
    return ratio if row.limit is None else figure(row.limit, row.unit)


def verdict(row: Row) -> str:
    """Whether it is kept, in a word."""
    if row.is_met is None:
        return "not measured" if bound(row) else ""
    if not row.is_met:
        return "**no**"
    exact = (
        row.noise and not Row(row.name, row.samples, row.budget, row.limit, more_is_better=row.more_is_better).is_met
    )
    return "within the noise" if exact else "yes"


def _ratio(row: Row) -> str:
    return "" if row.ratio is None else f"{row.ratio:.2f}"
