"""Slow work in a thread, awaited to its end whatever happens: nothing is tidied up below work that still goes on."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


async def here[T](work: Callable[[], T]) -> T:
    """What `work` gives or raises, at once: for what takes no longer than handing it to a thread."""
    return work()


async def away[T](work: Callable[[], T], stop: Callable[[], None] = lambda: None) -> T:
    """What `work` gives or raises, from a thread. Cancelled, it calls `stop` and waits for the thread first."""
    task = asyncio.ensure_future(asyncio.to_thread(work))
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        stop()
        while not task.done():
            try:
                await asyncio.wait([task])
            except asyncio.CancelledError:
                continue
        if not task.cancelled():
            task.exception()
        raise
