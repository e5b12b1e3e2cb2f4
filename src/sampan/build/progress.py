"""What a build tells while it goes on, and in which order it is told.

Stages that are built side by side each have a voice; only the first that has not ended speaks, the others are kept
until it is their turn, so that what is told reads as if the stages had been built one after the other.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class StageBegins:
    """A stage's turn has come: its name, or its number when it has none, and how many of its steps change files.

    `is_alone` says that it is the only stage that is built.
    """

    name: str
    file_steps: int
    is_alone: bool


@dataclass(frozen=True, slots=True)
class StepBegins:
    """An instruction's turn has come."""

    number: int
    total: int
    text: str


@dataclass(frozen=True, slots=True)
class UsesCache:
    """The step was built before."""


@dataclass(frozen=True, slots=True)
class Running:
    """The step has a container."""

    container_id: str


@dataclass(frozen=True, slots=True)
class Output:
    """What the step's command wrote."""

    content: bytes
    is_error: bool


@dataclass(frozen=True, slots=True)
class Removed:
    """The step's container is gone."""

    container_id: str


@dataclass(frozen=True, slots=True)
class StepEnds:
    """The stage is now this image; "" for nothing at all (scratch)."""

    image_id: str


@dataclass(frozen=True, slots=True)
class Triggers:
    """So many ONBUILD instructions of the base image are carried out."""

    count: int


@dataclass(frozen=True, slots=True)
class StageEnds:
    """A stage is done."""

    image_id: str


@dataclass(frozen=True, slots=True)
class Note:
    """A remark, a line of text."""

    text: str


@dataclass(frozen=True, slots=True)
class Warned:
    """A finding of the build checks: the rule and what it is about, what is wrong, and the lines of the Dockerfile."""

    rule: str
    description: str
    message: str
    file: str
    line: int
    end_line: int


@dataclass(frozen=True, slots=True)
class CacheMade:
    """The build's cache is this image."""

    image_id: str


@dataclass(frozen=True, slots=True)
class Fetching:
    """How far the download of an ADD has come."""

    url: str
    done_bytes: int
    total_bytes: int


@dataclass(frozen=True, slots=True)
class Pulling:
    """A base image is fetched; `step` is what the transfer tells of itself."""

    step: object


@dataclass(frozen=True, slots=True)
class StepFails:
    """The step that goes on is the one that failed."""


OF_NONE = -1  # the number of no stage


@dataclass(frozen=True, slots=True)
class OfStage:
    """An event and the stage that it belongs to: its number, and its name ("" for one without)."""

    number: int
    name: str
    event: Event


type Event = (
    StageBegins
    | StepBegins
    | UsesCache
    | Running
    | Output
    | Removed
    | StepEnds
    | StepFails
    | Triggers
    | StageEnds
    | Note
    | Warned
    | CacheMade
    | Fetching
    | Pulling
    | OfStage
)
type Tell = Callable[[Event], None]


MOST_KEPT_BYTES = 8 << 20


@dataclass(slots=True)
class Voices:
    """The stages' voices, in the order of the Dockerfile; with `apart` all at once, each event with its stage."""

    tell: Tell
    apart: bool = False
    _speaking: int = 0
    _kept: dict[int, list[Event]] = field(default_factory=dict)
    _sizes: dict[int, int] = field(default_factory=dict)
    _ended: set[int] = field(default_factory=set)

    def of(self, number: int, name: str, shown: int | None = None) -> Tell:
        """The voice of the stage with this number, counted from 0, and this name.

        One that speaks for another, when that has its turn, is `shown` by a number of its own.
        """

        def say(event: Event) -> None:
            if self.apart:
                self.tell(OfStage(number if shown is None else shown, name, event))
            elif number == self._speaking:
                self.tell(event)
            else:
                self._keep(number, event)

        return say

    def _keep(self, number: int, event: Event) -> None:
        """Keep an event until the stage's turn; of output no more than a bound, so that memory has one."""
        if isinstance(event, Output):
            size = self._sizes.get(number, 0)
            self._sizes[number] = size + len(event.content)
            if size > MOST_KEPT_BYTES:
                return
            if self._sizes[number] > MOST_KEPT_BYTES:
                event = Output(b"\n[output of this stage left out while others were told]\n", is_error=True)
        self._kept.setdefault(number, []).append(event)

    def end(self, number: int) -> None:
        """The stage has no more to say: the next one speaks."""
        self._ended.add(number)
        while self._speaking in self._ended:
            self._speaking += 1
            self._catch_up()

    def interrupt(self, number: int) -> None:
        """Let a stage that failed speak at once, whoever's turn it is."""
        if self.apart:
            self.tell(OfStage(number, "", StepFails()))
        elif number != self._speaking:
            self._speaking = number
            self._catch_up()

    def _catch_up(self) -> None:
        for event in self._kept.pop(self._speaking, ()):
            self.tell(event)
