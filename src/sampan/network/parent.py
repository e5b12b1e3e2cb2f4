"""Networks on a link of the host, macvlan and ipvlan: containers are hosts of the network that the link leads to.

Nothing is translated, published or filtered here, and the host itself does not reach them (ip-link(8)). The parent is
the host's own link, or one that is made for the network and goes with it: a VLAN's link when "eth0.10" is asked for
and is not there, or one that leads nowhere when no parent is asked for.
"""

from __future__ import annotations

import contextlib
import errno
import re

from sampan.errors import Conflict, InvalidArgument, NotFound, NotImplementedHere
from sampan.linux.link import (
    IPVLAN_FLAGS,
    IPVLAN_MODES,
    MACVLAN_MODES,
    NewLink,
    add_bridge,
    add_dummy,
    add_ipvlan,
    add_macvlan,
    add_vlan,
    delete_link,
    discard_link,
    get_link,
    set_link,
)
from sampan.linux.netlink import Netlink
from sampan.network.definitions import Endpoint, Network

DRIVERS = frozenset({"macvlan", "ipvlan"})
PARENT = "parent"
_MODES = {"macvlan": ("macvlan_mode", MACVLAN_MODES), "ipvlan": ("ipvlan_mode", IPVLAN_MODES)}
_FLAG = "ipvlan_flag"
_VLAN = re.compile(r"(.+)\.(\d{1,4})")


def mode_of(driver: str, options: dict[str, str]) -> str:
    """How the network's links behave, "bridge" and "l2" unless it says otherwise. Raises InvalidArgument."""
    option, known = _MODES[driver]
    mode = options.get(option) or ("bridge" if driver == "macvlan" else "l2")
    if mode not in known:
        default = "bridge" if driver == "macvlan" else "l2"
        raise InvalidArgument(
            f"requested {driver} mode '{mode}' is not valid, '{default}' mode is the {driver} driver default",
            remedy=f"one of {', '.join(known)}",
        )
    if options.get(_FLAG, "bridge") not in IPVLAN_FLAGS:
        raise InvalidArgument(f"unknown {_FLAG}: {options[_FLAG]}", remedy=f"one of {', '.join(IPVLAN_FLAGS)}")
    return mode


def link_of(network_id: str, options: dict[str, str]) -> str:
    """The name of the parent; of one that leads nowhere when none is asked for."""
    return options.get(PARENT) or f"dm-{network_id[:12]}"


def make(netlink: Netlink, network: Network) -> int:
    """Have the parent, and up; its index.

    Raises InvalidArgument when it is not there and no VLAN's name, NotFound when the VLAN's own link is not there.
    """
    try:
        index = get_link(netlink, network.link).index
    except OSError as error:
        if error.errno != errno.ENODEV:
            raise
        index = _add(netlink, network)
    set_link(netlink, index, up=True)
    return index


def is_ready(netlink: Netlink, network: Network) -> int:
    """The index of the parent when it is there and up, else 0."""
    try:
        link = get_link(netlink, network.link)
    except OSError as error:
        if error.errno == errno.ENODEV:
            return 0
        raise
    return link.index if link.is_up else 0


def exists(netlink: Netlink, name: str) -> bool:
    """Whether the host has a link of that name already."""
    try:
        get_link(netlink, name)
    except OSError as error:
        if error.errno == errno.ENODEV:
            return False
        raise
    return True


def _add(netlink: Netlink, network: Network) -> int:
    if not network.options.get(PARENT):
        try:
            return add_dummy(netlink, network.link)
        except OSError as error:
            if error.errno != errno.EOPNOTSUPP:
                raise
            return add_bridge(netlink, network.link)  # without ports it leads nowhere either
    found = _VLAN.fullmatch(network.link)
    if not found:  # Docker's sentence
        raise InvalidArgument(
            f"invalid subinterface vlan name {network.link}, example formatting is eth0.10",
            remedy=f"there is no link {network.link}: `ip link` lists them; eth0.10 is made for VLAN 10 of eth0",
        )
    if not exists(netlink, found[1]) or not 0 < int(found[2]) < 4095:
        raise NotFound(
            f"the parent {network.link} of network {network.name} is not there",
            remedy="`ip link` lists the links; eth0.10 is made for VLAN 10 of eth0",
        )
    try:
        return add_vlan(netlink, network.link, get_link(netlink, found[1]).index, int(found[2]))
    except OSError as error:
        raise _lacking(error, "VLANs (CONFIG_VLAN_8021Q)") from error


def _lacking(error: OSError, what: str) -> Exception:
    if error.errno == errno.EOPNOTSUPP:
        return NotImplementedHere(f"this kernel has no {what}", remedy="use another driver or parent")
    return error


def probe(netlink: Netlink, network: Network, index: int) -> None:
    """See that the kernel has the driver, by a link that is deleted at once. Raises NotImplementedHere, Conflict."""
    try:
        _add_child(netlink, network, _probe_name(network), index, NewLink())
    except OSError as error:
        if error.errno in {errno.EBUSY, errno.EINVAL}:
            raise Conflict(
                f"{network.driver} cannot use the parent {network.link}: {error}",
                remedy="it may be the port of a bridge, or in use by a passthru network",
            ) from error
        raise _lacking(error, f"{network.driver} (CONFIG_{network.driver.upper()})") from error
    forget_probe(netlink, network)


def forget_probe(netlink: Netlink, network: Network) -> None:
    """Delete the link of `probe`, which is still there when the daemon was killed in between."""
    discard_link(netlink, _probe_name(network))


def _probe_name(network: Network) -> str:
    return f"sp{network.id[:12]}"


def _add_child(netlink: Netlink, network: Network, name: str, index: int, new: NewLink) -> None:
    mode = mode_of(network.driver, network.options)
    if network.driver == "macvlan":
        add_macvlan(netlink, name, index, mode, new)
    else:
        add_ipvlan(netlink, name, index, mode, network.options.get(_FLAG, "bridge"), new)


def connect(netlink: Netlink, netns_fd: int, network: Network, endpoint: Endpoint, index: int) -> None:
    """A link of the endpoint's own in the namespace; it lives as long as that."""
    mac = endpoint.mac if network.driver == "macvlan" else ""
    mtu = network.mtu or get_link(netlink, index).mtu
    _add_child(netlink, network, endpoint.interface, index, NewLink(mac=mac, mtu=mtu, netns_fd=netns_fd))


def disconnect(netns_fd: int, endpoint: Endpoint) -> None:
    """Delete the endpoint's link inside the namespace; nothing happens when it is gone."""
    with Netlink(netns_fd) as there, contextlib.suppress(OSError):
        delete_link(there, endpoint.interface)


def has_routers(network: Network) -> bool:
    """Whether default routes name a router; l3 links route by themselves."""
    return network.driver != "ipvlan" or mode_of(network.driver, network.options) == "l2"
