"""Who waits for an end is told of one that comes before the waiting is looked at."""

from __future__ import annotations

import asyncio

import pytest

from sampan.engine.waiting import Ending, Waits


def test_an_end_between_asking_and_awaiting_is_not_missed() -> None:
    async def ask_then_await() -> tuple[Ending, Ending]:
        waits = Waits()
        exit_, removal = waits.exit("box"), waits.removal("box")
        waits.exited("box", 3)
        waits.removed("box", 3)
        return await asyncio.wait_for(exit_, 30), await asyncio.wait_for(removal, 30)

    assert asyncio.run(ask_then_await()) == (Ending(3), Ending(3))


def test_who_waits_no_more_is_forgotten() -> None:
    async def cancel() -> None:
        waits = Waits()
        waiting = waits.exit("box")
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        await asyncio.sleep(0)
        assert not waits._exits

    asyncio.run(cancel())
