"""TLS to a daemon over tcp: which files, and the encrypted socket. Loaded only when a connection asks for it."""

from __future__ import annotations

import socket
import ssl
from _thread import allocate_lock
from collections import deque
from contextlib import suppress
from dataclasses import dataclass

from sampan.client.failure import DaemonUnreachable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from _socket import socket as Socket  # noqa: N812


REMEDY = "see --tlscacert, --tlscert, --tlskey and DOCKER_CERT_PATH"


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """Paths of PEM files; "" leaves one out. Without `verify` any certificate of the daemon is taken."""

    ca: str = ""
    certificate: str = ""
    key: str = ""
    verify: bool = True


class Encrypted:
    """A socket with TLS on it, with as much of a socket's interface as the client uses.

    ssl.SSLSocket cannot close one direction and go on reading the other, which is how the end of input is told; with
    the encryption apart from the socket that is one alert (RFC 8446, 6.1).
    """

    def __init__(self, plain: Socket, context: ssl.SSLContext, host: str) -> None:
        self._plain = plain
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=host)
        self._sealed = b""  # encrypted, and not sent yet
        self._of = 0  # how much of the caller's data that is
        self._early: deque[bytes] = deque()  # decrypted before it was asked for
        self._lock = allocate_lock()  # one thread may send while another one receives
        while True:
            try:
                self._tls.do_handshake()
            except ssl.SSLWantReadError:
                self._flush(0)
                self._receive(0)
            else:
                self._flush(0)
                return

    def recv(self, size: int, flags: int = 0) -> bytes:
        """Up to `size` bytes, b"" at the end; with MSG_DONTWAIT BlockingIOError when there are none yet."""
        if flags & socket.MSG_PEEK:
            return self._plain.recv(size, flags)
        while True:
            try:
                with self._lock:
                    return self._taken_early(size) if self._early else self._tls.read(size)
            except ssl.SSLWantReadError:
                self._receive(flags)
            except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
                return b""
            except ssl.SSLError as error:
                raise _refused(error) from error

    def _taken_early(self, size: int) -> bytes:
        data = self._early.popleft()
        if len(data) > size:
            self._early.appendleft(data[size:])
        return data[:size]

    def send(self, data: bytes, flags: int = 0) -> int:
        """Send some of `data` and say how much.

        With MSG_DONTWAIT it may be BlockingIOError; then the same data, or more with it in front, is to be sent next.
        """
        if not self._of:
            with self._lock:
                self._of = self._tls.write(data[:16384])
        self._flush(flags)
        sent, self._of = self._of, 0
        return sent

    def sendall(self, data: bytes) -> None:
        """Send all of it, blocking."""
        while data:
            data = data[self.send(data) :]

    def shutdown(self, _: int) -> None:
        """Say that nothing more will be sent. What has come by then is taken first: unwrapping would lose it."""
        with self._lock:
            with suppress(ssl.SSLError):
                while data := self._tls.read(65536):
                    self._early.append(data)
            with suppress(ssl.SSLError):  # the other end has not said the same, which is what is wanted
                self._tls.unwrap()
        self._flush(0)

    def pending(self) -> int:
        """How many bytes are here already, which no poll of the descriptor would tell."""
        return sum(map(len, self._early)) + self._tls.pending() + self._incoming.pending

    def fileno(self) -> int:
        """The descriptor of the socket below."""
        return self._plain.fileno()

    def settimeout(self, seconds: float | None) -> None:
        """As a socket's."""
        self._plain.settimeout(seconds)

    def close(self) -> None:
        """Close the socket below."""
        self._plain.close()

    def _receive(self, flags: int) -> None:
        data = self._plain.recv(65536, flags)
        with self._lock:
            if data:
                self._incoming.write(data)
            else:
                self._incoming.write_eof()

    def _flush(self, flags: int) -> None:
        self._sealed += self._outgoing.read()
        while self._sealed:
            self._sealed = self._sealed[self._plain.send(self._sealed, flags) :]


def _refused(error: ssl.SSLError) -> DaemonUnreachable:
    """What the other end says to our certificate, which in TLS 1.3 it says when the connection is made already."""
    reason = (error.reason or str(error)).lower().replace("_", " ")
    return DaemonUnreachable(f"the daemon refuses the TLS connection: {reason}", remedy=REMEDY)


def encrypt(plain: Socket, host: str, files: TlsFiles) -> Encrypted:
    """The same connection, encrypted.

    Raises DaemonUnreachable: a file cannot be read, or the certificates do not fit.
    """
    try:
        context = ssl.create_default_context(cafile=files.ca or None)
        # CAs made as Docker's manual says lack the key usage extension that Python 3.13 came to insist on
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT
        if not files.verify:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        if files.certificate:
            context.load_cert_chain(files.certificate, files.key or None)
        return Encrypted(plain, context, host)
    except OSError as error:  # ssl.SSLError is one
        plain.close()
        where = f" ({error.filename})" if getattr(error, "filename", None) else ""
        raise DaemonUnreachable(
            f"no TLS connection to {host}: {error.strerror or error}{where}",
            remedy=REMEDY,
        ) from error
