"""Bodies that a thread reads from the socket by itself: which they are, and their chunked coding undone.

A body of many megabytes, or of many thousand small chunks, costs the event loop more than unpacking it costs. So the
head of such a request is changed before the parser sees it: without its body's framing, marked as an upgrade, behind
which the parser leaves all bytes alone. What the framing was travels in a header of our own. Connections over TLS, and
whatever is not certain, go the usual way. The loop's end of it is `server.take_body`.
"""

from __future__ import annotations

import contextlib
import os
import re
import select
import socket
import sys
import time
from collections.abc import Generator

from sampan.errors import InvalidArgument
from sampan.linux.splice import Conduit
from sampan.linux.write import write_all

BODY_HEADER = "X-Sampan-Body"
_CHUNKED = b"chunked"
_TAKEN = re.compile(rb"(?:PUT (?:/v[0-9.]+)?/containers/[^/? ]+/archive|POST (?:/v[0-9.]+)?/volumes/import)\?")
_FRAMING = re.compile(rb"\r\n(transfer-encoding|content-length)[ \t]*:[ \t]*([^\r\n]*?)[ \t]*(?=\r\n)", re.IGNORECASE)
_OTHERWISE = re.compile(rb"\r\n(?:expect|upgrade|connection|trailer|content-encoding)[ \t]*:", re.IGNORECASE)
_LEAST = 1 << 16  # a shorter body is here with its head, or nearly
_BUFFER = 1 << 18  # more than a unix socket holds
_LARGE = 1 << 13  # of a chunk: what is given as it lies in the buffer; smaller ones are joined
_LEAST_MOVED = 1 << 17  # of a file, and of a chunk that goes through a pipe
_MOST_PARTS = 256  # of a buffer in one writev(2), which takes 1024
_HEXADECIMAL = re.compile(rb"[0-9a-fA-F]{1,15}(?:[ \t]*;[^\r\n]*)?")
_MOST_LINE = 1024
_MOST_LENGTHS = 4096
_LINGER_S = 1.0
_CUT_OFF = "the client has left in the middle of its body"


def marked(head: bytes) -> bytes:
    """The head of a request (with its last line end, without the empty line), changed when its body is to be taken."""
    if _TAKEN.match(head) is None or _OTHERWISE.search(head) is not None:
        return head
    framing = _FRAMING.findall(head)
    if len(framing) != 1:
        return head
    name, value = framing[0]
    if name.lower() == b"transfer-encoding":
        if value.lower() != _CHUNKED:
            return head
    elif not value.isdigit() or len(value) > 18 or int(value) < _LEAST:
        return head
    mark = b"\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" + BODY_HEADER.encode() + b": " + value.lower()
    return _FRAMING.sub(lambda _: mark, head)


class ClientLeft(ConnectionError):
    """The connection ended before the body did."""


class SocketBody:
    """A body on a socket. `read` and `move` are for one thread; `abandon` is for any other.

    The socket is the caller's until `release`; `early` are the bytes of the body that came with the head.
    """

    def __init__(self, connection: socket.socket, early: bytes, framing: str) -> None:
        self._connection = connection
        self._buffer = bytearray(max(_BUFFER, len(early)))
        self._view = memoryview(self._buffer)
        self._view[: len(early)] = early
        self._at, self._end = 0, len(early)
        self._left = 0  # of the present chunk, or of a body without chunks, behind what has been given
        self._is_first, self._is_last = True, framing != _CHUNKED.decode()  # whether a chunk comes, and another
        self._conduit: Conduit | None = None
        self._lengths: dict[bytes, int] = {}
        self._deadline: float | None = None
        self._pieces = self._chunked() if framing == _CHUNKED.decode() else self._counted(int(framing))
        connection.setblocking(True)  # noqa: FBT003 -- the method has no keyword

    def read(self, _size: int = -1, /) -> bytes | memoryview:
        """The next piece, good until the next call; b"" at the end.

        Raises InvalidArgument for a body that is not what its head says, ClientLeft when it is cut off.
        """
        return next(self._pieces, b"")

    def move(self, target: int, at_most: int) -> int:
        """Move bytes of the body to the open file `target`, at its position, without reading them; how many.

        0 when the next ones have to be read: they are few, or none follow. Raises ClientLeft when the body is cut off,
        OSError for what the file's disk refuses; then nothing more can be moved.
        """
        if at_most < _LEAST_MOVED or (self._is_last and not self._left):
            return 0
        if self._at == self._end and self._left >= _LEAST_MOVED:
            return self._splice(target, min(at_most, self._left))
        return self._write_chunks(target, at_most)

    def _splice(self, target: int, at_most: int) -> int:
        if self._conduit is None:
            self._conduit = Conduit()
        moved = self._conduit.take(self._connection.fileno(), at_most)
        if not moved:
            raise ClientLeft(_CUT_OFF)
        self._left -= moved
        self._conduit.put(target, moved)
        return moved

    def _write_chunks(self, target: int, at_most: int) -> int:
        """Write what is in the buffer of several chunks, in one call."""
        if self._at == self._end:
            self._fill()
        if not (self._left or self._begin_chunk()) or self._left < _LARGE:
            return 0
        parts: list[memoryview] = []
        size = 0
        while len(parts) < _MOST_PARTS and (self._left or self._begin_chunk()):
            part = self._next_piece(at_most - size)
            if not part:
                break
            parts.append(part)
            size += len(part)
        written = os.writev(target, parts)
        if written < size:
            write_all(target, b"".join(parts)[written:])
        return size

    def abandon(self) -> None:
        """Let the reading thread see the end of the connection."""
        with contextlib.suppress(OSError):  # it has gone already
            self._connection.shutdown(socket.SHUT_RD)

    def drain(self) -> None:
        """Read what the client still sends, for a moment: an answer does not reach who is cut off in the middle."""
        self._deadline = time.monotonic() + _LINGER_S
        with contextlib.suppress(OSError, InvalidArgument):
            while self.read():
                pass

    def release(self) -> None:
        """Give the socket back as it was."""
        if self._conduit is not None:
            self._conduit.close()
        self._connection.setblocking(False)  # noqa: FBT003
        self._connection.close()

    def _fill(self) -> None:
        """Receive behind what is left of the buffer, which moves to its beginning."""
        left = self._end - self._at
        if left:
            self._buffer[:left] = self._buffer[self._at : self._end]
        self._at, self._end = 0, left
        if self._deadline is not None:
            waiting = select.poll()
            waiting.register(self._connection, select.POLLIN)
            if not waiting.poll(max(0, self._deadline - time.monotonic()) * 1000):
                raise TimeoutError
        count = self._connection.recv_into(self._view[left:])
        if not count:
            raise ClientLeft(_CUT_OFF)
        self._end += count

    def _next_piece(self, at_most: int = sys.maxsize) -> memoryview:
        """What is here of the present chunk."""
        at = self._at
        self._at = min(self._end, at + min(self._left, at_most))
        self._left -= self._at - at
        return self._view[at : self._at]

    def _counted(self, length: int) -> Generator[bytes | memoryview]:
        self._left = length
        while self._left:
            if self._at == self._end:
                self._fill()
            yield self._next_piece()

    def _chunked(self) -> Generator[bytes | memoryview]:
        """The chunked coding (RFC 9112, 7.1); pieces that would be small are joined, large ones are not copied."""
        small: list[memoryview] = []
        while True:
            here = min(self._left, self._end - self._at) if self._left or self._begin_chunk() else 0
            if 0 < here < _LARGE:
                small.append(self._next_piece())
            elif small:
                joined = b"".join(small)
                small.clear()
                yield joined
            elif here:
                yield self._next_piece()
            elif not self._is_last:
                self._fill()
            else:
                self._skip_trailers()
                return

    def _begin_chunk(self) -> bool:
        """Pass over the length of the next chunk; False when not all of it is here, or it is the last."""
        length = -1 if self._is_last else self._next_length()
        if length >= 0:
            self._is_first, self._is_last, self._left = False, not length, length
        return length > 0

    def _next_length(self) -> int:
        """The length of the next chunk, passed over with the line end of the one before; -1 when not all is here."""
        start = self._at
        if not self._is_first:
            ending = self._buffer[start : min(start + 2, self._end)]
            if not b"\r\n".startswith(ending):
                raise _malformed("a chunk is longer than its length")
            start += 2
        stop = self._buffer.find(b"\r\n", start, self._end)
        if stop < 0:
            if self._end - start > _MOST_LINE:
                raise _malformed("the length of a chunk has no end")
            return -1
        line = bytes(self._buffer[start:stop])
        length = self._lengths.get(line)
        if length is None:
            if _HEXADECIMAL.fullmatch(line) is None:
                raise _malformed(f"{line[:20]!r} is no length of a chunk")
            length = int(line.partition(b";")[0], 16)
            if len(self._lengths) < _MOST_LENGTHS:
                self._lengths[line] = length
        self._at = stop + 2
        return length

    def _skip_trailers(self) -> None:
        """What follows the last chunk: fields, of which none is needed, and an empty line."""
        while True:
            stop = self._buffer.find(b"\r\n", self._at, self._end)
            if stop < 0:
                if self._end - self._at > _MOST_LINE:
                    raise _malformed("a trailer has no end")
                self._fill()
                continue
            is_last = stop == self._at
            self._at = stop + 2
            if is_last:
                return


def _malformed(why: str) -> InvalidArgument:
    return InvalidArgument(f"the body of the request is malformed: {why}", remedy="send it in HTTP's chunked coding")
