"""An ssh agent's socket for one step: one of the step's own, behind which the agent is.

An agent answers nobody but its owner and root (ssh-agent(1)), whose socket it is; a step may run as anybody, so what it
connects to is made with the owner and mode that it asks for, and what is said there is passed on.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sampan.build.steps import Owner
from sampan.linux.socket_path import reachable

_PIECE = 1 << 16
_GONE = (OSError, EOFError)


@asynccontextmanager
async def agent_socket(agent: str, path: str, owner: Owner) -> AsyncIterator[None]:
    """A socket at `path`, a new name, that is connected with the one at `agent` until the block ends."""
    talks: set[asyncio.Task[None]] = set()

    def begin(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        talk = asyncio.create_task(_talk(agent, reader, writer))
        talks.add(talk)
        talk.add_done_callback(talks.discard)

    server = await asyncio.start_unix_server(begin, sock=listening(path, owner))
    try:
        yield
    finally:
        server.close()
        for talk in talks:
            talk.cancel()
        await asyncio.gather(*talks, return_exceptions=True)


async def _talk(agent: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        with reachable(agent) as address:
            answers, asks = await asyncio.open_unix_connection(address)
    except OSError:
        writer.close()  # as an agent that has ended meanwhile would
        return
    try:
        await asyncio.gather(_pass_on(reader, asks), _pass_on(answers, writer))
    finally:
        asks.close()
        writer.close()


async def _pass_on(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    with contextlib.suppress(*_GONE):
        while piece := await source.read(_PIECE):
            target.write(piece)
            await target.drain()
        target.write_eof()


def listening(path: str, owner: Owner) -> socket.socket:
    """A socket that is bound to a new path, however long, with this mode and owner."""
    bound = socket.socket(socket.AF_UNIX)
    try:
        with reachable(path) as address:
            bound.bind(address)
        os.chmod(path, owner.mode)
        os.chown(path, owner.uid, owner.gid)
    except BaseException:
        bound.close()
        raise
    return bound
