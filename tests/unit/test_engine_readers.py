"""Who reads a container's files: what waits for them, and what comes afterwards."""

from __future__ import annotations

import asyncio

from sampan.engine.readers import Readers
from sampan.engine.waiting import Locks


def test_what_is_to_come_afterwards_comes_with_the_last_reader() -> None:
    readers, done = Readers(), list[str]()
    readers.afterwards("a", lambda: done.append("nobody"))
    with readers.reading("a"):
        with readers.reading("a"):
            readers.afterwards("a", lambda: done.append("a"))
            readers.afterwards("b", lambda: done.append("b"))
        assert done == ["nobody", "b"]
    assert done == ["nobody", "b", "a"]


def test_only_readers_of_a_mounted_root_keep_others_from_being_alone() -> None:
    async def play() -> list[str]:
        locks, told = Locks(), list[str]()

        async def be_alone() -> None:
            async with locks.alone("a"):
                told.append("alone")

        with locks.readers.reading("a"):
            await be_alone()
            with locks.readers.reading("a", resting=True):
                waiting = [asyncio.create_task(be_alone()) for _ in range(2)]
                await asyncio.sleep(0)
                async with locks.of("a"):  # which is not waited for them
                    told.append("locked")
            told.append("read")
            await asyncio.gather(*waiting)
        return told

    assert asyncio.run(play()) == ["alone", "locked", "read", "alone", "alone"]


def test_a_reader_that_comes_before_the_lock_is_waited_for_too() -> None:
    async def play() -> list[str]:
        locks, told = Locks(), list[str]()

        async def be_alone() -> None:
            async with locks.alone("a"):
                told.append("alone")

        async with locks.of("a"):
            waiting = asyncio.create_task(be_alone())
            await asyncio.sleep(0)
            late = locks.readers.reading("a", resting=True)
            late.__enter__()
        for _ in range(10):
            await asyncio.sleep(0)
        told.append("read")
        late.__exit__(None, None, None)
        await waiting
        return told

    assert asyncio.run(play()) == ["read", "alone"]
