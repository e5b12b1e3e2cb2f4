"""Builds over the event loop: a context that arrives becomes an image, and tells how it goes meanwhile.

What a build takes is below `build/<id>` of the data root, with a name that is there before it is taken; a build that
its client leaves is cancelled, one that the daemon did not survive is tidied up by the next one.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import shutil
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from sampan.build.cache import BuildCache
from sampan.build.cache_mounts import CacheMounts
from sampan.build.context import leave_out
from sampan.build.downloads import HttpDownloads
from sampan.build.progress import Event, Tell
from sampan.build.recall import Question, Recording, question_of
from sampan.build.request import NOTHING, BuildRequest
from sampan.build.threads import away, here
from sampan.engine.build_contexts import Arriving, Source, fetch_context, hold
from sampan.engine.build_prunes import BuildPrunes, PruneCaches, Pruned
from sampan.engine.build_steps import StepContainers, to_the_end
from sampan.engine.events import Events
from sampan.engine.images import EngineImages, misfit_of
from sampan.engine.kept_contexts import KeptContexts
from sampan.engine.layout import Layout
from sampan.engine.transfers import Transfers
from sampan.errors import Conflict, InvalidArgument, NotFound
from sampan.image.records import Image
from sampan.image.tree import place_apart
from sampan.oci.reference import Reference, parse_reference

if TYPE_CHECKING:
    from sampan.build.builder import Planned  # itself imported with the first build: an idle daemon does without

MOST_UNHEARD = 256  # events that a client has not taken yet, before steps wait for it
LONG_DOCKERFILE_BYTES = 1 << 16  # a thousand lines
MOST_AT_ONCE = 64  # events that are told together
HEARING_S = 0.02
TOGETHER_S = 0.01


@dataclass(frozen=True, slots=True)
class Built:
    """The end of a build: the image, and the names that it was given.

    `told` is all that it tells when it is one that was carried out before, word for word and with the same files.
    """

    image_id: str
    references: tuple[Reference, ...]
    told: tuple[Event, ...] = ()


@dataclass(frozen=True, slots=True)
class _Order:
    """What is to be built, and under which names and id."""

    request: BuildRequest
    references: tuple[Reference, ...]
    question: Question | None
    build_id: str
    source: Source | None = None
    finish: Callable[[Image], None] | None = None  # is given the image while nobody can remove it yet


@dataclass(slots=True)
class Builds:
    """Builds of one engine."""

    layout: Layout
    images: EngineImages
    cache: BuildCache
    caches: CacheMounts
    steps: StepContainers
    transfers: Transfers
    events: Events
    kept: KeptContexts
    _running: dict[str, asyncio.Task[Image]] = field(default_factory=dict)

    @property
    def directory(self) -> str:
        """Where builds have their contexts."""
        return f"{self.layout.data_root}/build"

    def recover(self) -> None:
        """Remove what builds of a daemon that died have left; their containers are `recovery`'s."""
        os.makedirs(self.directory, mode=0o700, exist_ok=True)
        place_apart(self.directory)
        for name in os.listdir(self.directory):
            self._throw_away(os.path.join(self.directory, name))
        for name in os.listdir(self.layout.exec_root):
            if name.startswith("build-"):
                shutil.rmtree(os.path.join(self.layout.exec_root, name), ignore_errors=True)
        self.cache.prepare()
        self.caches.prepare()
        self.kept.prepare()

    async def build(
        self,
        request: BuildRequest,
        source: Source,
        build_id: str = "",
    ) -> AsyncGenerator[tuple[Event, ...] | Built]:
        """Build from a context that comes as an archive, telling how it goes; whoever stops listening cancels it.

        It is not asked for when it is `known`, and a build of the same has told all.
        Events that have happened by the time they are asked for come together.
        Raises InvalidArgument for what is wrong with names, archive or Dockerfile before anything is told.
        """
        references = _names(request.tags)
        build_id = build_id or secrets.token_hex(16)
        self._refuse_running(build_id)
        question = question_of(request, source.known, self._version) if source.known else None
        told = self.cache.find_told(question) if question else None
        arriving = Arriving((), None)
        if told is None and not request.remote:
            arriving = await hold(source.archive)
            question = question or self._question(request, arriving)
            told = self.cache.find_told(question) if question else None
        if told is not None:
            self._name(told.image_id, references)
            asyncio.get_running_loop().call_soon(self.cache.remember_used)  # behind the answer
            yield Built(told.image_id, references, told.events)
            return
        steps = self._carry_out(_Order(request, references, question, build_id, source), arriving)
        async with contextlib.aclosing(steps) as closing:
            async for step in closing:
                yield step

    def _question(self, request: BuildRequest, arriving: Arriving) -> Question | None:
        if arriving.rest is not None:
            return None
        return question_of(request, arriving.held, self._version)

    @property
    def _version(self) -> tuple[int, ...]:
        """Another one when anything changed that a build finds."""
        return (*self.images.images.version, self.cache.version)

    async def _carry_out(self, order: _Order, arriving: Arriving) -> AsyncGenerator[tuple[Event, ...] | Built]:
        """Build in a directory of its own, which goes with the build."""
        place = os.path.join(self.directory, secrets.token_hex(16))
        try:
            async with contextlib.aclosing(self._build_in(place, order, arriving)) as steps:
                async for step in steps:
                    yield step
        finally:
            await to_the_end(self._remove(place))

    async def _build_in(
        self, place: str, order: _Order, arriving: Arriving
    ) -> AsyncGenerator[tuple[Event, ...] | Built]:
        context, scratch = self._make_place(place)
        is_small = False
        if order.request.remote:
            context = await fetch_context(order.request, context, scratch)
        else:
            is_small = await arriving.unpack(context)
        if order.source is not None and order.source.complete is not None:
            await away(partial(order.source.complete, context))
        where = here if is_small else away
        try:
            planned = await where(lambda: _read(order.request, context))
            recording = Recording()
            async with contextlib.aclosing(self._build(order, planned, context, scratch)) as told:
                async for step in told:
                    if isinstance(step, Built):
                        self._remember(planned, order.question, recording, step.image_id)
                    else:
                        recording.hear(step)
                    yield step
        finally:
            if order.source is not None and order.source.keep is not None:
                order.source.keep(context)

    def _remember(self, planned: Planned, question: Question | None, recording: Recording, image_id: str) -> None:
        """Remember a build that found all of it here, unless something changed meanwhile."""
        if question is None or recording.events is None or planned.fetches or planned.request.asker.was_asked:
            return
        if question.version == self._version:
            self.cache.remember_told(question, recording.events, image_id)

    async def prune(self, wanted: PruneCaches) -> Pruned:
        """Remove what builds keep for later builds: steps that no image is made of, and caches that nobody uses."""
        pruned = await BuildPrunes(self.images, self.cache, self.caches, self.kept).prune(wanted)
        self.events.publish("builder", "prune", "", {"reclaimed": str(pruned.freed_bytes)})
        return pruned

    def remove_cache(self, name: str) -> None:
        """Remove the caches of a name, or the one of an id. Raises NotFound, Conflict for one that is used."""
        meant = [one for one in self.caches.all() if name in {one.name, one.directory}]
        if not meant:
            raise NotFound(f"no such build cache: {name}", remedy="`sampan builder cache ls` lists them")
        if any(one.in_use for one in meant):
            raise Conflict(f"build cache {name} is being used by a build", remedy="wait for its end, or cancel it")
        self.caches.remove(one.directory for one in meant)

    def taken(self, request: BuildRequest, dockerfile: bytes) -> tuple[str, ...] | None:
        """The paths of the context, with wildcards, that the steps of this Dockerfile may take; None for any.

        A long one is not read, as that would hold up the event loop: it may take any. Raises InvalidArgument for what
        is no Dockerfile.
        """
        if len(dockerfile) > LONG_DOCKERFILE_BYTES:
            return None
        from sampan.build.builder import plan_dockerfile
        from sampan.build.sources import is_remote
        from sampan.build.taken import taken_from_context

        def may_have_triggers(base: str) -> bool:
            name = request.context_of(base) or base
            if name == NOTHING or is_remote(name):
                return False
            image_id = self.images.images.find(name)
            if image_id is None or request.pull:
                return True
            image = self.images.images.records.get(image_id)
            return bool(misfit_of(image, name, request.platform) or image.defaults.on_build)

        return taken_from_context(plan_dockerfile(request, dockerfile, None).graph, may_have_triggers)

    def cancel(self, build_id: str) -> None:
        """End a build. Raises NotFound when there is none of this id."""
        task = self._running.get(build_id)
        if task is None:
            raise NotFound(f"no build with the id {build_id} is going on")
        task.cancel()

    async def close(self, patience_s: float) -> None:
        """Cancel what goes on, as its clients could not hear of its end; what runs for it is gone after that, or stays.

        The next daemon ends what had no end within `patience_s`.
        """
        going = tuple(self._running.values())
        for task in going:
            task.cancel()
        if going:
            await asyncio.wait(going, timeout=patience_s)

    async def _build(
        self, order: _Order, planned: Planned, context: str, scratch: str
    ) -> AsyncGenerator[tuple[Event, ...] | Built]:
        from sampan.build.builder import Builder, Ear
        from sampan.engine.base_images import BaseImages

        self._refuse_running(order.build_id)  # begun while the context arrived
        told: asyncio.Queue[Event | None] = asyncio.Queue()
        memory = f"{self.layout.exec_root}/build-{secrets.token_hex(16)}"
        bases = BaseImages(self.images, self.transfers, planned.request, self._build_alone)
        builder = Builder(
            self.images.images,
            self.cache,
            self.steps,
            bases,
            HttpDownloads(),
            self.caches,
            self.images.usage.builds,
            lambda image: self._finish(order, image),
        )

        async def room() -> None:
            while told.qsize() > MOST_UNHEARD:  # noqa: ASYNC110 -- a queue without a bound tells of no room
                await asyncio.sleep(HEARING_S)

        ear = Ear(told.put_nowait, room)
        task = asyncio.ensure_future(builder.build(planned, context, scratch, memory, ear))
        task.add_done_callback(lambda _: told.put_nowait(None))
        self._running[order.build_id] = task
        result = ""
        try:
            with self.images.disposal.aside():
                while events := await _next_events(told, task):
                    yield events
                image = await _result(task)
            result = image.id
            yield Built(result, order.references)
        finally:
            del self._running[order.build_id]
            task.cancel()
            await to_the_end(_ended(task))
            bases.close(result)
            shutil.rmtree(memory, ignore_errors=True)

    async def _build_alone(self, archive: bytes, tell: Tell, finish: Callable[[Image], None]) -> None:
        """A build that another one needs, from a small archive."""
        order = _Order(BuildRequest(), (), None, secrets.token_hex(16), finish=finish)
        async with contextlib.aclosing(self._carry_out(order, Arriving((archive,), None))) as steps:
            async for step in steps:
                if not isinstance(step, Built):
                    for event in step:
                        tell(event)

    def _refuse_running(self, build_id: str) -> None:
        if build_id in self._running:
            raise Conflict(f"a build with the id {build_id} is going on", remedy="give another buildid")

    def _finish(self, order: _Order, image: Image) -> None:
        self._name(image.id, order.references)
        if order.finish is not None:
            order.finish(image)

    def _name(self, image_id: str, references: tuple[Reference, ...]) -> None:
        for reference in references:
            self.images.images.point(reference, image_id)
            self.events.publish("image", "tag", image_id, {"name": reference.familiar})

    @staticmethod
    def _make_place(place: str) -> tuple[str, str]:
        os.mkdir(place, 0o700)
        context, scratch = os.path.join(place, "context"), os.path.join(place, "scratch")
        os.mkdir(context, 0o755)
        os.mkdir(scratch, 0o711)
        return context, scratch

    async def _remove(self, place: str) -> None:
        self._throw_away(place)

    def _throw_away(self, place: str) -> None:
        """Move it out of the way at once; the disk is freed in the background."""
        rubbish = self.images.layers.throw_away(place)
        if rubbish:
            self.images.disposal.dispose(rubbish)


def _names(tags: tuple[str, ...]) -> tuple[Reference, ...]:
    """The names for the image, each once. Raises InvalidArgument for what is none, or names content."""
    found = tuple(dict.fromkeys(parse_reference(tag).with_default_tag() for tag in tags))
    if any(one.digest for one in found):
        raise InvalidArgument("build tag cannot contain a digest", remedy="the digest is known when the image is built")
    return found


async def _next_events(told: asyncio.Queue[Event | None], build: asyncio.Task[Image]) -> tuple[Event, ...]:
    """The events that wait, at least one; none behind the last.

    One that comes alone is joined by those of the next moment: a client that is woken for each takes a processor from
    the steps.
    """
    events: list[Event] = []
    while len(events) < MOST_AT_ONCE and not (events and told.empty()):
        event = await told.get()
        if event is None:
            told.put_nowait(None)
            break
        events.append(event)
        if len(events) == 1 and told.empty():
            await asyncio.wait([build], timeout=TOGETHER_S)
    return tuple(events)


async def _result(task: asyncio.Task[Image]) -> Image:
    """What a build came to. Raises Conflict for one that somebody else has ended, by its id."""
    try:
        return await task
    except asyncio.CancelledError:
        waiting = asyncio.current_task()
        if waiting is None or waiting.cancelling():  # it is we who go
            raise
        raise Conflict("the build was canceled", remedy="ask for it again") from None


async def _ended(task: asyncio.Task[Image]) -> None:
    await asyncio.wait([task])
    if not task.cancelled():
        task.exception()


def _read(request: BuildRequest, context: str) -> Planned:
    from sampan.build.builder import plan_build

    planned = plan_build(request, context)
    leave_out(context, planned.left_out)
    return planned
