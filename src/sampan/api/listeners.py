"""The sockets that the API is served on: unix sockets with mode and group, adopted ones, tcp only when told twice.

An unauthenticated tcp socket is root for everyone who reaches it, so without TLS it is refused unless the settings say
otherwise.
"""

from __future__ import annotations

import asyncio
import contextlib
import grp
import os
import socket
import stat
import sys
from dataclasses import dataclass, field
from typing import Any

from sampan.api.server import Server
from sampan.api.tcp import parse_tcp, serve_tcp
from sampan.errors import Conflict, InvalidArgument, SystemFailure, reason_of

SOCKET_MODE = 0o660
FIRST_ADOPTED = 3  # sd_listen_fds(3)
# Whoever made a socket removes its path: we do in `close`, a service manager listens on. (Before 3.13 no loop does.)
KEEP_PATH: dict[str, Any] = {"cleanup_socket": False} if sys.version_info >= (3, 13) else {}


@dataclass(slots=True)
class Listeners:
    """What is listened on; `close` ends it and removes the sockets that we made."""

    server: Server
    group: str = ""
    _servers: list[asyncio.Server] = field(default_factory=list)
    _paths: list[tuple[str, int]] = field(default_factory=list)

    async def open(self, addresses: tuple[str, ...]) -> None:
        """Listen on every address. Raises Conflict when somebody else does already."""
        for address in addresses:
            kind, _, rest = address.partition("://")
            match kind:
                case "unix":
                    await self._serve(self._unix(rest))
                case "fd":
                    for listening in adopted():
                        await self._serve(listening)
                case "tcp":
                    self._servers.append(await serve_tcp(parse_tcp(address), self.server))
                case _:
                    raise InvalidArgument(f"invalid host {address!r}", remedy="as in unix:///run/sampan/sampan.sock")

    async def _serve(self, listening: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        self._servers.append(await loop.create_unix_server(self.server, sock=listening, backlog=1024, **KEEP_PATH))

    def _unix(self, path: str) -> socket.socket:
        if is_listening(path):
            raise Conflict(f"a daemon listens on {path} already", remedy="stop it, or give another -H")
        group = self._group_id()
        try:
            _clear(path)
            listening = _bound(path)
            os.chown(path, -1, group)
        except OSError as error:
            reason = reason_of(error).removeprefix(f"{path}: ")
            raise SystemFailure(f"cannot listen on {path}: {reason}", remedy="give another -H") from error
        listening.listen(1024)
        self._paths.append((path, os.stat(path).st_ino))
        return listening

    def _group_id(self) -> int:
        for name in (self.group,) if self.group else ("docker", "sampan"):
            if name.isdigit():
                return int(name)
            with contextlib.suppress(KeyError):
                return grp.getgrnam(name).gr_gid
        if self.group:
            raise InvalidArgument(f"there is no group {self.group!r}", remedy="make it, or give another --group")
        return -1

    async def close(self) -> None:
        """Listen no more."""
        for path, inode in self._paths:
            with contextlib.suppress(OSError):
                if os.stat(path).st_ino == inode:
                    os.unlink(path)
        for server in self._servers:
            server.close()
        await self.server.shutdown(1.0)


def _clear(path: str) -> None:
    """Make the directory of a socket to come, and remove the socket of a daemon that is dead.

    Raises OSError, and Conflict for what is no socket: it is somebody's file.
    """
    os.makedirs(os.path.dirname(path) or ".", mode=0o711, exist_ok=True)
    try:
        found = os.lstat(path).st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(found):
        raise Conflict(f"cannot listen on {path}: it is there, and no socket", remedy="remove it, or give another -H")
    os.unlink(path)


def _bound(path: str) -> socket.socket:
    """A socket bound to `path`, which nobody but its owner and its group can use from the beginning. Raises OSError."""
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    before = os.umask(0o777 & ~SOCKET_MODE)
    try:
        listening.bind(path)
    except OSError:
        listening.close()
        raise
    finally:
        os.umask(before)
    return listening


def is_listening(path: str) -> bool:
    """Whether somebody accepts connections on a unix socket."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(path)
        except OSError:
            return False
        return True


def adopted() -> list[socket.socket]:
    """The unix sockets that a service manager such as systemd hands over (sd_listen_fds(3)).

    Raises InvalidArgument when there is none, or one of another family: tcp would be served without TLS.
    """
    handed = os.environ.get("LISTEN_FDS", "") if os.environ.get("LISTEN_PID") == str(os.getpid()) else ""
    count = int(handed) if handed.isdecimal() else 0
    if not count:
        raise InvalidArgument(
            "fd:// was given, and no socket was handed over", remedy="start it by its socket unit, or give -H unix://…"
        )
    found = [socket.socket(fileno=number) for number in range(FIRST_ADOPTED, FIRST_ADOPTED + count)]
    if any(listening.family != socket.AF_UNIX for listening in found):
        raise InvalidArgument(
            "a socket that was handed over is no unix socket", remedy="have unix sockets in the socket unit, or give -H"
        )
    for listening in found:
        listening.setblocking(False)  # noqa: FBT003 -- the method has no keyword
        os.set_inheritable(listening.fileno(), False)  # noqa: FBT003
    return found
