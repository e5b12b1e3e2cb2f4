"""Freeing the disk of what is no longer of any use, beside everything else: one thread, in the order given.

What is given has been moved out of the way already (`LayerStore.throw_away`); what is left when the daemon ends or
dies is removed by the next one.
"""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable

log = logging.getLogger("sampan.engine")


class Disposal:
    """A thread that removes trees."""

    def __init__(self, remove: Callable[[str], None]) -> None:
        self._remove = remove
        self._waiting: queue.SimpleQueue[str] = queue.SimpleQueue()
        threading.Thread(target=self._work, name="disposal", daemon=True).start()

    def dispose(self, path: str) -> None:
        """Have it removed, soon."""
        self._waiting.put(path)

    def _work(self) -> None:
        while True:
            path = self._waiting.get()
            try:
                self._remove(path)
            except Exception:  # the next daemon tries it again; what waits behind it must not
                log.exception("%s could not be removed", path)
