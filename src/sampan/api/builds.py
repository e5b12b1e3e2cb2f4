"""Builds over HTTP: POST /build with the stream of Docker's own builder, and what is said about builds."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import unquote

from aiohttp import web

from sampan.api import failures
from sampan.api.archive import TAR
from sampan.api.build_events import event_lines
from sampan.api.build_request import build_request
from sampan.api.call import Call, nothing, parse_time, reply, timestamp
from sampan.api.json_lines import line, send_each
from sampan.api.pieces import in_pieces
from sampan.api.services import Services
from sampan.api.transfers import pull_line
from sampan.api.uploads import arriving
from sampan.api.withheld import Withheld
from sampan.build import progress
from sampan.build.request import BuildRequest
from sampan.engine.build_contexts import Source
from sampan.engine.build_prunes import PruneCaches
from sampan.engine.build_records import build_records
from sampan.engine.builds import Built
from sampan.engine.transfers import PullBegins, PullEnds
from sampan.errors import InvalidArgument, SampanError
from sampan.image.pull import Pulled
from sampan.image.pull_layer import LayerProgress

_SHORT = 12
_PRUNE_FILTERS = frozenset("description id inuse label label! parent private shared type unused-for until".split())
_YES, _NO = frozenset({"", "1", "true"}), frozenset({"0", "false"})
_RED, _PLAIN = "\x1b[91m", "\x1b[0m"


async def build(call: Call, services: Services) -> web.StreamResponse:
    """POST /build: an error before the first word is a status, later a line."""
    request = build_request(call)
    if call.flag("dockerfilesent"):
        request = await _with_sent(request, call)
    quiet = call.flag("q")
    steps = services.builds.build(request, Source(call.request.content.iter_any()), call.text("buildid"))
    response = in_pieces(call.request, {"Content-Type": "application/json"})
    withheld = Withheld()
    try:
        async with contextlib.aclosing(steps) as closing:
            async for told in closing:
                if isinstance(told, Built):
                    before = [] if quiet else _all_lines(told.told)
                    await _write(response, call, before + _ending(told, quiet=quiet, events=request.events))
                    continue
                lines = _all_lines(told)
                if quiet:
                    for one in lines:
                        withheld.add(line(one))
                else:
                    await _write(response, call, lines)
    except Exception as error:
        if call.has_left or (not response.prepared and not withheld):
            raise
        await _tell_withheld(response, call, withheld)
        await _write(response, call, [failure_line(error)])
    await response.write_eof()
    return response


async def _with_sent(request: BuildRequest, call: Call) -> BuildRequest:
    """`dockerfilesent`, beyond Docker: the body is the Dockerfile for a context that is fetched."""
    if not request.remote or "/" in request.dockerfile or request.dockerfile in {".", ".."}:
        raise InvalidArgument(
            "dockerfilesent goes with remote, and a dockerfile that is a name alone",
            remedy="send an archive as the body where the context is not fetched",
        )
    return replace(request, given=await call.read_body())


async def _write(response: web.StreamResponse, call: Call, lines: list[dict[str, Any]]) -> None:
    await send_each(call.request, response, [line(one) for one in lines])


async def _tell_withheld(response: web.StreamResponse, call: Call, withheld: Withheld) -> None:
    """Say what a quiet build that failed has not said."""
    if withheld.left_out_bytes:
        await _write(response, call, [_stream(f"[{withheld.left_out_bytes} bytes of this build left out]\n")])
    await send_each(call.request, response, withheld.pieces())


def failure_line(error: Exception) -> dict[str, Any]:
    """The last line of a build that failed; `place` and `remedy` are beyond Docker's."""
    sentence, remedy = failures.told(error)
    detail: dict[str, Any] = {"message": sentence}
    from sampan.build.commands import StepFailed  # a build has run, so it is there

    if isinstance(error, StepFailed):
        detail = {"code": error.code, **detail}
    if isinstance(error, SampanError) and error.place:
        detail["place"] = error.place
    if remedy:
        detail["remedy"] = remedy
    return {"errorDetail": detail, "error": sentence}


def _all_lines(steps: Iterable[progress.Event]) -> list[dict[str, Any]]:
    return [one for step in steps for one in _lines(step)]


def _lines(step: progress.Event) -> list[dict[str, Any]]:
    match step:
        case progress.OfStage():
            return event_lines(step)
        case progress.StepBegins(number, total, text):
            return [_stream(f"Step {number}/{total} : {text}"), _stream("\n")]
        case progress.Output(content, is_error):
            text = content.decode("utf-8", "replace")
            return [_stream(f"{_RED}{text}{_PLAIN}" if is_error else text)]
        case progress.Triggers(count):
            return [_stream(f"# Executing {count} build trigger{'s' if count > 1 else ''}"), _stream("\n")]
        case progress.StageEnds(image_id):
            return [{"aux": {"ID": image_id}}] if image_id else []
        case progress.Fetching(_, done, total):
            return [{"status": "Downloading", "progressDetail": {"current": done, "total": total}}]
        case progress.Pulling(transfer):
            return pull_line(transfer) if isinstance(transfer, PullBegins | LayerProgress | Pulled | PullEnds) else []
        case progress.CacheMade(image_id):
            return [{"aux": {"CacheID": image_id}}]
        case progress.StageBegins() | progress.StepFails():
            return []
        case _:
            return [_stream(f"{_told(step)}\n")]


type _Line = (
    progress.UsesCache | progress.Running | progress.Removed | progress.StepEnds | progress.Note | progress.Warned
)


def _told(step: _Line) -> str:
    """The events that are a line of text."""
    match step:
        case progress.UsesCache():
            return " ---> Using cache"
        case progress.Running(container_id):
            return f" ---> Running in {container_id[:_SHORT]}"
        case progress.Removed(container_id):
            return f" ---> Removed intermediate container {container_id[:_SHORT]}"
        case progress.StepEnds(image_id):
            return f" ---> {short(image_id)}"
        case progress.Note(text):
            return text
        case progress.Warned(rule, _, message, file, line):
            return f"[Warning] {rule}: {message} ({file}:{line})"


def _ending(built: Built, *, quiet: bool, events: bool) -> list[dict[str, Any]]:
    lines: list[dict[str, Any]] = [{"aux": {"ID": built.image_id}}] if events else []
    if quiet:
        return lines or [_stream(f"{built.image_id}\n")]
    lines.append(_stream(f"Successfully built {short(built.image_id)}\n"))
    return lines + [_stream(f"Successfully tagged {one.familiar}\n") for one in built.references]


def _stream(text: str) -> dict[str, Any]:
    return {"stream": text}


def short(image_id: str) -> str:
    """An image's id as the stream shows it."""
    return image_id.removeprefix("sha256:")[:_SHORT]


async def prune(call: Call, services: Services) -> web.StreamResponse:
    """POST /build/prune. Nothing that is kept has labels, which count for nothing, as in Docker."""
    filters = call.filters(_PRUNE_FILTERS)
    values = {name: _only_value(found) for name, found in filters.items() if not name.startswith("label")}
    if "until" in values and "unused-for" in values:
        raise InvalidArgument('conflicting filters: "until" and "unused-for"', remedy="they mean the same: give one")
    moment = parse_time(values.get("until") or values.get("unused-for") or "", time.time_ns())
    pruned = await services.builds.prune(
        PruneCaches(
            float("inf") if moment is None else moment / 1e9,
            id=values.get("id", ""),
            kind=values.get("type", ""),
            description=values.get("description", ""),
            parent=values.get("parent", ""),
            nothing=_is(values, "inuse") or _is(values, "shared") or not _is(values, "private", default="true"),
            keep_bytes=max(0, call.number("keep-storage") or 0),
        )
    )
    return reply({"CachesDeleted": list(pruned.ids) or None, "SpaceReclaimed": pruned.freed_bytes})


def _only_value(values: tuple[str, ...]) -> str:
    if len(values) > 1:
        raise InvalidArgument("filters expect only one value", remedy="prune once for each value")
    return values[0] if values else ""


def _is(values: Mapping[str, str], name: str, *, default: str = "false") -> bool:
    value = values.get(name, default)
    if value not in _YES | _NO:
        raise InvalidArgument(f"invalid filter '{name}=[{value}]'", remedy="say true or false")
    return value in _YES


async def list_caches(call: Call, services: Services) -> web.StreamResponse:
    """GET /build/caches, beyond Docker: the caches that RUN --mount=type=cache names, in df's form."""
    del call
    return reply(await cache_documents(services))


async def cache_documents(services: Services) -> list[dict[str, Any]]:
    """The caches as `system df` shows them, and the contexts that are kept."""
    return [
        {
            "ID": one.id,
            "Type": one.kind,
            "Description": one.description,
            "InUse": one.in_use,
            "Shared": False,
            "Size": one.size_bytes,
            "CreatedAt": timestamp(int(one.created_s * 1e9)),
            "LastUsedAt": timestamp(int(one.used_s * 1e9)),
            "UsageCount": one.uses,
        }
        for one in await build_records(services.builds.kept, services.builds.caches, PruneCaches())
    ]


async def remove_cache(call: Call, services: Services) -> web.StreamResponse:
    """DELETE /build/caches/{name}, beyond Docker: by the name of the mount or by id."""
    name = call.parameters["name"]
    services.builds.remove_cache(unquote(name))
    return nothing()


async def export_cache(call: Call, services: Services) -> web.StreamResponse:
    """GET /build/caches/{name}/export, beyond Docker: a cache's files as a tar archive."""
    async with services.build_caches.export(unquote(call.parameters["name"])) as pieces:
        return await call.stream(pieces, TAR, at_once=False)


async def import_cache(call: Call, services: Services) -> web.StreamResponse:
    """POST /build/caches/import?name=, beyond Docker: a new cache with what a tar archive has."""
    async with arriving(call) as archive:
        await services.build_caches.import_archive(call.text("name"), archive)
    return nothing()


async def taken(call: Call, services: Services) -> web.StreamResponse:
    """POST /build/taken, beyond Docker: what the steps of a Dockerfile may take of a context; asked as a build."""
    paths = services.builds.taken(build_request(call), await call.read_body())
    return reply({"Paths": None if paths is None else list(paths)})


async def cancel(call: Call, services: Services) -> web.StreamResponse:
    """POST /build/cancel."""
    services.builds.cancel(call.text("id"))
    return nothing()
