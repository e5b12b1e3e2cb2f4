"""The daemon's end of monitors and of the launcher: connect, ask for a launch, take what has come. Never blocks.

An event loop belongs to whoever calls: the sockets are non-blocking and to be watched for reading.
"""

from __future__ import annotations

import os
import socket
import struct

from sampan.monitor import protocol
from sampan.monitor.connections import SOCKET_NAME
from sampan.monitor.protocol import Expect, Launch, Message, MonitorPlan, Prepare
from sampan.runtime.launch_plan import LaunchPlan

_CREDENTIALS = struct.Struct("3i")


def connect(run_directory: str) -> socket.socket:
    """A connection to the living monitor of this run directory; Status is the first that it says.

    FileNotFoundError or ConnectionRefusedError when there is none: it left, and exit.json is there, or it died.
    A connection that ends without Exited means the same. PermissionError when the socket is someone else's.
    """
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    try:
        # through the directory's descriptor, as a socket's path has at most 107 bytes (unix(7))
        directory = os.open(run_directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            connection.connect(f"/proc/self/fd/{directory}/{SOCKET_NAME}")
        finally:
            os.close(directory)
        credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
        if _CREDENTIALS.unpack(credentials)[1] not in {0, os.geteuid()}:
            raise PermissionError(f"{run_directory}/{SOCKET_NAME} is another user's")
        connection.settimeout(0)
    except OSError:
        connection.close()
        raise
    return connection


def launch(launcher: socket.socket, plan: MonitorPlan) -> socket.socket:
    """Have the launcher fork a monitor; the connection on which it says Ready or Failed.

    Closing the connection before Go ends the container. OSError as sendmsg(2) raises it when the launcher is gone or
    has no room.
    """
    descriptor = protocol.seal(plan)
    try:
        return _ask(launcher, Launch(plan.launch.id), descriptor)
    finally:
        os.close(descriptor)


def prepare(launcher: socket.socket) -> socket.socket:
    """Have the launcher fork a monitor that waits for its plan; the connection for `launch_prepared`.

    Closing the connection ends the monitor. OSError as `launch` raises it. Of a monitor it can be asked too: it says
    Waiting there when it has come to its end.
    """
    return _ask(launcher, Prepare())


def waits(monitor: socket.socket) -> bool:
    """Whether a monitor that was asked to wait for another plan does so by now. ConnectionError when it is gone."""
    messages, has_ended = receive_all(monitor)
    if has_ended:
        raise ConnectionResetError
    return bool(messages)


def expect(monitor: socket.socket, model: LaunchPlan) -> None:
    """Have a prepared monitor make what a container like `model` needs, under its id. OSError when it is gone."""
    _send_sealed(monitor, Expect(), model)


def launch_prepared(monitor: socket.socket, plan: MonitorPlan) -> None:
    """Give a prepared monitor its plan; from now on it is as `launch` gives one. OSError when it is gone."""
    _send_sealed(monitor, Launch(plan.launch.id), plan)


def _send_sealed(monitor: socket.socket, message: Launch | Expect, plan: MonitorPlan | LaunchPlan) -> None:
    descriptor = protocol.seal(plan)
    try:
        protocol.send(monitor, message, (descriptor,))
    finally:
        os.close(descriptor)


def _ask(launcher: socket.socket, message: Launch | Prepare, *descriptors: int) -> socket.socket:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    try:
        protocol.send(launcher, message, (*descriptors, theirs.fileno()))
    except OSError:
        ours.close()
        raise
    finally:
        theirs.close()
    ours.settimeout(0)
    return ours


def receive_all(connection: socket.socket) -> tuple[list[Message], bool]:
    """What a monitor or launcher has said by now, and whether that was its last. They never send descriptors."""
    messages: list[Message] = []
    try:
        while (packet := protocol.receive(connection)) is not None:
            messages.append(packet[0])
            protocol.close_all(packet[1])
    except BlockingIOError:
        return messages, False
    except OSError:
        return messages, True
    return messages, True
