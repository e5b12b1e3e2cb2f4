"""Copies of volumes over HTTP: rename, clone, snapshots, export and import; all of it beyond Docker's API."""

from __future__ import annotations

import json
from typing import Any

from aiohttp import web

from sampan.api.archive import TAR
from sampan.api.call import Call, nothing, reply, timestamp
from sampan.api.sending import send_parts
from sampan.api.services import Services
from sampan.api.uploads import arriving
from sampan.api.volumes import document
from sampan.errors import InvalidArgument
from sampan.volume.snapshots import Snapshot


async def rename(call: Call, services: Services) -> web.StreamResponse:
    """POST /volumes/{name}/rename."""
    volume = services.volume_copies.rename(call.parameters["name"], call.text("name"))
    return reply(document(services, volume))


async def clone(call: Call, services: Services) -> web.StreamResponse:
    """POST /volumes/{name}/clone."""
    made = await services.volume_copies.clone(call.parameters["name"], call.text("name"), pause=call.flag("pause"))
    return reply(document(services, made), 201)


async def list_snapshots(call: Call, services: Services) -> web.StreamResponse:
    """GET /volumes/{name}/snapshots."""
    found = services.volume_copies.snapshots(call.parameters["name"])
    return reply([_snapshot(snapshot) for snapshot in found])


async def snapshot(call: Call, services: Services) -> web.StreamResponse:
    """POST /volumes/{name}/snapshots."""
    taken = await services.volume_copies.snapshot(call.parameters["name"], call.text("name"), pause=call.flag("pause"))
    return reply(_snapshot(taken), 201)


async def restore(call: Call, services: Services) -> web.StreamResponse:
    """POST /volumes/{name}/snapshots/{snapshot}/restore."""
    await services.volume_copies.restore(call.parameters["name"], call.parameters["snapshot"])
    return nothing()


async def forget(call: Call, services: Services) -> web.StreamResponse:
    """DELETE /volumes/{name}/snapshots/{snapshot}."""
    services.volume_copies.forget(call.parameters["name"], call.parameters["snapshot"])
    return nothing()


async def export(call: Call, services: Services) -> web.StreamResponse:
    """GET /volumes/{name}/export."""
    async with services.volume_copies.export(call.parameters["name"], pause=call.flag("pause")) as pieces:
        return await send_parts(call.request, pieces, {"Content-Type": TAR})


async def import_archive(call: Call, services: Services) -> web.StreamResponse:
    """POST /volumes/import."""
    async with arriving(call) as archive:
        made = await services.volume_copies.import_archive(call.text("name"), archive, _labels(call))
    return reply(document(services, made), 201)


def _labels(call: Call) -> dict[str, str]:
    text = call.text("labels") or "{}"
    try:
        labels = json.loads(text)
    except (ValueError, RecursionError):
        labels = None
    if not isinstance(labels, dict) or not all(isinstance(value, str) for value in labels.values()):
        raise InvalidArgument(f"invalid labels: {text[:80]!r}", remedy="a JSON object of strings")
    return labels


def _snapshot(found: Snapshot) -> dict[str, Any]:
    return {"Name": found.name, "CreatedAt": timestamp(found.taken_at_ns)}
