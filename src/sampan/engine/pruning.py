"""Removing all containers that do not run: Docker's prune."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass

from sampan.engine.announcer import Announcer
from sampan.engine.container import ContainerRecord, Created, Dead, Exited
from sampan.engine.containers import Containers
from sampan.engine.layout import Layout
from sampan.engine.sizes import written
from sampan.engine.store import ContainerStore
from sampan.errors import SampanError


@dataclass(frozen=True, slots=True)
class PruneFilter:
    """Which are meant: made before `until_ns`, with all `labels` ("name" or "name=value") and none of `not_labels`."""

    until_ns: int | None = None
    labels: tuple[str, ...] = ()
    not_labels: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Pruned:
    """What was removed, and what that freed."""

    container_ids: tuple[str, ...]
    freed_bytes: int


@dataclass(frozen=True, slots=True)
class Pruning:
    """Prune over an engine's containers."""

    store: ContainerStore
    layout: Layout
    containers: Containers
    announcer: Announcer

    async def prune(self, wanted: PruneFilter) -> Pruned:
        """Remove every container that is meant and does not run; one that cannot be removed stays, as Dead.

        Those of a build that goes on are the build's to remove.
        """
        removed, freed = [], 0
        for record in self.store.all():
            ended = isinstance(record.state, Created | Exited | Dead)
            if ended and not record.build_step and _is_meant(record, wanted):
                size = await asyncio.to_thread(written, self.layout, record)
                with contextlib.suppress(SampanError):
                    await self.containers.remove(record.id)
                    removed.append(record.id)
                    freed += size
        self.announcer.events.publish("container", "prune", "", {"reclaimed": str(freed)})
        return Pruned(tuple(removed), freed)


def _is_meant(record: ContainerRecord, wanted: PruneFilter) -> bool:
    labels = record.config.process.labels or {}

    def has(text: str) -> bool:
        name, separator, value = text.partition("=")
        return name in labels and (not separator or labels[name] == value)

    return (
        (wanted.until_ns is None or record.created_at_ns < wanted.until_ns)
        and all(has(text) for text in wanted.labels)
        and not any(has(text) for text in wanted.not_labels)
    )
