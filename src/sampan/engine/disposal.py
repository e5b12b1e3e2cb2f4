"""Freeing the disk of what is no longer of any use, beside everything else: one thread, in the order given.

What is given has been moved out of the way already (`LayerStore.throw_away`); what is left when the daemon ends or
dies is removed by the next one. While something goes on whose small rubbish need not be gone at once (the steps of a
build), it waits a moment, and leaves the processors to that.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

log = logging.getLogger("sampan.engine")


class Disposal:
    """A thread that removes trees."""

    def __init__(self, remove: Callable[[str], None], *, patience_s: float = 1.0) -> None:
        """`patience_s` is how long what was set aside may wait."""
        self._remove = remove
        self._patience_s = patience_s
        self._waiting: queue.SimpleQueue[tuple[str, float]] = queue.SimpleQueue()
        self._idle = threading.Event()
        self._idle.set()
        self._busy = 0
        threading.Thread(target=self._work, name="disposal", daemon=True).start()

    def dispose(self, path: str) -> None:
        """Have it removed, soon."""
        self._waiting.put((path, time.monotonic()))

    @contextmanager
    def aside(self) -> Iterator[None]:
        """Have what is given wait for the end of the block, a moment at most; from the event loop's thread."""
        self._busy += 1
        self._idle.clear()
        try:
            yield
        finally:
            self._busy -= 1
            if not self._busy:
                self._idle.set()

    def _work(self) -> None:
        while True:
            path, since_s = self._waiting.get()
            self._idle.wait(max(0.0, since_s + self._patience_s - time.monotonic()))
            try:
                self._remove(path)
            except Exception:  # the next daemon tries it again; what waits behind it must not
                log.exception("%s could not be removed", path)
