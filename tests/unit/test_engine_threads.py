"""Work in a thread whose asker went away: it goes on to its end, and its failure is nobody's."""

from __future__ import annotations

import asyncio
import gc
import threading
import warnings
from typing import Any

import pytest

from sampan.engine import bootstraps
from sampan.engine.feed import consume
from sampan.engine.threads import to_its_end
from sampan.errors import SystemFailure
from sampan.image.bootstrap import BootstrapRequest


def complaints_after(scene: Any) -> list[str]:
    """What the event loop has to say that nobody asked for ("exception was never retrieved")."""
    with warnings.catch_warnings(action="ignore"):  # what an earlier test that failed has left is not this one's
        gc.collect()
    said: list[str] = []

    async def whole() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: said.append(context["message"]))
        await scene()
        gc.collect()

    asyncio.run(whole())
    gc.collect()
    return said


def test_a_failure_after_the_asker_went_away_is_waited_for_and_not_complained_of() -> None:
    begun, may_fail, ended = threading.Event(), threading.Event(), threading.Event()

    def work() -> None:
        begun.set()
        may_fail.wait(60)
        ended.set()
        raise SystemFailure("too late")

    async def scene() -> None:
        task = asyncio.ensure_future(to_its_end(work))
        await asyncio.to_thread(begun.wait, 60)
        task.cancel()
        asyncio.get_running_loop().call_later(0, may_fail.set)
        with pytest.raises(asyncio.CancelledError):
            await task
        assert ended.is_set()

    assert complaints_after(scene) == []


def test_a_base_image_that_fails_when_nobody_listens_any_more_is_not_complained_of(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    may_fail = threading.Event()

    def make_layer(*_: object, say: Any) -> None:
        say("I: begins")
        may_fail.wait(60)
        raise SystemFailure("mmdebstrap cannot make it")

    class Held:
        def __enter__(self) -> None: ...

        def __exit__(self, *_: object) -> None: ...

    class Images:
        making = Held
        layers = None

    monkeypatch.setattr(bootstraps, "make_layer", make_layer)

    async def scene() -> None:
        told = bootstraps.bootstrap(Images(), None, BootstrapRequest("debian", "trixie"))  # type: ignore[arg-type]
        assert await anext(told) == "I: begins"
        asyncio.get_running_loop().call_later(0, may_fail.set)
        await told.aclose()

    assert complaints_after(scene) == []


def test_a_stream_that_breaks_off_and_is_cancelled_too_ends_its_work_before_anything_else_goes_on() -> None:
    ended = threading.Event()
    broke_off = asyncio.Event()

    def work(read: Any) -> None:
        try:
            read(10)
            read(10)
        finally:
            ended.wait(0.2)  # what it tidies up takes a moment
            ended.set()

    async def source() -> Any:
        yield b"the beginning"
        broke_off.set()
        raise ConnectionResetError("the client is gone")

    async def scene() -> None:
        task = asyncio.ensure_future(consume(source(), work))
        await broke_off.wait()
        for _ in range(3):
            await asyncio.sleep(0)
            task.cancel()
        with pytest.raises((ConnectionResetError, asyncio.CancelledError)):
            await task
        assert ended.is_set()

    assert complaints_after(scene) == []
