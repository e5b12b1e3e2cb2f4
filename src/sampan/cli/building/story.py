"""What the daemon tells of a build, as steps that begin, write, and end.

Our daemon tells each event by itself, with the stage that it belongs to, so that stages built side by side can be shown
side by side; a Docker daemon tells a text that reads like a log, one step after the other. Both become the same calls.
"""

from __future__ import annotations

import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any, Protocol
else:
    Protocol = object

_CACHED = " ---> Using cache"
_QUIET = (" ---> ", "Successfully built ", "Successfully tagged ")


class Step:
    """One step: its number among all, its stage's name or number, and how it went so far."""

    __slots__ = ("begun", "cached", "canceled", "failed", "number", "stage", "text", "took_s", "total", "triggers")

    def __init__(self, number: int, total: int, text: str, stage: str = "") -> None:
        self.number = number
        self.total = total
        self.text = text
        self.stage = stage
        self.begun = time.monotonic()
        self.took_s = 0.0
        self.cached = False
        self.canceled = False
        self.failed = False
        self.triggers = False  # it carries out those of its base image, of which some may be in the cache

    @property
    def title(self) -> str:
        """How the step is called in every view."""
        return f"[{self.stage + ' ' if self.stage else ''}{self.number}/{self.total}] {self.text}"


class View(Protocol):
    """Whoever shows a build."""

    def begins(self, step: Step) -> None:
        """A step's turn has come."""

    def says(self, step: Step | None, text: str, *, is_error: bool) -> None:
        """A step's command, or the daemon itself, wrote this."""

    def ends(self, step: Step) -> None:
        """A step is over: done, out of the cache, failed, or canceled."""

    def transfers(self, message: dict[str, Any]) -> None:
        """How far a download has come."""


class Later:
    """A view that is made when there is something to show."""

    def __init__(self, make: Callable[[], View]) -> None:
        self._make = make
        self._made: View | None = None

    @property
    def _view(self) -> View:
        self._made = self._made or self._make()
        return self._made

    def begins(self, step: Step) -> None:
        """A step's turn has come."""
        self._view.begins(step)

    def says(self, step: Step | None, text: str, *, is_error: bool) -> None:
        """A step's command, or the daemon itself, wrote this."""
        self._view.says(step, text, is_error=is_error)

    def ends(self, step: Step) -> None:
        """A step is over."""
        self._view.ends(step)

    def transfers(self, message: dict[str, Any]) -> None:
        """How far a download has come."""
        self._view.transfers(message)


class Outcome:
    """How a build ended: the image's id, or what the daemon said of its failure."""

    __slots__ = ("cache_id", "failure", "findings", "image_id", "notes", "steps", "tells_findings")

    def __init__(self) -> None:
        self.image_id = ""
        self.steps: list[Step] = []
        self.failure: dict[str, Any] | None = None
        self.cache_id = ""  # the image that the build's cache was made into
        self.notes: list[str] = []
        self.tells_findings = False  # whether the daemon tells what the build checks find
        self.findings: list[dict[str, Any]] = []


def follow(messages: Iterable[dict[str, Any]], view: View) -> Outcome:
    """Tell the view all of a build, and give its end.

    At a KeyboardInterrupt the steps that go on are told to be canceled, which the daemon does when we leave.
    """
    teller = _Teller(view)
    try:
        for message in messages:
            teller.take(message)
    except KeyboardInterrupt:
        teller.cancel_all()
        raise
    teller.end_all()
    return teller.outcome


class _Teller:
    __slots__ = ("line", "outcome", "running", "view")

    def __init__(self, view: View) -> None:
        self.view = view
        self.outcome = Outcome()
        self.running: dict[str, Step] = {}
        self.line = ""

    def take(self, message: dict[str, Any]) -> None:
        if "build" in message:
            self.outcome.tells_findings = True
            self._event(message["build"])
        elif "stream" in message:
            self._text(str(message["stream"]))
        elif message.get("error") or message.get("errorDetail"):
            self.outcome.failure = {"message": message.get("error", ""), **(message.get("errorDetail") or {})}
            self._fail()
        elif "aux" in message:
            told = message["aux"] or {}
            self.outcome.image_id = told.get("ID", self.outcome.image_id)
            self.outcome.cache_id = told.get("CacheID", self.outcome.cache_id)
        else:
            self.view.transfers(message)

    def end_all(self) -> None:
        for stage in list(self.running):
            self._end(stage)

    def cancel_all(self) -> None:
        for step in self.running.values():
            step.canceled = True
        self.end_all()

    def _fail(self) -> None:
        """Where no step was said to have failed, it is the last that began."""
        if self.running and not any(step.failed for step in self.outcome.steps):
            max(self.running.values(), key=lambda step: step.begun).failed = True

    def _begin(self, step: Step, key: str) -> None:
        self._end(key)
        self.running[key] = step
        self.outcome.steps.append(step)
        self.view.begins(step)

    def _end(self, key: str) -> None:
        step = self.running.pop(key, None)
        if step is not None:
            step.took_s = time.monotonic() - step.begun
            self.view.ends(step)

    def _event(self, event: dict[str, Any]) -> None:
        key = str(event.get("stage", ""))
        match event.get("kind"):
            case "step":
                step = Step(event["number"], event["total"], event["text"], event.get("name") or "")
                self._begin(step, key)
            case "cached":
                self._cached(key)
            case "triggers":
                self._triggers(key, event["count"])
            case "output":
                self.view.says(self.running.get(key), event["text"], is_error=bool(event.get("error")))
            case "failed":
                if key in self.running:
                    self.running[key].failed = True
                    self._end(key)
            case "warning":
                self.outcome.findings.append(event)
            case "note":
                self._note(event["text"])
            case "step-end" | "stage-end":
                self._end(key)

    def _cached(self, key: str) -> None:
        step = self.running.get(key)
        if step is not None:
            step.cached = not step.triggers

    def _triggers(self, key: str, count: int) -> None:
        step = self.running.get(key)
        if step is not None:
            step.triggers = True
            text = f"executing {count} build trigger{'s' * (count > 1)} of the base image\n"
            self.view.says(step, text, is_error=False)

    def _note(self, text: str) -> None:
        self.outcome.notes.append(text)
        self.view.says(None, text + "\n", is_error=False)

    def _text(self, text: str) -> None:
        """A piece of Docker's own text, whose lines are steps, or what a step writes."""
        self.line += text
        while "\n" in self.line:
            line, _, self.line = self.line.partition("\n")
            self._one_line(line)

    def _one_line(self, line: str) -> None:
        words = line.split(" ", 3)
        if line.startswith("Step ") and len(words) == 4 and words[2] == ":" and "/" in words[1]:
            number, _, total = words[1].partition("/")
            self._begin(Step(int(number), int(total), words[3]), "")
        elif line.startswith(_CACHED):
            self._cached("")
        elif len(words) == 4 and line.startswith("# Executing ") and words[2].isdigit():
            self._triggers("", int(words[2]))
        elif line.startswith("Successfully built "):
            self._end("")
            self.outcome.image_id = self.outcome.image_id or line.rsplit(maxsplit=1)[-1]
        elif line.startswith("sha256:") and not self.outcome.steps:  # all that Docker says of a quiet build
            self.outcome.image_id = line
        elif line.strip() and not line.startswith(_QUIET):
            self.view.says(self.running.get(""), line + "\n", is_error=line.startswith("\x1b[91m"))
