"""Files in and out of containers over HTTP: archive, export, changes."""

from __future__ import annotations

import base64
import datetime as dt

import msgspec
from aiohttp import web

from sampan.api.call import Call, name_text, nothing, reply
from sampan.api.sending import send_parts
from sampan.api.services import Services
from sampan.api.uploads import arriving
from sampan.engine.inner_paths import PathStat
from sampan.errors import InvalidArgument

STAT_HEADER = "X-Docker-Container-Path-Stat"
TAR = "application/x-tar"
STREAM = "application/octet-stream"


async def stat(call: Call, services: Services) -> web.StreamResponse:
    """HEAD /containers/{name}/archive."""
    found = await services.files.stat(call.parameters["name"], _path(call))
    return web.Response(headers={STAT_HEADER: stat_text(found)})


async def get(call: Call, services: Services) -> web.StreamResponse:
    """GET /containers/{name}/archive."""
    async with services.files.get(call.parameters["name"], _path(call)) as (found, parts):
        return await send_parts(call.request, parts, {STAT_HEADER: stat_text(found), "Content-Type": TAR})


async def put(call: Call, services: Services) -> web.StreamResponse:
    """PUT /containers/{name}/archive."""
    async with arriving(call) as body:
        await services.files.put(
            call.parameters["name"],
            _path(call),
            body,
            keep_kinds=call.flag("noOverwriteDirNonDir"),
            as_user=call.flag("copyUIDGID"),
            owner=call.text("chown"),
        )
    return nothing(200)


async def export(call: Call, services: Services) -> web.StreamResponse:
    """GET /containers/{name}/export."""
    async with services.files.export(call.parameters["name"]) as parts:
        return await send_parts(call.request, parts, {"Content-Type": STREAM})


async def changes(call: Call, services: Services) -> web.StreamResponse:
    """GET /containers/{name}/changes."""
    found = await services.files.changes(call.parameters["name"])
    return reply([{"Path": name_text(change.path), "Kind": change.kind.value} for change in found] or None)


def _path(call: Call) -> str:
    path = call.text("path")
    if not path:
        raise InvalidArgument("bad parameter: path: cannot be empty", remedy="pass ?path=/a/path")
    return path


def stat_text(found: PathStat) -> str:
    """Docker's header: base64 of JSON."""
    seconds, rest = divmod(found.mtime_ns, 10**9)
    fraction = f".{rest:09d}".rstrip("0").rstrip(".")
    moment = f"{dt.datetime.fromtimestamp(seconds, dt.UTC):%Y-%m-%dT%H:%M:%S}{fraction}Z"
    document = {
        "name": name_text(found.name),
        "size": found.size,
        "mode": found.mode,
        "mtime": moment,
        "linkTarget": name_text(found.link_target),
    }
    return base64.b64encode(msgspec.json.encode(document)).decode()
