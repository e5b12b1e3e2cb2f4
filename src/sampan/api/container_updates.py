"""POST /containers/{name}/update: what a container may use, and of sampan's own its ports, mounts, devices and rate."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial

from aiohttp import web

from sampan.api.call import Call, reply
from sampan.api.container_config import bindings_from, device_from, mount_from, rate_from, resources_from
from sampan.api.services import Services
from sampan.engine.config import Resources, RestartPolicy
from sampan.engine.publishing import bindings_of
from sampan.errors import SampanError
from sampan.wire.container import ContainerUpdate

_Steps = list[tuple[str, Callable[[], Awaitable[object]]]]


async def update(call: Call, services: Services) -> web.StreamResponse:
    """One wish after the other; where one is refused, the message says which were granted before it."""
    steps = _steps(await call.body(ContainerUpdate), call.parameters["name"], services)
    done: list[str] = []
    for what, step in steps:
        try:
            await step()
        except SampanError as error:
            if done:
                error.say(f"{error} (changed before that: {', '.join(done)})")
            raise
        if what:
            done.append(what)
    return reply({"Warnings": None})


def _steps(body: ContainerUpdate, name: str, services: Services) -> _Steps:
    """What is asked, each with its name; the first is done in any case, and has none when nothing is asked of it."""
    policy = body.restart_policy
    asked = RestartPolicy(policy.name or "", policy.maximum_retry_count or 0) if policy and policy.name else None
    resources = resources_from(body)
    publish = bindings_of(bindings_from(body.port_bindings))
    unpublish = bindings_of(bindings_from(body.unpublish_ports))
    mounts = [mount_from(mount) for mount in body.mounts or ()]
    devices = [device_from(device) for device in body.add_devices or ()]
    wishes = {"limits": resources != Resources(), "restart policy": asked is not None}
    what = " and ".join(wish for wish, is_asked in wishes.items() if is_asked)
    steps: _Steps = [(what, partial(services.updates.update, name, resources, asked))]
    if publish or unpublish:
        steps.append(("ports", partial(services.publishing.update, name, publish, unpublish)))
    if mounts or body.unmounts:
        steps.append(("mounts", partial(services.live_mounts.update, name, mounts, body.unmounts or ())))
    if devices or body.remove_devices:
        steps.append(("devices", partial(services.live_devices.update, name, devices, body.remove_devices or ())))
    if body.network_rate is not None:
        steps.append(("network rate", partial(services.connections.limit, name, rate_from(body.network_rate))))
    return steps
