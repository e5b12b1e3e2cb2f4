"""The monitor's end of its conversations with daemons: the one it was born with, and monitor.sock for later ones.

It moves packets and never blocks; what they say is the `Hears`' matter.
"""

from __future__ import annotations

import contextlib
import os
import socket
import struct
from collections.abc import Callable
from typing import Protocol

from sampan.monitor import protocol
from sampan.monitor.loop import HUNG_UP, READABLE, WRITABLE, Loop
from sampan.monitor.protocol import Message

SOCKET_NAME = "monitor.sock"

# A daemon that reads none of this many packets is no longer listening; it can connect again and gets Status.
_MOST_WAITING = 1024
_CREDENTIALS = struct.Struct("3i")


class Hears(Protocol):
    """Who is told what daemons say."""

    def heard(self, connection: Connection, message: Message, descriptors: list[int]) -> None:
        """A packet came; the descriptors are the callee's to close."""

    def ended(self, connection: Connection) -> None:
        """The far end is gone."""


class Connection:
    """One connected SOCK_SEQPACKET socket, which becomes this object's own."""

    def __init__(self, loop: Loop, connection: socket.socket, hears: Hears) -> None:
        self._loop = loop
        self._socket = connection
        self._hears = hears
        self._waiting: list[Message] = []
        self._parting = False
        connection.settimeout(0)
        loop.watch(connection.fileno(), READABLE, self._ready)

    def tell(self, message: Message) -> None:
        """Send it, now or when there is room; in order. Nothing happens on a closed connection."""
        if self._closed:
            return
        self._waiting.append(message)
        if len(self._waiting) > _MOST_WAITING:
            self._end()
        elif len(self._waiting) == 1:
            self._send()
            if self._waiting:
                self._loop.change(self._socket.fileno(), READABLE | WRITABLE)

    def hear_all(self) -> None:
        """Take what has come already; what lies unread at a close would reach the far end as a reset (unix(7))."""
        while not self._closed and self._receive():
            pass

    def close_when_told(self, patience_s: float) -> None:
        """End it, once the far end has room for what still waits, or when that takes too long; the owner is told."""
        self._parting = True
        if not self._waiting:
            self._end()
        else:
            self._loop.after(patience_s, self._end)

    def _ready(self, mask: int) -> None:
        if mask & WRITABLE:
            self._send()
            if not self._waiting and not self._closed:
                self._loop.change(self._socket.fileno(), READABLE)
        if mask & (READABLE | HUNG_UP) and not self._closed:
            self._receive()

    def _send(self) -> None:
        try:
            while self._waiting:
                protocol.send(self._socket, self._waiting[0])
                del self._waiting[0]
        except BlockingIOError:
            return
        except OSError:
            self._waiting.clear()  # the end will be read, behind what came before it
        if self._parting:
            self._end()

    def _receive(self) -> bool:
        try:
            packet = protocol.receive(self._socket)
        except BlockingIOError:
            return False
        except (OSError, ValueError, TypeError):
            packet = None
        if packet is None:
            self._end()
            return False
        self._hears.heard(self, *packet)
        return True

    def _end(self) -> None:
        """Close it and tell the owner, once."""
        if not self._closed:
            self._loop.forget(self._socket.fileno())
            self._socket.close()
            self._waiting.clear()
            self._hears.ended(self)

    @property
    def _closed(self) -> bool:
        return self._socket.fileno() < 0


class Listener:
    """monitor.sock in `directory`: mode 0600, and only for our own user and root (SO_PEERCRED, unix(7))."""

    def __init__(self, loop: Loop, directory: str, on_connection: Callable[[socket.socket], None]) -> None:
        self._loop = loop
        self._directory = directory
        self._on_connection = on_connection
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            self._bind()
        except OSError:
            self._socket.close()
            raise
        loop.watch(self._socket.fileno(), READABLE, self._knocked)

    def close(self) -> None:
        """Take those who knocked already, then remove the name and close; idempotent."""
        if self._socket.fileno() < 0:
            return
        with contextlib.suppress(FileNotFoundError):
            os.unlink(f"{self._directory}/{SOCKET_NAME}")
        while self._accept():
            pass
        self._loop.forget(self._socket.fileno())
        self._socket.close()

    def _bind(self) -> None:
        """A socket's path has at most 107 bytes (unix(7)); so it is named through the directory's descriptor."""
        directory = os.open(self._directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        mask = os.umask(0o177)
        try:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(SOCKET_NAME, dir_fd=directory)
            self._socket.bind(f"/proc/self/fd/{directory}/{SOCKET_NAME}")
        finally:
            os.umask(mask)
            os.close(directory)
        self._socket.listen(16)
        self._socket.settimeout(0)

    def _knocked(self, _mask: int) -> None:
        self._accept()

    def _accept(self) -> bool:
        try:
            connection, _ = self._socket.accept()
        except BlockingIOError:
            return False
        except OSError:  # ECONNABORTED, EMFILE: the next one may succeed
            return False
        credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
        if _CREDENTIALS.unpack(credentials)[1] in {0, os.geteuid()}:
            self._on_connection(connection)
        else:
            connection.close()
        return True
