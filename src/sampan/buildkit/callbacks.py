"""What steps need of whoever asked for the build: secrets, agents of ssh, and credentials for registries."""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets as randomness
from collections.abc import AsyncGenerator, Iterable
from typing import Any

from grpclib.client import StreamStreamMethod, UnaryUnaryMethod
from grpclib.const import Status
from grpclib.exceptions import GRPCError, StreamTerminatedError

from sampan.build.agents import listening
from sampan.build.steps import Owner
from sampan.buildkit.errors import reason
from sampan.buildkit.proto.control_pb2 import BytesMessage
from sampan.buildkit.proto.session_pb2 import (
    CheckAgentRequest,
    CheckAgentResponse,
    CredentialsRequest,
    CredentialsResponse,
    GetSecretRequest,
    GetSecretResponse,
)
from sampan.buildkit.sessions import Session
from sampan.errors import InvalidArgument
from sampan.image.auth import Credentials

_SECRET = "/moby.buildkit.secrets.v1.Secrets/GetSecret"  # noqa: S105 -- a method's name
_CREDENTIALS = "/moby.filesync.v1.Auth/Credentials"
_CHECK_AGENT = "/moby.sshforward.v1.SSH/CheckAgent"
_FORWARD_AGENT = "/moby.sshforward.v1.SSH/ForwardAgent"
_SSH_ID = "buildkit.ssh.id"
_PIECE = 1 << 15
_HUB = "docker.io"
_HUB_HOST = "registry-1.docker.io"


async def secrets_of(session: Session, ids: Iterable[str]) -> dict[str, bytes]:
    """Those of the named secrets that the client has."""
    found = {}
    if session.serves(_SECRET):
        call = UnaryUnaryMethod(session.caller, _SECRET, GetSecretRequest, GetSecretResponse)
        for secret_id in ids:
            try:
                found[secret_id] = (await call(GetSecretRequest(ID=secret_id))).data
            except GRPCError as error:
                if error.status is not Status.NOT_FOUND:
                    raise InvalidArgument(f"the secret {secret_id} cannot be had: {reason(error)}") from error
    return found


async def credentials_of(session: Session, domains: Iterable[str]) -> dict[str, Credentials]:
    """What the client logs in with at these registries; none where it has nothing."""
    found = {}
    if session.serves(_CREDENTIALS):
        call = UnaryUnaryMethod(session.caller, _CREDENTIALS, CredentialsRequest, CredentialsResponse)
        for domain in domains:
            host = _HUB_HOST if domain == _HUB else domain
            with contextlib.suppress(GRPCError):
                answer = await call(CredentialsRequest(Host=host))
                if answer.Secret:  # without a name it is an identity token
                    token = "" if answer.Username else answer.Secret
                    found[domain] = Credentials(answer.Username, "" if token else answer.Secret, token)
    return found


@contextlib.asynccontextmanager
async def agents_of(session: Session, ids: Iterable[str], directory: str) -> AsyncGenerator[dict[str, str]]:
    """Sockets in `directory`, by the ids of the client's agents, that lead to these as long as the context lasts."""
    async with contextlib.AsyncExitStack() as stack:
        found = {}
        for agent_id in ids:
            if not session.serves(_FORWARD_AGENT) or not await _has_agent(session, agent_id):
                continue
            path = f"{directory}/agent-{randomness.token_hex(8)}.sock"
            sock = listening(path, Owner(0o600, os.geteuid(), os.getegid()))
            server = await asyncio.start_unix_server(_forwarding(session, agent_id), sock=sock)
            stack.callback(_close, server, path)
            found[agent_id] = path
        yield found


def _close(server: asyncio.Server, path: str) -> None:
    server.close()
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)


async def _has_agent(session: Session, agent_id: str) -> bool:
    call = UnaryUnaryMethod(session.caller, _CHECK_AGENT, CheckAgentRequest, CheckAgentResponse)
    try:
        await call(CheckAgentRequest(ID=agent_id))
    except GRPCError:
        return False
    return True


def _forwarding(session: Session, agent_id: str) -> Any:
    """What a connection to an agent's socket is served by: the client's own agent."""

    async def forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        call = StreamStreamMethod(session.caller, _FORWARD_AGENT, BytesMessage, BytesMessage)
        with contextlib.suppress(ConnectionError, GRPCError, StreamTerminatedError), contextlib.closing(writer):
            async with call.open(metadata=[(_SSH_ID, agent_id)]) as stream:
                await stream.send_request()
                back = asyncio.ensure_future(_answers(stream, writer))
                try:
                    while data := await reader.read(_PIECE):
                        await stream.send_message(BytesMessage(data=data))
                    await stream.end()
                    await back
                finally:
                    back.cancel()

    return forward


async def _answers(stream: Any, writer: asyncio.StreamWriter) -> None:
    async for message in stream:
        writer.write(message.data)
        await writer.drain()
