"""HTTP/1.1 as far as Docker's API needs it, on one socket: keep-alive, both kinds of body, streams, upgrades.

Only framing is here (RFC 9112); what is asked, and what an answer means, is `session`'s. Nothing is imported that a
short command would have to pay for.
"""

from __future__ import annotations

import _socket

from sampan.client.failure import ProtocolError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from sampan.client.endpoint import Socket
    from sampan.image.file_part import FilePart

RECEIVE_BYTES = 65536
MAX_HEAD_BYTES = 65536
_HEXADECIMAL = frozenset(b"0123456789abcdefABCDEF")


class ConnectionLost(ProtocolError):
    """The other end hung up. `fresh` says that no byte of an answer had come, so the request may be sent again."""

    def __init__(self, sentence: str, *, fresh: bool) -> None:
        super().__init__(
            f"the connection to the daemon was lost: {sentence}",
            remedy="see whether the daemon runs and what its log says, and ask again",
        )
        self.fresh = fresh


class Response:
    """An answer whose head has been read and whose body comes through `chunks` or `read`.

    `headers` has lower-case names; repeated ones are joined with ", ". `on_finished` is called once, when the body has
    been read to its end.
    """

    __slots__ = ("_left", "_mode", "connection", "finished", "headers", "on_finished", "reason", "status")

    def __init__(self, connection: Connection, status: int, reason: str, headers: dict[str, str], method: str) -> None:
        self.connection = connection
        self.on_finished: Callable[[Response], None] | None = None
        self.status = status
        self.reason = reason
        self.headers = headers
        self._left = 0
        self._mode = "length"
        if method == "HEAD" or status in {204, 304} or status == 101:
            pass
        elif "chunked" in headers.get("transfer-encoding", "").lower():
            self._mode = "chunked"
        elif "content-length" in headers:
            self._left = _content_length(headers["content-length"])
        else:
            self._mode = "until close"
        self.finished = self._mode == "length" and self._left == 0

    @property
    def reusable(self) -> bool:
        """Whether the connection may carry another request now."""
        closing = "close" in self.headers.get("connection", "").lower()
        return self.finished and self._mode != "until close" and not closing and self.status != 101

    def read(self) -> bytes:
        """The whole rest of the body."""
        return b"".join(self.chunks())

    def chunks(self) -> Iterator[bytes]:
        """The body as it arrives, in pieces of any size but never empty."""
        if self._mode == "length":
            return self._length_chunks()
        if self._mode == "chunked":
            return self._chunked_chunks()
        return self._rest_chunks()

    def pieces(self) -> Iterator[bytes]:
        """As `chunks`, and whoever reads no further gives the body up."""
        try:
            yield from self.chunks()
        finally:
            self.close()

    def ready(self, within_s: float) -> bool:
        """Whether more of the body, or its end, comes within so many seconds.

        False where that cannot be seen, which is over TLS.
        """
        if self.finished:
            return True
        connection = self.connection
        if connection.buffer or not isinstance(connection.socket, _socket.socket):
            return bool(connection.buffer)
        connection.socket.settimeout(within_s)
        try:
            connection.socket.recv(1, _socket.MSG_PEEK)
        except (TimeoutError, BlockingIOError):
            return False
        except OSError:
            return True  # who reads is told
        finally:
            connection.socket.settimeout(None)
        return True

    def wake(self, every_s: float | None) -> None:
        """While more of the body is waited for, let the interpreter look for signals so often; None: never.

        It hears of one at once that comes while it waits, and of one that came just before only when it is back.
        """
        self.connection.wakes = every_s is not None
        self.connection.socket.settimeout(every_s)

    def close(self) -> None:
        """Give the body up, and the connection with it unless the body was at its end."""
        if not self.reusable:
            self.connection.close()

    def _finish(self) -> None:
        self.finished = True
        if self.on_finished is not None:
            self.on_finished(self)

    def _length_chunks(self) -> Iterator[bytes]:
        while self._left:
            data = self.connection.take(self._left)
            if not data:
                raise ConnectionLost(f"the answer ended {self._left} bytes too early", fresh=False)
            self._left -= len(data)
            if not self._left:
                self._finish()
            yield data

    def _rest_chunks(self) -> Iterator[bytes]:
        while data := self.connection.take(RECEIVE_BYTES):
            yield data
        self._finish()

    def _chunked_chunks(self) -> Iterator[bytes]:
        connection = self.connection
        left = 0
        while True:
            data, used, left, ended = split_chunks(connection.buffer, left)
            connection.buffer = connection.buffer[used:]
            if ended:
                self._skip_trailers()
                self._finish()
            if data:
                yield data
            if ended:
                return
            if not connection.fill():
                raise ConnectionLost("the answer ended in the middle of a chunk", fresh=False)

    def _skip_trailers(self) -> None:
        """RFC 9112, 7.1.2: after the last chunk come trailer fields (of which we need none) and an empty line."""
        while True:
            line, end, rest = self.connection.buffer.partition(b"\r\n")
            if end:
                self.connection.buffer = rest
                if not line:
                    return
            elif not self.connection.fill():
                raise ConnectionLost("the answer ended before its trailer did", fresh=False)


def split_chunks(buffer: bytes, left: int) -> tuple[bytes, int, int, bool]:
    """What the chunked coding in `buffer` holds, when `left` bytes of a chunk were still to come.

    Gives the data, how many bytes of the buffer are used up, how many bytes of the last chunk (its closing line end
    counted) are still to come, and whether the last chunk of all was seen.
    """
    parts = []
    at = 0
    while True:
        if left:
            have = buffer[at : at + left]
            parts.append(have[: max(left - 2, 0)])
            at += len(have)
            left -= len(have)
        end = -1 if left else buffer.find(b"\r\n", at)
        if end < 0:
            if len(buffer) - at > 1024:
                raise ProtocolError("the length of a chunk has no end")
            return b"".join(parts), at, left, False
        length = _chunk_length(buffer[at:end])
        at = end + 2
        if length == 0:
            return b"".join(parts), at, 0, True
        left = length + 2


def _content_length(text: str) -> int:
    if not text.isdecimal():
        raise ProtocolError(f"{text[:20]!r} is no length of an answer")
    return int(text)


def _chunk_length(line: bytes) -> int:
    digits = line.partition(b";")[0].strip()
    if not digits or not _HEXADECIMAL.issuperset(digits):
        raise ProtocolError(f"{line[:20]!r} is no chunk length")
    return int(digits, 16)


class Connection:
    """One socket to a daemon. `used` says that a request has gone over it before, so it may have been closed since.

    `wakes` says that the end of the socket's patience is no end, but the time to look for signals (`Response.wake`).
    """

    __slots__ = ("buffer", "socket", "used", "wakes")

    def __init__(self, socket: Socket) -> None:
        self.socket = socket
        self.buffer = b""
        self.used = False
        self.wakes = False

    def fill(self) -> bool:
        """Receive once, blocking; False at the end."""
        while True:
            try:
                data = self.socket.recv(RECEIVE_BYTES)
                break
            except ConnectionResetError:
                return False
            except TimeoutError as error:
                if error.errno:  # the network's
                    raise _lost(error) from error
                if not self.wakes:  # a caller's patience is at its end
                    raise
            except OSError as error:
                raise _lost(error) from error
        self.buffer = self.buffer + data if self.buffer else data
        return bool(data)

    def take(self, limit: int) -> bytes:
        """Up to `limit` bytes, as soon as there are any; b"" at the end."""
        if not self.buffer and not self.fill():
            return b""
        data = self.buffer[:limit]
        self.buffer = self.buffer[limit:]
        return data

    def send(
        self, method: str, target: str, headers: dict[str, str], body: bytes | Iterable[bytes | FilePart] | None
    ) -> None:
        """Send a request. A body that is not bytes goes out in the chunked coding, piece by piece.

        Raises ConnectionLost: the other end has hung up.
        """
        lines = [f"{method} {target} HTTP/1.1"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        if isinstance(body, bytes):
            lines.append(f"Content-Length: {len(body)}")
        elif body is not None:
            lines.append("Transfer-Encoding: chunked")
        elif method in {"POST", "PUT"}:
            lines.append("Content-Length: 0")
        head = ("\r\n".join(lines) + "\r\n\r\n").encode("utf-8", "surrogateescape")
        try:
            if isinstance(body, bytes) or body is None:
                self.socket.sendall(head + (body or b""))
            else:
                self.socket.sendall(head)
                self._send_chunked(body)
        except (BrokenPipeError, ConnectionResetError) as error:
            if self._answered():
                return  # refused before all was sent; the answer says why
            raise _lost(error, fresh=True) from error

    def _answered(self) -> bool:
        return bool(self.buffer) or self.fill()

    def _send_chunked(self, pieces: Iterable[bytes | FilePart]) -> None:
        for piece in pieces:
            if isinstance(piece, bytes):
                if piece:
                    self.socket.sendall(b"%x\r\n%b\r\n" % (len(piece), piece))
                continue
            self.socket.sendall(b"%x\r\n" % len(piece))
            self._send_part(piece)
            self.socket.sendall(b"\r\n")
        self.socket.sendall(b"0\r\n\r\n")

    def _send_part(self, part: FilePart) -> None:
        """Send bytes out of a file, in the kernel where it can."""
        at = 0
        if isinstance(self.socket, _socket.socket):
            while at < len(part):
                at += part.send(self.socket.fileno(), at)
            return
        while data := part.read(at):
            self.socket.sendall(data)
            at += len(data)

    def response(self, method: str) -> Response:
        """Wait for the head of the answer to a request of `method`, passing over 1xx answers other than 101.

        Raises ConnectionLost: the other end hung up instead; ProtocolError: what came is no HTTP.
        """
        while True:
            while (end := self.buffer.find(b"\r\n\r\n")) < 0:
                if len(self.buffer) > MAX_HEAD_BYTES:
                    raise ProtocolError("the head of an answer has no end")
                if not self.fill():
                    raise ConnectionLost("it hung up without an answer", fresh=not self.buffer)
            head, self.buffer = self.buffer[:end], self.buffer[end + 4 :]
            self.used = True
            status, reason, headers = parse_head(head)
            if status >= 200 or status == 101:
                return Response(self, status, reason, headers, method)

    def stale(self) -> bool:
        """Whether the other end has closed it since the last answer, as far as can be seen without asking."""
        try:
            self.socket.recv(1, _socket.MSG_DONTWAIT | _socket.MSG_PEEK)
        except BlockingIOError:
            return False
        except OSError:
            return True
        return True

    def half_close(self) -> None:
        """Say that nothing more will be sent; the other direction stays open."""
        try:  # noqa: SIM105 - contextlib costs milliseconds
            self.socket.shutdown(_socket.SHUT_WR)
        except OSError:
            pass  # it has hung up already, which the reading side will find out

    def close(self) -> None:
        """Close the socket."""
        self.socket.close()


def _lost(error: OSError, *, fresh: bool = False) -> ConnectionLost:
    return ConnectionLost((error.strerror or str(error)).lower(), fresh=fresh)


def parse_head(head: bytes) -> tuple[int, str, dict[str, str]]:
    """Status, reason and headers of an answer's head (without its closing empty line)."""
    first, *lines = head.decode("latin-1").split("\r\n")
    version, _, rest = first.partition(" ")
    code, _, reason = rest.partition(" ")
    if not version.startswith("HTTP/1.") or not code.isdecimal():
        raise ProtocolError(f"{first[:60]!r} is no answer of an HTTP server", remedy="see whether the address is right")
    headers: dict[str, str] = {}
    for line in lines:
        name, _, value = line.partition(":")
        name = name.strip().lower()
        headers[name] = f"{headers[name]}, {value.strip()}" if name in headers else value.strip()
    return int(code), reason, headers
