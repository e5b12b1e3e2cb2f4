"""What is reachable from where, in words: what a place in a network lets in, and what it lets out.

Pure: it follows from the network's definition and from what is published, as `rules` makes rules of the same. Rules of
others may forbid more; those are `doctor`'s.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from sampan.network.definitions import ANY4, ANY6, ENABLE_ICC, Endpoint, Network, Publication, family_of

EVERYTHING, NOTHING = "every port", "nothing"


@dataclass(frozen=True, slots=True)
class Reach:
    """A place in a network: who reaches what of it, in order, and where it goes out itself."""

    network: str
    addresses: tuple[str, ...]
    inward: tuple[tuple[str, str], ...]
    outward: str


def reach(network: Network, endpoint: Endpoint) -> Reach:
    """All about one endpoint."""
    addresses = tuple(filter(None, (endpoint.ipv4, endpoint.ipv6)))
    inward = _of_bridge(network, endpoint) if network.is_bridge else _of_parent(network)
    return Reach(network.name, addresses, tuple(inward), _outward(network, endpoint))


def _of_bridge(network: Network, endpoint: Endpoint) -> Iterator[tuple[str, str]]:
    published = [one for one in endpoint.publications if network.gateway_mode(family_of(one.address)) != "routed"]
    here = [one for one in published if _is_loopback(one)]
    yield "this host", _joined([EVERYTHING, *map(_words, here)])
    yield f"containers of {network.name}", EVERYTHING if network.allows(ENABLE_ICC) else NOTHING
    abroad = [one for one in published if not _is_loopback(one)]
    yield "containers of other networks", _joined(map(_words, abroad))
    yield "other hosts", _joined([*_direct(network, endpoint), *map(_words, abroad)])


def _direct(network: Network, endpoint: Endpoint) -> Iterator[str]:
    """What other hosts reach by the container's own address, given that they have a route to it."""
    for family in (4, 6):
        address = endpoint.address(family)
        mode = network.gateway_mode(family)
        if not address or network.internal:
            continue
        if mode == "nat-unprotected":
            yield f"{EVERYTHING} of {address}"
        if mode == "routed":
            for one in endpoint.publications:
                if family_of(one.address) == family:
                    yield f"{one.key} of {address}"


def _of_parent(network: Network) -> Iterator[tuple[str, str]]:
    yield "this host", NOTHING
    yield f"containers of {network.name}", EVERYTHING
    yield f"hosts of the network behind {network.link}", NOTHING if network.internal else EVERYTHING


def _outward(network: Network, endpoint: Endpoint) -> str:
    if network.internal:
        return f"containers of {network.name} alone"
    if not endpoint.routes:
        return f"what is in {network.name}; other hosts by another network"
    if not network.is_bridge:
        return "other hosts, with its own address"
    ways = {
        "this host's address" if network.translates(family) else "its own address"
        for family in (4, 6)
        if endpoint.address(family)
    }
    return f"other hosts, with {' or '.join(sorted(ways, reverse=True))}"


def _is_loopback(one: Publication) -> bool:
    return ipaddress.ip_address(one.address).is_loopback


def _words(one: Publication) -> str:
    if one.address in {ANY4, ANY6}:
        where = "every IPv6 address of this host" if one.address == ANY6 else "every IPv4 address of this host"
        return f"{one.key} by port {one.host_port} of {where}"
    return f"{one.key} by port {one.host_port} of {one.address}"


def _joined(parts: Iterable[str]) -> str:
    return ", ".join(parts) or NOTHING
