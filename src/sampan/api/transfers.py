"""pull and push over HTTP, with Docker's progress messages: an error before the first is a status, later a line."""

from __future__ import annotations

import base64
import contextlib
from collections.abc import AsyncGenerator, Callable
from typing import Any

import msgspec
from aiohttp import web

from sampan.api.call import Call, encode, reply
from sampan.api.failures import failure_line
from sampan.api.services import Services
from sampan.buildkit.door import is_there
from sampan.engine import lookups
from sampan.engine.transfers import PullBegins, PullEnds, PullStep, PushBegins, PushStep
from sampan.errors import InvalidArgument, SampanError, of_kind
from sampan.image.auth import Credentials
from sampan.image.pull import Pulled
from sampan.image.pull_layer import LayerProgress
from sampan.image.push import Pushed, PushProgress


class RegistryAuth(msgspec.Struct, frozen=True):
    """The X-Registry-Auth header, decoded."""

    username: str = ""
    password: str = ""
    auth: str = ""
    identitytoken: str = ""
    registrytoken: str = ""
    serveraddress: str = ""


def credentials(call: Call) -> Credentials:
    """What X-Registry-Auth says (base64url JSON, padding optional); what cannot be read counts as none, as in moby."""
    text = call.request.headers.get("X-Registry-Auth", "")
    if not text:
        return Credentials()
    try:
        content = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
        return credentials_from(msgspec.json.decode(content, type=RegistryAuth))
    except (ValueError, msgspec.MsgspecError):
        return Credentials()


def credentials_from(given: RegistryAuth) -> Credentials:
    """Credentials as clients write them. Raises ValueError for an `auth` that is no base64."""
    username, password = given.username, given.password
    if given.auth and not username:
        username, _, password = base64.b64decode(given.auth).decode().partition(":")
    return Credentials(username, password, given.identitytoken, given.registrytoken)


async def log_in(call: Call, services: Services) -> web.StreamResponse:
    """POST /auth: the registry judges the credentials, the client keeps them."""
    body = await call.body(RegistryAuth, default=RegistryAuth())
    try:
        given = credentials_from(body)
    except ValueError as error:
        raise InvalidArgument(f"invalid credentials: {error}", remedy="base64 of user:password") from error
    await lookups.log_in(services.transfers.settings, body.serveraddress, given)
    return reply({"Status": "Login Succeeded", "IdentityToken": ""})


async def pull(call: Call, services: Services) -> web.StreamResponse:
    """POST /images/create?fromImage."""
    name, tag = call.text("fromImage"), call.text("tag")
    if tag:
        name = f"{name}@{tag}" if ":" in tag else f"{name}:{tag}"
    steps = services.transfers.pull(name, call.text("platform"), credentials(call))
    lines = _lines(steps, pull_line)
    lines = _lines_for_buildx(lines) if name.startswith(_BUILDKIT) else lines
    return await call.stream(lines, at_once=False, last_line=failure_line)


async def _lines_for_buildx(lines: AsyncGenerator[bytes]) -> AsyncGenerator[bytes]:
    """The pull with which a builder in a container of its own begins: say what goes without.

    It is said in the sentence, as Docker's clients show no remedies.
    """
    async with contextlib.aclosing(lines) as closing:
        try:
            async for line in closing:
                yield line
        except SampanError as error:
            without = (
                "`docker buildx use default`" if is_there() else "DOCKER_BUILDKIT=0, or sampan[buildkit] beside it,"
            )
            sentence = f"{error}. A builder in a container wants it: {without} builds without one"
            raise of_kind(error.kind, sentence, remedy=error.remedy) from error


_BUILDKIT = "moby/buildkit"
_GOING = frozenset({"Downloading", "Pushing"})  # the CLI shows no line that has progress when it has no terminal


def _progress(status: str, current: int, total: int) -> dict[str, Any]:
    if not total or status not in _GOING:
        return {"progressDetail": {}}
    return {"progressDetail": {"current": current, "total": total}}


def pull_line(step: PullStep) -> list[dict[str, Any]]:
    """What a pull tells, in Docker's words."""
    match step:
        case PullBegins(reference):
            return [{"status": f"Pulling from {reference.path}", "id": reference.tag or str(reference.digest)}]
        case LayerProgress(layer, status, current, total):
            return [{"status": status, **_progress(status, current, total), "id": layer}]
        case Pulled(digest=digest):
            return [{"status": f"Digest: {digest}"}]
        case PullEnds(reference, is_new):
            what = "Downloaded newer image for" if is_new else "Image is up to date for"
            return [{"status": f"Status: {what} {reference.familiar}"}]


async def push(call: Call, services: Services) -> web.StreamResponse:
    """POST /images/{name}/push."""
    steps = services.transfers.push(call.parameters["name"], call.text("tag"), credentials(call))
    return await call.stream(_lines(steps, _push_line), at_once=False, last_line=failure_line)


def _push_line(step: PushStep) -> list[dict[str, Any]]:
    match step:
        case PushBegins(reference):
            return [{"status": f"The push refers to repository [{reference.name}]"}]
        case PushProgress(layer, status, current, total, source):
            words = f"Mounted from {source}" if status == "Mounted from" else status
            return [{"status": words, **_progress(status, current, total), "id": layer}]
        case Pushed(reference, digest, size):
            return [
                {"status": f"{reference.tag}: digest: {digest} size: {size}"},
                {"progressDetail": {}, "aux": {"Tag": reference.tag, "Digest": digest, "Size": size}},
            ]


async def _lines[S](steps: AsyncGenerator[S], show: Callable[[S], list[dict[str, Any]]]) -> AsyncGenerator[bytes]:
    async with contextlib.aclosing(steps) as closing:
        async for step in closing:
            for line in show(step):
                yield encode(line)
