"""The progress of long works as bars on a terminal, drawn by rich where it is installed.

Loaded only where there is a terminal; lines of text are `pulling`'s.
"""

from __future__ import annotations

from sampan.cli.rich_console import open_console

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType
    from typing import Any, Self, TextIO

    from rich.progress import Progress, TaskID

_DONE = frozenset({"Already exists", "Layer already exists", "Pull complete", "Pushed"})


def open_bars(out: TextIO) -> Bars | None:
    """Bars on the terminal `out`; None where rich is not installed."""
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
