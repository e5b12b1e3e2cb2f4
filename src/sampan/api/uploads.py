"""What clients send: the body of a request as a source that the engine reads, whichever way it comes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sampan.api.bodies import ClientLeft
from sampan.api.call import Call
from sampan.api.server import take_body
from sampan.engine.feed import Source


@asynccontextmanager
async def arriving(call: Call) -> AsyncIterator[Source]:
    """The body of a request. What is left of it at the end is read for a moment, so that the answer is."""
    body = await take_body(call.request)
    if body is None:
        yield call.request.content.iter_any()
        return
    try:
        yield body
    except ClientLeft:
        if call.request.transport is not None:
            call.request.transport.abort()
        raise
    finally:
        try:
            await asyncio.to_thread(body.drain)
        finally:
            body.release()
