"""A place in a network, in the kernel: a veth pair from a bridge into a namespace, or another link; what is inside.

The pair lives with the namespace: when the last process and descriptor of that are gone the kernel removes both ends,
which costs nobody a wait (deleting a pair takes some 20 ms).

What a link says of itself when it comes up would go to every other container of its bridge, and cost more with each:
docs/decisions/quiet-links.md.
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import time
from collections.abc import Callable
from functools import partial

from sampan.linux.address import NODAD, add_address
from sampan.linux.link import NewLink, Peer, add_veth, discard_link, get_link, set_link
from sampan.linux.netlink import Netlink
from sampan.linux.network_namespace import inside, write_sysctl
from sampan.linux.nftables import Nftables
from sampan.linux.route import Route, add_route
from sampan.network import bridge, parent
from sampan.network.definitions import Endpoint, Network, family_of
from sampan.network.names import ADDRESS

_LOOPBACK = 1
_PATIENCE_S = 3.0
_QUIET = {
    "router_solicitations": "0",  # its routes are ours to say
    "mldv2_unsolicited_report_interval": "3600000",  # ms: what it listens to is said once, nothing gets lost here
}
_LINK_LOCAL_PREFIX = {4: 16, 6: 64}  # RFC 3927, RFC 4291 section 2.5.6
DEFAULTS = {4: "0.0.0.0/0", 6: "::/0"}


def prepare(netns_fd: int) -> None:
    """Set a new namespace's loopback up, and let the links to come answer at once.

    All addresses on our bridges are allotted by us, so none is looked for a second time (RFC 4862).
    """
    with contextlib.suppress(FileNotFoundError):  # a kernel without IPv6
        write_sysctl(netns_fd, "ipv6/conf/default/accept_dad", "0")
    with Netlink(netns_fd) as there:
        set_link(there, _LOOPBACK, up=True)


def connect(netlink: Netlink, netns_fd: int, network: Network, endpoint: Endpoint, index: int) -> int:
    """Make an endpoint's link on the bridge or parent `index`, and what is inside; the host's end of it, 0 for none.

    That is no port of the bridge yet: see `attach`. Raises OSError; what is left then goes with the namespace.
    """
    port = 0
    if network.is_bridge:
        port = _add_pair(netlink, netns_fd, network, endpoint, index)
    else:
        parent.connect(netlink, netns_fd, network, endpoint, index)
        with contextlib.suppress(FileNotFoundError):  # there it meets others' addresses
            write_sysctl(netns_fd, f"ipv6/conf/{endpoint.interface}/accept_dad", "1")
    settle(netns_fd, network, endpoint)
    return port


def attach(netlink: Netlink, network: Network, port: int, index: int) -> None:
    """Make the host's end `port` of an endpoint's link a port of the bridge `index`, as whose it is in the network."""
    set_link(netlink, port, master=index)
    bridge.port(netlink, network, port)


def _add_pair(netlink: Netlink, netns_fd: int, network: Network, endpoint: Endpoint, bridge_index: int) -> int:
    """The pair, whose host's end is up and has no address; the index of that."""
    mtu = network.mtu or get_link(netlink, bridge_index).mtu
    port = add_veth(
        netlink,
        endpoint.link,
        endpoint.interface,
        NewLink(mtu=mtu),
        Peer(mac=endpoint.mac, mtu=mtu, netns_fd=netns_fd),
    )
    bridge.write_sysctl(f"ipv6/conf/{endpoint.link}/disable_ipv6", "1")
    set_link(netlink, port, up=True)
    return port


def settle(netns_fd: int, network: Network, endpoint: Endpoint) -> None:
    """Addresses and routes of an endpoint, inside."""
    with inside(netns_fd):
        for name, value in _settings(network, endpoint).items():
            bridge.write_sysctl(f"ipv6/conf/{endpoint.interface}/{name}", value)
    with Netlink(netns_fd) as there:
        set_link(there, _LOOPBACK, up=True)
        index = get_link(there, endpoint.interface).index
        for address in filter(None, (endpoint.ipv4, endpoint.ipv6)):
            flags = NODAD if ":" in address else 0
            _patiently(partial(add_address, there, index, address, network.prefix(address), flags=flags))
        for address in endpoint.link_local:
            add_address(there, index, address, _LINK_LOCAL_PREFIX[family_of(address)], flags=NODAD, replace=True)
        _patiently(partial(set_link, there, index, up=True))
        if endpoint.routes:
            for family in (4, 6):
                route_by(there, index, network, endpoint, family)


def _settings(network: Network, endpoint: Endpoint) -> dict[str, str]:
    """Of IPv6 at the endpoint's link, inside. On links of others there are their routers to be asked."""
    if not any(":" in address for address in (endpoint.ipv6, *endpoint.link_local)):
        return {"disable_ipv6": "1"}
    return _QUIET if network.is_bridge and not network.made_elsewhere else {}


def _patiently(act: Callable[[], None]) -> None:
    """Do it again while the address is in use on the parent: by the namespace of a former run, which is just going."""
    end = time.monotonic() + _PATIENCE_S
    while True:
        try:
            return act()
        except OSError as error:
            if error.errno != errno.EADDRINUSE or time.monotonic() > end:
                raise
        time.sleep(0.005)


def route_by(there: Netlink, index: int, network: Network, endpoint: Endpoint, family: int) -> None:
    """The default route of a family by this endpoint, where the network has a router."""
    gateway = network.router(family)
    if endpoint.address(family) and not parent.has_routers(network) and not network.internal:
        add_route(there, Route(DEFAULTS[family], index=index), replace=True)
    elif gateway and endpoint.address(family) and not network.internal:
        add_route(there, Route(DEFAULTS[family], gateway=gateway, index=index), replace=True)


def route(netns_fd: int, network: Network, endpoint: Endpoint) -> None:
    """The default routes of both families by this endpoint."""
    with Netlink(netns_fd) as there:
        index = get_link(there, endpoint.interface).index
        for family in (4, 6):
            route_by(there, index, network, endpoint, family)


def disconnect(netlink: Netlink, endpoint: Endpoint) -> None:
    """Delete the pair; nothing happens when it is gone."""
    discard_link(netlink, endpoint.link)


def open_name_sockets(netns_fd: int) -> tuple[socket.socket, socket.socket]:
    """UDP and TCP sockets that get what is sent to port 53 of the name server's address inside the namespace.

    They have ports of their own, so that the owner may serve port 53 itself, and a rule inside translates.
    """
    with inside(netns_fd):
        udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        tcp = socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    try:
        for one in (udp, tcp):
            one.bind((ADDRESS, 0))
        tcp.listen(16)
        tcp.settimeout(0)
        to_udp, to_tcp = (f"{ADDRESS}:{one.getsockname()[1]}" for one in (udp, tcp))
        with Nftables(netns_fd) as nftables:
            nftables.run(
                "add table ip sampan\ndelete table ip sampan\nadd table ip sampan\n"
                "add chain ip sampan output { type nat hook output priority dstnat; policy accept; }\n"
                f"add rule ip sampan output ip daddr {ADDRESS} udp dport 53 dnat to {to_udp}\n"
                f"add rule ip sampan output ip daddr {ADDRESS} tcp dport 53 dnat to {to_tcp}"
            )
    except OSError:
        udp.close()
        tcp.close()
        raise
    return udp, tcp


def namespace_of(pid: int) -> int:
    """A descriptor of a process's network namespace."""
    return os.open(f"/proc/{pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
