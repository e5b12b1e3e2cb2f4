"""Connections that have left HTTP/1: what is called on one whose client has left."""

from __future__ import annotations

import asyncio
import socket

import pytest
from tests.buildkit_client import DIFF_COPY

from sampan.buildkit.callbacks import SessionAsker
from sampan.buildkit.connections import Caller
from sampan.buildkit.filesync import Wanted, archive_of
from sampan.buildkit.sessions import Session
from sampan.errors import InvalidArgument

SECRET = "/moby.buildkit.secrets.v1.Secrets/GetSecret"


async def test_who_asks_a_client_that_has_left_is_told_so() -> None:
    ours, theirs = socket.socketpair()
    caller = Caller(ours, b"")
    await caller.connect()
    theirs.close()
    await asyncio.wait_for(caller.over, 60)
    session = Session("s", frozenset(map(str.lower, (DIFF_COPY, SECRET))), caller)
    with pytest.raises(InvalidArgument, match="context cannot be read: the client has left"):
        [piece async for piece in archive_of(session, Wanted("context"), lambda _: None)]
    with pytest.raises(InvalidArgument, match="the secret token cannot be had: the client has left"):
        await SessionAsker(session, "/nowhere").secret("token")
    caller.close()
