"""What containers take of the disk, for listings that ask for it: a walk over what each has written."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass

from sampan.engine.container import ContainerRecord
from sampan.engine.layout import Layout
from sampan.image.images import Images
from sampan.image.tree import content_size


@dataclass(frozen=True, slots=True)
class ContainerSize:
    """Bytes that a container wrote itself, and those of its whole root."""

    written: int
    root: int


async def container_size(record: ContainerRecord, layout: Layout, images: Images) -> ContainerSize:
    """Walk what the container wrote, in a thread; files that vanish meanwhile are not counted."""
    own = await asyncio.to_thread(written, layout, record)
    image = images.records.get(record.image_id) if images.records.has(record.image_id) else None
    return ContainerSize(own, own + (image.size if image else 0))


def written(layout: Layout, record: ContainerRecord) -> int:
    """The bytes that the container wrote, in a walk; 0 when its folder is gone."""
    with contextlib.suppress(OSError):
        return content_size(f"{layout.container(record.id)}/upper")
    return 0
