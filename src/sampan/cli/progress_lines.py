"""The progress of long works as lines of text, for files, pipes and terminals without rich."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, TextIO


class Lines:
    """Messages as lines on `out`, one for each new state of a part; nowhere when that is None."""

    def __init__(self, out: TextIO | None) -> None:
        self._out = out
        self._states: dict[str, str] = {}

    def show(self, message: dict[str, Any]) -> None:
        """Show one of the daemon's messages."""
        if self._out is None:
            return
        part, status = message.get("id", ""), message.get("status", "")
        if "stream" in message:
            self._out.write(message["stream"])
        elif status and self._states.get(part) != status:
            if part:
                self._states[part] = status
            self._out.write(f"{part}: {status}\n" if part else f"{status}\n")
        self._out.flush()
