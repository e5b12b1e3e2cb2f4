"""Where the time of one start goes: the steps of engine, monitor and first process, and when each began.

All three read one clock (CLOCK_MONOTONIC), so their steps can be laid beside each other.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field

ENGINE = "engine"


@dataclass(frozen=True, slots=True)
class Phase:
    """One step: who did it, when it began after the start's own beginning, and how long it took."""

    process: str
    name: str
    began_ns: int
    took_ns: int


@dataclass(slots=True)
class Trace:
    """The marks of one start; a step ends where the next of the same process begins, or with the start."""

    marks: list[tuple[str, str, int]] = field(default_factory=list)

    def mark(self, name: str) -> None:
        """A step of the engine begins."""
        self.marks.append((ENGINE, name, time.monotonic_ns()))

    def phases(self) -> Iterator[Phase]:
        """Every step, in the order of their beginnings; the last mark is the end of all."""
        if not self.marks:
            return
        marks = sorted(self.marks, key=lambda mark: mark[2])
        first, end = marks[0][2], marks[-1][2]
        for number, (process, name, began) in enumerate(marks[:-1]):
            later = (mark[2] for mark in marks[number + 1 :] if mark[0] == process)
            yield Phase(process, name, began - first, next(later, end) - began)
