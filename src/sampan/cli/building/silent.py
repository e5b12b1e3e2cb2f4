"""Builds for programs: nothing at all, or the daemon's events as they are."""

from __future__ import annotations

from sampan.client.json_text import dumps

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, TextIO

    from sampan.cli.building.story import Step


class SilentView:
    """Shows nothing."""

    def begins(self, step: Step) -> None:
        """Nothing."""

    def says(self, step: Step | None, text: str, *, is_error: bool) -> None:
        """Nothing."""

    def ends(self, step: Step) -> None:
        """Nothing."""

    def transfers(self, message: dict[str, Any]) -> None:
        """Nothing."""


class RawView:
    """Each event as a line of JSON on `out`."""

    def __init__(self, out: TextIO) -> None:
        self._out = out

    def begins(self, step: Step) -> None:
        """{"step": N, "of": N, "name": "…", "stage": "…"}."""
        self._write({"step": step.number, "of": step.total, "name": step.text, "stage": step.stage})

    def says(self, step: Step | None, text: str, *, is_error: bool) -> None:
        """{"step": N, "output": "…", "error": true|false}."""
        self._write({"step": step.number if step else 0, "output": text, "error": is_error})

    def ends(self, step: Step) -> None:
        """{"step": N, "ended": true, "cached": …, "failed": …, "canceled": …, "seconds": …}."""
        self._write(
            {
                "step": step.number,
                "ended": True,
                "cached": step.cached,
                "failed": step.failed,
                "canceled": step.canceled,
                "seconds": round(step.took_s, 3),
            }
        )

    def transfers(self, message: dict[str, Any]) -> None:
        """The daemon's own message."""
        self._write(message)

    def _write(self, document: dict[str, Any]) -> None:
        self._out.write(dumps(document).decode() + "\n")
        self._out.flush()
