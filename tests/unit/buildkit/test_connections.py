"""Connections that have left HTTP/1: what is called on one whose client has left."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from typing import Any

import pytest
from grpclib.client import StreamStreamMethod
from grpclib.exceptions import StreamTerminatedError
from tests.buildkit_client import DIFF_COPY, served, streaming

from sampan.buildkit.callbacks import SessionAsker
from sampan.buildkit.connections import Caller
from sampan.buildkit.errors import told
from sampan.buildkit.filesync import Wanted, archive_of
from sampan.buildkit.proto.session_pb2 import Packet
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


@pytest.mark.parametrize("failure", [InvalidArgument("x"), StreamTerminatedError("x"), ValueError("x")])
async def test_a_call_that_fails_because_its_client_leaves_is_no_fault(
    failure: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    begun = asyncio.Event()

    class Service:
        @told
        async def fail(self, _: Any) -> None:
            begun.set()
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                raise failure from None

    caplog.set_level(logging.INFO)
    async with served({DIFF_COPY: streaming(Service().fail)}) as session:
        call = StreamStreamMethod(session.caller, DIFF_COPY, Packet, Packet)
        with contextlib.suppress(StreamTerminatedError):
            async with call.open() as stream:
                await stream.send_request()
                await asyncio.wait_for(begun.wait(), 60)
                session.caller.close()
    assert [record.levelname for record in caplog.records] == ["INFO"]
