"""What builds keep for later builds beside steps, as it is listed: contexts of clients, directories of cache mounts."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from sampan.build.cache_mounts import CacheMounts
from sampan.engine.build_prunes import CONTEXT, MOUNT, PruneCaches
from sampan.engine.kept_contexts import KeptContexts


@dataclass(frozen=True, slots=True)
class BuildRecord:
    """One of them: its kind in BuildKit's words, times by the realtime clock."""

    id: str
    kind: str
    description: str
    in_use: bool
    size_bytes: int
    created_s: float
    used_s: float
    uses: int


async def build_records(kept: KeptContexts, caches: CacheMounts, wanted: PruneCaches) -> list[BuildRecord]:
    """Those that are meant, contexts first; directories are measured beside the event loop."""
    found = [
        BuildRecord(
            one.id, CONTEXT, one.description, bool(one.readers), one.size_bytes, one.created_s, one.used_s, one.uses
        )
        for one in kept.all()
        if wanted.means(one.id, CONTEXT, one.used_s, description=one.description)
    ]
    for one in caches.all():
        if wanted.means(one.directory, MOUNT, one.used_s, description=one.description):
            size = await asyncio.to_thread(caches.size_bytes, one.directory)
            found.append(
                BuildRecord(
                    one.directory, MOUNT, one.description, one.in_use, size, one.created_s, one.used_s, one.uses
                )
            )
    return found
