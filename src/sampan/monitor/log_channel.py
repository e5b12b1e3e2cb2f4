"""A non-blocking way to where log messages are sent: unix sockets, udp, tcp, tcp with TLS; and looking up its name.

Nothing here waits, queues or tries again: that is `log_sender`'s matter, and what messages look like the drivers'.
"""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import socket
from collections.abc import Callable
from typing import Any

from sampan.linux.process import close_range
from sampan.monitor.log_plan import SendPlan
from sampan.monitor.loop import READABLE, WRITABLE, Loop

SYSLOG_SOCKETS = ("/dev/log", "/var/run/syslog", "/var/run/log")  # where a machine's own syslog may listen
Wrap = Callable[[socket.socket], Any]
_LONGEST_ANSWER = 4096
_IN_PROGRESS = {0, errno.EINPROGRESS}


class Channel:
    """A connection, perhaps still being made; `proceed` makes it until it is `ready`. OSError when it cannot be."""

    def __init__(self, connection: socket.socket, *, is_datagram: bool, wrap: Wrap | None) -> None:
        self._socket: Any = connection  # a socket, or an SSLSocket
        self._wrap = wrap
        self.is_datagram = is_datagram
        self.ready = False
        self.wants = WRITABLE

    def fileno(self) -> int:
        """The descriptor to watch."""
        number: int = self._socket.fileno()
        return number

    def proceed(self) -> None:
        """Go on with connecting and TLS's handshake as far as it goes without waiting."""
        if self.ready:
            return
        number = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if number:
            raise OSError(number, os.strerror(number))
        if self._wrap is not None:
            self._socket = self._wrap(self._socket)
            self._wrap = None
        if hasattr(self._socket, "do_handshake"):
            try:
                self._without_wait(self._socket.do_handshake)
            except BlockingIOError:
                return
        self.ready = True

    def send(self, content: bytes) -> int:
        """How much of it was taken. BlockingIOError when there is no room, and `wants` says what to wait for."""
        if not self.is_datagram:
            sent: int = self._without_wait(lambda: self._socket.send(content))
            return sent
        try:
            self._socket.send(content, socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)
        except OSError as error:
            if error.errno != errno.EMSGSIZE or self._socket.family != socket.AF_UNIX:
                raise
            self._send_in_file(content)
        return len(content)

    def look(self) -> None:
        """Read away what a server says. OSError when it has closed a stream, or its socket on this machine is gone."""
        if self.is_datagram:
            number = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if number and self._socket.family == socket.AF_UNIX:
                raise OSError(number, os.strerror(number))
            return
        try:
            if not self._without_wait(lambda: self._socket.recv(4096)):
                raise ConnectionResetError(errno.ECONNRESET, os.strerror(errno.ECONNRESET))
        except BlockingIOError:
            self.wants = WRITABLE

    def close(self) -> None:
        """Close it, what was sent going out in order."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_WR)
        self._socket.close()

    def _send_in_file(self, content: bytes) -> None:
        """A message that no datagram holds, as journald takes it: in a sealed memfd (systemd's native protocol)."""
        import fcntl

        descriptor = os.memfd_create("sampan-log", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        try:
            os.write(descriptor, content)
            seals = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE | fcntl.F_SEAL_SEAL
            fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, seals)
            socket.send_fds(self._socket, [b""], [descriptor])
        finally:
            os.close(descriptor)

    def _without_wait(self, act: Callable[[], Any]) -> Any:
        self.wants = WRITABLE
        try:
            return act()
        except BlockingIOError:
            raise
        except OSError as error:
            # ssl's own words for "not now", without importing ssl where no TLS is used
            if type(error).__name__ == "SSLWantReadError":
                self.wants = READABLE
            elif type(error).__name__ != "SSLWantWriteError":
                raise
            raise BlockingIOError from error


def open_channel(plan: SendPlan, address: tuple[str, int] | None = None, wrap: Wrap | None = None) -> Channel:
    """Begin to connect to where `plan` says; `address` is what its host's name stands for, `wrap` a `tls_wrapper`.

    OSError when it cannot.
    """
    scheme, _, rest = plan.address.partition("://")
    if scheme in {"unix", "unixgram", ""}:
        return _open_unix(scheme, rest)
    assert address is not None  # noqa: S101 -- looked up by the caller
    family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
    kind = socket.SOCK_DGRAM if scheme == "udp" else socket.SOCK_STREAM
    connection = socket.socket(family, kind | socket.SOCK_NONBLOCK)
    number = connection.connect_ex(address)
    if number not in _IN_PROGRESS:
        connection.close()
        raise OSError(number, os.strerror(number), f"{address[0]} port {address[1]}")
    return Channel(connection, is_datagram=scheme == "udp", wrap=wrap)


def _open_unix(scheme: str, path: str) -> Channel:
    paths = (path,) if path else SYSLOG_SOCKETS
    kinds = (socket.SOCK_DGRAM,) if scheme == "unixgram" else (socket.SOCK_STREAM, socket.SOCK_DGRAM)
    last = OSError(errno.ENOENT, os.strerror(errno.ENOENT), paths[0])
    for each in paths:
        for kind in kinds:
            connection = socket.socket(socket.AF_UNIX, kind | socket.SOCK_NONBLOCK)
            number = connection.connect_ex(each)
            if not number:
                return Channel(connection, is_datagram=kind == socket.SOCK_DGRAM, wrap=None)
            connection.close()
            last = OSError(number, os.strerror(number), each)
            if number != errno.EPROTOTYPE:
                break
    raise last


def tls_wrapper(plan: SendPlan) -> Wrap:
    """What makes a connected socket one of TLS. OSError for certificates that cannot be used."""
    import ssl  # megabytes: only for who asks for it

    context = ssl.create_default_context(cafile=plan.tls_authority or None)
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT  # authorities of one's own lack what it asks for
    if plan.tls_certificate:
        context.load_cert_chain(plan.tls_certificate, plan.tls_key or None)
    if plan.tls_unverified:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    name, _ = host_and_port(plan.address)
    return lambda plain: context.wrap_socket(plain, server_hostname=name, do_handshake_on_connect=False)


def host_and_port(address: str) -> tuple[str, int]:
    """From scheme://HOST:PORT or scheme://[ADDRESS]:PORT."""
    host, _, port = address.partition("://")[2].rpartition(":")
    return host.strip("[]"), int(port)


def is_literal(host: str) -> bool:
    """Whether it is an address and no name."""
    for family in (socket.AF_INET, socket.AF_INET6):
        try:
            socket.inet_pton(family, host)
        except OSError:
            continue
        return True
    return False


class Lookup:
    """Looks a name up in a child process, as the resolver waits; `on_found` gets its addresses, the best first."""

    def __init__(self, loop: Loop, host: str, on_found: Callable[[list[str]], None]) -> None:
        self._loop = loop
        self._on_found = on_found
        self._source, target = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self._pid = os.fork()
        if self._pid == 0:
            _look_up_and_exit(host, target)
        os.close(target)
        loop.watch(self._source, READABLE, self._ready)

    def _ready(self, _mask: int) -> None:
        found = os.read(self._source, _LONGEST_ANSWER)
        self._loop.forget(self._source)
        os.close(self._source)
        os.waitpid(self._pid, 0)
        self._on_found(found.decode().split())


def _look_up_and_exit(host: str, target: int) -> None:
    """In a child of its own, which keeps no descriptor of the monitor's."""
    try:
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_DFL)
        os.dup2(target, 3, inheritable=False)
        close_range(4)
        with contextlib.suppress(OSError):
            found = dict.fromkeys(str(one[4][0]) for one in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM))
            os.write(3, " ".join(found).encode()[:_LONGEST_ANSWER])
    finally:
        os._exit(0)
