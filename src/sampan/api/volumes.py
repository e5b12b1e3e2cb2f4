"""Volumes over HTTP."""

from __future__ import annotations

import datetime as dt
from typing import Any

from aiohttp import web

from sampan.api.call import Call, nothing, reply
from sampan.api.services import Services
from sampan.api.versions import PRUNE_ANONYMOUS_VOLUMES, has
from sampan.engine.volumes import VolumeFilter
from sampan.errors import InvalidArgument, SampanError
from sampan.volume.plugins import PluginVolume
from sampan.volume.records import Volume
from sampan.volume.volumes import DRIVER
from sampan.wire.volume import VolumeCreate

LIST_FILTERS = frozenset({"dangling", "driver", "label", "name"})
PRUNE_FILTERS = frozenset({"all", "label", "label!"})
_TRUE = frozenset({"1", "true", "True", "TRUE", "t", "T"})
_FALSE = frozenset({"0", "false", "False", "FALSE", "f", "F"})


async def list_all(call: Call, services: Services) -> web.StreamResponse:
    """GET /volumes."""
    filters = call.filters(LIST_FILTERS)
    dangling = filters.get("dangling")
    wanted = VolumeFilter(
        names=filters.get("name", ()),
        drivers=filters.get("driver", ()),
        labels=filters.get("label", ()),
        dangling=None if not dangling else _boolean("dangling", dangling[0]),
    )
    found = services.volumes.find(wanted)
    strangers, warnings = await services.volumes.strangers(wanted)
    shown = sorted([*found, *strangers], key=lambda volume: volume.name)
    return reply({"Volumes": [document(services, volume) for volume in shown], "Warnings": warnings or None})


async def create(call: Call, services: Services) -> web.StreamResponse:
    """POST /volumes/create."""
    body = await call.body(VolumeCreate, default=VolumeCreate())
    volume = await services.volumes.create(
        body.name or "", body.driver or "", body.driver_opts or {}, body.labels or {}
    )
    return reply(await _whole(services, volume), 201)


async def inspect(call: Call, services: Services) -> web.StreamResponse:
    """GET /volumes/{name}."""
    return reply(await _whole(services, await services.volumes.look(call.parameters["name"])))


async def remove(call: Call, services: Services) -> web.StreamResponse:
    """DELETE /volumes/{name}."""
    await services.volumes.remove(call.parameters["name"], force=call.flag("force"))
    return nothing()


async def prune(call: Call, services: Services) -> web.StreamResponse:
    """POST /volumes/prune: anonymous ones alone, since API 1.42, unless the filter `all` is set."""
    filters = call.filters(PRUNE_FILTERS)
    everything = not has(call.version, PRUNE_ANONYMOUS_VOLUMES)
    if "all" in filters:
        everything = _boolean("all", filters["all"][0])
    wanted = VolumeFilter(labels=filters.get("label", ()), not_labels=filters.get("label!", ()))
    removed, freed = await services.volumes.prune(wanted, everything=everything)
    return reply({"VolumesDeleted": removed or None, "SpaceReclaimed": freed})


def _boolean(name: str, text: str) -> bool:
    if text in _TRUE:
        return True
    if text in _FALSE:
        return False
    raise InvalidArgument(f"invalid filter '{name}={text}'", remedy="use true or false")


def document(services: Services, volume: Volume) -> dict[str, Any]:
    """A volume in Docker's JSON."""
    moment = dt.datetime.fromtimestamp(volume.created_at_ns // 10**9, dt.UTC)
    return {
        "CreatedAt": f"{moment:%Y-%m-%dT%H:%M:%SZ}",
        "Driver": volume.driver,
        "Labels": volume.labels or None,
        "Mountpoint": services.volumes.volumes.data(volume.name) if volume.driver == DRIVER else "",
        "Name": volume.name,
        "Options": volume.options or None,
        "Scope": "local",
    }


async def _whole(services: Services, volume: Volume) -> dict[str, Any]:
    """The document, with what a plugin says of a volume that it keeps."""
    if volume.driver == DRIVER:
        return document(services, volume)
    foreign = services.volumes.foreign
    try:
        told = await foreign.look(volume.driver, volume.name)
    except SampanError as error:
        told = PluginVolume(volume.name, status={"Error": str(error)})
    shown = document(services, volume) | {"Mountpoint": told.mountpoint, "Scope": await foreign.scope(volume.driver)}
    if told.created_at:
        shown["CreatedAt"] = told.created_at
    return shown | ({"Status": told.status} if told.status else {})


async def usage(services: Services) -> list[dict[str, Any]]:
    """The volumes of GET /system/df that have a size here: how many containers have each, and its size."""
    sized = [(volume, await services.volumes.size(volume)) for volume in services.volumes.find()]
    return [
        document(services, volume) | {"UsageData": {"RefCount": len(services.volumes.users(volume.name)), "Size": size}}
        for volume, size in sized
        if size >= 0
    ]
