"""A build as lines of text, for files, pipes and terminals without rich: each line says which step it belongs to."""

from __future__ import annotations

import time

from sampan.cli.formats.written import size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, TextIO

    from sampan.cli.building.story import Step


class PlainView:
    """Lines on `out`: `#3 [build 2/4] RUN make`, `#3 0.412 output`, `#3 done 1.2s`."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._half: dict[int, str] = {}
        self._told: dict[str, str] = {}

    def begins(self, step: Step) -> None:
        """The step's number and what it does."""
        self._write(f"#{step.number} {step.title}")

    def says(self, step: Step | None, text: str, *, is_error: bool) -> None:
        """Whole lines of the step, with the seconds since it began."""
        del is_error
        if step is None:
            self._write(text.rstrip("\n"))
            return
        text = self._half.pop(step.number, "") + text
        *lines, rest = text.split("\n")
        for line in lines:
            self._write(f"#{step.number} {time.monotonic() - step.begun:.3f} {harmless(line)}")
        if rest:
            self._half[step.number] = rest

    def ends(self, step: Step) -> None:
        """How the step ended."""
        if rest := self._half.pop(step.number, ""):
            self._write(f"#{step.number} {time.monotonic() - step.begun:.3f} {harmless(rest)}")
        word = "FAILED" if step.failed else "CACHED" if step.cached else f"done {step.took_s:.1f}s"
        if step.canceled:
            word = "CANCELED"
        self._write(f"#{step.number} {word}")

    def transfers(self, message: dict[str, Any]) -> None:
        """Each new state of a download, once."""
        part, status = message.get("id", ""), message.get("status", "")
        if not status or self._told.get(part) == status:
            return
        self._told[part] = status
        total = (message.get("progressDetail") or {}).get("total") or 0
        self._write(f"{part}: {status}" if part else status + (f" {size(total)}" if total else ""))

    def _write(self, line: str) -> None:
        self._out.write(line + "\n")
        self._out.flush()


def end_of(step: Step) -> tuple[str, str, str]:
    """How a step that is over is shown: a mark, its style, and what it took."""
    spent = "cached" if step.cached else f"{step.took_s:.1f}s"
    if step.canceled:
        return "✗", "yellow", f"canceled after {spent}"
    if step.failed:
        return "✗", "bold red", spent
    return "✓", "blue" if step.cached else "green", spent


def harmless(line: str) -> str:
    """What a container wrote, without what moves the cursor; a line that was overwritten shows its last state."""
    line = line.rstrip("\r").rpartition("\r")[2]
    if line.isprintable():
        return line
    out: list[str] = []
    index = 0
    while index < len(line):
        if line.startswith("\x1b[", index):
            index += 2
            while index < len(line) and not "@" <= line[index] <= "~":
                index += 1
        elif line[index].isprintable() or line[index] == "\t":
            out.append(line[index])
        index += 1
    return "".join(out)
