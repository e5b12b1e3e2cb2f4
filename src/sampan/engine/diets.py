"""Image diet over the event loop: look at an image, and write its smaller form.

What is found and what is left out is the image package's; here it is done in threads, recorded, named and told.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from sampan.engine.events import Events
from sampan.engine.images import EngineImages
from sampan.errors import InvalidArgument
from sampan.image.diet import Diet, analyse_layers
from sampan.image.records import Base, Image
from sampan.image.slim import Slimmed
from sampan.image.slim import squash as squash_layers
from sampan.oci.reference import Reference, parse_reference


@dataclass(frozen=True, slots=True)
class Smaller:
    """The smaller image, and the bytes that the larger one carries."""

    image: Image
    size_before: int


async def analyse(images: EngineImages, reference: str) -> Diet:
    """What the image's bytes are. Raises NotFound, and InvalidArgument for the machine itself."""
    image = images.images.get(reference)
    if image.base is not Base.NOTHING and not image.diff_ids:
        raise InvalidArgument("the image of the machine itself has no layers", remedy="name another image")
    with images.layers.hold(image.diff_ids):
        return await asyncio.to_thread(analyse_layers, images.layers, image)


async def squash(
    images: EngineImages, events: Events, reference: str, target: str, leave_out: tuple[str, ...] = ()
) -> Smaller:
    """The image in one layer, without these kinds of rubbish, named `target` unless that is "".

    Raises NotFound, InvalidArgument for the name, an unknown kind, or an image of the machine itself.
    """
    name: Reference | None = parse_reference(target).named() if target else None
    before = images.images.get(reference)
    with images.making(before.diff_ids) as hold:

        def work() -> Slimmed:
            return squash_layers(images.layers, hold, before, leave_out=leave_out)

        slimmed = await asyncio.to_thread(work)
        image = images.images.record(slimmed.config)
        if name is not None:
            images.images.point(name, image.id)
    events.publish("image", "squash", image.id, {"name": before.id})
    if name is not None:
        events.publish("image", "tag", image.id, {"name": name.familiar})
    return Smaller(image, slimmed.size_before)
