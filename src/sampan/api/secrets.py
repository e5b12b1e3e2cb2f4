"""Secrets and configs over HTTP, in the shapes that Docker has for those of a swarm."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

from sampan.api.call import Call, nothing, reply, timestamp
from sampan.api.services import Services
from sampan.engine.secrets import Secret
from sampan.errors import InvalidArgument
from sampan.wire.secret import SecretSpec

FILTERS = frozenset({"id", "label", "name", "names"})
Handler = Callable[[Call, Services], Awaitable[web.StreamResponse]]


def routes() -> tuple[tuple[str, str, Handler], ...]:
    """The rows of both kinds."""
    return tuple(row for kind in ("secret", "config") for row in _routes_of(kind))


def _routes_of(kind: str) -> tuple[tuple[str, str, Handler], ...]:
    async def list_all(call: Call, services: Services) -> web.StreamResponse:
        filters = call.filters(FILTERS)
        found = [secret for secret in services.secrets.find(kind) if _is_meant(secret, filters)]
        return reply([_document(services, secret) for secret in found])

    async def create(call: Call, services: Services) -> web.StreamResponse:
        body = await call.body(SecretSpec)
        made = services.secrets.create(kind, body.name or "", _content(body), body.labels or {})
        return reply({"ID": made.id}, 201)

    async def inspect(call: Call, services: Services) -> web.StreamResponse:
        return reply(_document(services, services.secrets.get(kind, call.parameters["name"])))

    async def remove(call: Call, services: Services) -> web.StreamResponse:
        services.secrets.remove(kind, call.parameters["name"])
        return nothing()

    async def update(call: Call, services: Services) -> web.StreamResponse:
        body = await call.body(SecretSpec)
        before = services.secrets.get(kind, call.parameters["name"])
        if body.data or (body.name or before.name) != before.name:
            raise InvalidArgument("rpc error: code = InvalidArgument desc = only updates to Labels are allowed")
        services.secrets.label(kind, before.id, body.labels or {}, call.number("version") or 0)
        return nothing(200)

    return (
        ("GET", f"/{kind}s", list_all),
        ("POST", f"/{kind}s/create", create),
        ("GET", f"/{kind}s/{{name}}", inspect),
        ("DELETE", f"/{kind}s/{{name}}", remove),
        ("POST", f"/{kind}s/{{name}}/update", update),
    )


def _content(body: SecretSpec) -> bytes:
    try:
        return base64.b64decode(body.data or "", validate=True)
    except (binascii.Error, ValueError):
        raise InvalidArgument("invalid JSON: Data is no base64", remedy="encode the content in base64") from None


def _document(services: Services, secret: Secret) -> dict[str, Any]:
    """In Docker's JSON; of configs the content too."""
    spec: dict[str, Any] = {"Name": secret.name, "Labels": secret.labels}
    if secret.kind == "config":
        spec["Data"] = base64.b64encode(services.secrets.content("config", secret.id)).decode()
    return {
        "ID": secret.id,
        "Version": {"Index": secret.version},
        "CreatedAt": timestamp(secret.created_at_ns),
        "UpdatedAt": timestamp(secret.updated_at_ns),
        "Spec": spec,
    }


def _is_meant(secret: Secret, filters: dict[str, tuple[str, ...]]) -> bool:
    return (
        _any(filters.get("id"), secret.id.startswith)
        and _any(filters.get("name"), secret.name.startswith)
        and _any(filters.get("names"), secret.name.__eq__)
        and all(_has(secret, label) for label in filters.get("label", ()))
    )


def _any(wanted: tuple[str, ...] | None, fits: Callable[[str], bool]) -> bool:
    return not wanted or any(fits(text) for text in wanted)


def _has(secret: Secret, text: str) -> bool:
    name, separator, value = text.partition("=")
    return name in secret.labels and (not separator or secret.labels[name] == value)
