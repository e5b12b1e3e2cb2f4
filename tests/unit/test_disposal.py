from __future__ import annotations

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
