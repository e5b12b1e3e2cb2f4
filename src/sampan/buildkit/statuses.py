"""How a build goes, as BuildKit's clients are told: vertexes that begin and end, what they write, and transfers.

A vertex is named by a digest. Ours is made of the build's own id and of what the vertex is, since nothing but this one
stream of statuses refers to it.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import time
from collections import Counter
from collections.abc import AsyncGenerator, Iterable
from dataclasses import dataclass, field

from google.protobuf.timestamp_pb2 import Timestamp

from sampan.build import progress
from sampan.buildkit.proto.control_pb2 import StatusResponse, Vertex, VertexLog, VertexStatus, VertexWarning
from sampan.buildkit.proto.pb_pb2 import Position, Range, SourceInfo
from sampan.engine.transfers import PullBegins
from sampan.image.pull_layer import LayerProgress

MOST_UNREAD_BYTES = 1 << 20  # of what was written: steps wait for a slow reader, and it is left out while nobody reads
TOGETHER_S = 0.02
_STDOUT, _STDERR = 1, 2
_WARNS = 1
_UNNAMED = "stage-"
CANCELED = "context canceled"
_CHANGE_FILES = frozenset({"FROM", "RUN", "COPY", "ADD", "WORKDIR"})


@dataclass(slots=True)
class Statuses:
    """The statuses of one build, for one reader."""

    ref: str
    source: bytes = b""  # the Dockerfile, for warnings
    filename: str = ""
    _stages: dict[int, progress.StageBegins] = field(default_factory=dict)
    _open: dict[str, Vertex] = field(default_factory=dict)
    _steps: dict[int, str] = field(default_factory=dict)  # the step that goes on, or the last one, by stage
    _counts: Counter[int] = field(default_factory=Counter)  # the steps that have begun, by stage
    _cached: set[int] = field(default_factory=set)  # stages whose step was found
    _failed: str = ""
    _unread: StatusResponse = field(default_factory=StatusResponse)
    _unread_bytes: int = 0  # of what was written
    _transfers: dict[tuple[str, str], VertexStatus] = field(default_factory=dict)  # unread: the latest of each
    _going: dict[tuple[str, str], VertexStatus] = field(default_factory=dict)  # transfers that are not done
    _begun: dict[tuple[str, str], Timestamp] = field(default_factory=dict)  # when each transfer began
    _is_read: bool = False
    _more: asyncio.Event = field(default_factory=asyncio.Event)
    _over: asyncio.Event = field(default_factory=asyncio.Event)

    def begin(self, name: str, key: str = "") -> str:
        """A vertex of this name goes on now; its digest."""
        digest = "sha256:" + hashlib.sha256(f"{self.ref} {key or name}".encode()).hexdigest()
        vertex = Vertex(digest=digest, name=name, started=now())
        self._open[digest] = vertex
        self._unread.vertexes.append(vertex)
        self._more.set()
        return digest

    def end(self, digest: str, *, cached: bool = False, error: str = "") -> None:
        """A vertex that goes on is done, and without an error its transfers are too."""
        vertex = self._open.pop(digest, None)
        if vertex is not None:
            for going in [one for one in self._going.values() if one.vertex == digest and not error]:
                self.advance(digest, going.name, going.current, going.total, done=True)
            vertex.completed.CopyFrom(now())
            vertex.cached = cached
            vertex.error = error
            self._unread.vertexes.append(vertex)
            self._more.set()

    def advance(self, digest: str, name: str, current: int, total: int = 0, *, done: bool = False) -> None:
        """How far something is that belongs to a vertex; bytes, or 0."""
        key, moment = (digest, name), now()
        status = VertexStatus(ID=name, vertex=digest, name=name, current=current, total=total, timestamp=moment)
        status.started.CopyFrom(self._begun.setdefault(key, moment))
        self._going[key] = status
        if done:
            status.completed.CopyFrom(moment)
            del self._going[key]
        self._transfers[key] = status
        self._more.set()

    def write(self, digest: str, content: bytes, *, is_error: bool = False) -> None:
        """What a vertex wrote."""
        if self._unread_bytes < MOST_UNREAD_BYTES or self._is_read:
            stream = _STDERR if is_error else _STDOUT
            self._unread.logs.append(VertexLog(vertex=digest, timestamp=now(), stream=stream, msg=content))
            self._unread_bytes += len(content)
            self._more.set()

    async def room(self) -> None:
        """Wait until whoever reads has read most of what was written."""
        while self._is_read and self._unread_bytes > MOST_UNREAD_BYTES:  # noqa: ASYNC110 -- an event for each read is more
            await asyncio.sleep(TOGETHER_S)

    def hear(self, events: Iterable[progress.Event]) -> None:
        """What a build told."""
        for event in events:
            if isinstance(event, progress.OfStage) and isinstance(event.event, progress.StageBegins):
                self._stages[event.number] = event.event
            elif isinstance(event, progress.OfStage):
                self._of_stage(event.number, event.event)

    def close(self, error: str = "") -> None:
        """The build is over: what failed has this error, and whatever else goes on is cancelled."""
        failed = self._failed or next(reversed(self._open), "")  # what was begun last, where no step failed
        for digest in list(self._open):
            self.end(digest, error=(error if digest == failed else CANCELED) if error else "")
        self._over.set()
        self._more.set()

    async def read(self) -> AsyncGenerator[StatusResponse]:
        """All of it until the build is over, what happens within a moment together."""
        self._is_read = True
        try:
            while not self._over.is_set() or self._more.is_set():
                await self._more.wait()
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._over.wait(), TOGETHER_S)
                self._more.clear()
                told, self._unread, self._unread_bytes = self._unread, StatusResponse(), 0
                told.statuses.extend(self._transfers.values())
                self._transfers.clear()
                if told.ByteSize():
                    yield told
        finally:
            self._is_read = False

    def _of_stage(self, number: int, event: progress.Event) -> None:
        digest = self._steps.get(number, "")
        match event:
            case progress.StepBegins(_, _, text):
                self._step_begins(number, text)
            case progress.UsesCache():
                self._cached.add(number)
            case progress.StepEnds():
                self.end(digest, cached=number in self._cached)
                self._cached.discard(number)
            case progress.StepFails():
                self._failed = digest
            case progress.Output(content, is_error):
                self.write(digest, content, is_error=is_error)
            case progress.Note(text):
                self.write(digest, f"{text}\n".encode(), is_error=True)
            case progress.Fetching(url, done, total):
                self.advance(digest, url, done, total, done=0 < total <= done)
            case progress.Pulling(transfer):
                self.pull(digest, transfer)
            case progress.Warned():
                self._unread.warnings.append(self._warning(event))

    def _step_begins(self, number: int, text: str) -> None:
        """A step that changes files is a vertex, as with BuildKit; one that only sets something is none."""
        stage = self._stages.get(number)
        if stage is None or text.split(maxsplit=1)[0].upper() not in _CHANGE_FILES:
            return
        self._counts[number] += 1
        count = self._counts[number]
        label = "" if stage.is_alone and stage.name.startswith(_UNNAMED) else f"{stage.name} "
        self._steps[number] = self.begin(f"[{label}{count}/{stage.file_steps}] {text}", f"{number} {count}")

    def pull(self, digest: str, transfer: object) -> None:
        """How far an image is on its way that belongs to a vertex."""
        match transfer:
            case PullBegins(reference):
                self.advance(digest, f"resolve {reference.familiar}", 0)
            case LayerProgress(layer, status, current, total):
                self.advance(digest, f"{status} {layer}", current, total, done=0 < total <= current)

    def _warning(self, warned: progress.Warned) -> VertexWarning:
        first, last = Position(line=warned.line), Position(line=max(warned.line, warned.end_line))
        return VertexWarning(
            vertex=next(iter(self._steps.values()), ""),
            level=_WARNS,
            short=f"{warned.rule}: {warned.message} (line {warned.line})".encode(),
            detail=[warned.description.encode()],
            info=SourceInfo(filename=self.filename, data=self.source, language="Dockerfile"),
            ranges=[Range(start=first, end=last)],
        )


def now() -> Timestamp:
    """The present moment."""
    seconds, nanos = divmod(time.time_ns(), 1_000_000_000)
    return Timestamp(seconds=seconds, nanos=nanos)
