"""Base images without a hub, over the event loop: mmdebstrap works in a thread, and its lines are told as they come."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

from sampan.engine.events import Events
from sampan.engine.images import EngineImages
from sampan.engine.threads import its_end
from sampan.image.bootstrap import BootstrapRequest
from sampan.image.bootstrap import bootstrap as make_layer
from sampan.image.layers import Layer
from sampan.image.records import Image
from sampan.oci.reference import parse_reference


async def bootstrap(
    images: EngineImages, events: Events, request: BootstrapRequest, target: str = ""
) -> AsyncGenerator[str | Image]:
    """The lines of mmdebstrap, then the image, named `target` or as the request is.

    Raises NotImplementedHere without mmdebstrap, SystemFailure with its last words when it fails; nothing is left then.
    """
    name = parse_reference(target or request.name).named()
    told: asyncio.Queue[str | None] = asyncio.Queue()
    loop = asyncio.get_running_loop()

    def say(line: str) -> None:
        loop.call_soon_threadsafe(told.put_nowait, line)

    with images.making() as hold:

        def work() -> tuple[Layer, bytes]:
            return make_layer(images.layers, hold, request, say=say)

        working = asyncio.ensure_future(asyncio.to_thread(work))
        working.add_done_callback(lambda _: told.put_nowait(None))
        try:
            while (line := await told.get()) is not None:
                yield line
            _, config = await working
        finally:
            await its_end(working)  # a thread is not cancelled: its layer goes when it ends
        image = images.images.record(config)
        images.images.point(name, image.id)
    events.publish("image", "import", image.id, {"name": image.id})
    events.publish("image", "tag", image.id, {"name": name.familiar})
    yield image
