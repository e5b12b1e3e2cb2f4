"""What all stages of one build share, and who it gets base images from."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from sampan.build.cache_mounts import CacheMounts
from sampan.build.content import Digests
from sampan.build.graph import Graph, StagePlan
from sampan.build.moving import ContextUses
from sampan.build.progress import Tell
from sampan.build.request import BuildRequest
from sampan.build.scopes import GlobalScope, StageScope
from sampan.build.snapshots import Snapshots
from sampan.build.stage_state import Committer, StageState
from sampan.build.steps import StepRunner
from sampan.image.records import Image
from sampan.oci.image_spec import ContainerDefaults


class Bases(Protocol):
    """Where base images come from."""

    async def find(self, name: str, *, pull: bool, platform: str, tell: Tell) -> Image:
        """The image of this name, fetched when it is not here or `pull` says so. Raises NotFound in Docker's words."""


class Downloads(Protocol):
    """Where ADD gets what is not in the context."""

    async def fetch(self, url: str, checksum: str, directory: str, tell: Tell) -> str:
        """Download into the directory; the name of the file there. Its modification time is what the server says.

        Raises NotFound or SystemFailure when there is nothing to get, InvalidArgument for another checksum.
        """


@dataclass(frozen=True, slots=True)
class Context:
    """The files that a build was given: a directory, held by a descriptor, that nobody changes meanwhile."""

    path: str
    root_fd: int
    digests: Digests


@dataclass(frozen=True, slots=True)
class Workshop:
    """One build's tools and materials; `results` are the images of stages that are done (None for nothing at all)."""

    request: BuildRequest
    context: Context
    graph: Graph
    scope: GlobalScope
    snapshots: Snapshots
    committer: Committer
    runner: StepRunner
    bases: Bases
    downloads: Downloads
    caches: CacheMounts
    scratch: str  # a directory of this build's own, gone with it
    memory: str  # where a directory for what must not get on a disk may be made, gone with it too
    platform: tuple[str, str, str]
    room: Callable[[], Awaitable[None]]  # waits while whoever listens is behind
    escape: str = "\\"
    results: dict[int, Image | None] = field(default_factory=dict)
    sources: tuple[Image, ...] = ()  # the images that --cache-from names
    restricted: bool = False  # nothing else counts than what they were made of
    imported: Mapping[str, bytes] = field(default_factory=dict)  # configurations of steps by key, out of caches
    trusted: frozenset[str] = frozenset()  # their ids, and those of all that they were made of
    begun: dict[int, Image | None] = field(default_factory=dict)  # what each stage began from
    uses: ContextUses = field(default_factory=ContextUses)
    scopes: dict[int, StageScope] = field(default_factory=dict)

    def result(self, stage: int) -> Image | None:
        """The image of a stage that is done."""
        return self.results[stage]

    def private(self) -> str:
        """A directory in memory for secrets."""
        os.makedirs(self.memory, mode=0o700, exist_ok=True)
        return self.memory

    def find_cached(
        self, plan: StagePlan, state: StageState, key: str, command: str, after: ContainerDefaults
    ) -> Image | None:
        """The image that a step made before, unless the cache is not to be used for this stage.

        What images that --cache-from names were made of counts too, or alone when the request is `restricted`.
        """
        if not self.uses_cache(plan):
            return None
        image = self.committer.cache.image(key, frozenset(state.diff_ids))
        if image is None and key in self.imported:
            image = self.committer.adopt(state, key, self.imported[key])
            if image is not None:
                return image
        if image is not None and (not self.restricted or image.id in self.trusted):
            return image
        for source in self.sources:
            found = self.committer.step_of(source, state, command, after)
            if found is not None:
                return found
        return None

    def find_layer(self, plan: StagePlan, key: str) -> str | None:
        """The layer that a step made before, unless the cache is not to be used for this stage."""
        return self.committer.cache.layer(key) if self.uses_cache(plan) and not self.restricted else None

    def uses_cache(self, plan: StagePlan) -> bool:
        """Whether what was built before counts for a stage."""
        request = self.request
        return not (request.no_cache or plan.stage.name in request.no_cache_stages)
