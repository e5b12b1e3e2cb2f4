"""A build on a terminal: steps that go on are shown with the last that they wrote, those that are over stand above.

Drawn by rich, and loaded only where there is a terminal and rich is installed.
"""

from __future__ import annotations

import time
from collections import deque
from typing import TYPE_CHECKING, Any, Self, TextIO

from sampan.cli.building.plain import end_of, harmless
from sampan.cli.building.story import Step
from sampan.cli.formats.written import size
from sampan.cli.rich_console import open_console

if TYPE_CHECKING:
    from types import TracebackType

    from rich.console import Console, RenderableType
    from rich.text import Text

_LINES_OF_ONE = 6
_LINES_OF_MANY = 3
_KEPT = 200


def open_live(out: TextIO, begun: float, done: int) -> LiveView | None:
    """A live view on the terminal `out` of a build that began then (monotonic clock) and has so many steps over.

    None where rich is not installed or the terminal can do nothing.
    """
    console = open_console(out)
    return LiveView(console, begun, done) if console is not None else None


class LiveView:
    """Steps on a terminal, to be entered."""

    def __init__(self, console: Console, begun: float, done: int) -> None:
        from rich.live import Live

        self._console = console
        self._begun = begun
        self._running: dict[Step, deque[str]] = {}
        self._half: dict[Step, str] = {}
        self._transfers: dict[str, str] = {}
        self._done = done
        self._total = 0
        self._live = Live(get_renderable=self._picture, console=console, refresh_per_second=8, transient=True)

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._live.stop()

    def begins(self, step: Step) -> None:
        """Show the step as going on."""
        self._total = step.total
        self._running[step] = deque(maxlen=_KEPT)

    def says(self, step: Step | None, text: str, *, is_error: bool) -> None:
        """Keep what the step writes; its last lines are seen."""
        del is_error
        if step is None or step not in self._running:
            self._console.print(harmless(text.rstrip("\n")))
            return
        *lines, rest = (self._half.pop(step, "") + text).split("\n")
        self._running[step].extend(harmless(line) for line in lines)
        if rest:
            self._half[step] = rest

    def ends(self, step: Step) -> None:
        """Put the step above those that go on; of one that failed all that was kept of its output too."""
        lines = self._running.pop(step, deque())
        if rest := self._half.pop(step, ""):
            lines.append(harmless(rest))
        self._transfers.clear()
        self._done += 1
        mark, style, spent = end_of(step)
        self._console.print(self._line(mark, style, step, spent))
        if step.failed:
            from rich.text import Text

            for written in lines:
                self._console.print(Text("    " + written))

    def transfers(self, message: dict[str, Any]) -> None:
        """Keep how far each download has come."""
        part, status = str(message.get("id") or ""), str(message.get("status") or "")
        if not status:
            return
        detail = message.get("progressDetail") or {}
        text = f"{part} {status}".strip()
        if detail.get("total"):
            text += f" {size(detail.get('current', 0))} of {size(detail['total'])}"
        self._transfers[part] = text

    def _line(self, mark: str, style: str, step: Step, spent: str) -> Text:
        """One line of a step: a title that is too long gives way to the time."""
        from rich.text import Text

        title = Text(step.title.splitlines()[0])
        title.truncate(max(1, self._console.width - len(spent) - 3), overflow="ellipsis")
        return Text.assemble((f"{mark} ", style), title, " ", (spent, "dim"))

    def _picture(self) -> RenderableType:
        from rich.console import Group
        from rich.text import Text

        now = time.monotonic()
        head = f"building {now - self._begun:.1f}s" + (f", {self._done} of {self._total} steps" if self._total else "")
        rows: list[RenderableType] = [Text(head, style="bold")]
        most = _LINES_OF_ONE if len(self._running) < 2 else _LINES_OF_MANY
        for step, lines in list(self._running.items()):
            rows.append(self._line("›", "yellow", step, f"{now - step.begun:.1f}s"))
            rows += [
                Text("    " + written, style="dim", no_wrap=True, overflow="ellipsis")
                for written in list(lines)[-most:]
            ]
        rows += [Text(f"  {text}", style="dim", no_wrap=True) for text in list(self._transfers.values())[-most:]]
        return Group(*rows)
