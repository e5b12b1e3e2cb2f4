"""The host's side of a network: its bridge with the gateways' addresses, forwarding, and the ports of its endpoints.

Everything here may be called again at any time: it looks, and does what is missing.
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Collection, Iterable

from sampan.errors import Conflict, SystemFailure
from sampan.linux.address import NODAD, add_address, addresses, delete_address
from sampan.linux.link import NewLink, add_bridge, discard_link, get_link, links, set_bridge_port, set_link
from sampan.linux.netlink import Netlink
from sampan.linux.route import routes
from sampan.network.addresses import mac_of
from sampan.network.definitions import BRIDGE_NAME, ENABLE_ICC, GROUP, Endpoint, Network

_SYSCTL = "/proc/sys/net"
DEFAULT_MTU = 1500


def is_ready(netlink: Netlink, network: Network) -> int:
    """The index of the network's bridge when it is there and up, else 0."""
    try:
        link = get_link(netlink, network.link)
    except OSError as error:
        if error.errno == errno.ENODEV:
            return 0
        raise
    return link.index if link.kind == "bridge" and link.is_up else 0


def make(netlink: Netlink, network: Network, endpoints: Iterable[Endpoint]) -> int:
    """Make the bridge what it shall be and take back the ports of `endpoints`; its index.

    Raises Conflict when a link of that name is no bridge, SystemFailure when one made elsewhere is not there.
    """
    index = _find_or_add(netlink, network)
    for subnet in network.subnets:
        if subnet.gateway and not network.follows_bridge:
            flags = NODAD if subnet.family == 6 else 0
            add_address(netlink, index, subnet.gateway, subnet.prefix, flags=flags, replace=True)
    if network.ipv6 and not network.made_elsewhere:
        # while the link's own address is being checked (RFC 4862) nobody is asked for on behalf of other hosts
        write_sysctl(f"ipv6/conf/{network.link}/accept_dad", "0")
    set_link(netlink, index, up=True, group=0 if network.made_elsewhere else GROUP)
    settings = {f"ipv4/conf/{network.link}/route_localnet": "1", f"ipv4/conf/{network.link}/send_redirects": "0"}
    if network.ipv6:
        settings[f"ipv6/conf/{network.link}/accept_ra"] = "0"
    for name, value in settings.items():
        write_sysctl(name, value)
    for endpoint in endpoints:
        with contextlib.suppress(OSError):  # its namespace is about to go
            set_link(netlink, endpoint.link, master=index, up=True)
            port(netlink, network, get_link(netlink, endpoint.link).index)
    return index


def forget_addresses(netlink: Netlink, before: Network, now: Network) -> None:
    """Take away the addresses that the bridge had by a former definition of its network."""
    index = is_ready(netlink, before)
    kept = {(subnet.gateway, subnet.prefix) for subnet in now.subnets}
    for subnet in before.subnets if index and not before.made_elsewhere else ():
        if (subnet.gateway, subnet.prefix) not in kept:
            with contextlib.suppress(OSError):  # somebody else did
                delete_address(netlink, index, subnet.gateway, subnet.prefix)


def remove(netlink: Netlink, network: Network) -> None:
    """Delete the network's bridge; one made elsewhere stays, without the addresses that were chosen for the network.

    Nothing happens when it is gone, or its name is another link's by now.
    """
    with contextlib.suppress(Conflict):
        index = find(netlink, network.link)
        if index and not network.made_elsewhere:
            discard_link(netlink, index)
        elif index and not network.follows_bridge:
            for subnet in network.subnets:
                if subnet.chosen:
                    with contextlib.suppress(OSError):  # somebody else did
                        delete_address(netlink, index, subnet.gateway, subnet.prefix)


def find(netlink: Netlink, name: str) -> int:
    """The index of the bridge of that name, 0 when there is no such link. Raises Conflict when it is no bridge."""
    try:
        link = get_link(netlink, name)
    except OSError as error:
        if error.errno != errno.ENODEV:
            raise
        return 0
    if link.kind != "bridge":  # Docker's sentence
        raise Conflict(
            f"existing interface {name} is not a bridge",
            remedy=f"rename it, or choose another name for the network's bridge with -o {BRIDGE_NAME}=NAME",
        )
    return link.index


def _find_or_add(netlink: Netlink, network: Network) -> int:
    index = find(netlink, network.link)
    if index:
        return index
    if network.follows_bridge:
        raise SystemFailure(
            f"bridge {network.link} of network {network.name} does not exist", remedy="make it, or drop --bridge"
        )
    mac = mac_of(network.gateway(4), network.id)
    return add_bridge(netlink, network.link, NewLink(mac=mac, mtu=network.mtu or uplink_mtu(netlink)))


def port(netlink: Netlink, network: Network, index: int) -> None:
    """Set up a port of the network's bridge.

    Packets may leave by the port they came in by: what a container sends to its own published port is translated
    inside the bridge where br_netfilter is in force. Without inter-container communication a port reaches the bridge
    itself and no other port (Linux 4.18).
    """
    set_bridge_port(netlink, index, hairpin=True, isolated=None if network.allows(ENABLE_ICC) else True)


def stray_links(netlink: Netlink, network: Network, known: set[str]) -> list[str]:
    """Ports of the bridge that have a name of ours and belong to nobody."""
    index = is_ready(netlink, network)
    if not index:
        return []
    return [
        link.name
        for link in links(netlink, master=index)
        if link.kind == "veth" and link.name.startswith("sp") and len(link.name) == 14 and link.name not in known
    ]


def subnets_in_use(netlink: Netlink) -> list[str]:
    """Everything that this host has a route to, the default routes left out."""
    return [route.destination for route in routes(netlink) if not route.destination.endswith("/0")]


def addresses_of(netlink: Netlink, link: str) -> list[tuple[str, int]]:
    """The addresses of a link with their prefix lengths, those of the link's own scope left out."""
    found = addresses(netlink, get_link(netlink, link).index)
    return [(one.address, one.prefix) for one in found if one.scope == 0]


def has_ipv6(netlink: Netlink, ours: Collection[str]) -> bool:
    """Whether this host has an IPv6 address that others could reach, on a link that is none of `ours`.

    A global address, or one of a unique local prefix (RFC 4193); what every link has by itself is none.
    """
    found = {one.index for one in addresses(netlink) if ":" in one.address and one.scope == 0}
    return any(get_link(netlink, index).name not in ours for index in found)


def uplink_mtu(netlink: Netlink) -> int:
    """The MTU of the link that the host's default route goes by; 1500 without one."""
    for route in routes(netlink):
        if route.destination == "0.0.0.0/0" and route.index:
            return get_link(netlink, route.index).mtu
    return DEFAULT_MTU


def forward(*, ipv6: bool) -> None:
    """Let the host forward packets. What it learns from router advertisements it goes on to learn (accept_ra 2)."""
    if read_sysctl("ipv4/ip_forward") == "0":
        write_sysctl("ipv4/ip_forward", "1")
    if not ipv6 or read_sysctl("ipv6/conf/all/forwarding") != "0":
        return
    for name in os.listdir(f"{_SYSCTL}/ipv6/conf"):
        if name != "all" and read_sysctl(f"ipv6/conf/{name}/accept_ra") == "1":
            write_sysctl(f"ipv6/conf/{name}/accept_ra", "2")
    write_sysctl("ipv6/conf/all/forwarding", "1")


def read_sysctl(name: str) -> str:
    """A sysctl of the calling thread's network namespace, empty when there is none of that name."""
    try:
        with open(f"{_SYSCTL}/{name}", encoding="ascii") as file:
            return file.read().strip()
    except FileNotFoundError:
        return ""


def write_sysctl(name: str, value: str) -> None:
    """Set a sysctl of the calling thread's network namespace; one that this kernel lacks is left out."""
    with contextlib.suppress(FileNotFoundError), open(f"{_SYSCTL}/{name}", "w", encoding="ascii") as file:
        file.write(value)
