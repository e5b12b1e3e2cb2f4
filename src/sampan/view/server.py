"""The process that serves: one loop over the FUSE connection, whoever it tells of it, and the load that it counts.

Its mount is in a mount namespace of its own: the machine sees none, and containers' mounts are binds of it. It outlives
the daemon as long as a container has such a bind. When it dies, so does the connection with it: every reader gets
ENOTCONN at once, and the next server's files are laid over the dead ones (`renewal`).
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import socket
import time
from typing import Any

from sampan.cgroup.host import hierarchies
from sampan.cgroup.load import SAMPLE_EVERY_S
from sampan.linux import fuse
from sampan.linux.mount import AT_FDCWD, MountFlag, UmountFlag, mount_setattr, move_mount, umount
from sampan.linux.namespace import CloneFlag, unshare
from sampan.linux.process import set_name, set_title
from sampan.view.files import Files, served_paths
from sampan.view.filesystem import FileSystem
from sampan.view.reader import Readers
from sampan.view.renewal import ATTRIBUTES, SOURCE, renew_all

PACKET = 1 << 20


class Server:
    """All that the process holds. `directory` is where the file system is mounted, in the process's own namespace."""

    def __init__(self, listener: socket.socket, directory: str) -> None:
        self._listener = listener
        self._directory = directory
        self._files = Files(Readers(hierarchies()))
        self._paths = served_paths()
        self._poll = select.epoll()
        self._controls: dict[int, socket.socket] = {}
        self._connections: dict[int, FileSystem] = {}
        self._is_mounted = False
        self._sample_at = 0.0
        self._poll.register(listener.fileno(), select.EPOLLIN)

    def add_control(self, control: socket.socket) -> None:
        """Serve a daemon: mount, if nothing is, and say what there is."""
        if not self._is_mounted:
            self._mount()
        control.settimeout(None)
        self._controls[control.fileno()] = control
        self._poll.register(control.fileno(), select.EPOLLIN)
        with contextlib.suppress(OSError):
            control.send(json.dumps({"pid": os.getpid(), "paths": self._paths}).encode())

    def run(self) -> None:
        """Serve until there is neither a daemon nor a container."""
        while self._controls or self._connections:
            for descriptor, _ in self._poll.poll(self._patience()):
                if descriptor in self._connections:
                    self._serve(descriptor)
                elif descriptor in self._controls:
                    self._hear(self._controls[descriptor])
                elif descriptor == self._listener.fileno():
                    with contextlib.suppress(OSError):
                        self.add_control(self._listener.accept()[0])
            if self._files.loads.is_wanted and time.monotonic() >= self._sample_at:
                self._files.loads.sample()
                self._sample_at = time.monotonic() + SAMPLE_EVERY_S

    def _patience(self) -> float:
        return max(0.0, self._sample_at - time.monotonic()) if self._files.loads.is_wanted else -1

    def _mount(self) -> None:
        connection = fuse.open_connection()
        try:
            mount = fuse.mount_connection(connection, SOURCE, ATTRIBUTES)
            try:
                move_mount(mount, (AT_FDCWD, self._directory))
            finally:
                os.close(mount)
        except BaseException:
            os.close(connection)
            raise
        self._connections[connection] = FileSystem(self._paths, self._files.content)
        self._poll.register(connection, select.EPOLLIN)
        self._is_mounted = True

    def _serve(self, connection: int) -> None:
        try:
            while (request := fuse.receive(connection)) is not None:
                self._connections[connection].answer(connection, request)
        except OSError:  # ENODEV: the last mount of it is gone
            self._poll.unregister(connection)
            del self._connections[connection]
            os.close(connection)

    def _hear(self, control: socket.socket) -> None:
        try:
            packet = control.recv(PACKET)
        except OSError:
            packet = b""
        if not packet:
            self._part(control)
            return
        message: dict[str, Any] = json.loads(packet)
        if "ping" in message:
            with contextlib.suppress(OSError):
                control.send(json.dumps({"pong": message["ping"]}).encode())
        if "renew" in message:
            self._renew(control, message["renew"], tuple(message["paths"]))

    def _part(self, control: socket.socket) -> None:
        self._poll.unregister(control.fileno())
        del self._controls[control.fileno()]
        control.close()
        if not self._controls and self._is_mounted:
            umount(self._directory, UmountFlag.DETACH)
            self._is_mounted = False

    def _renew(self, control: socket.socket, pids: list[int], paths: tuple[str, ...]) -> None:
        """In a child, so that this process can answer it; no container holds us up."""
        child = os.fork()
        if child:
            return
        try:
            # Whoever holds a connection keeps it alive: its readers, this child among them, would wait for nobody.
            for descriptor in (*self._connections, self._listener.fileno()):
                os.close(descriptor)
            renew_all(pids, self._directory, paths)
            control.send(json.dumps({"renewed": pids}).encode())
        finally:
            os._exit(0)


def main(listener_fd: int, control_fd: int, directory: str) -> None:
    """The program, with the listener and the first daemon's connection."""
    os.chdir("/")
    set_name("sampan-view")
    set_title(f"sampan-view\0{directory}")  # as words: by its directory the next daemon knows it (`client`)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    listener, control = socket.socket(fileno=listener_fd), socket.socket(fileno=control_fd)
    listener.settimeout(0)
    try:
        unshare(CloneFlag.NEWNS)
        mount_setattr(AT_FDCWD, "/", propagation=int(MountFlag.SLAVE), recursive=True)
        server = Server(listener, directory)
        server.add_control(control)
    except OSError as error:
        control.send(json.dumps({"error": str(error)}).encode())
        os._exit(1)
    server.run()
    os._exit(0)
