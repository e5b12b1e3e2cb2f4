"""The address of a daemon, in the forms that DOCKER_HOST takes, and how to get a socket to it.

Sockets are the interpreter's own `_socket` ones: the socket module costs 6 ms of CPU, most of a short command.
"""

from __future__ import annotations

import _socket
import errno
import posix

from sampan.client.failure import DaemonUnreachable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from _socket import socket as PlainSocket  # noqa: N812

    from sampan.client.tls import Encrypted, TlsFiles

    type Socket = PlainSocket | Encrypted

DEFAULT_SOCKET = "/run/sampan/sampan.sock"
_BY_SSH = f"forward the socket with `ssh -nNT -L /tmp/far.sock:{DEFAULT_SOCKET} HOST &`, and use unix:///tmp/far.sock"
_FORMS = "write unix:///path/to.sock, tcp://host:port or https://host:port"


class Endpoint:
    """One daemon's address: `scheme` is "unix" or "tcp"; `tls` is there when the connection is to be encrypted."""

    __slots__ = ("host", "path", "port", "prefix", "scheme", "tls")

    def __init__(self, scheme: str, *, path: str = "", host: str = "", port: int = 0, prefix: str = "") -> None:
        self.scheme = scheme
        self.path = path
        self.host = host
        self.port = port
        self.prefix = prefix
        self.tls: TlsFiles | None = None

    def __str__(self) -> str:
        if self.scheme == "unix":
            return f"unix://{self.path}"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'https' if self.tls else 'tcp'}://{host}:{self.port}{self.prefix}"

    @property
    def authority(self) -> str:
        """What the Host header says; Docker's clients send a fixed word over unix sockets."""
        if self.scheme == "unix":
            return "localhost"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"

    def connect(self) -> Socket:
        """A connected socket.

        Raises DaemonUnreachable: with the system's reason and what to do about it.
        """
        try:
            if self.scheme == "unix":
                return _connect_unix(self.path)
            plain = _connect_tcp(self.host, self.port)
        except OSError as error:
            raise self.unreachable(error) from error
        if self.tls is None:
            return plain
        from sampan.client.tls import encrypt

        return encrypt(plain, self.host, self.tls)

    def unreachable(self, error: OSError) -> DaemonUnreachable:
        """What a failed connect to here means to a user."""
        if error.errno in {errno.EACCES, errno.EPERM}:
            remedy = "become root with sudo, or join the group that owns the socket and log in again"
        elif self.scheme == "unix":
            remedy = f"start the daemon with `sampand -H {self}`, or name another with SAMPAN_HOST or -H"
        else:
            remedy = "see whether the daemon runs there and the address is right"
        reason = (error.strerror or str(error)).lower()
        return DaemonUnreachable(f"cannot connect to the daemon at {self}: {reason}", remedy=remedy)


def _connect_unix(path: str) -> PlainSocket:
    made = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
    try:
        made.connect(path)
    except BaseException:
        made.close()
        raise
    return made


def _connect_tcp(host: str, port: int) -> PlainSocket:
    failure: OSError | None = None
    for family, kind, protocol, _, address in _socket.getaddrinfo(host, port, 0, _socket.SOCK_STREAM):
        made = _socket.socket(family, kind, protocol)
        try:
            made.connect(address)
            made.setsockopt(_socket.IPPROTO_TCP, _socket.TCP_NODELAY, 1)
        except OSError as error:
            made.close()
            failure = error
        else:
            return made
    raise failure or OSError(errno.EHOSTUNREACH, f"no address for {host}")


def parse_endpoint(text: str) -> Endpoint:
    """The endpoint that `text` names, in the forms that DOCKER_HOST takes.

    Raises DaemonUnreachable: `text` has none of the forms.
    """
    scheme, mark, rest = text.partition("://")
    if not mark:
        scheme, rest = ("unix", text) if text.startswith("/") else ("tcp", text)
    if scheme == "unix":
        return Endpoint("unix", path=rest or DEFAULT_SOCKET)
    if scheme == "ssh":
        raise DaemonUnreachable(f"cannot connect by ssh to {text!r}", remedy=_BY_SSH)
    if scheme not in {"tcp", "http", "https"}:
        raise DaemonUnreachable(f"cannot connect by {scheme} to {text!r}", remedy=_FORMS)
    authority, _, prefix = rest.partition("/")
    host, port = _split_authority(authority, 2376 if scheme == "https" else 2375, text)
    endpoint = Endpoint("tcp", host=host, port=port, prefix=f"/{prefix.rstrip('/')}" if prefix.rstrip("/") else "")
    if scheme == "https":
        from sampan.client.tls import TlsFiles

        endpoint.tls = TlsFiles()
    return endpoint


def _split_authority(authority: str, port: int, text: str) -> tuple[str, int]:
    host, mark, number = authority.rpartition(":")
    if not mark or number.endswith("]"):
        host, number = authority, str(port)
    if not number.isdecimal() or int(number) > 65535:
        raise DaemonUnreachable(f"{text!r} names no port that could be", remedy=_FORMS)
    return host.strip("[]") or "127.0.0.1", int(number)


def environment(name: str) -> str:
    """The variable's value as text, "" when it is not set."""
    return posix.environ.get(name.encode(), b"").decode("utf-8", "surrogateescape")
