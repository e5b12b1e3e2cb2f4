"""Routes (rtnetlink(7), ip-route(8)). A destination is text, "10.1.0.0/16"; "0.0.0.0/0" and "::/0" are the default."""

from __future__ import annotations

import socket
import struct
from dataclasses import dataclass

from sampan.linux.address import pack, unpack
from sampan.linux.netlink import (
    CREATE,
    EXCLUSIVE,
    REPLACE,
    Netlink,
    as_number,
    attribute,
    attributes,
    nested,
    number32,
)

_NEWROUTE, _DELROUTE, _GETROUTE = 24, 25, 26
_MESSAGE = struct.Struct("=BBBBBBBBI")  # struct rtmsg
_DESTINATION, _OUTPUT, _GATEWAY, _PRIORITY, _SOURCE, _METRICS, _TABLE = 1, 4, 5, 6, 7, 8, 15  # RTA_*
_METRIC_MTU = 2  # RTAX_MTU
_ONLINK = 4  # RTNH_F_ONLINK
_CLONED = 0x200  # RTM_F_CLONED
_SCOPE_LINK = 253

MAIN, LOCAL = 254, 255  # RT_TABLE_*
BOOT, STATIC = 3, 4  # RTPROT_*
KINDS = {"unicast": 1, "local": 2, "broadcast": 3, "multicast": 5, "blackhole": 6, "unreachable": 7, "prohibit": 8}


@dataclass(frozen=True, slots=True)
class Route:
    """A route; empty texts and zeros are what it does not have. `index` is the link packets leave by."""

    destination: str
    gateway: str = ""
    index: int = 0
    source: str = ""
    metric: int = 0
    table: int = MAIN
    kind: str = "unicast"
    protocol: int = BOOT
    mtu: int = 0
    onlink: bool = False


def add_route(netlink: Netlink, route: Route, *, replace: bool = False) -> None:
    """Add a route; OSError EEXIST when there is one to the destination with that metric, unless `replace`."""
    netlink.do(_NEWROUTE, _body(route), flags=CREATE | (REPLACE if replace else EXCLUSIVE), about=route.destination)


def delete_route(netlink: Netlink, route: Route) -> None:
    """Delete the first route that has all that `route` says; OSError ESRCH when there is none."""
    netlink.do(_DELROUTE, _body(route), about=route.destination)


def routes(netlink: Netlink, *, family: int = 0, table: int = MAIN, index: int = 0) -> list[Route]:
    """The routes of a table, of both families or one, by any link or one."""
    found = []
    for each in (family,) if family else (socket.AF_INET, socket.AF_INET6):
        body = _MESSAGE.pack(each, 0, 0, 0, 0, 0, 0, 0, 0) + number32(_TABLE, table)
        if index:
            body += number32(_OUTPUT, index)
        try:
            messages = netlink.dump(_GETROUTE, body)
        except FileNotFoundError:  # the kernel makes a table with its first route
            continue
        found += [_route(content) for content in messages if not _MESSAGE.unpack_from(content)[8] & _CLONED]
    return found


def route_to(netlink: Netlink, address: str) -> Route:
    """How a packet of this host to `address` would go; OSError ENETUNREACH when it could not."""
    family, payload = pack(address)
    body = _MESSAGE.pack(family, 8 * len(payload), 0, 0, 0, 0, 0, 0, 0) + attribute(_DESTINATION, payload)
    return _route(netlink.get(_GETROUTE, body, about=address))


def _body(route: Route) -> bytes:
    address, _, length = route.destination.partition("/")
    family, payload = pack(address)
    width = 8 * len(payload)
    prefix = int(length) if length.isdecimal() else width
    if (length and not length.isdecimal()) or prefix > width:
        raise OSError(22, f"not a route's destination: {route.destination!r}")
    has_link_scope = family == socket.AF_INET and not route.gateway and KINDS[route.kind] == KINDS["unicast"]
    message = _MESSAGE.pack(
        family,
        prefix,
        0,
        0,
        0 if route.table > 255 else route.table,
        route.protocol,
        _SCOPE_LINK if has_link_scope else 0,
        KINDS[route.kind],
        _ONLINK if route.onlink else 0,
    )
    parts = [message, number32(_TABLE, route.table)]
    if prefix:
        parts.append(attribute(_DESTINATION, payload))
    if route.gateway:
        parts.append(attribute(_GATEWAY, pack(route.gateway)[1]))
    if route.source:
        parts.append(attribute(_SOURCE, pack(route.source)[1]))
    numbers = ((_OUTPUT, route.index), (_PRIORITY, route.metric))
    parts += [number32(kind, value) for kind, value in numbers if value]
    if route.mtu:
        parts.append(nested(_METRICS, number32(_METRIC_MTU, route.mtu)))
    return b"".join(parts)


def _route(content: bytes) -> Route:
    family, prefix, _, _, table, protocol, _, kind, flags = _MESSAGE.unpack_from(content)
    found = attributes(content, _MESSAGE.size)
    payload = found.get(_DESTINATION, bytes(16 if family == socket.AF_INET6 else 4))
    names = {number: name for name, number in KINDS.items()}
    return Route(
        destination=f"{unpack(payload)}/{prefix}",
        gateway=unpack(found.get(_GATEWAY, b"")),
        index=as_number(found.get(_OUTPUT, b"")),
        source=unpack(found.get(_SOURCE, b"")),
        metric=as_number(found.get(_PRIORITY, b"")),
        table=as_number(found[_TABLE]) if _TABLE in found else table,
        kind=names.get(kind, str(kind)),
        protocol=protocol,
        mtu=as_number(attributes(found.get(_METRICS, b"")).get(_METRIC_MTU, b"")),
        onlink=bool(flags & _ONLINK),
    )
