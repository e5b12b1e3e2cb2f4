"""exit.json: how a container's run ended, on disk in its state directory before anyone is told.

Its content is the packet of Exited. It is written once by a monitor and removed by the next run's.
"""

from __future__ import annotations

import contextlib
import os

from sampan.monitor import protocol
from sampan.monitor.protocol import Exited

NAME = "exit.json"


def write(record: Exited, directory: str, *, durable: bool = True) -> None:
    """Write it durably: temporary, fdatasync (unless it need not be), rename. OSError when the disk takes no more."""
    temporary = f"{directory}/{NAME}.new"
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        os.write(descriptor, protocol.encode(record))
        if durable:
            os.fdatasync(descriptor)
    finally:
        os.close(descriptor)
    os.rename(temporary, f"{directory}/{NAME}")


def read(directory: str) -> Exited | None:
    """The record; None when there is none. A damaged one counts as none."""
    with contextlib.suppress(FileNotFoundError, ValueError), open(f"{directory}/{NAME}", "rb") as file:
        message = protocol.decode(file.read())
        if isinstance(message, Exited):
            return message
    return None


def remove(directory: str) -> None:
    """Remove an earlier run's."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(f"{directory}/{NAME}")
