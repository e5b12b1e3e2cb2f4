"""What a registry says without anything being pulled: `docker search`, and the manifest behind a name."""

from __future__ import annotations

from aiohttp import web

from sampan.api.call import Call, reply
from sampan.api.services import Services
from sampan.api.transfers import credentials
from sampan.engine.lookups import look_up
from sampan.engine.lookups import search as search_registry
from sampan.errors import InvalidArgument
from sampan.image.registry import Found

FILTERS = frozenset("is-automated is-official stars".split())
_TRUE = frozenset({"1", "true"})
_FALSE = frozenset({"0", "false"})


async def search(call: Call, services: Services) -> web.StreamResponse:
    """GET /images/search."""
    filters = call.filters(FILTERS)
    limit = call.number("limit")
    found = await search_registry(
        services.transfers.settings, call.text("term"), 25 if limit is None else limit, credentials(call)
    )
    return reply(
        [
            {
                "star_count": one.star_count,
                "is_official": one.is_official,
                "name": one.name,
                "is_automated": one.is_automated,
                "description": one.description or "",
            }
            for one in found
            if _fits(one, filters)
        ]
    )


def _fits(found: Found, filters: dict[str, tuple[str, ...]]) -> bool:
    return (
        _is(found.is_official, filters.get("is-official", ()), "is-official")
        and _is(found.is_automated, filters.get("is-automated", ()), "is-automated")
        and all(found.star_count >= _number(text) for text in filters.get("stars", ()))
    )


def _is(value: object, wanted: tuple[str, ...], name: str) -> bool:
    for text in wanted:
        if text not in _TRUE | _FALSE:
            raise InvalidArgument(f"invalid filter '{name}={text}'", remedy="say true or false")
    return all(bool(value) == (text in _TRUE) for text in wanted)


def _number(text: str) -> int:
    if not text.isdecimal():
        raise InvalidArgument(f"invalid filter 'stars={text}'", remedy="say a number")
    return int(text)


async def distribution(call: Call, services: Services) -> web.StreamResponse:
    """GET /distribution/{name}/json."""
    found = await look_up(services.transfers.settings, call.parameters["name"], credentials(call))
    return reply({"Descriptor": found.descriptor, "Platforms": found.platforms})
