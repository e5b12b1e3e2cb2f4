"""What a daemon tells the service manager that started it (sd_notify(3), the protocol of its NOTIFY_SOCKET)."""

from __future__ import annotations

import logging
import os
import socket

READY = "READY=1"  # the sockets are open
STOPPING = "STOPPING=1"  # an end was asked for

log = logging.getLogger("sampan")


def tell_manager(state: str) -> None:
    """Send a state (READY, STOPPING) as one datagram; nothing happens when no manager asked for it.

    An address that begins with @ is an abstract one (unix(7)). A manager that cannot be reached is logged, for it will
    say itself that it heard nothing.
    """
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    if address.startswith("@"):
        address = f"\0{address[1:]}"
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
            manager.connect(address)
            manager.send(state.encode())
    except OSError as error:
        log.warning("the service manager could not be told %s: %s", state, error.strerror)
