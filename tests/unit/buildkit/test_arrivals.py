"""What comes under a name, and who waits for it."""

from __future__ import annotations

import asyncio

import pytest

from sampan.buildkit.arrivals import Arrivals


async def test_whoever_asks_early_gets_what_comes_and_nobody_what_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    there: Arrivals[list[int]] = Arrivals()
    waiting = [asyncio.ensure_future(there.get("a")) for _ in range(3)]
    await asyncio.sleep(0)
    there.add("b", [0])
    await asyncio.sleep(0)
    there.add("a", [1])
    assert await asyncio.gather(*waiting) == [[1]] * 3
    assert await there.get("b") == [0]
    monkeypatch.setattr("sampan.buildkit.arrivals.ARRIVES_S", 0.01)
    assert await there.get("c") is None


async def test_who_leaves_does_not_take_along_the_next_one_of_its_name() -> None:
    there: Arrivals[list[int]] = Arrivals()
    first, second = [1], [1]
    there.add("a", first)
    there.add("a", second)
    there.remove("a", first)
    assert await there.get("a") is second
    there.remove("a", second)
    assert "a" not in there
