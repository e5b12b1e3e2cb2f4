"""splice(2) with a pipe between: bytes from a socket to a file that no process reads on their way."""

from __future__ import annotations

import errno
import fcntl
import os
from contextlib import suppress

from sampan.linux.write import write_all

_ROOM = 1 << 20  # bytes; pipe-max-size of pipe(7), as kernels have it


class Conduit:
    """A pipe for one thread; what it carries may be the pages that the sender had, so the bytes may change until then.

    They are copied once, by the target's file system.
    """

    __slots__ = ("_end", "_start")

    def __init__(self) -> None:
        self._end, self._start = os.pipe2(os.O_CLOEXEC)
        with suppress(OSError):  # an unprivileged user has a limit for all pipes together
            fcntl.fcntl(self._start, fcntl.F_SETPIPE_SZ, _ROOM)

    def take(self, source: int, at_most: int) -> int:
        """Take what the socket `source` has into the empty pipe, waiting for it; how many bytes, 0 at the end.

        Raises OSError.
        """
        return os.splice(source, self._start, at_most)

    def put(self, target: int, count: int) -> None:
        """Put the `count` bytes that are in the pipe into the file `target`, at its position.

        Raises what write(2) raises; what is in the pipe then is of no more use, and neither is the pipe.
        """
        while count:
            try:
                count -= os.splice(self._end, target, count)
            except OSError as error:
                if error.errno != errno.EINVAL:
                    raise
                data = os.read(self._end, count)  # a file system that knows no splice(2)
                write_all(target, data)
                count -= len(data)

    def close(self) -> None:
        """Close the pipe."""
        os.close(self._start)
        os.close(self._end)
