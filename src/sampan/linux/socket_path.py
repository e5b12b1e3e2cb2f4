"""Paths of unix sockets that are longer than an address may be (unix(7))."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

_MOST_BYTES = 107


@contextmanager
def reachable(path: str) -> Iterator[str]:
    """The path itself, or one through its directory's descriptor: a socket's address has 107 bytes."""
    if len(os.fsencode(path)) <= _MOST_BYTES:
        yield path
        return
    fd = os.open(os.path.dirname(path), os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{fd}/{os.path.basename(path)}"
    finally:
        os.close(fd)
