"""Images over HTTP: a handler per path."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import cast

from aiohttp import web

from sampan.api import image_documents, transfers
from sampan.api.call import Call, encode, nothing, parse_time, prune_until, reply
from sampan.api.container_config import process_from
from sampan.api.failures import failure_line
from sampan.api.services import Services
from sampan.engine.archives import LayerProgress, Loaded
from sampan.engine.downloads import download
from sampan.engine.image_events import announce, announce_removal, labels_of
from sampan.errors import InvalidArgument
from sampan.image.images import Removal
from sampan.image.import_rootfs import ImportRequest
from sampan.image.listing import ImageFilter, disk_usage, select
from sampan.image.listing import prune as prune_images
from sampan.oci.reference import parse_reference
from sampan.wire.container import Config

PRUNE_FILTERS = frozenset("dangling label label! until".split())
_MOVED = "The image {} already exists, renaming the old one with ID {} to empty string\n"  # Docker's words
FILTERS = frozenset("before dangling label reference since until".split())


async def list_all(call: Call, services: Services) -> web.StreamResponse:
    """GET /images/json."""
    filters = call.filters(FILTERS)
    images = services.images.images
    dangling = filters.get("dangling", ())
    wanted = ImageFilter(
        dangling=_is_dangling(dangling) if dangling else None,
        labels=filters.get("label", ()),
        before="".join(images.get(name).id for name in filters.get("before", ())[:1]),
        since="".join(images.get(name).id for name in filters.get("since", ())[:1]),
        references=filters.get("reference", ()),
        intermediate=call.flag("all"),
        until_s=_seconds(filters.get("until", ())),
    )
    shown = [
        image_documents.summary(services.images, image, call.version, wanted.references)
        for image in select(images, wanted)
    ]
    if call.flag("shared-size"):
        shared = {one.image.id: one.shared for one in disk_usage(images).images}
        shown = [line | {"SharedSize": shared.get(line["Id"], 0)} for line in shown]
    return reply(shown)


def _is_dangling(values: tuple[str, ...]) -> bool:
    is_true, is_false = not {"true", "1"}.isdisjoint(values), not {"false", "0"}.isdisjoint(values)
    if is_true == is_false:
        raise InvalidArgument(f"invalid filter 'dangling=[{' '.join(values)}]'", remedy="say true or false, once")
    return is_true


def _seconds(texts: tuple[str, ...]) -> float | None:
    moment = parse_time(texts[0], time.time_ns()) if texts else None
    return None if moment is None else moment / 1e9


async def prune(call: Call, services: Services) -> web.StreamResponse:
    """POST /images/prune: those without a name, or with `dangling=false` all that no container has."""
    filters = call.filters(PRUNE_FILTERS)
    until_ns = prune_until(filters)
    wanted = ImageFilter(
        labels=filters.get("label", ()),
        not_labels=filters.get("label!", ()),
        until_s=None if until_ns is None else until_ns / 1e9,
    )
    unused = not _is_dangling(filters.get("dangling", ("true",)))
    deleted, freed = [], 0
    for removal in prune_images(services.images.images, wanted, unused=unused):
        announce_removal(services.events, removal)
        deleted += _told(removal, services)
        freed += removal.freed_bytes
        await asyncio.sleep(0)  # there may be thousands, and others wait
    orphans = services.images.images.release_layers(services.images.layers.list())
    _told(orphans, services)
    freed += orphans.freed_bytes + await services.transfers.collect()
    services.events.publish("image", "prune", "", {"reclaimed": str(freed)})
    return reply({"ImagesDeleted": deleted or None, "SpaceReclaimed": freed})


async def load(call: Call, services: Services) -> web.StreamResponse:
    """POST /images/load."""
    quiet = call.flag("quiet")

    async def pieces() -> AsyncIterator[bytes]:
        try:
            steps = services.archives.load(call.request.content.iter_any(), call.text("platform"))
            async for step in steps:
                match step:
                    case Loaded(image_id, ""):
                        yield encode({"stream": f"Loaded image ID: {image_id}\n"})
                    case Loaded(_, reference, before):
                        if before:
                            yield encode({"stream": _MOVED.format(reference, before)})
                        yield encode({"stream": f"Loaded image: {reference}\n"})
                    case LayerProgress(layer, done, total) if not quiet:
                        detail = {"current": done, "total": total}
                        yield encode({"status": "Loading layer", "progressDetail": detail, "id": layer[-12:]})
        except Exception as error:
            if call.has_left:
                raise
            yield failure_line(error)

    return await call.stream(pieces(), at_once=False)  # proxies send no more of an archive once the answer has begun


async def save(call: Call, services: Services) -> web.StreamResponse:
    """GET /images/get and /images/{name}/get; beyond Docker, `since` names images that the other side has."""
    query = call.request.query
    single = call.parameters.get("name")
    names = (single,) if single else tuple(query.getall("names", []))
    if not names:
        raise InvalidArgument("no images were named", remedy="pass ?names=NAME")
    pieces = services.archives.save(names, tuple(query.getall("since", [])))
    return await call.stream(pieces, "application/x-tar")


async def commit(call: Call, services: Services) -> web.StreamResponse:
    """POST /commit."""
    # docker's command sends null
    body = await call.body(cast("type[Config]", Config | None), default=Config())
    image = await services.commits.commit(
        call.text("container"),
        _target(call),
        asked=process_from(body) if body else None,
        changes=tuple(call.request.query.getall("changes", [])),
        author=call.text("author"),
        comment=call.text("comment"),
        pause=call.flag("pause", default=True),
    )
    return reply({"Id": image.id}, 201)


async def create(call: Call, services: Services) -> web.StreamResponse:
    """POST /images/create: import with `fromSrc`, pull with `fromImage`."""
    if call.text("fromImage"):
        return await transfers.pull(call, services)
    reference = _target(call)
    request = ImportRequest(
        changes=tuple(call.request.query.getall("changes", [])),
        message=call.text("message"),
        platform=call.text("platform"),
    )
    if call.text("fromSrc") == "-":
        image = await services.imports.make(request, reference, call.request.content.iter_any())
        return reply({"status": image.id})
    lines = _import_from(call.text("fromSrc"), request, reference, services)
    return await call.stream(lines, at_once=False, last_line=failure_line)


def _target(call: Call) -> str:
    """The name that the image is to have, "" for none: a `tag` counts more than one in `repo`, as in Docker."""
    repository, image_tag = call.text("repo"), call.text("tag")
    return parse_reference(repository).named().with_tag(image_tag).familiar if repository and image_tag else repository


async def _import_from(source: str, request: ImportRequest, reference: str, services: Services) -> AsyncIterator[bytes]:
    async with download(source) as pieces:
        yield encode({"status": f"Downloading from {source}"})
        image = await services.imports.make(request, reference, pieces)
        yield encode({"status": image.id})


async def inspect(call: Call, services: Services) -> web.StreamResponse:
    """GET /images/{name}/json."""
    image = services.images.images.get(call.parameters["name"])
    return reply(image_documents.inspect(services.images, image, call.version))


async def history(call: Call, services: Services) -> web.StreamResponse:
    """GET /images/{name}/history."""
    image = services.images.images.get(call.parameters["name"])
    return reply(image_documents.history(services.images, image))


async def tag(call: Call, services: Services) -> web.StreamResponse:
    """POST /images/{name}/tag."""
    target = _target(call)
    if not target:
        raise InvalidArgument("repository name must have at least one component", remedy="say the new name")
    reference, image_id, _ = services.images.images.tag(call.parameters["name"], target)
    announce(services.events, services.images.images, "tag", image_id, str(reference.familiar))
    return nothing(201)


async def remove(call: Call, services: Services) -> web.StreamResponse:
    """DELETE /images/{name}."""
    images = services.images.images
    image_id = images.get(call.parameters["name"]).id
    labels = labels_of(images, image_id)
    removal = images.remove(call.parameters["name"], force=call.flag("force"), prune=not call.flag("noprune"))
    announce_removal(services.events, removal, image_id, labels)
    return reply(_told(removal, services))


def _told(removal: Removal, services: Services) -> list[dict[str, str]]:
    """Free the disk of what was removed, and say in Docker's words what that was."""
    for rubbish in removal.rubbish:
        services.images.disposal.dispose(rubbish)
    return [{kind.capitalize(): what} for kind, what in removal.done]
