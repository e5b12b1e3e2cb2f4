"""The engine's end of monitors, on the event loop: one `Monitor` per container that runs, and what they tell.

How they are started is `launching`'s matter. What an exit means is decided elsewhere: a `Listener` is told.
"""

from __future__ import annotations

import asyncio
import os
import socket
from typing import Any, Protocol

from sampan.engine.failed_starts import failure
from sampan.errors import SystemFailure, Unavailable
from sampan.monitor import handle, protocol
from sampan.monitor.protocol import (
    Attach,
    Detached,
    Exec,
    ExecPlan,
    Exited,
    Failed,
    Go,
    Message,
    OutOfMemory,
    Ready,
    Resize,
    Signal,
    Started,
    Status,
    Trouble,
)

GO_TIMEOUT_S = 60.0
MOST_WAITING = 1024  # packets for one monitor


class Listener(Protocol):
    """Who is told what monitors tell unasked."""

    def exited(self, container_id: str, exit_record: Exited) -> None:
        """The container ended; its exit record is on disk."""

    def exec_exited(self, container_id: str, exit_record: Exited) -> None:
        """One of its execs ended."""

    def out_of_memory(self, container_id: str, told: OutOfMemory) -> None:
        """The kernel killed a process of it for want of memory."""

    def detached(self, container_id: str, exec_id: str) -> None:
        """A client of the container, or of one of its execs, typed its detach keys."""

    def troubled(self, container_id: str, text: str) -> None:
        """Something went wrong that only a log can be told of."""

    def lost(self, container_id: str) -> None:
        """The monitor went away without having told of an exit."""


class Outbox:
    """Sends packets in order without blocking the loop; keeps those that do not fit yet."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._waiting: list[tuple[Message, list[int]]] = []

    def send(self, message: Message, descriptors: tuple[int, ...] = ()) -> None:
        """Send now or as soon as there is room; descriptors are duplicated while they wait.

        What is said to one that has left is lost: whoever reads the connection learns of that end, and tells of it.
        Raises Unavailable when very much waits for one that does not read.
        """
        if self._connection.fileno() < 0:
            return
        if not self._waiting:
            try:
                protocol.send(self._connection, message, descriptors)
            except BlockingIOError:
                asyncio.get_running_loop().add_writer(self._connection, self._flush)
            except ConnectionError:
                return
            else:
                return
        if len(self._waiting) >= MOST_WAITING:
            raise Unavailable("the container's monitor does not keep up", remedy="try again in a moment")
        self._waiting.append((message, [os.dup(descriptor) for descriptor in descriptors]))

    def _flush(self) -> None:
        while self._waiting:
            message, descriptors = self._waiting[0]
            try:
                protocol.send(self._connection, message, tuple(descriptors))
            except BlockingIOError:
                return
            except OSError:
                self.close()
                return
            protocol.close_all(descriptors)
            del self._waiting[0]
        asyncio.get_running_loop().remove_writer(self._connection)

    def close(self) -> None:
        """Forget what waits."""
        for _, descriptors in self._waiting:
            protocol.close_all(descriptors)
        self._waiting.clear()
        asyncio.get_running_loop().remove_writer(self._connection)


class Monitor:
    """One monitor, as the engine talks to it."""

    def __init__(self, container_id: str, connection: socket.socket, listener: Listener) -> None:
        loop = asyncio.get_running_loop()
        connection.settimeout(0)
        self.container_id = container_id
        self.ready: asyncio.Future[Ready] = loop.create_future()
        self.status: asyncio.Future[Status] = loop.create_future()
        self.ended: asyncio.Future[None] = loop.create_future()  # the connection's end
        self._started: dict[str, asyncio.Future[Started]] = {}
        self._listener = listener
        self._told_exit = False
        self._connection = connection
        self._outbox = Outbox(connection)
        loop.add_reader(connection, self._receive)

    async def go(self) -> Started:
        """Let the container's program run. Raises the SampanError of the step that failed."""
        return await self._start("", Go())

    async def exec(self, plan: ExecPlan, attaches: list[tuple[Attach, int]]) -> Started:
        """Run a further process with these clients attached from its first byte on. Raises as `go` does."""
        for attach, client in attaches:
            self.attach(attach, client)
        descriptor = protocol.seal(plan)
        try:
            return await self._start(plan.id, Exec(plan.id), (descriptor,))
        finally:
            os.close(descriptor)

    def attach(self, attach: Attach, client: int) -> None:
        """Hand over a client's socket; the caller closes its own descriptor."""
        attach, early = protocol.early_apart(attach)
        try:
            self._outbox.send(attach, (client,) if early < 0 else (client, early))
        finally:
            if early >= 0:
                os.close(early)

    def resize(self, height: int, width: int, target: str = "") -> None:
        """Give a terminal a size."""
        self._outbox.send(Resize(height, width, target))

    def signal(self, number: int, *, target: str = "", everyone: bool = False) -> None:
        """Send a signal."""
        self._outbox.send(Signal(number, target, everyone))

    def come_back(self) -> socket.socket:
        """Have it wait for another container's plan when all is over; the connection as `handle.prepare` has it.

        OSError when it is gone or has no room.
        """
        return handle.prepare(self._connection)

    def close(self) -> None:
        """End the conversation; before Go this ends the container."""
        if self._connection.fileno() < 0:
            return
        loop = asyncio.get_running_loop()
        loop.remove_reader(self._connection)
        self._outbox.close()
        self._connection.close()
        gone = self._gone()
        waiting: list[asyncio.Future[Any]] = [self.ready, self.status, *self._started.values()]
        for future in waiting:
            if not future.done():
                future.set_exception(gone)
            if not future.cancelled():
                future.exception()  # nobody need have waited for it
        if not self.ended.done():
            self.ended.set_result(None)

    def _gone(self) -> SystemFailure:
        return SystemFailure(f"the monitor of container {self.container_id[:12]} went away")

    async def _start(self, exec_id: str, message: Message, descriptors: tuple[int, ...] = ()) -> Started:
        if self.ended.done():
            raise self._gone()
        future: asyncio.Future[Started] = asyncio.get_running_loop().create_future()
        self._started[exec_id] = future
        try:
            self._outbox.send(message, descriptors)
            return await asyncio.wait_for(future, GO_TIMEOUT_S)
        except TimeoutError as error:
            raise SystemFailure(
                f"the monitor of container {self.container_id[:12]} did not answer within {GO_TIMEOUT_S:g} s",
                remedy="look what holds the machine up; `sampan rm -f` ends the container",
            ) from error
        finally:
            del self._started[exec_id]

    def _receive(self) -> None:
        messages, has_ended = handle.receive_all(self._connection)
        for message in messages:
            self._take(message)
        if has_ended and self._connection.fileno() >= 0:
            self._lose()

    def _take(self, message: Message) -> None:
        """What answers somebody who waits; the rest is the listener's."""
        match message:
            case Ready():
                _settle(self.ready, message)
            case Status():
                _settle(self.status, message)
            case Started(exec_id=exec_id) if exec_id in self._started:
                _settle(self._started[exec_id], message)
            case Failed(exec_id=exec_id):
                waiting = self._started.get(exec_id, self.ready)
                if not waiting.done():
                    waiting.set_exception(failure(message))
            case _:
                self._pass_on(message)

    def _pass_on(self, message: Message) -> None:
        listener, container_id = self._listener, self.container_id
        match message:
            case Exited(exec_id=""):
                self._told_exit = True
                listener.exited(container_id, message)
            case Exited():
                listener.exec_exited(container_id, message)
            case OutOfMemory():
                listener.out_of_memory(container_id, message)
            case Detached(target=exec_id):
                listener.detached(container_id, exec_id)
            case Trouble(text=text):
                listener.troubled(container_id, text)
            case _:
                pass

    def _lose(self) -> None:
        was_running = not self._told_exit
        self.close()
        if was_running:
            self._listener.lost(self.container_id)


def _settle[T](future: asyncio.Future[T], value: T) -> None:
    if not future.done():
        future.set_result(value)


def connect(container_id: str, run_directory: str, listener: Listener) -> Monitor:
    """Find a living monitor again by its socket. OSError when there is none."""
    return Monitor(container_id, handle.connect(run_directory), listener)
