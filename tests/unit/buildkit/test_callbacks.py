"""Secrets, credentials and agents of a client, as steps and pulls get them."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncGenerator, Mapping
from pathlib import Path
from typing import Any

import pytest
from grpclib.const import Cardinality, Status
from grpclib.exceptions import GRPCError
from tests.buildkit_client import Serves, served, streaming

from sampan.buildkit.callbacks import SessionAsker
from sampan.buildkit.proto.control_pb2 import BytesMessage
from sampan.buildkit.proto.session_pb2 import (
    CheckAgentRequest,
    CheckAgentResponse,
    CredentialsRequest,
    CredentialsResponse,
    GetSecretRequest,
    GetSecretResponse,
)
from sampan.errors import InvalidArgument
from sampan.image.auth import ANONYMOUS, Credentials
from sampan.linux.socket_path import reachable

SECRET = "/moby.buildkit.secrets.v1.Secrets/GetSecret"
LOGIN = "/moby.filesync.v1.Auth/Credentials"
CHECK = "/moby.sshforward.v1.SSH/CheckAgent"
FORWARD = "/moby.sshforward.v1.SSH/ForwardAgent"


def asked(function: Serves, request: Any, answer: Any) -> tuple[Serves, Cardinality, Any, Any]:
    return function, Cardinality.UNARY_UNARY, request, answer


async def _secrets(stream: Any) -> None:
    wanted = (await stream.recv_message()).ID
    if wanted == "locked":
        raise GRPCError(Status.PERMISSION_DENIED, "not for you")
    if wanted != "known":
        raise GRPCError(Status.NOT_FOUND, f"secret {wanted} not found")
    await stream.send_message(GetSecretResponse(data=b"s3cret\0\xff"))


@contextlib.asynccontextmanager
async def asking(
    methods: Mapping[str, tuple[Serves, Cardinality, Any, Any]], directory: Path = Path("/nowhere")
) -> AsyncGenerator[SessionAsker]:
    """What a build has that was asked for by a client which serves these methods."""
    async with served(methods) as session:
        asker = SessionAsker(session, str(directory))
        try:
            yield asker
        finally:
            asker.close()


async def test_secrets_are_those_that_the_client_has() -> None:
    async with asking({SECRET: asked(_secrets, GetSecretRequest, GetSecretResponse)}) as asker:
        before = asker.was_asked
        assert await asker.secret("known") == b"s3cret\0\xff"
        assert (before, asker.was_asked) == (False, True)
        assert await asker.secret("unknown") is None
        with pytest.raises(InvalidArgument, match="the secret locked cannot be had: not for you"):
            await asker.secret("locked")
    async with asking({}) as asker:
        assert await asker.secret("known") is None


async def test_credentials_are_a_name_and_password_or_a_token() -> None:
    async def login(stream: Any) -> None:
        host = (await stream.recv_message()).Host
        if host == "broken:5000":
            raise GRPCError(Status.UNKNOWN, "no helper")
        known = {"registry-1.docker.io": ("me", "word"), "token:5000": ("", "t0ken")}
        name, secret = known.get(host, ("", ""))
        await stream.send_message(CredentialsResponse(Username=name, Secret=secret))

    domains = ["docker.io", "token:5000", "other:5000", "broken:5000"]
    async with asking({LOGIN: asked(login, CredentialsRequest, CredentialsResponse)}) as asker:
        found = [await asker.login(domain) for domain in domains]
        assert not asker.was_asked
    assert found == [Credentials("me", "word"), Credentials(identity_token="t0ken"), ANONYMOUS, ANONYMOUS]


async def _echoes(stream: Any) -> None:
    assert stream.metadata["buildkit.ssh.id"] == "default"
    async for message in stream:
        await stream.send_message(BytesMessage(data=b"<" + message.data + b">"))


async def _checks(stream: Any) -> None:
    if (await stream.recv_message()).ID != "default":
        raise GRPCError(Status.UNKNOWN, "unset ssh forward key")
    await stream.send_message(CheckAgentResponse())


AGENTS = {FORWARD: streaming(_echoes, BytesMessage), CHECK: asked(_checks, CheckAgentRequest, CheckAgentResponse)}


async def test_an_agent_s_socket_leads_to_the_client_s_and_is_gone_afterwards(tmp_path: Path) -> None:
    async with asking(AGENTS, tmp_path) as asker:
        path = await asker.agent("default")
        assert path is not None
        assert await asker.agent("default") == path
        assert await asker.agent("other") is None
        assert os.stat(path).st_mode & 0o777 == 0o600
        talks = [await asyncio.open_unix_connection(path) for _ in range(3)]
        for number, (reader, writer) in enumerate(talks):
            writer.write(b"hello %d" % number)
            assert await reader.readexactly(9) == b"<hello %d>" % number
        for reader, writer in talks:
            writer.write_eof()
            assert await reader.read() == b""
            writer.close()
    assert os.listdir(tmp_path) == []


async def test_the_path_of_an_agent_s_socket_may_be_long(tmp_path: Path) -> None:
    directory = tmp_path / ("d" * 100) / ("e" * 50)
    os.makedirs(directory)
    async with asking(AGENTS, directory) as asker:
        path = await asker.agent("default")
        assert path is not None
        with reachable(path) as address:
            reader, writer = await asyncio.open_unix_connection(address)
        writer.write(b"x")
        assert await reader.readexactly(3) == b"<x>"
        writer.close()


async def test_a_client_without_agents_has_none(tmp_path: Path) -> None:
    async with asking({}, tmp_path) as asker:
        assert await asker.agent("default") is None


async def test_who_talks_to_an_agent_that_ends_is_not_left_waiting(tmp_path: Path) -> None:
    async def breaks_off(stream: Any) -> None:
        await stream.recv_message()
        raise GRPCError(Status.UNKNOWN, "connection refused")

    async def answers_once(stream: Any) -> None:
        await stream.send_message(BytesMessage(data=b"?" + (await stream.recv_message()).data))

    for agent, answer in ((breaks_off, b""), (answers_once, b"?x")):
        async with asking(AGENTS | {FORWARD: streaming(agent, BytesMessage)}, tmp_path) as asker:
            path = await asker.agent("default")
            assert path is not None
            reader, writer = await asyncio.open_unix_connection(path)
            writer.write(b"x")
            assert await asyncio.wait_for(reader.read(), 10) == answer
            writer.close()
