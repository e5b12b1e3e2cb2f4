"""What the API has beyond Docker's about images: files, diet, smaller forms, and base images without a hub."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator
from typing import Any

from aiohttp import web

from sampan.api.call import Call, encode, name_text, reply
from sampan.api.failures import failure_line
from sampan.api.sending import send_parts
from sampan.api.services import Services
from sampan.engine import diets
from sampan.engine.bootstraps import bootstrap as bootstrap_image
from sampan.engine.image_files import packed
from sampan.errors import InvalidArgument
from sampan.image.bootstrap import parse_bootstrap
from sampan.image.diet import Diet, Place
from sampan.image.diet_page import page
from sampan.image.slim import SAFE_KINDS


async def diet(call: Call, services: Services) -> web.StreamResponse:
    """GET /images/{name}/diet: as JSON, or with `format=html` as a page."""
    wanted = call.text("format", "json")
    if wanted not in {"json", "html"}:
        raise InvalidArgument(f"unknown format {wanted!r}", remedy="pass format=json or format=html")
    name = call.parameters["name"]
    found = await diets.analyse(services.images, name)
    if wanted == "html":
        text = page(found, name).encode("utf-8", "replace")
        return web.Response(body=text, content_type="text/html", charset="utf-8")
    return reply(document(found))


async def files(call: Call, services: Services) -> web.StreamResponse:
    """GET /images/{name}/files: what is in it, as a tar archive."""
    with packed(services.images, call.parameters["name"]) as parts:
        return await send_parts(call.request, parts, {"Content-Type": "application/x-tar"})


async def squash(call: Call, services: Services) -> web.StreamResponse:
    """POST /images/{name}/squash: one layer; `slim=safe` or kinds of rubbish leave those out."""
    repository, tag = call.text("repo"), call.text("tag")
    target = f"{repository}:{tag}" if repository and tag else repository
    kinds = tuple(kind.strip() for kind in call.text("slim").split(",") if kind.strip())
    leave_out = SAFE_KINDS if kinds == ("safe",) else kinds
    smaller = await diets.squash(services.images, services.events, call.parameters["name"], target, leave_out)
    answer = {
        "Id": smaller.image.id,
        "Size": smaller.image.size,
        "SizeBefore": smaller.size_before,
        "LeftOut": sorted(leave_out),
    }
    return reply(answer, 201)


async def bootstrap(call: Call, services: Services) -> web.StreamResponse:
    """POST /images/bootstrap: a suite of a distribution by mmdebstrap, with its lines as they come."""
    request = parse_bootstrap(
        call.text("from"),
        variant=call.text("variant"),
        packages=tuple(call.request.query.getall("package", [])),
        mirror=call.text("mirror"),
    )
    steps = bootstrap_image(services.images, services.events, request, call.text("name"))

    async def lines() -> AsyncGenerator[bytes]:
        async with contextlib.aclosing(steps) as closing:
            async for step in closing:
                if isinstance(step, str):
                    yield encode({"stream": step + "\n"})
                else:
                    yield encode({"aux": {"ID": step.id}})

    return await call.stream(lines(), last_line=failure_line)


def document(found: Diet) -> dict[str, Any]:
    """A diet as JSON shows it."""
    return {
        "Id": found.image_id,
        "Size": found.size,
        "Seen": found.seen,
        "Wasted": found.wasted,
        "Layers": [
            {
                "Number": layer.number,
                "DiffId": layer.diff_id,
                "Size": layer.size,
                "Wasted": layer.wasted,
                "Files": layer.files,
                "Instruction": layer.instruction,
            }
            for layer in found.layers
        ],
        "Savings": [
            {"Kind": one.kind, "Size": one.size, "Files": one.files, "Remedy": name_text(one.remedy)}
            for one in found.savings()
        ],
        "Waste": [
            {
                "Layer": one.layer,
                "Path": f"/{name_text(one.path)}",
                "Size": one.size,
                "Kind": one.kind,
                "Remedy": name_text(one.remedy),
            }
            for one in found.waste
        ],
        "Tree": _tree(found.tree),
    }


def _tree(place: Place) -> dict[str, Any]:
    parts = [_tree(part) for part in place.parts]
    return {"Name": name_text(place.name), "Size": place.size, "Wasted": place.wasted, "Parts": parts}
