"""One stream of output of a process: the read end of its pipe, or its terminal's master."""

from __future__ import annotations

import fcntl
import os
import struct
import termios
from collections.abc import Callable

from sampan.monitor.loop import READABLE, Loop

ONE_READ = 65536


class Output:
    """Reads a non-blocking descriptor, which becomes its own, and hands on what it reads in chunks.

    `take(stream, chunk)` may call `pause` and `resume`. `on_end` is called once, when no one can write any more, with
    the descriptor closed; `close` calls it too.
    """

    def __init__(
        self,
        loop: Loop,
        descriptor: int,
        stream: int,
        take: Callable[[int, bytes], None],
        on_end: Callable[[], None],
    ) -> None:
        self._loop = loop
        self._descriptor = descriptor
        self._stream = stream
        self._take = take
        self._on_end = on_end
        self._paused = False
        os.set_blocking(descriptor, False)
        loop.watch(descriptor, READABLE, self._ready)

    @property
    def ended(self) -> bool:
        """Whether nothing more will come."""
        return self._descriptor < 0

    def pause(self) -> None:
        """Leave what comes in the pipe."""
        if not self._paused and not self.ended:
            self._paused = True
            self._loop.forget(self._descriptor)  # not mask 0: a hang-up would wake us all the same

    def resume(self) -> None:
        """Go on reading."""
        if self._paused and not self.ended:
            self._paused = False
            self._loop.watch(self._descriptor, READABLE, self._ready)

    def drain(self) -> None:
        """Read, paused or not, what is in there now; so all that a process wrote that has ended is read."""
        if self.ended:
            return
        there = struct.unpack("i", fcntl.ioctl(self._descriptor, termios.FIONREAD, bytes(4)))[0]
        while there >= 0 and (read := self._read()):
            there -= read

    def close(self) -> None:
        """Read no more; later writers get SIGPIPE."""
        if self.ended:
            return
        self._loop.forget(self._descriptor)
        os.close(self._descriptor)
        self._descriptor = -1
        self._on_end()

    def _ready(self, _mask: int) -> None:
        self._read()

    def _read(self) -> int:
        """Hand on one chunk; its size, 0 when nothing is there or the stream has ended."""
        if self.ended:
            return 0
        try:
            chunk = os.read(self._descriptor, ONE_READ)
        except BlockingIOError:
            return 0
        except OSError:  # EIO: the last slave of the terminal was closed (pty(7))
            chunk = b""
        if not chunk:
            self.close()
            return 0
        self._take(self._stream, chunk)
        return len(chunk)
