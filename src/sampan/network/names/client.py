"""The daemon's end of the names process: starting it, finding it again, telling it who is who.

Synchronous; used from the network worker alone. The listening socket is the daemon's own making and handed over, so
that whoever comes later can connect from the first moment on.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

from sampan.errors import SystemFailure
from sampan.network.definitions import Endpoint, Network
from sampan.network.names import PACKET

_PROGRAM = (
    "import sys; sys.path[:0] = sys.argv[3:]; from sampan.network.names.server import main; "
    "main(int(sys.argv[1]), int(sys.argv[2]))"
)
_SEND_TIMEOUT_S = 5.0


class Names:
    """A conversation with the names process of the engine whose runtime directory is `directory`."""

    def __init__(self, directory: str) -> None:
        self._path = f"{directory}/names.sock"
        self._control: socket.socket | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._known: set[str] = set()

    @property
    def is_running(self) -> bool:
        """Whether the process answers; one that an earlier daemon started is found again."""
        return self._control is not None or self._find()

    def fileno(self) -> int:
        """The descriptor of the connection, which becomes readable when the process has gone; -1 without one."""
        return -1 if self._control is None else self._control.fileno()

    def has_gone(self) -> bool:
        """Whether the other end is closed; what it says otherwise is of no interest."""
        if self._control is None:
            return False
        try:
            return not self._control.recv(PACKET, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return False
        except OSError:
            return True

    def known(self) -> set[str]:
        """The owners whose sockets it has."""
        return set(self._known)

    def put(
        self,
        owner: str,
        places: Iterable[tuple[Network, Endpoint]],
        sockets: tuple[socket.socket, socket.socket] | None,
        *,
        servers: tuple[str, ...] = (),
        links: dict[str, str] | None = None,
    ) -> None:
        """Tell of an owner; `sockets` are UDP and TCP ones inside its namespace, which stay the caller's to close."""
        here = list(places)
        message: dict[str, object] = {
            "networks": [{"id": network.id, "name": network.name, "internal": network.internal} for network, _ in here],
            "owner": owner,
            "places": {
                network.id: {
                    "names": endpoint.names,
                    "ipv4": endpoint.ipv4,
                    "ipv6": "" if network.unasked6 else endpoint.ipv6,
                }
                for network, endpoint in here
            },
            "servers": servers,
            "links": links or {},
        }
        self._send(message, [one.fileno() for one in sockets or ()])
        if sockets:
            self._known.add(owner)

    def drop(self, owner: str) -> None:
        """Forget an owner; nothing happens when the process does not run."""
        if owner in self._known and self.is_running:
            self._known.discard(owner)
            with contextlib.suppress(SystemFailure):
                self._send({"drop": owner}, [])

    def close(self) -> None:
        """End the conversation; the process goes on as long as it has owners."""
        if self._control is not None:
            self._control.close()
            self._control = None
            self._known.clear()
        if self._process is not None:
            self._process.poll()

    def _send(self, message: dict[str, object], descriptors: list[int]) -> None:
        if not self.is_running:
            self._start()
        assert self._control is not None  # noqa: S101 -- found or started
        try:
            socket.send_fds(self._control, [json.dumps(message).encode()], descriptors)
        except OSError as error:
            self.close()
            raise SystemFailure(
                f"the names process cannot be told: {error}", remedy="it is started again with the next container"
            ) from error

    def _find(self) -> bool:
        control = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_CLOEXEC)
        control.settimeout(_SEND_TIMEOUT_S)
        try:
            control.connect(self._path)
            told = json.loads(control.recv(PACKET))
        except (OSError, ValueError):
            control.close()
            return False
        self._known = set(told["owners"])
        self._control = control
        return True

    def _start(self) -> None:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self._path)
        source = str(Path(__file__).parents[3])
        paths = [source, *(path for path in sys.path if path.endswith("site-packages"))]
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with (
            socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener,
            theirs,
        ):
            listener.bind(self._path)
            os.chmod(self._path, 0o600)
            listener.listen(4)
            numbers = listener.fileno(), theirs.fileno()
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-S", "-c", _PROGRAM, *map(str, numbers), *paths],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                pass_fds=numbers,
                start_new_session=True,
                cwd="/",
            )
        ours.settimeout(_SEND_TIMEOUT_S)
        self._control = ours
        self._known.clear()
