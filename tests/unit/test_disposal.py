from __future__ import annotations

import queue
import threading

import pytest

from sampan.engine.disposal import Disposal


def test_what_cannot_be_removed_keeps_nothing_else_from_it(caplog: pytest.LogCaptureFixture) -> None:
    removed, done = [], threading.Event()

    def remove(path: str) -> None:
        if path == "stuck":
            raise OSError(16, "Device or resource busy", path)
        removed.append(path)
        if path == "last":
            done.set()

    disposal = Disposal(remove)
    for path in ("first", "stuck", "last"):
        disposal.dispose(path)
    assert done.wait(30)
    assert removed == ["first", "last"]
    assert "stuck could not be removed" in caplog.text


def test_what_is_set_aside_waits_for_the_end_of_what_goes_on() -> None:
    removed: queue.SimpleQueue[str] = queue.SimpleQueue()
    disposal = Disposal(removed.put, patience_s=3600)
    with disposal.aside():
        with disposal.aside():
            disposal.dispose("small")
        with pytest.raises(queue.Empty):
            removed.get(timeout=0.01)
    assert removed.get(timeout=30) == "small"


def test_what_is_set_aside_waits_no_longer_than_it_may() -> None:
    removed: queue.SimpleQueue[str] = queue.SimpleQueue()
    disposal = Disposal(removed.put, patience_s=0.01)
    with disposal.aside():
        disposal.dispose("small")
        assert removed.get(timeout=30) == "small"
