"""The kernel's log by /dev/kmsg (Documentation/ABI/testing/dev-kmsg): a record a read, its meaning not known."""

from __future__ import annotations

import errno
import os

_BUFFER = 8192


class KernelLog:
    """A reader with a place of its own in the log: from the oldest record on, then what is new.

    Raises OSError where there is no such device, or without CAP_SYSLOG.
    """

    __slots__ = ("_descriptor",)

    def __init__(self) -> None:
        self._descriptor = os.open("/dev/kmsg", os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)

    def read(self) -> list[tuple[int, str]]:
        """The records that were not read yet: (microseconds since the machine started, text)."""
        found: list[tuple[int, str]] = []
        while True:
            try:
                record = os.read(self._descriptor, _BUFFER).decode("utf-8", "replace")
            except OSError as error:
                if error.errno == errno.EPIPE:  # some were overwritten meanwhile: the place is the oldest again
                    continue
                if error.errno == errno.EAGAIN:
                    return found
                raise
            prefix, _, text = record.partition(";")
            fields = prefix.split(",")
            if len(fields) > 2 and fields[2].isdigit():
                found.append((int(fields[2]), text.partition("\n")[0]))

    def close(self) -> None:
        """Close it; call it once."""
        os.close(self._descriptor)
