"""The one table of what is served: method, path, handler.

A path's `{name}` matches up to the next slash, `{name:path}` further ones too (names of images have slashes).
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from operator import itemgetter

from aiohttp import web

from sampan.api import (
    absent,
    archive,
    buildkit,
    builds,
    container_updates,
    containers,
    diets,
    images,
    info,
    networks,
    registries,
    secrets,
    stats,
    streams,
    system,
    transfers,
    volume_copies,
    volumes,
)
from sampan.api.answer import Answer
from sampan.api.call import Call
from sampan.api.services import Services
from sampan.api.versions import Version
from sampan.errors import NotFound

Handler = Callable[[Call, Services], Awaitable[web.StreamResponse]]


def _rows(text: str, handler: Handler) -> list[tuple[str, str, Handler]]:
    return [(method, path, handler) for method, path in (line.split() for line in text.split("\n") if line)]


TABLE: tuple[tuple[str, str, Handler], ...] = (
    ("GET", "/_ping", system.ping),
    ("HEAD", "/_ping", system.head_ping),
    ("GET", "/version", system.version),
    ("GET", "/info", info.info),
    ("GET", "/events", system.events),
    ("POST", "/auth", transfers.log_in),
    ("GET", "/system/df", system.disk_usage),
    ("POST", "/containers/create", containers.create),
    ("GET", "/containers/json", containers.list_all),
    ("POST", "/containers/prune", containers.prune),
    ("GET", "/containers/{name}/json", containers.inspect),
    ("POST", "/containers/{name}/start", containers.start),
    ("POST", "/containers/{name}/stop", containers.stop),
    ("POST", "/containers/{name}/restart", containers.restart),
    ("POST", "/containers/{name}/kill", containers.kill),
    ("POST", "/containers/{name}/pause", containers.pause),
    ("POST", "/containers/{name}/unpause", containers.unpause),
    ("POST", "/containers/{name}/rename", containers.rename),
    ("POST", "/containers/{name}/update", container_updates.update),
    ("POST", "/containers/{name}/resize", containers.resize),
    ("POST", "/containers/{name}/wait", containers.wait),
    ("GET", "/containers/{name}/top", containers.top),
    ("GET", "/containers/{name}/stats", stats.stats),
    ("GET", "/containers/{name}/limits", stats.limits),
    ("POST", "/containers/{name}/attach", streams.attach),
    ("GET", "/containers/{name}/attach/ws", streams.attach_websocket),
    ("GET", "/containers/{name}/logs", streams.logs),
    ("POST", "/containers/{name}/exec", streams.exec_create),
    ("HEAD", "/containers/{name}/archive", archive.stat),
    ("GET", "/containers/{name}/archive", archive.get),
    ("PUT", "/containers/{name}/archive", archive.put),
    ("GET", "/containers/{name}/export", archive.export),
    ("GET", "/containers/{name}/changes", archive.changes),
    ("DELETE", "/containers/{name:path}", containers.remove),
    ("POST", "/exec/{id}/start", streams.exec_start),
    ("POST", "/exec/{id}/resize", streams.exec_resize),
    ("GET", "/exec/{id}/json", streams.exec_inspect),
    ("GET", "/images/json", images.list_all),
    ("POST", "/images/create", images.create),
    ("POST", "/images/load", images.load),
    ("POST", "/images/prune", images.prune),
    ("GET", "/images/get", images.save),
    ("GET", "/images/{name:path}/get", images.save),
    ("POST", "/commit", images.commit),
    ("POST", "/build", builds.build),
    ("POST", "/build/taken", builds.taken),
    ("POST", "/build/cancel", builds.cancel),
    ("POST", "/build/prune", builds.prune),
    ("GET", "/build/caches", builds.list_caches),
    ("POST", "/build/caches/import", builds.import_cache),
    ("GET", "/build/caches/{name}/export", builds.export_cache),
    ("DELETE", "/build/caches/{name}", builds.remove_cache),
    ("GET", "/images/{name:path}/json", images.inspect),
    ("GET", "/images/{name:path}/history", images.history),
    ("POST", "/images/{name:path}/tag", images.tag),
    ("POST", "/images/{name:path}/push", transfers.push),
    ("GET", "/images/search", registries.search),
    ("GET", "/distribution/{name:path}/json", registries.distribution),
    ("POST", "/images/bootstrap", diets.bootstrap),
    ("GET", "/images/{name:path}/diet", diets.diet),
    ("GET", "/images/{name:path}/files", diets.files),
    ("POST", "/images/{name:path}/squash", diets.squash),
    ("DELETE", "/images/{name:path}", images.remove),
    ("GET", "/networks", networks.list_all),
    ("POST", "/networks/create", networks.create),
    ("POST", "/networks/prune", networks.prune),
    ("GET", "/networks/{name:path}", networks.inspect),
    ("DELETE", "/networks/{name:path}", networks.remove),
    ("POST", "/networks/{name:path}/connect", networks.connect),
    ("POST", "/networks/{name:path}/disconnect", networks.disconnect),
    ("GET", "/volumes", volumes.list_all),
    ("POST", "/volumes/create", volumes.create),
    ("POST", "/volumes/prune", volumes.prune),
    ("GET", "/volumes/{name}", volumes.inspect),
    ("DELETE", "/volumes/{name}", volumes.remove),
    ("POST", "/volumes/{name}/rename", volume_copies.rename),
    ("POST", "/volumes/{name}/clone", volume_copies.clone),
    ("GET", "/volumes/{name}/snapshots", volume_copies.list_snapshots),
    ("POST", "/volumes/{name}/snapshots", volume_copies.snapshot),
    ("DELETE", "/volumes/{name}/snapshots/{snapshot}", volume_copies.forget),
    ("POST", "/volumes/{name}/snapshots/{snapshot}/restore", volume_copies.restore),
    ("GET", "/volumes/{name}/export", volume_copies.export),
    ("POST", "/volumes/import", volume_copies.import_archive),
    *secrets.routes(),
    ("GET", "/system/doctor", networks.doctor),
    ("POST", "/system/doctor", networks.doctor),
    ("GET", "/system/reach", networks.reach),
    ("GET", "/plugins", absent.no_plugins),
    ("GET", "/plugins/{name:path}/json", absent.no_plugin),
    ("POST", "/swarm/init", absent.swarm_init),
    ("POST", "/grpc", buildkit.grpc),
    ("POST", "/session", buildkit.session),
    *_rows(absent.PATHS, absent.not_built),
    *_rows(absent.SWARM_PATHS, absent.no_swarm),
)


# What changes the world goes on when its client has left, and is done whole; what streams, waits, or can take up where
# it was cut off, ends with its client.
TO_THEIR_END: frozenset[Handler] = frozenset(
    {
        *(containers.create, containers.start, containers.stop, containers.restart, containers.kill),
        *(containers.pause, containers.unpause, containers.rename, container_updates.update, containers.remove),
        *(containers.prune, images.tag, images.remove, images.prune, images.commit, diets.squash),
        *(networks.create, networks.remove, networks.prune, networks.connect, networks.disconnect),
        *(volumes.create, volumes.remove, volumes.prune, volume_copies.rename),
    }
)

# What is known without waiting for anything, as it is told when the request asks for nothing but its path. Not an exec:
# its client asks when its stream has ended, and what the monitor tells of that end must come first.
AT_ONCE: Mapping[Handler, Callable[[Services, Version, Mapping[str, str]], Answer]] = {
    system.ping: system.pong,
    system.head_ping: system.head_pong,
    containers.inspect: containers.inspected,
}


@dataclass(frozen=True, slots=True)
class Route:
    """One row, compiled."""

    pattern: re.Pattern[str]
    handler: Handler


def _compile(path: str) -> re.Pattern[str]:
    text = re.sub(r"\{(\w+):path\}", r"(?P<\1>.+)", path)
    return re.compile(re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", text))


def _kind(path: str) -> tuple[str, str]:
    """Where in the index a path is looked for: its first word and its last, whose place a name can take."""
    words = path.split("/")
    return words[1] if len(words) > 1 else "", words[-1]


def _index() -> dict[tuple[str, str, str], tuple[Route, ...]]:
    """The routes by method, first word and last; "" is any last word that is not an index of its own."""
    found: dict[tuple[str, str, str], list[tuple[int, Route]]] = {}
    for number, (method, path, handler) in enumerate(TABLE):
        first, last = _kind(path)
        key = (method, first, "" if last.startswith("{") else last)
        found.setdefault(key, []).append((number, Route(_compile(path), handler)))
    for (method, first, last), rows in found.items():
        if last:  # a name can be the same word
            rows.extend(found.get((method, first, ""), ()))
    # the table's order decides
    return {key: tuple(route for _, route in sorted(rows, key=itemgetter(0))) for key, rows in found.items()}


_ROUTES = _index()


def find(method: str, path: str) -> tuple[Handler, dict[str, str]]:
    """The handler of a path, and what its names stand for. Raises NotFound, as moby's router answers."""
    first, last = _kind(path)
    for route in _ROUTES.get((method, first, last)) or _ROUTES.get((method, first, ""), ()):
        match = route.pattern.fullmatch(path)
        if match:
            return route.handler, match.groupdict()
    raise NotFound("page not found", remedy=f"{method} {path} is no path of Docker's API that is served here")
