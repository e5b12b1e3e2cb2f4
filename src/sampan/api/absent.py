"""The paths of Docker's API that nothing is behind yet, or never will be: an answer in Docker's shape for each.

Swarm's paths answer what an engine outside of a swarm answers. A path leaves `PATHS` when its issue is built.
"""

from __future__ import annotations

from aiohttp import web

from sampan.api.call import Call, reply
from sampan.api.services import Services
from sampan.errors import NotFound, NotImplementedHere, Unavailable

PATHS = """
GET /plugins/privileges
POST /plugins/pull
DELETE /plugins/{name:path}
POST /plugins/{name:path}/enable
POST /plugins/{name:path}/disable
POST /plugins/{name:path}/upgrade
POST /plugins/create
POST /plugins/{name:path}/push
POST /plugins/{name:path}/set
"""
SWARM_PATHS = """
GET /nodes
GET /nodes/{name}
DELETE /nodes/{name}
POST /nodes/{name}/update
GET /swarm
POST /swarm/join
POST /swarm/leave
POST /swarm/update
GET /swarm/unlockkey
POST /swarm/unlock
PUT /volumes/{name}
GET /services
POST /services/create
GET /services/{name}
DELETE /services/{name}
POST /services/{name}/update
GET /services/{name}/logs
GET /tasks
GET /tasks/{name}
GET /tasks/{name}/logs
"""


def is_absent(method: str, path: str) -> bool:
    """Whether nothing is behind the path yet."""
    return f"{method} {path}" in PATHS.splitlines()


async def not_built(call: Call, services: Services) -> web.StreamResponse:
    """501."""
    del services
    asked = f"{call.request.method} {call.request.path}"
    raise NotImplementedHere(
        f"sampan has no plugins but those for volumes ({asked})", remedy="a volume plugin is found by its socket"
    )


async def no_swarm(call: Call, services: Services) -> web.StreamResponse:
    """503, in Docker's words: sampan is one machine's engine."""
    del call, services
    raise Unavailable(
        'This node is not a swarm manager. Use "docker swarm init" or "docker swarm join" to connect this node to '
        "swarm and try again.",
        remedy="sampan has no swarm; compose's services, secrets and configs do without",
    )


async def swarm_init(call: Call, services: Services) -> web.StreamResponse:
    """POST /swarm/init: 501."""
    del call, services
    raise NotImplementedHere("sampan has no swarm", remedy="use compose on one machine")


async def no_plugin(call: Call, services: Services) -> web.StreamResponse:
    """GET /plugins/{name}/json: 404, by which `docker inspect` knows to say that there is nothing of that name."""
    del services
    raise NotFound(f'plugin "{call.parameters["name"]}" not found', remedy="sampan has no plugins")


async def no_plugins(call: Call, services: Services) -> web.StreamResponse:
    """GET /plugins: there are none."""
    del call, services
    return reply([])
