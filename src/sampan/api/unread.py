"""Waiting until a client has read what it was sent.

A unix socket's sender is woken for each packet that its peer has taken (unix_write_space in net/unix/af_unix.c), which
an edge-triggered epoll shows, also when there was room all the time. TCP wakes nobody for an acknowledgement, so there
it is looked for again and again, at ever longer intervals.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import select
import socket
import sys
import termios

_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.0005, 0.02
_LAST_COUNT = 1  # which a unix socket has while it wakes us for its last packet; none is as small


async def wait_until_read(connection: socket.socket, patience_s: float) -> None:
    """Return when the peer has taken all, has left, or `patience_s` have passed."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(patience_s):
            if connection.family == socket.AF_UNIX:
                await _woken(connection)
            else:
                await _asked(connection)


async def _woken(connection: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    taken: asyncio.Future[None] = loop.create_future()
    with select.epoll() as watch:  # the loop's own waits for whatever can be read
        watch.register(connection.fileno(), select.EPOLLOUT | select.EPOLLET)

        def look() -> None:
            watch.poll(0)
            if not taken.done() and _unread(connection) <= _LAST_COUNT:
                taken.set_result(None)

        loop.add_reader(watch.fileno(), look)
        try:
            look()
            await taken
        finally:
            loop.remove_reader(watch.fileno())


async def _asked(connection: socket.socket) -> None:
    pause = _FIRST_PAUSE_S
    while _unread(connection):
        await asyncio.sleep(pause)
        pause = min(pause * 2, _LONGEST_PAUSE_S)


def _unread(connection: socket.socket) -> int:
    """SIOCOUTQ: memory of packets not yet taken (unix(7)), or bytes not yet acknowledged (tcp(7))."""
    return int.from_bytes(fcntl.ioctl(connection.fileno(), termios.TIOCOUTQ, b"\0" * 4), sys.byteorder)
