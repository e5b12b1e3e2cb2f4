"""Images to and from registries over the event loop: pull and push, telling how it goes while it goes."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass, field

from sampan.build.request import NOTHING, Asker
from sampan.engine.events import Events
from sampan.engine.pace import Pace
from sampan.errors import InvalidArgument, NotFound
from sampan.image.auth import Credentials
from sampan.image.images import Images
from sampan.image.platforms import parse_platform
from sampan.image.pull import Pulled, Puller
from sampan.image.pull_layer import LayerProgress
from sampan.image.push import Pushed, Pusher, PushProgress
from sampan.image.registry import Registry
from sampan.image.registry_http import RegistrySettings
from sampan.oci.reference import Reference, parse_reference

_YOUNG_S = 3600.0  # a manifest this young may be of a pull that goes on


@dataclass(frozen=True, slots=True)
class PullBegins:
    """One reference is about to be pulled."""

    reference: Reference


@dataclass(frozen=True, slots=True)
class PullEnds:
    """All that was asked for is here; whether anything of it is new."""

    reference: Reference
    is_new: bool


@dataclass(frozen=True, slots=True)
class PushBegins:
    """One reference, or all tags of a repository, are about to be pushed."""

    reference: Reference


PullStep = PullBegins | LayerProgress | Pulled | PullEnds
PushStep = PushBegins | PushProgress | Pushed


@dataclass(frozen=True, slots=True)
class Transfers:
    """pull and push over an engine's images; a transfer whose reader leaves is cancelled."""

    images: Images
    puller: Puller
    pusher: Pusher
    events: Events
    settings: RegistrySettings = field(default_factory=RegistrySettings)

    async def pull_for(self, asker: Asker, name: str, platform: str) -> AsyncGenerator[PullStep]:
        """The same as `pull` of one image, with what the asker of a build logs in with."""
        reference = parse_reference(name).with_default_tag()
        login = await asker.login(reference.domain)
        async with contextlib.aclosing(self.pull(reference.familiar, platform, login)) as steps:
            async for step in steps:
                yield step

    async def pull(self, name: str, platform: str, credentials: Credentials) -> AsyncGenerator[PullStep]:
        """Pull a tag or digest, or with a name that has neither all tags of the repository.

        Raises NotFound, Unauthorized or Unavailable in Docker's words, InvalidArgument for a name that is none.
        """
        reference = parse_reference(name)
        if reference.familiar_name == NOTHING:
            raise InvalidArgument(f"'{NOTHING}' is a reserved name", remedy="it is no image: FROM scratch begins empty")
        wanted = parse_platform(platform) if platform else ("", "", "")
        is_new = False
        async with Registry(reference.domain, self.settings, credentials) as registry:
            for one in await _every_tag(registry, reference):

                async def work(told: Callable[[LayerProgress], None], one: Reference = one) -> Pulled:
                    return await self.puller.pull(registry, one, platform=wanted, progress=told)

                has_begun = False
                async for step in _told(work):
                    if not has_begun:  # told with the first step, so that a registry's refusal is a status of HTTP
                        yield PullBegins(one)
                        has_begun = True
                    if isinstance(step, Pulled):
                        self.events.publish("image", "pull", one.familiar, {"name": one.familiar_name})
                        is_new = is_new or step.is_new
                    yield step
        yield PullEnds(reference, is_new)

    async def push(self, name: str, tag: str, credentials: Credentials) -> AsyncGenerator[PushStep]:
        """Push a tag, or without one all tags that the repository has here. Raises as `pull` does."""
        reference = parse_reference(f"{name}:{tag}" if tag else name)
        if reference.tag:
            references = [reference]
        else:
            references = [reference.with_tag(one) for one, _ in self.images.names.tags_of(reference.name)]
        if not references:
            raise InvalidArgument(
                f"An image does not exist locally with the tag: {reference.familiar_name}",
                remedy="give it that name first: sampan tag IMAGE " + reference.familiar_name,
            )
        async with Registry(reference.domain, self.settings, credentials) as registry:
            yield PushBegins(references[0])
            for one in references:

                async def work(told: Callable[[PushProgress], None], one: Reference = one) -> Pushed:
                    return await self.pusher.push(registry, one, progress=told)

                async for step in _told(work):
                    if isinstance(step, Pushed):
                        self.events.publish("image", "push", one.familiar, {"name": one.familiar_name})
                    yield step

    async def collect(self) -> int:
        """Remove manifests that no image has, and what came of pulls that broke off; returns the bytes freed."""
        used = self.images.records.documents_used()
        return await asyncio.to_thread(self.puller.content.collect, used, 0.0, blobs_older_than_s=_YOUNG_S)


async def _every_tag(registry: Registry, reference: Reference) -> list[Reference]:
    if reference.tag or reference.digest:
        return [reference]
    try:
        return [reference.with_tag(tag) for tag in await registry.tags(reference.path)]
    except NotFound as error:
        sentence = f"repository {reference.familiar_name} not found: {error}"
        raise NotFound(sentence, remedy="is the name right?") from error


async def _told[P: LayerProgress | PushProgress, R](
    work: Callable[[Callable[[P], None]], Awaitable[R]],
) -> AsyncGenerator[P | R]:
    """The steps that `work` tells, at a reader's pace, then what it returns; a reader that leaves cancels it."""
    steps: asyncio.Queue[P | None] = asyncio.Queue()
    pace: Pace[P] = Pace(steps.put_nowait, lambda step: (step.id, step.status))

    def ended(_: object) -> None:
        pace.finish()
        steps.put_nowait(None)

    task = asyncio.ensure_future(work(pace.tell))
    task.add_done_callback(ended)
    try:
        while (step := await steps.get()) is not None:
            yield step
        yield await task
    finally:
        if not task.done():
            task.cancel()
            await asyncio.wait([task])
