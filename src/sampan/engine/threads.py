"""Work in a thread that is waited for to its end, whatever becomes of who asked for it.

For acts that cannot be cut off half-way: what a lock protects must not go on when the lock is given up.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any


async def to_its_end[**P, T](function: Callable[P, T], *arguments: P.args, **options: P.kwargs) -> T:
    """`asyncio.to_thread`, but a cancellation is raised only after the function has ended."""
    work = asyncio.ensure_future(asyncio.to_thread(function, *arguments, **options))
    try:
        return await asyncio.shield(work)
    except asyncio.CancelledError:
        await its_end(work)
        raise


async def its_end(work: asyncio.Future[Any]) -> None:
    """Wait for the end of work that nobody wants any more, whoever cancels meanwhile; its failure is nobody's."""
    while not work.done():
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.wait([work])
    if not work.cancelled():
        work.exception()
