"""Making an image of an archive that arrives: the layer in a thread, then record and name in one go."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass

from sampan.engine.events import Events
from sampan.engine.feed import Reading, consume
from sampan.engine.image_events import announce
from sampan.engine.images import EngineImages
from sampan.image.import_rootfs import ImportRequest, check_import, imported_config, now
from sampan.image.layers import Layer
from sampan.image.records import Image
from sampan.oci.reference import Reference, parse_reference


@dataclass(frozen=True, slots=True)
class Imports:
    """`import` over an engine's images."""

    images: EngineImages
    events: Events

    async def make(self, request: ImportRequest, reference: str, archive: AsyncIterator[bytes]) -> Image:
        """The image of a root file system's tar, compressed or not, named `reference` unless that is "".

        Raises InvalidArgument for the name, the changes, or an archive that is none; nothing is left then.
        """
        check_import(request)
        name: Reference | None = parse_reference(reference).named() if reference else None
        with self.images.making() as hold:

            def add(read: Reading) -> Layer:
                return self.images.layers.add(read, hold=hold)[0]

            layer = await consume(archive, add)
            image = self.images.images.record(imported_config(request, layer, now()))
            if name is not None:
                self.images.images.point(name, image.id)
        announce(self.events, self.images.images, "import", image.id)
        if name is not None:
            announce(self.events, self.images.images, "tag", image.id, name.familiar)
        return image
