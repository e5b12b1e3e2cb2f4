"""A ring of bytes in an unnamed file: where output waits for a client that is behind.

Memory would grow with every slow reader, and the log is no substitute: it may be off, it may have been rotated away,
and its JSON does not keep bytes that are not UTF-8. See docs/decisions/slow-clients.md.
"""

from __future__ import annotations

import errno
import os
import socket

_ONE_PIECE = 65536
_O_TMPFILE_MISSING = {errno.EOPNOTSUPP, errno.EISDIR, errno.EINVAL}


class Spool:
    """At most `limit` bytes, first in, first out; the space is given back whenever it runs empty."""

    def __init__(self, directory: str, limit: int) -> None:
        self._descriptor = _unnamed_file(directory)
        self._limit = limit
        self._start = 0
        self.size = 0

    def append(self, pieces: list[memoryview]) -> bool:
        """Take all of the pieces, or nothing and False when there is no room here or on the disk."""
        total = sum(len(piece) for piece in pieces)
        if self.size + total > self._limit:
            return False
        end = (self._start + self.size) % self._limit
        if end + total > self._limit:
            whole = memoryview(b"".join(pieces))
            first = self._limit - end
            written = self._write([whole[:first]], end) and self._write([whole[first:]], 0)
        else:
            written = self._write(pieces, end)
        if written:
            self.size += total
        return written

    def send(self, connection: socket.socket) -> int:
        """Move what the socket takes of one piece; the count. BlockingIOError when it takes nothing.

        Not with sendfile(2): that leaves the pages themselves in the socket, and what the ring writes to them next
        would change what the far end has not read yet.
        """
        piece = os.pread(self._descriptor, min(_ONE_PIECE, self.size, self._limit - self._start), self._start)
        sent = connection.send(piece, socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)
        self.size -= sent
        self._start = (self._start + sent) % self._limit
        if not self.size:
            self._start = 0
            os.ftruncate(self._descriptor, 0)
        return sent

    def close(self) -> None:
        """Drop it with all it holds."""
        os.close(self._descriptor)

    def _write(self, pieces: list[memoryview], offset: int) -> bool:
        total = sum(len(piece) for piece in pieces)
        try:
            while (written := os.pwritev(self._descriptor, pieces, offset)) < total:
                pieces = [memoryview(b"".join(pieces))[written:]]
                offset += written
                total -= written
        except OSError as error:
            if error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO}:
                return False
            raise
        return True


def _unnamed_file(directory: str) -> int:
    """A file without a name, open for reading and writing (O_TMPFILE, open(2)), or one that just lost its name."""
    try:
        return os.open(directory, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600)
    except OSError as error:
        if error.errno not in _O_TMPFILE_MISSING:
            raise
    path = f"{directory}/.spool-{os.getpid()}"
    descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o600)
    os.unlink(path)
    return descriptor
