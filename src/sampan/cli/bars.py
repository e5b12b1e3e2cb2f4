"""The progress of long works on a terminal: as bars once one takes longer than a moment, drawn by rich.

Loaded only where there is a terminal; lines of text are `progress_lines`'.
"""

from __future__ import annotations

import time

from sampan.cli.patience import PATIENCE_S, patient_chunks, whole
from sampan.cli.progress_lines import Lines

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType
    from typing import Any, Self, TextIO

    from rich.progress import Progress, TaskID

    from sampan.client.transport import Response

_DONE = frozenset({"Already exists", "Layer already exists", "Pull complete", "Pushed"})


class PatientBars:
    """Shows a work on the terminal `out`, to be entered; whoever reads its messages reads them through `chunks`.

    Until there are bars only the last state of each part is kept, which is shown at the end if there never are.
    """

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._begun = time.monotonic()
        self._kept: list[dict[str, Any]] = []  # messages of parts
        self._shown: Bars | Lines | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if isinstance(self._shown, Bars):
            shown = self._shown
            whole(lambda: shown.__exit__(kind, error, at))
        elif self._shown is None:
            self._show_kept(Lines(self._out), last=True)

    def chunks(self, response: Response) -> Iterator[bytes]:
        """What the daemon tells; when the work takes longer, bars are drawn."""
        return patient_chunks(response, self._left_s, self._draw)

    def show(self, message: dict[str, Any]) -> None:
        """Show one of the daemon's messages."""
        if self._shown is not None:
            self._shown.show(message)
        elif "stream" not in message and message.get("id") and "progressDetail" in message:
            self._kept.append(message)
        else:
            self._show_kept(Lines(self._out), last=True)
            Lines(self._out).show(message)

    def _left_s(self) -> float:
        return -1 if self._shown is not None else max(0.0, self._begun + PATIENCE_S - time.monotonic())

    def _draw(self) -> None:
        self._out.flush()
        bars = open_bars(self._out)
        self._shown = bars or Lines(self._out)
        if bars is not None:
            whole(bars.__enter__)
        self._show_kept(self._shown, last=False)

    def _show_kept(self, where: Bars | Lines, *, last: bool) -> None:
        """Show what is kept, or the last of each part."""
        kept, self._kept = self._kept, []
        for message in {one["id"]: one for one in kept}.values() if last else kept:
            where.show(message)


def open_bars(out: TextIO) -> Bars | None:
    """Bars on the terminal `out`; None where rich is not installed."""
    from sampan.cli.rich_console import open_console

    console = open_console(out)
    if console is None:
        return None
    from rich.progress import BarColumn, Progress, TextColumn

    from sampan.cli.bar_columns import Size, Speed

    progress = Progress(
        TextColumn("{task.description}", markup=False),
        TextColumn("{task.fields[status]:17}", markup=False),
        BarColumn(30),
        Size(),
        Speed(),
        console=console,
    )
    return Bars(progress)


class Bars:
    """A bar for each part of a work, to be entered; what has no part is printed above them."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._progress.stop()

    def show(self, message: dict[str, Any]) -> None:
        """Show one of the daemon's messages."""
        part, status = message.get("id", ""), message.get("status", "")
        detail = message.get("progressDetail")
        if "stream" in message:
            self._progress.console.print(message["stream"].rstrip("\n"))
        elif status and (not part or detail is None):
            self._progress.console.print(f"{part}: {status}" if part else status)
        elif status:
            self._advance(part, status, detail or {})

    def _advance(self, part: str, status: str, detail: dict[str, Any]) -> None:
        if part not in self._tasks:
            self._tasks[part] = self._progress.add_task(part, total=None, status="", is_sized=False)
        task = self._tasks[part]
        total, current = detail.get("total"), detail.get("current", 0)
        if total:
            self._progress.update(task, total=total, completed=current, status=status, is_sized=True)
        elif status in _DONE or status.startswith("Mounted from"):
            known = self._progress.tasks[task].total or 1
            self._progress.update(task, total=known, completed=known, status=status)
        else:
            self._progress.update(task, status=status)
