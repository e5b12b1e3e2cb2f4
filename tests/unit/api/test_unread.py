"""Waiting for a client to read: woken by its reading, not by a clock."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Iterator

import pytest

from sampan.api.unread import wait_until_read

NEVER_S = 600.0  # longer than any test may take


@contextlib.contextmanager
def _pair(family: int) -> Iterator[tuple[socket.socket, socket.socket]]:
    """Both ends of a connection, non-blocking."""
    if family == socket.AF_UNIX:
        ours, theirs = socket.socketpair()
    else:
        with socket.create_server(("127.0.0.1", 0)) as listening:
            theirs = socket.create_connection(listening.getsockname())
            ours = listening.accept()[0]
    ours.setblocking(False)  # noqa: FBT003 -- the method has no keyword
    with ours, theirs:
        yield ours, theirs


async def _is_waiting(waiting: asyncio.Future[None]) -> bool:
    """Whether it still waits when the loop has gone round some times."""
    for _ in range(20):
        await asyncio.sleep(0.001)
    return not waiting.done()


def test_it_ends_when_the_last_of_several_packets_has_been_read() -> None:
    async def run() -> None:
        with _pair(socket.AF_UNIX) as (ours, theirs):
            for _ in range(3):
                ours.send(b"x" * 100)
            waiting = asyncio.ensure_future(wait_until_read(ours, NEVER_S))
            assert await _is_waiting(waiting)
            theirs.recv(100)
            assert await _is_waiting(waiting)
            theirs.recv(150)
            assert await _is_waiting(waiting)
            theirs.recv(150)
            await asyncio.wait_for(waiting, 30)

    asyncio.run(run())


@pytest.mark.parametrize("family", [socket.AF_UNIX, socket.AF_INET])
def test_nothing_to_read_is_no_wait(family: int) -> None:
    async def run() -> None:
        with _pair(family) as (ours, theirs):
            ours.send(b"x")
            theirs.recv(1)
            await asyncio.wait_for(wait_until_read(ours, NEVER_S), 30)

    asyncio.run(run())


def test_one_who_leaves_without_reading_is_not_waited_for() -> None:
    async def run() -> None:
        with _pair(socket.AF_UNIX) as (ours, theirs):
            ours.send(b"x")
            waiting = asyncio.ensure_future(wait_until_read(ours, NEVER_S))
            assert await _is_waiting(waiting)
            theirs.close()
            await asyncio.wait_for(waiting, 30)

    asyncio.run(run())


def test_one_who_does_not_read_is_not_waited_for_longer_than_was_said() -> None:
    async def run() -> None:
        with _pair(socket.AF_UNIX) as (ours, _):
            ours.send(b"x")
            await asyncio.wait_for(wait_until_read(ours, 0.01), 30)

    asyncio.run(run())


def test_a_cancelled_wait_leaves_no_descriptor_behind() -> None:
    async def run() -> None:
        with _pair(socket.AF_UNIX) as (ours, theirs):
            ours.send(b"x")
            waiting = asyncio.ensure_future(wait_until_read(ours, NEVER_S))
            assert await _is_waiting(waiting)
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting
            theirs.recv(1)  # whose wake-up nobody takes any more
            assert await _is_waiting(asyncio.get_running_loop().create_future())

    asyncio.run(run())
