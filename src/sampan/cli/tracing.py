"""`--trace`: where the time of one start went, step by step, as a table with a time line."""

from __future__ import annotations

import sys

from sampan.cli.terminal import STDERR, window_size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from sampan.client.session import Session

_NARROWEST, _WIDEST = 10, 60  # characters of the time line
_FULL, _WAIT, _THIN = "█", "░", "▏"
_LEAST = 72  # characters of a line that has room for them
_NAMES = 29  # characters of the longest name of a step
_SHORT = 200  # a step is short that takes less than this part of the whole
# what a process spends in these it waits for another one
_WAITS = frozenset({"wait for the container", "await ready", "wait for birth", "wait at gate"})


def start_traced(session: Session, id: str) -> list[dict[str, Any]]:
    """Start a container; the phases that the daemon tells of: Process, Name, Began and Took (nanoseconds)."""
    answer = session.call("POST", f"/containers/{id}/start", query={"trace": 1})
    phases: list[dict[str, Any]] = answer["Phases"] if answer else []
    return phases


def show(phases: list[dict[str, Any]]) -> None:
    """Print the table on standard error, where it does not mix with what the container says."""
    sys.stderr.write("".join(f"{line}\n" for line in table(phases, window_size(STDERR)[1] or 80)))


def table(phases: list[dict[str, Any]], width: int = 80) -> list[str]:
    """A line for each step: when it began and how long it took, in milliseconds, and both as a piece of the line.

    Short steps of one process that follow each other share a line; no line is longer than `width`. One of less than 72
    has no room for the pieces of the line.
    """
    if not phases:
        return ["the daemon told no phases of this start"]
    whole = max(phase["Began"] + phase["Took"] for phase in phases)
    rows = _together(_marked(phases), whole // _SHORT)
    if width < _LEAST:
        return _narrow(rows, whole, width)
    process_width = max(len("PROCESS"), *(len(row.process) for row in rows))
    name_width = max(len("STEP"), *(len(row.label) for row in rows))
    line = max(_NARROWEST, min(width - 23 - process_width - name_width, _WIDEST))
    lines = [f"{'BEGAN ms':>8} {'TOOK ms':>8}  {'PROCESS':<{process_width}}  STEP"]
    for row in rows:
        before = min(round(row.began / whole * line), line - 1)
        length = min(round(row.took / whole * line), line - before)
        piece = " " * before + ((_WAIT if row.waits else _FULL) * length or _THIN)
        figures = f"{row.began / 1e6:>8.2f} {row.took / 1e6:>8.2f}"
        lines.append(f"{figures}  {row.process:<{process_width}}  {row.label:<{name_width}}  {piece}")
    return [*lines, *_sums(rows, whole)]


def _narrow(rows: list[_Row], whole: int, width: int) -> list[str]:
    """How long each step took, and the sums."""
    from textwrap import wrap

    lines = [f"{row.took / 1e6:>8.2f}  {row.process}: {row.label}" for row in rows]
    short = [line if len(line) <= width else f"{line[: width - 1]}…" for line in ["TOOK ms   STEP", *lines]]
    return short + [part for line in _sums(rows, whole) for part in wrap(line.strip(), width)]


class _Row:
    """One line: a step, or some short ones of the same process."""

    def __init__(self, phase: dict[str, Any], *, waits: bool) -> None:
        self.process, self.name, self.waits = phase["Process"], phase["Name"].replace("_", " "), waits
        self.began, self.took, self.more = phase["Began"], phase["Took"], 0
        self.joins = False  # whether short ones that follow are part of it

    @property
    def label(self) -> str:
        """The name, no longer than its column, and how many more there are."""
        more = f" + {self.more} more" if self.more else ""
        room = _NAMES - len(more)
        return (self.name if len(self.name) <= room else f"{self.name[: room - 1]}…") + more


def _marked(phases: list[dict[str, Any]]) -> list[_Row]:
    """The steps, with those marked that wait: by their names, and the last of all but the engine, who lets them go."""
    last = {phase["Process"]: number for number, phase in enumerate(phases) if phase["Process"] != "engine"}
    return [
        _Row(phase, waits=phase["Name"].replace("_", " ") in _WAITS or last.get(phase["Process"]) == number)
        for number, phase in enumerate(phases)
    ]


def _together(rows: list[_Row], short: int) -> list[_Row]:
    """Rows where neighbours of one process that are shorter than `short` are one, which has the first one's name."""
    found: list[_Row] = []
    for row in rows:
        last = found[-1] if found else row
        is_short = row.took < short and not row.waits
        if is_short and last is not row and last.process == row.process and last.joins:
            last.took += row.took
            last.more += 1
        else:
            row.joins = is_short
            found.append(row)
    return found


def _sums(rows: list[_Row], whole: int) -> list[str]:
    """What it comes to: the engine's steps are the whole, those of the others lie within the engine's wait."""
    at_work: dict[str, int] = {}
    for row in rows:
        at_work[row.process] = at_work.get(row.process, 0) + (0 if row.waits else row.took)
    each = ", ".join(f"{process} {took / 1e6:.2f}" for process, took in at_work.items())
    return [
        f"{whole / 1e6:>8.2f} ms in all: the engine's steps, and within its wait those of the others",
        f"at work: {each} ms; {_WAIT} waits for another",
    ]
