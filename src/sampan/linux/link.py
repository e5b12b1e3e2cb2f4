"""Links, as rtnetlink calls network interfaces: making, changing, finding and deleting them (rtnetlink(7), ip-link(8)).

What a container's network looks like is decided elsewhere. MAC addresses are text ("02:42:ac:11:00:02"), links are
named by their index or, where the kernel takes either, by name.
"""

from __future__ import annotations

import errno
import struct
from dataclasses import dataclass

from sampan.linux.netlink import (
    CREATE,
    EXCLUSIVE,
    Netlink,
    as_number,
    as_text,
    attribute,
    attributes,
    nested,
    number8,
    number16,
    number32,
    text,
)

_NEWLINK, _DELLINK, _GETLINK, _SETLINK = 16, 17, 18, 19
_AF_BRIDGE = 7
_MESSAGE = struct.Struct("=BxHiII")  # struct ifinfomsg

_ADDRESS, _NAME, _MTU, _PARENT, _MASTER, _PROTINFO, _TX_QUEUE = 1, 3, 4, 5, 10, 12, 13  # IFLA_*
_OPERSTATE, _LINKINFO, _ALIAS, _GROUP, _NETNS_FD, _EXT_MASK, _PARENT_NETNS, _ALT_NAME = 16, 18, 20, 27, 28, 29, 37, 53
_INFO_KIND, _INFO_DATA, _INFO_SLAVE_KIND = 1, 2, 4  # IFLA_INFO_*
_SKIP_STATISTICS = 8  # RTEXT_FILTER_SKIP_STATS
_VETH_PEER = 1
_STATES = ("unknown", "notpresent", "down", "lowerlayerdown", "testing", "dormant", "up")  # IF_OPER_*

UP, LOOPBACK, RUNNING = 0x1, 0x8, 0x40  # IFF_*
MACVLAN_MODES = {"private": 1, "vepa": 2, "bridge": 4, "passthru": 8}
IPVLAN_MODES = {"l2": 0, "l3": 1, "l3s": 2}
IPVLAN_FLAGS = {"bridge": 0, "private": 1, "vepa": 2}


@dataclass(frozen=True, slots=True)
class Link:
    """A link as it is; `kind` is empty for hardware and loopback, `parent` what IFLA_LINK says (a veth's other end)."""

    index: int
    name: str
    kind: str
    mac: str
    mtu: int
    flags: int
    master: int
    parent: int
    parent_netns: int | None
    state: str
    alias: str
    group: int
    port_of: str  # the kind of its master, such as "bridge"

    @property
    def is_up(self) -> bool:
        """Whether it was set up (IFF_UP), which says nothing about its carrier."""
        return bool(self.flags & UP)


@dataclass(frozen=True, slots=True)
class NewLink:
    """How a link shall be made; what is empty or 0 the kernel chooses. `netns_fd` is where, -1 the socket's own."""

    up: bool = False
    mac: str = ""
    mtu: int = 0
    master: int = 0
    netns_fd: int = -1
    index: int = 0
    tx_queue_length: int | None = None
    group: int = 0


@dataclass(frozen=True, slots=True)
class Peer:
    """How a veth's other end shall be made. It can't be set up or get a master at its birth, being alone until then."""

    mac: str = ""
    mtu: int = 0
    netns_fd: int = -1


_PLAIN = NewLink()
_PLAIN_PEER = Peer()


@dataclass(frozen=True, slots=True)
class BridgeOptions:
    """IFLA_BR_*; None leaves a value alone."""

    stp: bool | None = None
    vlan_filtering: bool | None = None
    multicast_snooping: bool | None = None
    nf_call_iptables: bool | None = None
    nf_call_ip6tables: bool | None = None
    nf_call_arptables: bool | None = None
    default_pvid: int | None = None


def add_veth(netlink: Netlink, name: str, peer_name: str, new: NewLink = _PLAIN, peer: Peer = _PLAIN_PEER) -> int:
    """A pair of links, each made where it shall be (veth(4)); the index of `name`, 0 when elsewhere."""
    other = NewLink(mac=peer.mac, mtu=peer.mtu, netns_fd=peer.netns_fd)
    data = attribute(_VETH_PEER | 0x8000, _MESSAGE.pack(0, 0, 0, 0, 0) + _named(peer_name, other))
    return _add_and_find(netlink, name, "veth", new, data)


def add_bridge(
    netlink: Netlink,
    name: str,
    new: NewLink = _PLAIN,
    options: BridgeOptions = BridgeOptions(),
) -> int:
    """A bridge; its index. Without `mac` it takes the lowest of its ports' and changes it when they come and go."""
    return _add_and_find(netlink, name, "bridge", new, _bridge_data(options))


def add_dummy(netlink: Netlink, name: str, new: NewLink = _PLAIN) -> int:
    """A link that leads nowhere; its index."""
    return _add_and_find(netlink, name, "dummy", new, b"")


def add_macvlan(netlink: Netlink, name: str, parent: int, mode: str = "bridge", new: NewLink = _PLAIN) -> int:
    """A link with a MAC address of its own on `parent`; `mode` is of MACVLAN_MODES. Its index, 0 when elsewhere."""
    return _add_and_find(netlink, name, "macvlan", new, number32(1, MACVLAN_MODES[mode]), number32(_PARENT, parent))


def add_ipvlan(
    netlink: Netlink, name: str, parent: int, mode: str = "l2", flag: str = "bridge", new: NewLink = _PLAIN
) -> int:
    """A link that shares `parent`'s MAC address; modes and flags are of IPVLAN_*. Its index, 0 when elsewhere."""
    data = number16(1, IPVLAN_MODES[mode]) + number16(2, IPVLAN_FLAGS[flag])
    return _add_and_find(netlink, name, "ipvlan", new, data, number32(_PARENT, parent))


def add_vlan(netlink: Netlink, name: str, parent: int, vlan: int, new: NewLink = _PLAIN) -> int:
    """A link for the frames of `parent` with the 802.1Q tag `vlan`. Its index, 0 when elsewhere."""
    return _add_and_find(netlink, name, "vlan", new, number16(1, vlan), number32(_PARENT, parent))


def delete_link(netlink: Netlink, link: int | str) -> None:
    """Delete a link, and a veth's other end with it; OSError ENODEV when there is none."""
    index, name = _either(link)
    netlink.do(_DELLINK, _MESSAGE.pack(0, 0, index, 0, 0) + name, about=link)


def discard_link(netlink: Netlink, link: int | str) -> None:
    """delete_link(); nothing happens when there is none."""
    try:
        delete_link(netlink, link)
    except OSError as error:
        if error.errno != errno.ENODEV:
            raise


def get_link(netlink: Netlink, link: int | str) -> Link:
    """One link by index or name; OSError ENODEV when there is none."""
    index, name = _either(link)
    wanted = number32(_EXT_MASK, _SKIP_STATISTICS)
    return _link(netlink.get(_GETLINK, _MESSAGE.pack(0, 0, index, 0, 0) + name + wanted, about=link))


def links(netlink: Netlink, *, kind: str = "", master: int = 0) -> list[Link]:
    """All links, or those of a kind or with a master."""
    body = _MESSAGE.pack(0, 0, 0, 0, 0) + number32(_EXT_MASK, _SKIP_STATISTICS)
    if kind:
        body += nested(_LINKINFO, text(_INFO_KIND, kind))
    if master:
        body += number32(_MASTER, master)
    return [_link(content) for content in netlink.dump(_GETLINK, body)]


def set_link(
    netlink: Netlink,
    link: int | str,
    *,
    up: bool | None = None,
    name: str = "",
    mac: str = "",
    mtu: int = 0,
    master: int | None = None,
    netns_fd: int = -1,
    alias: str | None = None,
    group: int = 0,
) -> None:
    """Change what is given; `master` 0 frees it, `netns_fd` moves it (down and without addresses) to that namespace.

    A new name needs the link by its index, and with Linux before 6.3 the link to be down.
    """
    index, known_as = _either(link)
    new = NewLink(up=bool(up), mac=mac, mtu=mtu, netns_fd=netns_fd, group=group)
    body = _MESSAGE.pack(0, 0, index, UP if up else 0, 0 if up is None else UP) + known_as
    body += _named(name, new)
    if master is not None:
        body += number32(_MASTER, master)
    if alias is not None:
        body += attribute(_ALIAS, alias.encode())
    netlink.do(_SETLINK, body, about=link)


def set_bridge(netlink: Netlink, index: int, options: BridgeOptions) -> None:
    """Change a bridge's options."""
    data = nested(_LINKINFO, text(_INFO_KIND, "bridge"), attribute(_INFO_DATA | 0x8000, _bridge_data(options)))
    netlink.do(_NEWLINK, _MESSAGE.pack(0, 0, index, 0, 0) + data, about=index)


def set_bridge_port(
    netlink: Netlink,
    index: int,
    *,
    hairpin: bool | None = None,
    isolated: bool | None = None,
    learning: bool | None = None,
    unicast_flood: bool | None = None,
    proxy_arp: bool | None = None,
) -> None:
    """Change how a bridge treats the port `index` (IFLA_BRPORT_*); isolated ports reach only those that are not."""
    options = {4: hairpin, 33: isolated, 8: learning, 9: unicast_flood, 10: proxy_arp}
    given = b"".join(number8(kind, value) for kind, value in options.items() if value is not None)
    body = _MESSAGE.pack(_AF_BRIDGE, 0, index, 0, 0) + attribute(_PROTINFO | 0x8000, given)
    netlink.do(_SETLINK, body, about=index)


def _add_and_find(netlink: Netlink, name: str, kind: str, new: NewLink, data: bytes, more: bytes = b"") -> int:
    _add(netlink, name, kind, new, data, more)
    return _index(netlink, name, new)


def _add(netlink: Netlink, name: str, kind: str, new: NewLink, data: bytes, more: bytes = b"") -> None:
    state = UP if new.up else 0
    information = text(_INFO_KIND, kind) + (attribute(_INFO_DATA | 0x8000, data) if data else b"")
    body = _MESSAGE.pack(0, 0, new.index, state, state) + _named(name, new) + more
    body += attribute(_LINKINFO | 0x8000, information)
    netlink.do(_NEWLINK, body, flags=CREATE | EXCLUSIVE, about=name)


def _index(netlink: Netlink, name: str, new: NewLink) -> int:
    if new.netns_fd >= 0:
        return 0
    return new.index or get_link(netlink, name).index


def _named(name: str, new: NewLink) -> bytes:
    """The attributes of a new or changed link."""
    found = [text(_NAME, name)] if name else []
    if new.mac:
        found.append(attribute(_ADDRESS, bytes.fromhex(new.mac.replace(":", ""))))
    if new.mtu:
        found.append(number32(_MTU, new.mtu))
    if new.master:
        found.append(number32(_MASTER, new.master))
    if new.netns_fd >= 0:
        found.append(number32(_NETNS_FD, new.netns_fd))
    if new.tx_queue_length is not None:
        found.append(number32(_TX_QUEUE, new.tx_queue_length))
    if new.group:
        found.append(number32(_GROUP, new.group))
    return b"".join(found)


def _bridge_data(options: BridgeOptions) -> bytes:
    found = [] if options.stp is None else [number32(5, options.stp)]
    bytes_by_kind = {
        7: options.vlan_filtering,
        23: options.multicast_snooping,
        36: options.nf_call_iptables,
        37: options.nf_call_ip6tables,
        38: options.nf_call_arptables,
    }
    found += [number8(kind, value) for kind, value in bytes_by_kind.items() if value is not None]
    found += [] if options.default_pvid is None else [number16(39, options.default_pvid)]
    return b"".join(found)


def _either(link: int | str) -> tuple[int, bytes]:
    return (link, b"") if isinstance(link, int) else (0, text(_NAME, link))


def _link(content: bytes) -> Link:
    _, _, index, flags, _ = _MESSAGE.unpack_from(content)
    found = attributes(content, _MESSAGE.size)
    information = attributes(found.get(_LINKINFO, b""))
    state = as_number(found.get(_OPERSTATE, b""))
    return Link(
        index=index,
        name=as_text(found.get(_NAME, b"")),
        kind=as_text(information.get(_INFO_KIND, b"")),
        mac=found.get(_ADDRESS, b"").hex(":"),
        mtu=as_number(found.get(_MTU, b"")),
        flags=flags,
        master=as_number(found.get(_MASTER, b"")),
        parent=as_number(found.get(_PARENT, b"")),
        parent_netns=as_number(found[_PARENT_NETNS]) if _PARENT_NETNS in found else None,
        state=_STATES[state] if state < len(_STATES) else str(state),
        alias=as_text(found.get(_ALIAS, b"")),
        group=as_number(found.get(_GROUP, b"")),
        port_of=as_text(information.get(_INFO_SLAVE_KIND, b"")),
    )
