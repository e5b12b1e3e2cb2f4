"""The way in: what attached clients send, to the standard input of a process."""

from __future__ import annotations

import os
from collections.abc import Callable

from sampan.monitor.loop import WRITABLE, Loop


class Stdin:
    """Bytes in order to one non-blocking descriptor: the write end of a pipe, or a terminal's master.

    It holds what the process has not taken yet; while it is `full` nothing more should be read from clients, and
    `on_room` says when to go on. A process that closed its input makes it swallow everything. The descriptor becomes
    this object's own.
    """

    def __init__(self, loop: Loop, descriptor: int, on_room: Callable[[], None]) -> None:
        self._loop = loop
        self._descriptor = descriptor
        self._on_room = on_room
        self._waiting = b""
        self._ending = False

    @property
    def full(self) -> bool:
        """Whether bytes wait for the process to take them."""
        return bool(self._waiting)

    def write(self, content: bytes) -> None:
        """Pass it on, now or when there is room."""
        if self._descriptor < 0 or self._ending:
            return
        was_full = self.full
        self._waiting += content
        if was_full:
            return
        self._push()
        if self._waiting:
            self._loop.watch(self._descriptor, WRITABLE, self._when_writable)

    def end(self) -> None:
        """The process gets end-of-file behind what was written."""
        self._ending = True
        if not self._waiting:
            self.close()

    def close(self) -> None:
        """Close the descriptor now; idempotent. What waits is dropped."""
        self._waiting = b""
        if self._descriptor >= 0:
            self._loop.forget(self._descriptor)
            os.close(self._descriptor)
            self._descriptor = -1

    def _when_writable(self, _mask: int) -> None:
        self._push()
        if self._waiting:
            return
        self._loop.forget(self._descriptor)
        if self._ending:
            self.close()
        self._on_room()

    def _push(self) -> None:
        try:
            while self._waiting:
                written = os.write(self._descriptor, self._waiting)
                self._waiting = self._waiting[written:]
        except BlockingIOError:
            return
        except OSError:  # EPIPE, EIO: nobody reads it any more
            self.close()
