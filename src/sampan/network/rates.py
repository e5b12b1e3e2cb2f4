"""How fast an endpoint's traffic may be: what comes in is shaped at the host's end, what goes out at the container's.

The host's end is out of the container's reach; the other one is too, unless the container has CAP_NET_ADMIN. Classes of
traffic are the administrator's to make (tc(8)): here they are only counted.
"""

from __future__ import annotations

from dataclasses import dataclass

from sampan.linux.link import get_link
from sampan.linux.netlink import Netlink
from sampan.linux.shaping import Passed, Shaped, passed_through, shape, shaped, unshape
from sampan.network.definitions import Endpoint, Network


@dataclass(frozen=True, slots=True)
class Traffic:
    """The counters of an endpoint; None for a direction without a limit."""

    interface: str
    inward: Shaped | None
    outward: Shaped | None


def limit(netlink: Netlink, netns_fd: int, network: Network, endpoint: Endpoint) -> None:
    """Have the endpoint's rates in force, whatever was before."""
    if network.is_bridge:
        _apply(netlink, endpoint.link, endpoint.rate.inward)
    with Netlink(netns_fd) as there:
        _apply(there, endpoint.interface, endpoint.rate.outward)


def _apply(netlink: Netlink, link: str, bits_per_second: int) -> None:
    index = get_link(netlink, link).index
    if bits_per_second:
        shape(netlink, index, bits_per_second)
    else:
        unshape(netlink, index)


def traffic(netlink: Netlink, netns_fd: int, network: Network, endpoint: Endpoint) -> Traffic:
    """The counters, now."""
    inward = shaped(netlink, get_link(netlink, endpoint.link).index) if network.is_bridge else None
    with Netlink(netns_fd) as there:
        outward = shaped(there, get_link(there, endpoint.interface).index)
    return Traffic(endpoint.interface, inward, outward)


@dataclass(frozen=True, slots=True)
class Classed:
    """What has gone through a class at a link of this host, or with `of_host` False of a container's own."""

    link: str
    of_host: bool
    passed: Passed


def classed(netlink: Netlink, class_id: int, *, of_host: bool) -> list[Classed]:
    """The counters of a class at each link of a network namespace that has it."""
    found = passed_through(netlink, class_id)
    return [Classed(get_link(netlink, index).name, of_host, passed) for index, passed in found.items()]
