"""What an engine has of BuildKit's protocol before anybody speaks it: gRPC is loaded with the first call."""

from __future__ import annotations

import asyncio
import importlib.util
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sampan.engine.builds import Builds
from sampan.engine.image_imports import Imports
from sampan.engine.images import EngineImages

if TYPE_CHECKING:
    import socket

    from sampan.buildkit.connections import Service
    from sampan.buildkit.offer import Offer
    from sampan.buildkit.sessions import Sessions

_NEEDED = ("grpclib", "google.protobuf", "google.rpc")


def is_there() -> bool:
    """Whether the libraries are installed (the extra `buildkit`)."""
    try:
        return all(importlib.util.find_spec(name) is not None for name in _NEEDED)
    except ModuleNotFoundError:
        return False


@dataclass(slots=True)
class BuildKit:
    """The protocol for one engine.

    `run_directory` is where sockets of steps' agents are made, `host_gateway` how steps reach this machine.
    """

    builds: Builds
    images: EngineImages
    imports: Imports
    run_directory: str
    host_gateway: Callable[[], Awaitable[str]]
    _talks: set[asyncio.Task[None]] = field(default_factory=set)
    _made: tuple[Sessions, list[Service]] | None = None

    def serve(self, sock: socket.socket, early: bytes) -> None:
        """Let a client call on its connection, which is ours from here on, until it leaves."""
        from sampan.buildkit.connections import serve

        self._begin(serve(sock, early, self._parts()[1]))

    def hold(self, sock: socket.socket, early: bytes, offer: Offer) -> None:
        """Keep a connection on which the client is called, until it leaves."""
        self._begin(self._parts()[0].hold(sock, early, offer))

    def _begin(self, talk: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(talk)
        self._talks.add(task)
        task.add_done_callback(self._talks.discard)

    def _parts(self) -> tuple[Sessions, list[Service]]:
        """The sessions, and what is served beside them; one for all clients."""
        if self._made is None:
            from sampan.buildkit.control import Control
            from sampan.buildkit.gateway import Gateway
            from sampan.buildkit.health import Health
            from sampan.buildkit.solves import Solves
            from sampan.buildkit.solving import Engine

            engine = Engine(self.builds, self.images, self.imports, self.run_directory, self.host_gateway)
            solves = Solves(engine)
            self._made = engine.sessions, [Control(engine, solves), Gateway(solves), Health()]
        return self._made
