"""What stages of one build begin from and take files from: images of this engine and of registries, files at addresses.

A named context that is an address becomes an image without a name, when a step first needs it and for as long as the
build goes on; what steps took from it stays in the cache by its content.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

import msgspec

from sampan.build.progress import Event, Fetching, Pulling, Tell
from sampan.build.repositories import read_repository
from sampan.build.request import BuildRequest
from sampan.build.sources import is_remote
from sampan.build.stage_state import Uses
from sampan.engine.images import EngineImages, misfit_of
from sampan.engine.transfers import Transfers
from sampan.errors import NotFound, SampanError
from sampan.image.records import Image
from sampan.image.tar_write import encode_file

# Builds from the Dockerfile that is given, alone, and tells how it goes; the last is given the image while nobody can
# remove it yet.
type BuildAlone = Callable[[bytes, Tell, Callable[[Image], None]], Coroutine[Any, Any, None]]


@dataclass(slots=True)
class BaseImages:
    """Base images of one build; `close` gives back what it fetched from addresses."""

    images: EngineImages
    transfers: Transfers
    request: BuildRequest
    build_alone: BuildAlone
    _fetched: dict[str, Image] = field(default_factory=dict)  # by address
    _uses: Uses = field(init=False)
    _fetching: asyncio.Lock = field(default_factory=asyncio.Lock)

    def __post_init__(self) -> None:
        self._uses = Uses(self.images.usage.builds)

    async def find(self, name: str, *, pull: bool, platform: str, tell: Tell) -> Image:
        """The image of this name and platform, fetched when it is not here or `pull` says so.

        Raises NotFound in Docker's words, and what a registry or the server at an address says.
        """
        named = self.request.context_of(name)
        if is_remote(named):
            return await self._at_address(name, named, tell)
        name = named or name
        misfit = ""
        if named or not pull:
            with contextlib.suppress(NotFound):
                image = self.images.images.get(name)
                misfit = misfit_of(image, name, "" if named else platform)
                if not misfit:
                    return image
        try:
            await self._pull(name, platform, tell)
        except SampanError as error:
            if not misfit:
                if f" for {name}" not in error.sentence:
                    error.say(f"{name} cannot be pulled: {error.sentence}")
                raise
            remedy = "leave --platform out to take the image as it is, or load one of that platform"
            raise NotFound(f"{misfit}; another cannot be pulled: {error.sentence}", remedy=remedy) from error
        return self.images.images.get(name)

    def close(self, result: str) -> None:
        """Let go of what was fetched, and remove it but for the build's result and what something stands on."""
        self._uses.release()
        for image in self._fetched.values():
            if image.id != result and not self.images.images.names.of(image.id):
                with contextlib.suppress(SampanError):  # something stands on it, another build's too
                    for rubbish in self.images.images.remove(image.id, prune=False).rubbish:
                        self.images.disposal.dispose(rubbish)
        self._fetched.clear()

    async def _pull(self, name: str, platform: str, tell: Tell) -> None:
        async with contextlib.aclosing(self.transfers.pull_for(self.request.asker, name, platform)) as steps:
            async for step in steps:
                tell(Pulling(step))

    async def _at_address(self, name: str, address: str, tell: Tell) -> Image:
        async with self._fetching:
            if address not in self._fetched:
                await self._fetch(name, address, tell)
        return self._fetched[address]

    async def _fetch(self, name: str, address: str, tell: Tell) -> None:
        """An image of what ADD makes of an address."""

        def keep(image: Image) -> None:
            self._uses.take(image.id)
            self._fetched[address] = image

        def pass_on(event: Event) -> None:
            if isinstance(event, Fetching):
                tell(event)

        flag = "--unpack=true " if self.request.unpacks_contexts and read_repository(address) is None else ""
        words = msgspec.json.encode([address.replace("$", "\\$"), "/"])
        dockerfile = b"FROM scratch\nADD %b%b\n" % (flag.encode(), words)
        try:
            await self.build_alone(encode_file("Dockerfile", dockerfile), pass_on, keep)
        except SampanError as error:  # of a Dockerfile that nobody wrote
            error.place = ""
            error.say(f"the context {name} cannot be had: {error.sentence.removeprefix('ADD failed: ')}")
            raise
