"""The files of an image as they are in it, without what a container adds: mount points, /.dockerenv."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sampan.engine.images import EngineImages
from sampan.errors import InvalidArgument
from sampan.image.file_part import FilePart
from sampan.image.pack import pack_in_parts
from sampan.image.records import Base


@contextmanager
def packed(images: EngineImages, reference: str) -> Iterator[Iterator[bytes | FilePart]]:
    """The archive of an image's files, for a thread. Raises NotFound, and InvalidArgument for the machine itself."""
    from sampan.build.snapshots import Snapshots  # an idle daemon does without

    image = images.images.get(reference)
    if image.base is Base.HOST:
        raise InvalidArgument(
            "an image of the machine itself is not given away", remedy="export a container of it: `sampan export`"
        )
    with images.layers.hold(image.diff_ids), Snapshots(images.layers).readable(image.diff_ids) as root_fd:
        yield pack_in_parts(root_fd)
