"""Who waits for a container: for its end, for its removal, and clients that attached before it started.

Nothing here is remembered over a restart of the daemon: whoever waited has lost the connection with it.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import select
import struct
import termios
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field

from sampan.engine.readers import Readers
from sampan.monitor.protocol import Attach


@dataclass(frozen=True, slots=True)
class Ending:
    """What a waiter is told: the exit code, and an error when the removal failed."""

    code: int
    error: str = ""


@dataclass(slots=True)
class Waits:
    """Futures by container, for the next exit and for the removal."""

    _exits: dict[str, set[asyncio.Future[Ending]]] = field(default_factory=dict)
    _removals: dict[str, set[asyncio.Future[Ending]]] = field(default_factory=dict)

    def exit(self, container_id: str) -> asyncio.Future[Ending]:
        """The next end of a run: one that comes after this call, whenever the future is awaited; cancel what is not."""
        return _future(self._exits, container_id)

    def removal(self, container_id: str) -> asyncio.Future[Ending]:
        """The container's removal; `code` is that of its last run. As `exit`."""
        return _future(self._removals, container_id)

    def exited(self, container_id: str, code: int) -> None:
        """Tell those who wait for the end of a run."""
        _tell(self._exits, container_id, Ending(code))

    def removed(self, container_id: str, code: int, error: str = "") -> None:
        """Tell those who wait for the removal, and those who wait for a run that will not be."""
        _tell(self._exits, container_id, Ending(code, error))
        _tell(self._removals, container_id, Ending(code, error))


def _future(waiters: dict[str, set[asyncio.Future[Ending]]], container_id: str) -> asyncio.Future[Ending]:
    future: asyncio.Future[Ending] = asyncio.get_running_loop().create_future()
    waiters.setdefault(container_id, set()).add(future)

    def forget(_: object) -> None:
        of_container = waiters.get(container_id, set())
        of_container.discard(future)
        if not of_container:
            waiters.pop(container_id, None)

    future.add_done_callback(forget)
    return future


def _tell(waiters: dict[str, set[asyncio.Future[Ending]]], container_id: str, ending: Ending) -> None:
    for future in waiters.pop(container_id, set()):
        if not future.done():
            future.set_result(ending)


@dataclass(slots=True)
class EarlyClients:
    """Sockets of clients that attached before the start; they are handed to the monitor before its program runs."""

    _clients: dict[str, list[tuple[Attach, int]]] = field(default_factory=dict)

    def add(self, container_id: str, attach: Attach, client: int) -> None:
        """Keep a client; `client` is a descriptor that is ours from now on."""
        self._drop_those_who_left()
        self._clients.setdefault(container_id, []).append((attach, client))

    def _drop_those_who_left(self) -> None:
        """Close the sockets of clients that have closed theirs, all read: nobody watches them while they wait."""
        poll = select.poll()
        for clients in self._clients.values():
            for _, client in clients:
                poll.register(client, 0)  # hang-ups and errors are told all the same
        gone = {client for client, _ in poll.poll(0) if not _unread(client)}
        for container_id, clients in list(self._clients.items()):
            self._clients[container_id] = [one for one in clients if one[1] not in gone]
            if not self._clients[container_id]:
                del self._clients[container_id]
        for client in gone:
            os.close(client)

    def take(self, container_id: str) -> list[tuple[Attach, int]]:
        """All of a container's clients, whose descriptors the caller closes."""
        return self._clients.pop(container_id, [])

    def drop(self, container_id: str) -> None:
        """Close them: the container will not start."""
        for _, client in self.take(container_id):
            with contextlib.suppress(OSError):
                os.close(client)


def _unread(client: int) -> int:
    """How many bytes a client sent that wait in its socket."""
    count: int = struct.unpack("i", fcntl.ioctl(client, termios.FIONREAD, bytes(4)))[0]
    return count


class Locks:
    """One lock per container, there as long as somebody holds or waits for it; and who is about to be removed.

    `readers` are those who read a container's files, for which they hold no lock.
    """

    def __init__(self) -> None:
        self.readers = Readers()
        self._locks: dict[str, tuple[asyncio.Lock, list[int]]] = {}
        self._condemned: list[str] = []

    @contextlib.contextmanager
    def condemned(self, container_id: str) -> Iterator[None]:
        """Let nobody start it: it is ended to be removed, and the lock is free between the two."""
        self._condemned.append(container_id)
        try:
            yield
        finally:
            self._condemned.remove(container_id)

    def is_condemned(self, container_id: str) -> bool:
        """Whether it is about to be removed."""
        return container_id in self._condemned

    @contextlib.asynccontextmanager
    async def of(self, container_id: str) -> AsyncIterator[None]:
        """Hold the container's lock."""
        lock, users = self._locks.setdefault(container_id, (asyncio.Lock(), [0]))
        users[0] += 1
        try:
            async with lock:
                yield
        finally:
            users[0] -= 1
            if not users[0]:
                self._locks.pop(container_id, None)

    @contextlib.asynccontextmanager
    async def alone(self, container_id: str) -> AsyncIterator[None]:
        """Hold the container's lock while nobody has mounted its root to read or write files in it."""
        async with contextlib.AsyncExitStack() as held:
            while True:
                await self.readers.unmounted(container_id)
                async with contextlib.AsyncExitStack() as trying:
                    await trying.enter_async_context(self.of(container_id))
                    if not self.readers.is_mounted(container_id):
                        held.push_async_exit(trying.pop_all())
                        break
            yield
