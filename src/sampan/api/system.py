"""The engine itself over HTTP: ping, version, info, events, disk usage."""

from __future__ import annotations

import os
import platform
import time
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from typing import Any

from aiohttp import web

from sampan.api import builds, container_documents, image_documents, versions, volumes
from sampan.api.answer import Answer
from sampan.api.call import Call, encode, parse_time, reply
from sampan.api.headers import HEADERS, PING_HEADERS, is_experimental
from sampan.api.services import Services
from sampan.buildkit.door import is_there
from sampan.engine.container import ContainerRecord
from sampan.engine.events import Event
from sampan.engine.sizes import container_size
from sampan.errors import InvalidArgument
from sampan.image import listing
from sampan.version import VERSION

EVENT_FILTERS = frozenset(
    "config container daemon event image label network node plugin scope secret service type volume".split()
)
BUILDER_VERSION = "2" if is_there() else "1"  # 2 says that BuildKit is spoken
_PING_HEADERS = {**PING_HEADERS, "Builder-Version": BUILDER_VERSION}
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


async def ping(call: Call, services: Services) -> web.StreamResponse:
    """GET /_ping."""
    return pong(services, call.version, call.parameters)


async def head_ping(call: Call, services: Services) -> web.StreamResponse:
    """HEAD /_ping."""
    return head_pong(services, call.version, call.parameters)


def pong(services: Services, version: versions.Version, parameters: Mapping[str, str], body: bytes = b"OK") -> Answer:
    """That somebody is here."""
    del services, version, parameters
    return Answer(body, content_type="text/plain; charset=utf-8", headers=_PING_HEADERS)


def head_pong(services: Services, version: versions.Version, parameters: Mapping[str, str]) -> Answer:
    """The same without a word, whose length is told as 0, as moby tells it."""
    return pong(services, version, parameters, b"")


async def version(call: Call, services: Services) -> web.StreamResponse:
    """GET /version."""
    del call, services
    kernel = os.uname().release
    details = {
        "ApiVersion": versions.text(versions.MAXIMUM),
        "Arch": _ARCHITECTURES.get(platform.machine(), platform.machine()),
        "BuildTime": "",
        "Experimental": HEADERS["Docker-Experimental"],
        "GitCommit": "",
        "GoVersion": "",
        "KernelVersion": kernel,
        "MinAPIVersion": versions.text(versions.MINIMUM),
        "Os": "linux",
    }
    return reply(
        {
            "Platform": {"Name": f"sampan {VERSION}"},
            "Components": [
                {"Name": "Engine", "Version": versions.ENGINE, "Details": details},
                {"Name": "sampan", "Version": VERSION, "Details": {"Python": platform.python_version()}},
            ],
            "Version": versions.ENGINE,
            "ApiVersion": versions.text(versions.MAXIMUM),
            "MinAPIVersion": versions.text(versions.MINIMUM),
            "GitCommit": "",
            "GoVersion": "",
            "Os": "linux",
            "Arch": details["Arch"],
            "KernelVersion": kernel,
            "BuildTime": "",
            **({"Experimental": True} if is_experimental() else {}),
        }
    )


async def events(call: Call, services: Services) -> web.StreamResponse:
    """GET /events."""
    filters = {name: values for name, values in call.filters(None).items() if name in EVENT_FILTERS}
    now = time.time_ns()
    since, until = parse_time(call.text("since"), now), parse_time(call.text("until"), now)
    if call.text("since") == "0":
        since = 0  # from the beginning, where logs have it anyway
    if since is not None and until is not None and since > until:
        raise InvalidArgument(
            f"`since` time ({call.text('since')}) cannot be after `until` time ({call.text('until')})",
            remedy="swap them",
        )

    async def pieces() -> AsyncIterator[bytes]:
        stream = services.events.stream(lambda event: _wanted(event, filters), since_ns=since, until_ns=until)
        async for event in stream:
            yield encode(event_document(event))

    return await call.stream(pieces())


def _wanted(event: Event, filters: dict[str, tuple[str, ...]]) -> bool:
    for name, values in filters.items():
        match name:
            case "event":
                action = event.action.split(":", 1)[0]
                fits = any(value in {action, event.action} for value in values)
            case "type":
                fits = event.kind in values
            case "label":
                pairs = [value.partition("=") for value in values]
                fits = all(
                    key in event.attributes and (not separator or event.attributes[key] == text)
                    for key, separator, text in pairs
                )
            case "scope":
                fits = event.scope in values
            case "image":
                image = event.attributes.get("name" if event.kind == "image" else "image", "")
                known = {event.actor, image, event.actor.split(":", 1)[0], _without_tag(image)}
                fits = any(value in known for value in values)
            case _:
                # whatever the kind: moby looks at the actor and its name alone, and takes a beginning of either
                names = (event.actor, event.attributes.get("name", ""))
                fits = any(text.startswith(value) for text in names for value in values)
        if values and not fits:
            return False
    return True


def _without_tag(name: str) -> str:
    head, separator, tag = name.rpartition(":")
    return head if separator and "/" not in tag else name


def event_document(event: Event) -> dict[str, Any]:
    """One event in Docker's JSON; the first three fields are those of versions before 1.22, which clients read."""
    document: dict[str, Any] = {}
    if event.kind in {"container", "image"}:
        document |= {"status": event.action, "id": event.actor}
        if event.kind == "container":
            document["from"] = event.attributes.get("image", "")
    return {
        **document,
        "Type": event.kind,
        "Action": event.action,
        "Actor": {"ID": event.actor, "Attributes": event.attributes},
        "scope": event.scope,
        "time": event.time_ns // 10**9,
        "timeNano": event.time_ns,
    }


_USAGE_KINDS = frozenset({"container", "image", "volume", "build-cache"})


async def disk_usage(call: Call, services: Services) -> web.StreamResponse:
    """GET /system/df: all kinds of objects, or those that `type` names."""
    asked = frozenset(call.request.query.getall("type", []))
    if unknown := sorted(asked - _USAGE_KINDS):
        raise InvalidArgument(
            f"unknown object type: {unknown[0]}", remedy="known are " + ", ".join(sorted(_USAGE_KINDS))
        )
    kinds = asked or _USAGE_KINDS
    document: dict[str, Any] = {"LayersSize": 0, "Images": None, "Containers": None, "Volumes": None}
    if "image" in kinds:
        document |= _images_usage(call, services)
    if "container" in kinds:
        document["Containers"] = [await _sized_summary(record, services) for record in services.store.all()]
    if "volume" in kinds:
        document["Volumes"] = await volumes.usage(services)
    return reply({**document, "BuildCache": await builds.cache_documents(services) if "build-cache" in kinds else None})


async def _sized_summary(record: ContainerRecord, services: Services) -> dict[str, Any]:
    size = await container_size(record, services.layout, services.images.images)
    meant = services.images.images.find_any(record.config.process.image)
    shown = container_documents.summary(record, services.lifecycle.healths.of(record), [], meant)
    return {**shown, **container_documents.sizes(size)}


def _images_usage(call: Call, services: Services) -> dict[str, Any]:
    usage = listing.disk_usage(services.images.images)
    users = Counter(record.image_id for record in services.store.all())
    shown = [
        image_documents.summary(services.images, one.image, call.version)
        | {"SharedSize": one.shared, "Containers": users[one.image.id]}
        for one in usage.images
    ]
    return {"LayersSize": usage.layers, "Images": shown}
