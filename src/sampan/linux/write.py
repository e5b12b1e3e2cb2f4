"""write(2), as often as it takes."""

from __future__ import annotations

import os


def write_all(fd: int, data: memoryview | bytes) -> None:
    """Write all of `data`. Raises OSError, with some of it written perhaps."""
    written = os.write(fd, data)
    while written < len(data):
        data = data[written:]
        written = os.write(fd, data)
