"""What builds keep for later builds, removed: steps that no named image is made of, and cache mounts that nobody uses.

What was of no use for the longest time goes first, a step never before those that were built on it.
"""

from __future__ import annotations

import contextlib
import heapq
from collections import Counter
from dataclasses import dataclass
from functools import partial

from sampan.build.cache import BuildCache
from sampan.build.cache_mounts import CacheMounts
from sampan.build.threads import away
from sampan.engine.images import EngineImages
from sampan.engine.kept_contexts import KeptContexts
from sampan.errors import Conflict, NotFound
from sampan.expression import expression
from sampan.image.images import Removal
from sampan.image.records import Image

STEP, MOUNT, CONTEXT = "regular", "exec.cachemount", "source.local"  # the kinds, in BuildKit's words


@dataclass(frozen=True, slots=True)
class PruneCaches:
    """Which of what is kept is meant: what was of no use since `before_s` (realtime clock), and how much may stay.

    `id` is an expression that is found in an id, the others are the whole of what is meant; "" is anything. What is in
    use or shared is never removed: `nothing` is for who asks for that alone.
    """

    before_s: float = float("inf")
    id: str = ""
    kind: str = ""
    description: str = ""
    parent: str = ""
    nothing: bool = False
    keep_bytes: int = 0

    def means(self, name: str, kind: str, used_s: float, *, description: str = "", parent: str = "") -> bool:
        """Whether this one is meant."""
        return (
            not self.nothing
            and used_s < self.before_s
            and self.kind in {"", kind}
            and self.description in {"", description}
            and self.parent in {"", parent}
            and (not self.id or expression(self.id).search(name))
        )


@dataclass(frozen=True, slots=True)
class Pruned:
    """What was removed, and what that freed."""

    ids: tuple[str, ...]
    freed_bytes: int


@dataclass(frozen=True, slots=True)
class BuildPrunes:
    """Prunes of one engine."""

    images: EngineImages
    cache: BuildCache
    caches: CacheMounts
    kept: KeptContexts

    async def prune(self, wanted: PruneCaches) -> Pruned:
        """Remove what is meant, until no more than `keep_bytes` are left of all that could be removed."""
        sizes: dict[str, int] = {}
        for one in self.caches.all():
            if not one.in_use:
                sizes[one.directory] = await away(partial(self.caches.size_bytes, one.directory))
        work = _Work(self, wanted, sizes)
        work.go_on()
        self.cache.forget(work.steps.image_ids)
        for rubbish in work.steps.rubbish:
            self.images.disposal.dispose(rubbish)
        return Pruned((*work.steps.image_ids, *work.mounts, *work.contexts), work.freed_bytes)


class _Work:
    """One prune: what may go, by when it was of use."""

    def __init__(self, prunes: BuildPrunes, wanted: PruneCaches, sizes: dict[str, int]) -> None:
        self.prunes = prunes
        self.wanted = wanted
        self.sizes = sizes
        self.steps = Removal()
        self.mounts: list[str] = []
        self.contexts: dict[str, int] = {}  # with their sizes
        self.used_s = prunes.cache.image_ids()
        self.all = {image.id: image for image in prunes.images.images.records.all()}
        self.children = Counter(image.parent for image in self.all.values())
        self.waiting: list[tuple[float, str, str]] = []
        for image in self.all.values():
            self._offer(image)
        for one in prunes.caches.all():
            if one.directory in sizes and wanted.means(one.directory, MOUNT, one.used_s, description=one.description):
                heapq.heappush(self.waiting, (one.used_s, MOUNT, one.directory))
        contexts = prunes.kept.all()
        self.kept = {kept.id: kept.size_bytes for kept in contexts}
        for kept in contexts:
            if wanted.means(kept.id, CONTEXT, kept.used_s, description=kept.description):
                heapq.heappush(self.waiting, (kept.used_s, CONTEXT, kept.id))

    @property
    def freed_bytes(self) -> int:
        mounts = sum(self.sizes[directory] for directory in self.mounts)
        return self.steps.freed_bytes + mounts + sum(self.contexts.values())

    def go_on(self) -> None:
        """Remove one after the other, as long as too much is left."""
        keep_bytes = self.wanted.keep_bytes
        kept_bytes = self._kept_bytes() if keep_bytes else 0
        while self.waiting and (not keep_bytes or kept_bytes - self.freed_bytes > keep_bytes):
            _, kind, name = heapq.heappop(self.waiting)
            if kind == MOUNT:
                self.mounts += self.prunes.caches.remove([name])
            elif kind == CONTEXT:
                self.contexts |= {one: self.kept[one] for one in self.prunes.kept.remove([name])}
            else:
                self._remove_step(self.all[name])

    def _remove_step(self, image: Image) -> None:
        with contextlib.suppress(Conflict, NotFound):
            self.steps += self.prunes.images.images.remove(image.id, prune=False)
            self.children[image.parent] -= 1
            if image.parent in self.all:
                self._offer(self.all[image.parent])

    def _offer(self, image: Image) -> None:
        """Have a step wait for its removal, when nothing is named after it or built on it."""
        used_s = self.used_s.get(image.id)
        if used_s is None or self.children[image.id] or self._is_named(image):
            return
        if self.wanted.means(image.id, STEP, used_s, parent=image.parent):
            heapq.heappush(self.waiting, (used_s, STEP, image.id))

    def _is_named(self, image: Image) -> bool:
        return bool(self.prunes.images.images.names.of(image.id))

    def _kept_bytes(self) -> int:
        """What steps have that no other image has, the cache mounts, and contexts."""
        layers = self.prunes.images.layers
        of_steps: set[str] = set()
        of_others: set[str] = set()
        for image in self.all.values():
            is_step = image.id in self.used_s and not self._is_named(image)
            (of_steps if is_step else of_others).update(image.diff_ids)
        own = (diff_id for diff_id in of_steps - of_others if layers.has(diff_id))
        apart = sum(self.sizes.values()) + sum(self.kept.values())
        return sum(layers.get(diff_id).bytes for diff_id in own) + apart
