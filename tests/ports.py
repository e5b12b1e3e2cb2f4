"""Ports of loopback for servers that have to be told theirs before they listen."""

from __future__ import annotations

import itertools
import os
import socket

FIRST, BLOCKS, BLOCK = 10_000, 220, 100  # below those that the kernel gives away (net.ipv4.ip_local_port_range)
_numbers = itertools.count()


def free_port() -> int:
    """A port of 127.0.0.1 where nobody listens, of those that this process alone chooses from.

    One that bind(2) chose and that was let go again is as likely given to somebody else before it is listened at.
    """
    while True:
        port = FIRST + os.getpid() % BLOCKS * BLOCK + next(_numbers) % BLOCK
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
