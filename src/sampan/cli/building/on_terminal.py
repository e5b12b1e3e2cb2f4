"""A build on a terminal: steps that are over as lines, and once it takes longer those that go on, drawn by rich.

A build that finds everything in the cache takes half as long as loading rich does.
"""

from __future__ import annotations

import posix
import time

from sampan.cli.building.plain import end_of, harmless
from sampan.cli.patience import PATIENCE_S, patient_chunks, whole

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType
    from typing import Any, Self, TextIO

    from sampan.cli.building.live import LiveView
    from sampan.cli.building.plain import PlainView
    from sampan.cli.building.story import Step
    from sampan.client.transport import Response

_INDENT = "    "
_USUAL_COLUMNS = 80
_LEAST_TITLE = 1
_WITHOUT_WIDTH = frozenset({"Mn", "Me", "Cf"})
_STYLES = {"bold red": "1;31", "green": "32", "blue": "34", "yellow": "33"}


def _shortened(title: str, most: int) -> str:
    """A title that takes no more than so many columns: Chinese letters take two each, accents none."""
    if title.isascii():
        return title if len(title) <= most else title[: most - 1] + "…"
    from unicodedata import category, east_asian_width

    ends = []  # the column behind each letter
    taken = 0
    for letter in title:
        taken += 0 if category(letter) in _WITHOUT_WIDTH else 2 if east_asian_width(letter) in "WF" else 1
        ends.append(taken)
    return title if taken <= most else title[: sum(end < most for end in ends)] + "…"


class TerminalView:
    """Steps on the terminal `out`, to be entered; whoever reads what the daemon tells reads it through `chunks`."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._colored = not posix.environ.get(b"NO_COLOR")
        self._begun = self._last = time.monotonic()
        self._running: dict[Step, str] = {}  # with what they wrote
        self._done = 0
        self._live: LiveView | PlainView | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        leave = getattr(self._live, "__exit__", None)
        if leave is not None:
            whole(lambda: leave(kind, error, at))

    def chunks(self, response: Response) -> Iterator[bytes]:
        """What the daemon tells; when a step lets us wait, what goes on is drawn."""
        return patient_chunks(response, self._left_s, self._draw)

    def _left_s(self) -> float:
        """How long the step that goes on for the longest time may still take before it is drawn."""
        if self._live is not None:
            return -1
        since = min((step.begun for step in self._running), default=self._last)
        return max(0.0, since + PATIENCE_S - time.monotonic())

    def begins(self, step: Step) -> None:
        """A step's turn has come."""
        if self._live is not None:
            self._live.begins(step)
        else:
            self._running[step] = ""

    def says(self, step: Step | None, text: str, *, is_error: bool) -> None:
        """A step's command, or the daemon itself, wrote this."""
        if self._live is not None:
            self._live.says(step, text, is_error=is_error)
        elif step in self._running:
            self._running[step] += text
        else:
            self._out.write(harmless(text.rstrip("\n")) + "\n")

    def ends(self, step: Step) -> None:
        """A step is over; of one that failed all that it wrote is shown."""
        if self._live is not None:
            self._live.ends(step)
            return
        written = self._running.pop(step, "")
        self._done += 1
        self._last = time.monotonic()
        self._out.write(self._line(step))
        if step.failed and written:
            lines = written.removesuffix("\n").split("\n")
            self._out.writelines(f"{_INDENT}{harmless(line)}\n" for line in lines)

    def transfers(self, message: dict[str, Any]) -> None:
        """How far a download has come: what is fetched takes its time."""
        self._draw()
        if self._live is not None:
            self._live.transfers(message)

    def _line(self, step: Step) -> str:
        mark, style, spent = end_of(step)
        most = max(_LEAST_TITLE, self._columns() - len(spent) - 3)
        title = _shortened(harmless(step.title.splitlines()[0]), most)
        if not self._colored:
            return f"{mark} {title} {spent}\n"
        return f"\x1b[{_STYLES[style]}m{mark}\x1b[0m {title} \x1b[2m{spent}\x1b[0m\n"

    def _columns(self) -> int:
        try:
            return posix.get_terminal_size(self._out.fileno()).columns or _USUAL_COLUMNS
        except OSError:
            return _USUAL_COLUMNS

    def _draw(self) -> None:
        """Go on with rich where it is installed, else with lines that say more."""
        if self._live is not None:
            return
        self._out.flush()
        view = self._open()
        for step, written in self._running.items():
            view.begins(step)
            if written:
                view.says(step, written, is_error=False)

    def _open(self) -> LiveView | PlainView:
        from sampan.cli.building.live import open_live
        from sampan.cli.building.plain import PlainView

        live = open_live(self._out, self._begun, self._done)
        if live is None:
            self._live = PlainView(self._out)
        else:
            self._live = live
            whole(live.__enter__)
        return self._live
