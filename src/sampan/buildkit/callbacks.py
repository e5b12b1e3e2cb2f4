"""What steps and pulls need of whoever asked for the build: secrets, agents of ssh, and credentials for registries."""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets as randomness
from dataclasses import dataclass, field
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
from sampan.image.auth import ANONYMOUS, Credentials

_SECRET = "/moby.buildkit.secrets.v1.Secrets/GetSecret"  # noqa: S105 -- a method's name
_CREDENTIALS = "/moby.filesync.v1.Auth/Credentials"
_CHECK_AGENT = "/moby.sshforward.v1.SSH/CheckAgent"
_FORWARD_AGENT = "/moby.sshforward.v1.SSH/ForwardAgent"
_SSH_ID = "buildkit.ssh.id"
_PIECE = 1 << 15
_HUB = "docker.io"
_HUB_HOST = "registry-1.docker.io"


@dataclass(slots=True)
class SessionAsker:
    """The client of a session as a build's Asker; `run_directory` is where sockets that lead to its agents are made."""

    session: Session
    run_directory: str
    was_asked: bool = False
    _agents: dict[str, str] = field(default_factory=dict)
    _logins: dict[str, Credentials] = field(default_factory=dict)
    _made: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)

    async def secret(self, name: str) -> bytes | None:
        """A secret of the client's. Raises InvalidArgument when it has one and does not give it."""
        self.was_asked = True
        if not self.session.serves(_SECRET):
            return None
        call = UnaryUnaryMethod(self.session.caller, _SECRET, GetSecretRequest, GetSecretResponse)
        try:
            return (await call(GetSecretRequest(ID=name))).data
        except (GRPCError, StreamTerminatedError) as error:
            if isinstance(error, GRPCError) and error.status is Status.NOT_FOUND:
                return None
            raise InvalidArgument(f"the secret {name} cannot be had: {reason(error)}") from error

    async def agent(self, name: str) -> str | None:
        """A socket that leads to an agent of the client's, until `close`."""
        self.was_asked = True
        if name not in self._agents and await self._has_agent(name):
            path = f"{self.run_directory}/agent-{randomness.token_hex(8)}.sock"
            sock = listening(path, Owner(0o600, os.geteuid(), os.getegid()))
            server = await asyncio.start_unix_server(_forwarding(self.session, name), sock=sock)
            self._made.callback(_close, server, path)
            self._agents[name] = path
        return self._agents.get(name)

    async def login(self, domain: str) -> Credentials:
        """What the client has for a registry; nothing when it cannot say."""
        if domain not in self._logins and self.session.serves(_CREDENTIALS):
            call = UnaryUnaryMethod(self.session.caller, _CREDENTIALS, CredentialsRequest, CredentialsResponse)
            with contextlib.suppress(GRPCError, StreamTerminatedError):
                answer = await call(CredentialsRequest(Host=_HUB_HOST if domain == _HUB else domain))
                if answer.Username:
                    self._logins[domain] = Credentials(answer.Username, answer.Secret)
                elif answer.Secret:
                    self._logins[domain] = Credentials(identity_token=answer.Secret)
        return self._logins.get(domain, ANONYMOUS)

    def close(self) -> None:
        """Remove the sockets."""
        self._made.close()

    async def _has_agent(self, name: str) -> bool:
        if not self.session.serves(_FORWARD_AGENT):
            return False
        call = UnaryUnaryMethod(self.session.caller, _CHECK_AGENT, CheckAgentRequest, CheckAgentResponse)
        try:
            await call(CheckAgentRequest(ID=name))
        except (GRPCError, StreamTerminatedError):
            return False
        return True


def _close(server: asyncio.Server, path: str) -> None:
    server.close()
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)


def _forwarding(session: Session, agent_id: str) -> Any:
    """What a connection to an agent's socket is served by: the client's own agent, until that ends."""

    async def forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        call = StreamStreamMethod(session.caller, _FORWARD_AGENT, BytesMessage, BytesMessage)
        with contextlib.suppress(ConnectionError, GRPCError, StreamTerminatedError), contextlib.closing(writer):
            async with call.open(metadata=[(_SSH_ID, agent_id)]) as stream:
                await stream.send_request()
                asking = asyncio.ensure_future(_questions(reader, stream))
                try:
                    await _answers(stream, writer)
                finally:
                    asking.cancel()
                    await asyncio.wait([asking])

    return forward


async def _questions(reader: asyncio.StreamReader, stream: Any) -> None:
    with contextlib.suppress(StreamTerminatedError):  # of which the answers tell
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(_PIECE):
                await stream.send_message(BytesMessage(data=data))
        await stream.end()


async def _answers(stream: Any, writer: asyncio.StreamWriter) -> None:
    async for message in stream:
        writer.write(message.data)
        await writer.drain()
