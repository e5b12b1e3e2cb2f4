"""Containers over HTTP: a handler per path, from the wire to the engine's verbs and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aiohttp import web

from sampan.api import container_documents, container_filters
from sampan.api.answer import Answer
from sampan.api.call import Call, encode, nothing, prune_until, reply
from sampan.api.container_config import from_create
from sampan.api.pieces import in_pieces
from sampan.api.services import Services
from sampan.api.versions import Version
from sampan.engine import admission, links
from sampan.engine.container import ContainerRecord
from sampan.engine.processes import processes
from sampan.engine.pruning import PruneFilter
from sampan.engine.sizes import container_size
from sampan.engine.tracing import Trace
from sampan.engine.waiting import Ending
from sampan.errors import InvalidArgument, NotFound
from sampan.image.listing import descendants
from sampan.wire.container import ContainerCreate

HEALTHS = ("none", "starting", "healthy", "unhealthy")
PRUNE_FILTERS = frozenset({"until", "label", "label!"})
_EMPTY_BODY = 7  # bytes that a start may come with, such as {} or null (moby, postContainersStart)


async def create(call: Call, services: Services) -> web.StreamResponse:
    """POST /containers/create."""
    body = await call.body(ContainerCreate)
    config = from_create(body)
    services.lifecycle.views.expect(config.host)
    record = await services.containers.create(config, call.text("name"), platform=call.text("platform"))
    warnings = [*admission.warnings(record.config.host), *services.connections.places.warnings(record)]
    return reply({"Id": record.id, "Warnings": warnings}, 201)


async def list_all(call: Call, services: Services) -> web.StreamResponse:
    """GET /containers/json."""
    filters = call.filters(container_filters.KNOWN)
    limit = call.number("limit") or 0
    wanted = filters.pop("health", ())
    for value in wanted:
        if value not in HEALTHS:
            raise InvalidArgument(
                f"unrecognized filter value for health: {value}", remedy="one of " + ", ".join(HEALTHS)
            )
    ancestors = filters.pop("ancestor", ())
    images = descendants(services.images.images, ancestors)

    def fits(record: ContainerRecord) -> bool:
        of_ancestor = not ancestors or record.image_id in images
        return of_ancestor and (not wanted or _health_word(services, record) in wanted)

    records = container_filters.select(services.store, filters, fits, everything=call.flag("all"), limit=limit)
    healths = services.lifecycle.healths
    linked = links.names(services.store.all())
    asked = {record.config.process.image for record in records}
    meant = {name: services.images.images.find_any(name) for name in asked}
    shown = [
        container_documents.summary(
            record, healths.of(record), linked.get(record.name, []), meant[record.config.process.image]
        )
        for record in records
    ]
    if call.flag("size"):
        shown = [line | await _sizes(services, record) for line, record in zip(shown, records, strict=True)]
    return reply(shown)


async def _sizes(services: Services, record: ContainerRecord) -> dict[str, int]:
    return container_documents.sizes(await container_size(record, services.layout, services.images.images))


def _health_word(services: Services, record: ContainerRecord) -> str:
    health = services.lifecycle.healths.of(record)
    return health.status if health else "none"


async def inspect(call: Call, services: Services) -> web.StreamResponse:
    """GET /containers/{name}/json."""
    if not call.flag("size"):
        return inspected(services, call.version, call.parameters)
    record = services.store.find(call.parameters["name"])
    exec_ids = services.execs.of_container(record.id)
    health = services.lifecycle.healths.of(record)
    document = container_documents.inspect(record, services.layout, exec_ids, call.version, health)
    return reply(document | await _sizes(services, record))


def inspected(services: Services, version: Version, parameters: Mapping[str, str]) -> Answer:
    """What an inspect without sizes tells. Raises as `ContainerStore.find`."""
    record = services.store.find(parameters["name"])
    exec_ids = services.execs.of_container(record.id)
    return Answer(services.inspections.of(record, services.lifecycle.healths.of(record), exec_ids, version))


async def start(call: Call, services: Services) -> web.StreamResponse:
    """POST /containers/{name}/start."""
    if (call.request.content_length or 0) > _EMPTY_BODY:
        raise InvalidArgument(
            "starting container with non-empty request body was deprecated since API v1.22 and removed in v1.24",
            remedy="say it when the container is created",
        )
    if not call.flag("trace"):
        await services.lifecycle.start(call.parameters["name"])
        return nothing()
    trace = Trace()
    await services.lifecycle.start(call.parameters["name"], trace)
    return reply(
        {
            "Phases": [
                {"Process": one.process, "Name": one.name, "Began": one.began_ns, "Took": one.took_ns}
                for one in trace.phases()
            ]
        }
    )


async def stop(call: Call, services: Services) -> web.StreamResponse:
    """POST /containers/{name}/stop."""
    await services.control.stop(call.parameters["name"], timeout_s=call.number("t"), signal_name=call.text("signal"))
    return nothing()


async def restart(call: Call, services: Services) -> web.StreamResponse:
    """POST /containers/{name}/restart."""
    await services.control.restart(call.parameters["name"], timeout_s=call.number("t"), signal_name=call.text("signal"))
    return nothing()


async def kill(call: Call, services: Services) -> web.StreamResponse:
    """POST /containers/{name}/kill."""
    await services.control.kill(call.parameters["name"], call.text("signal"))
    return nothing()


async def pause(call: Call, services: Services) -> web.StreamResponse:
    """POST /containers/{name}/pause."""
    await services.control.pause(call.parameters["name"])
    return nothing()


async def unpause(call: Call, services: Services) -> web.StreamResponse:
    """POST /containers/{name}/unpause."""
    await services.control.unpause(call.parameters["name"])
    return nothing()


async def rename(call: Call, services: Services) -> web.StreamResponse:
    """POST /containers/{name}/rename."""
    await services.containers.rename(call.parameters["name"], call.text("name"))
    return nothing()


async def resize(call: Call, services: Services) -> web.StreamResponse:
    """POST /containers/{name}/resize."""
    height, width = size(call)
    services.control.resize(call.parameters["name"], height, width)
    return nothing(200)


def size(call: Call) -> tuple[int, int]:
    """Height and width of the query. Raises InvalidArgument when either is missing."""
    height, width = call.number("h"), call.number("w")
    if height is None or width is None:
        raise InvalidArgument("invalid resize: h and w are needed", remedy="pass ?h=ROWS&w=COLUMNS")
    return height, width


async def remove(call: Call, services: Services) -> web.StreamResponse:
    """DELETE /containers/{name}."""
    reference = call.parameters["name"]
    if call.flag("link"):
        services.containers.unlink(reference)
        return nothing()
    container_id = services.store.find(reference).id
    try:
        if call.flag("force"):
            with services.lifecycle.locks.condemned(container_id):
                await services.control.end(container_id)
                await services.containers.remove(container_id, volumes=call.flag("v"))
        else:
            await services.containers.remove(container_id, volumes=call.flag("v"))
    except NotFound:
        if not call.flag("force"):  # its own --rm was quicker
            raise
    return nothing()


async def top(call: Call, services: Services) -> web.StreamResponse:
    """GET /containers/{name}/top."""
    record = services.store.find(call.parameters["name"])
    table = await processes(record, services.lifecycle.settings.cgroup_parent, call.text("ps_args"))
    services.lifecycle.announcer.container(record, "top")
    return reply({"Titles": table.titles, "Processes": table.rows})


async def prune(call: Call, services: Services) -> web.StreamResponse:
    """POST /containers/prune."""
    filters = call.filters(PRUNE_FILTERS)
    wanted = PruneFilter(
        until_ns=prune_until(filters),
        labels=filters.get("label", ()),
        not_labels=filters.get("label!", ()),
    )
    pruned = await services.pruning.prune(wanted)
    return reply({"ContainersDeleted": pruned.container_ids or None, "SpaceReclaimed": pruned.freed_bytes})


async def wait(call: Call, services: Services) -> web.StreamResponse:
    """POST /containers/{name}/wait: 200 at once, the JSON when it is so."""
    record = services.store.find(call.parameters["name"])
    waiting = services.control.wait(record.id, call.text("condition"))
    try:
        response = in_pieces(call.request, {"Content-Type": "application/json"})
        await response.prepare(call.request)
        await response.write(encode(_ending(await waiting)))
        await response.write_eof()
    finally:
        waiting.cancel()
    return response


def _ending(ending: Ending) -> dict[str, Any]:
    shown: dict[str, Any] = {"StatusCode": ending.code}
    if ending.error:
        shown["Error"] = {"Message": ending.error}
    return shown
