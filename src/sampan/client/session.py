"""Calls to one daemon: versioned paths, queries, JSON both ways, errors as exceptions, sockets kept for the next call.

What the calls mean is not known here: `containers`, `images` and so on say that, and the command line asks directly.
"""

from __future__ import annotations

from sampan.client.endpoint import environment
from sampan.client.failure import DaemonUnreachable, NamelessError, ProtocolError, api_error
from sampan.client.json_text import dumps, loads, scan
from sampan.client.transport import Connection, ConnectionLost, Response

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
    from typing import Any, Self

    from sampan.client.endpoint import Endpoint, Socket
    from sampan.image.file_part import FilePart

    QueryValue = str | int | bool | Sequence[str] | None
    Query = Mapping[str, QueryValue]
    Body = Mapping[str, Any] | list[Any] | bytes | Iterable[bytes | FilePart] | None

API_VERSION = "1.45"
MOST_AT_ONCE = 50
_NOT_MODIFIED = 304
_PIECE_BYTES = 262144
_UPGRADE = {"Connection": "Upgrade", "Upgrade": "tcp"}
_NO_WORD = "see whether it wants TLS (--tlsverify, DOCKER_TLS_VERIFY) and takes this certificate, and what its log says"
_SAFE = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~/:,@")


def quote(text: str) -> str:
    """Percent-encode what may not stand in a path or query value (RFC 3986); "/" and ":" stay."""
    data = text.encode("utf-8", "surrogateescape")
    if _SAFE.issuperset(data):
        return text
    return "".join(chr(byte) if byte in _SAFE else f"%{byte:02X}" for byte in data)


def query_text(query: Query | None) -> str:
    """The query with its question mark, or "": None and False leave a key out, True is 1, lists repeat it."""
    if not query:
        return ""
    pairs = []
    for key, value in query.items():
        if value is True:
            pairs.append(f"{key}=1")
        elif isinstance(value, (list, tuple)):
            pairs += [f"{key}={quote(item)}" for item in value]
        elif value is not None and value is not False:
            pairs.append(f"{key}={quote(str(value))}")
    return "?" + "&".join(pairs) if pairs else ""


def _document(data: bytes) -> Any:
    """The JSON of an answer, None for an empty one. Raises ProtocolError for anything else."""
    try:
        return loads(data) if data.strip() else None
    except ValueError:
        raise ProtocolError(f"the answer is no JSON: {data[:60].decode(errors='replace')!r}") from None


def _is_done(status: int) -> bool:
    """Whether what was asked is done, or was so already; other redirections no engine answers."""
    return status < 300 or status == _NOT_MODIFIED


def _nameless(path: str) -> str:
    """The kind of thing, as in "container", that the path has an empty name for; "" when it has none."""
    parts = path.split("/", 5)
    if len(parts) > 2 and not parts[2]:
        return parts[1].removesuffix("s")
    return "snapshot" if parts[1] == "volumes" and len(parts) > 4 and not parts[4] else ""


class Hijacked:
    """A connection that has become a plain stream in both directions.

    `multiplexed` says that output comes in frames (see `frames`).
    """

    __slots__ = ("connection", "multiplexed")

    def __init__(self, connection: Connection, *, multiplexed: bool) -> None:
        self.connection = connection
        self.multiplexed = multiplexed

    @property
    def socket(self) -> Socket:
        """The socket; bytes that it gave already are in `early`."""
        return self.connection.socket

    @property
    def early(self) -> bytes:
        """Bytes of the stream that have been received already."""
        return self.connection.buffer

    def chunks(self) -> Iterator[bytes]:
        """What comes, until the other end closes."""
        while data := self.connection.take(65536):
            yield data

    def send(self, data: bytes) -> None:
        """Send all of `data`, blocking."""
        self.connection.socket.sendall(data)

    def half_close(self) -> None:
        """End of input for the process at the other end."""
        self.connection.half_close()

    def close(self) -> None:
        """End the stream."""
        self.connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Session:
    """A daemon's API, for several threads at once: each call has a connection of its own while it lasts.

    `may_start` allows `start_daemon` to be called when no one listens. `version` is the API version that paths carry;
    a daemon that finds it too new is asked for its own, once.
    """

    def __init__(self, endpoint: Endpoint, *, may_start: bool = False, version: str = "") -> None:
        self.endpoint = endpoint
        self.may_start = may_start
        self.version = version or environment("DOCKER_API_VERSION") or API_VERSION
        self.headers: dict[str, str] = {"Host": endpoint.authority, "User-Agent": "sampan"}
        self._fixed_version = self.version != API_VERSION
        self._idle: list[Connection] = []

    def call(self, method: str, path: str, query: Query | None = None, body: Body = None) -> Any:
        """The answer's document: decoded JSON, or None when it has no body.

        Raises ApiError: the daemon refused; ClientError: there was no answer.
        """
        data = self.request(method, path, query, body).read()
        return _document(data)

    def request(
        self,
        method: str,
        path: str,
        query: Query | None = None,
        body: Body = None,
        headers: Mapping[str, str] | None = None,
    ) -> Response:
        """The answer, its body unread. The connection is kept for the next call once the body has been read.

        Raises ApiError: the daemon refused; ClientError: there was no answer.
        """
        while True:
            response = self._exchange(method, path, query, body, headers)
            if _is_done(response.status):
                return response
            data = response.read()
            if response.status != 400 or not self._older_version(data):
                raise api_error(response.status, data, path)

    def stream(
        self, method: str, path: str, query: Query | None = None, body: Body = None
    ) -> Generator[Any, None, None]:
        """The documents of an answer that is a stream of JSON, each as soon as it is whole; it is asked for at once."""
        return _told(self.request(method, path, query, body))

    def call_all(self, method: str, paths: Sequence[str], query: Query | None = None) -> Iterator[Any]:
        """Ask all of `paths` at once, each on a connection of its own, and give the answers in order.

        An answer is what `call` would give, or the ApiError or NamelessError that it would raise.
        """
        under_way: list[Connection] = []
        asked = 0
        for path in paths:
            while asked < len(paths) and len(under_way) < MOST_AT_ONCE:
                if not _nameless(paths[asked]):
                    connection = self._take_connection()
                    connection.send(method, self._target(paths[asked], query), self.headers, None)
                    under_way.append(connection)
                asked += 1
            if kind := _nameless(path):
                yield NamelessError(kind)
                continue
            response = self._receive(under_way.pop(0), method)
            data = response.read()
            if _is_done(response.status):
                yield _document(data)
            elif response.status == 400 and self._older_version(data):
                yield self.call(method, path, query)
            else:
                yield api_error(response.status, data, path)

    def hijack(self, path: str, query: Query | None = None, body: Body = None) -> Hijacked:
        """POST with an upgrade to a plain stream (attach, exec start).

        Raises ApiError: the daemon refused.
        """
        response = self.request("POST", path, query, body, _UPGRADE)
        return Hijacked(response.connection, multiplexed="multiplexed" in response.headers.get("content-type", ""))

    def close(self) -> None:
        """Close the sockets that were kept."""
        kept, self._idle = self._idle, []
        for connection in kept:
            connection.close()

    def __del__(self) -> None:
        self.close()

    def _exchange(
        self, method: str, path: str, query: Query | None, body: Body, extra: Mapping[str, str] | None
    ) -> Response:
        if kind := _nameless(path):
            raise NamelessError(kind)
        headers = dict(self.headers)
        if isinstance(body, (dict, list)):
            data: Any = dumps(body)
            headers["Content-Type"] = "application/json"
        else:
            data = _pieces(body)
        if extra:
            headers.update(extra)
        while True:
            connection = self._take_connection()
            try:
                connection.send(method, self._target(path, query), headers, data)
                return self._receive(connection, method)
            except ConnectionLost as lost:
                again = connection.used and lost.fresh and method in {"GET", "HEAD"}
                connection.close()
                if not again:
                    if lost.fresh and not connection.used and self.endpoint.scheme == "tcp":
                        lost.remedy = _NO_WORD
                    raise
            except BaseException:
                connection.close()
                raise

    def _target(self, path: str, query: Query | None) -> str:
        prefix = f"{self.endpoint.prefix}/v{self.version}" if self.version else self.endpoint.prefix
        return f"{prefix}{path}{query_text(query)}"

    def _receive(self, connection: Connection, method: str) -> Response:
        response = connection.response(method)
        response.on_finished = self._keep
        if response.finished:
            self._keep(response)
        return response

    def _keep(self, response: Response) -> None:
        if response.reusable:
            self._idle.append(response.connection)
        elif response.status != 101:
            response.close()

    def _take_connection(self) -> Connection:
        while True:
            try:
                connection = self._idle.pop()
            except IndexError:
                return Connection(self._connect())
            if not connection.stale():
                return connection
            connection.close()

    def _connect(self) -> Socket:
        try:
            return self.endpoint.connect()
        except DaemonUnreachable as failure:
            if not self.may_start or not isinstance(failure.__cause__, (FileNotFoundError, ConnectionRefusedError)):
                raise
            self.may_start = False
            from sampan.client.daemon_start import start_daemon

            start_daemon(self.endpoint)
            return self.endpoint.connect()

    def _older_version(self, answer: bytes) -> bool:
        """Take the daemon's own version when it said that ours is too new for it."""
        if self._fixed_version or b"too new" not in answer:
            return False
        self._fixed_version = True
        self.version = ""
        try:
            response = self.request("GET", "/_ping")
            response.read()
            self.version = response.headers.get("api-version", "1.24")
        except BaseException:
            self.version = API_VERSION
            raise
        return True


def _pieces(body: Any) -> Any:
    """A body as it is sent: a file in pieces, where iterating would give its lines; what is like bytes as bytes."""
    if body is None or isinstance(body, bytes):
        return body
    if isinstance(body, str):
        raise TypeError(f"a body is bytes, not the text {body[:20]!r}")
    if hasattr(body, "read"):
        return iter(lambda: body.read(_PIECE_BYTES), b"")
    return bytes(body) if isinstance(body, (bytearray, memoryview)) else body


def _told(response: Response) -> Generator[Any, None, None]:
    try:
        yield from documents(response.chunks())
    finally:
        response.close()


def documents(chunks: Iterable[bytes]) -> Iterator[Any]:
    """The JSON documents in a stream of bytes, separated by white space or by nothing; a broken tail is dropped."""
    text = ""
    pending = b""
    for chunk in chunks:
        pending += chunk
        cut = pending.rfind(b"\n") + 1 or pending.rfind(b"}") + 1
        text += pending[:cut].decode("utf-8", "surrogateescape")
        pending = pending[cut:]
        at = 0
        while text[at:].strip():
            try:
                document, at = scan(text, at)
            except ValueError:
                break
            yield document
        text = text[at:]
