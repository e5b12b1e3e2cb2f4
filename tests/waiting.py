"""Waiting for something to be so, with a bound that says what was waited for."""

from __future__ import annotations

import time
from collections.abc import Callable


def until(is_so: Callable[[], bool], timeout_s: float = 60.0) -> None:
    """Return when `is_so` says yes; fail after the timeout."""
    end = time.monotonic() + timeout_s
    while not is_so():
        assert time.monotonic() < end, f"it did not come to be so within {timeout_s} s"
        time.sleep(0.02)
