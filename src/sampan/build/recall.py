"""Whole builds that found every step in the cache, kept in memory with what they told.

Who asks for one again, word for word and with the same files, is answered with that, as long as nothing has changed
that a build looks at: images, their names, and the records of the cache. A build that fetches something from elsewhere
is never kept, since only fetching shows whether it is still the same.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from sampan.build.progress import Event, Note, OfStage, StageBegins, StageEnds, StepBegins, StepEnds, UsesCache, Warned
from sampan.build.sources import is_remote

if TYPE_CHECKING:
    from sampan.build.request import BuildRequest

MOST_BUILDS = 32
_FOUND = (StageBegins, StepBegins, UsesCache, StepEnds, StageEnds, Note, Warned)


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked of a build, the names for its image left out, and of which version of images and cache."""

    key: bytes
    version: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Told:
    """What a build told, the image that it ended with, its layers, and the keys of the records that it found."""

    events: tuple[Event, ...]
    image_id: str
    diff_ids: tuple[str, ...]
    keys: frozenset[str]


@dataclass(slots=True)
class Recording:
    """What a build tells, as long as it only finds steps in the cache: `events` is None once it does more."""

    events: list[Event] | None = field(default_factory=list)

    def hear(self, events: Iterable[Event]) -> None:
        """Take down what is told."""
        if self.events is None:
            return
        self.events += events
        if not all(isinstance(_bare(one), _FOUND) for one in events):
            self.events = None


@dataclass(slots=True)
class Recall:
    """The builds that are kept, by what was asked; the one that was asked last at the end."""

    cleared: int = 0  # how often
    _kept: dict[Question, Told] = field(default_factory=dict)

    def find(self, question: Question) -> Told | None:
        """What a build told that was asked the same."""
        told = self._kept.pop(question, None)
        if told is not None:
            self._kept[question] = told
        return told

    def keep(self, question: Question, told: Told) -> None:
        """Keep a build; of many the one goes that was not asked for the longest time."""
        self._kept[question] = told
        if len(self._kept) > MOST_BUILDS:
            del self._kept[next(iter(self._kept))]

    def clear(self) -> None:
        """Forget all."""
        self.cleared += 1
        self._kept.clear()


def question_of(request: BuildRequest, archive: Iterable[bytes], version: tuple[int, ...]) -> Question | None:
    """What is asked with an archive in these pieces; None for what is fetched anew each time."""
    if request.remote or request.pull or any(map(is_remote, request.contexts.values())):
        return None
    asked = repr(replace(request, tags=())).encode("utf-8", "surrogateescape")
    digest = hashlib.sha256(b"%d:%b" % (len(asked), asked))
    for piece in archive:
        digest.update(piece)
    return Question(digest.digest(), version)


def step_images(events: Iterable[Event]) -> set[str]:
    """The ids of the images that the steps of a build came to."""
    return {one.image_id for one in map(_bare, events) if isinstance(one, StepEnds) and one.image_id}


def _bare(event: Event) -> Event:
    return event.event if isinstance(event, OfStage) else event
