"""Networks over HTTP."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from aiohttp import web

from sampan.api.call import Call, nothing, prune_until, reply, timestamp
from sampan.api.container_config import endpoint_from
from sampan.api.services import Services
from sampan.api.versions import NETWORK_ENABLE_IPV4, has
from sampan.engine.not_running import not_running
from sampan.engine.pruning import PruneFilter
from sampan.errors import InvalidArgument, NotFound
from sampan.expression import expression
from sampan.network.definitions import Network, Subnet
from sampan.network.registry import PREDEFINED, NetworkRequest
from sampan.wire.network import AddressPool, NetworkConnect, NetworkCreate, NetworkDisconnect

FILTERS = frozenset("dangling driver id label name scope type".split())
PRUNE_FILTERS = frozenset({"label", "label!", "until"})


def document(call: Call, services: Services, network: Network, *, members: bool) -> dict[str, Any]:
    """The network of inspect and list; only inspect tells its containers."""
    shown: dict[str, Any] = {
        "Name": network.name,
        "Id": network.id,
        "Created": timestamp(network.created_at_ns),
        "Scope": "local",
        "Driver": network.driver,
    }
    if has(call.version, NETWORK_ENABLE_IPV4):
        shown["EnableIPv4"] = True
    return {
        **shown,
        "EnableIPv6": network.ipv6 and not network.unasked6,
        "IPAM": {
            "Driver": "default",
            "Options": network.ipam_options,
            "Config": [_pool(subnet) for subnet in network.asked] or None,
        },
        **({"UnaskedIPv6": [_pool(subnet) for subnet in network.of_family(6)]} if network.unasked6 else {}),
        "Internal": network.internal,
        "Attachable": network.attachable,
        "Ingress": False,
        "ConfigFrom": {"Network": ""},
        "ConfigOnly": False,
        "Containers": dict(_members(services, network)) if members else {},
        "Options": network.options,
        "Labels": network.labels,
    }


def _members(services: Services, network: Network) -> Iterator[tuple[str, dict[str, str]]]:
    for record, endpoint in services.connections.members(network):
        yield (
            record.id,
            {
                "Name": record.name,
                "EndpointID": endpoint.endpoint_id,
                "MacAddress": endpoint.mac_address,
                "IPv4Address": _with_prefix(endpoint.ip_address, endpoint.ip_prefix_length),
                "IPv6Address": _with_prefix(endpoint.global_ipv6_address, endpoint.global_ipv6_prefix_length),
            },
        )


def _with_prefix(address: str, length: int) -> str:
    return f"{address}/{length}" if address else ""


def _pool(subnet: Subnet) -> dict[str, Any]:
    shown: dict[str, Any] = {"Subnet": subnet.subnet}
    if subnet.ip_range:
        shown["IPRange"] = subnet.ip_range
    if subnet.gateway:
        shown["Gateway"] = subnet.gateway
    if subnet.auxiliary:
        shown["AuxiliaryAddresses"] = subnet.auxiliary
    return shown


async def list_all(call: Call, services: Services) -> web.StreamResponse:
    """GET /networks."""
    filters = call.filters(FILTERS)
    await _complete_default(services)
    used = {name for record in services.store.all() for name in record.endpoints}
    found = [network for network in services.connections.places.registry.all() if _wanted(network, filters, used)]
    return reply([document(call, services, network, members=False) for network in found])


def _wanted(network: Network, filters: dict[str, tuple[str, ...]], used: set[str]) -> bool:
    for name, values in filters.items():
        match name:
            case "name":
                fits = any(expression(value).search(network.name) for value in values)
            case "id":
                fits = any(value in network.id for value in values)
            case "driver":
                fits = network.driver in values
            case "scope":
                fits = "local" in values
            case "label":
                pairs = [value.partition("=") for value in values]
                fits = all(k in network.labels and (not sep or network.labels[k] == v) for k, sep, v in pairs)
            case "type":
                if not {"builtin", "custom"} & set(values):
                    raise InvalidArgument(f"invalid filter: 'type'='{values[0]}'", remedy="builtin or custom")
                fits = ("builtin" if network.name in PREDEFINED else "custom") in values
            case _:
                is_dangling = network.name not in used and network.name not in PREDEFINED
                fits = is_dangling in {_boolean(value) for value in values}
        if not fits:
            return False
    return True


def _boolean(text: str) -> bool:
    if text not in {"true", "1", "false", "0"}:
        raise InvalidArgument(
            'invalid value for filter \'dangling\', must be "true" (or "1"), or "false" (or "0")',
            remedy="say true or false",
        )
    return text in {"true", "1"}


async def _complete_default(services: Services) -> None:
    """The default network is completed when it is first looked at, not only when it is first used."""
    if services.connections.places.registry.has_default:
        await services.connections.places.registry.default()


async def inspect(call: Call, services: Services) -> web.StreamResponse:
    """GET /networks/{name}."""
    await _complete_default(services)
    network = services.connections.places.registry.find(call.parameters["name"])
    if call.text("scope") not in {"", "local"}:
        raise NotFound(f"network {call.parameters['name']} not found", remedy="all networks here are local")
    return reply(document(call, services, network, members=True))


async def create(call: Call, services: Services) -> web.StreamResponse:
    """POST /networks/create."""
    body = await call.body(NetworkCreate)
    _refuse_shared_settings(body)
    if body.ingress or (body.scope or "local") != "local":
        raise InvalidArgument("only local networks can be made here", remedy="sampan has no swarm")
    ipam = body.ipam
    if ipam and ipam.driver not in {None, "", "default"}:
        raise NotFound(f"could not find plugin {ipam.driver} in v2 plugin registry", remedy="use the default driver")
    network = await services.connections.create(
        NetworkRequest(
            name=body.name or "",
            driver=body.driver or "bridge",
            subnets=tuple(_subnet(pool) for pool in (ipam and ipam.config) or ()),
            ipv6=body.enable_ipv6,
            internal=bool(body.internal),
            attachable=bool(body.attachable),
            options=body.options or {},
            ipam_options=ipam.options if ipam else None,
            labels=body.labels or {},
        )
    )
    return reply({"Id": network.id, "Warning": ""}, 201)


def _refuse_shared_settings(body: NetworkCreate) -> None:
    remedy = "give each network its own settings"
    if body.config_only:
        raise InvalidArgument("there are no networks here that are only settings for others", remedy=remedy)
    if body.config_from and body.config_from.network:
        raise NotFound(f'configuration network "{body.config_from.network}" does not exist', remedy=remedy)


def _subnet(pool: AddressPool) -> Subnet:
    auxiliary = pool.auxiliary_addresses or pool.aux_address or {}
    if not pool.subnet and (pool.gateway or pool.ip_range or auxiliary):
        raise InvalidArgument(
            "invalid network config:\ninvalid subnet : invalid CIDR block notation",
            remedy="say of which subnet (--subnet) the gateway, the range and the addresses are",
        )
    return Subnet(pool.subnet or "", pool.gateway or "", pool.ip_range or "", auxiliary)


async def remove(call: Call, services: Services) -> web.StreamResponse:
    """DELETE /networks/{name}."""
    await services.connections.remove(call.parameters["name"])
    return nothing()


async def connect(call: Call, services: Services) -> web.StreamResponse:
    """POST /networks/{name}/connect."""
    body = await call.body(NetworkConnect)
    await services.connections.connect(
        call.parameters["name"], body.container or "", endpoint_from(body.endpoint_config)
    )
    return nothing(200)


async def disconnect(call: Call, services: Services) -> web.StreamResponse:
    """POST /networks/{name}/disconnect."""
    body = await call.body(NetworkDisconnect)
    await services.connections.disconnect(call.parameters["name"], body.container or "", force=bool(body.force))
    return nothing(200)


async def doctor(call: Call, services: Services) -> web.StreamResponse:
    """GET and POST /system/doctor, beyond Docker: what is wrong with the networks; POST repairs what is ours first."""
    networks = services.connections.places.networks
    if call.request.method == "POST":
        await networks.repair()
    found = await networks.examine()
    return reply([{"Sentence": one.sentence, "Remedy": one.remedy, "Repairable": one.ours} for one in found])


async def reach(call: Call, services: Services) -> web.StreamResponse:
    """GET /system/reach, beyond Docker: for each running container, or one, what is reachable from where."""
    asked = call.text("container")
    records = [services.store.find(asked)] if asked else services.store.all()
    if asked and records[0].running is None:
        raise not_running(records[0])
    connections = services.connections
    return reply(
        [
            {
                "Id": record.id,
                "Name": record.name,
                "Mode": connections.places.mode(record),
                "Places": [
                    {
                        "Network": each.network,
                        "Addresses": each.addresses,
                        "Inward": [{"From": who, "What": what} for who, what in each.inward],
                        "Outward": each.outward,
                    }
                    for each in connections.reach(record)
                ],
            }
            for record in records
            if record.running is not None
        ]
    )


async def prune(call: Call, services: Services) -> web.StreamResponse:
    """POST /networks/prune."""
    filters = call.filters(PRUNE_FILTERS)
    removed = await services.connections.prune(
        PruneFilter(
            until_ns=prune_until(filters),
            labels=filters.get("label", ()),
            not_labels=filters.get("label!", ()),
        )
    )
    return reply({"NetworksDeleted": removed or None})
