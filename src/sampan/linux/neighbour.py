"""Neighbours: which MAC address an IP address has on a link, and for which addresses a link answers in proxy.

See rtnetlink(7), ip-neighbour(8).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from sampan.linux.address import pack, unpack
from sampan.linux.netlink import CREATE, REPLACE, Netlink, attribute, attributes

_NEWNEIGH, _DELNEIGH, _GETNEIGH = 28, 29, 30
_MESSAGE = struct.Struct("=BxxxiHBB")  # struct ndmsg
_ADDRESS, _MAC = 1, 2  # NDA_DST, NDA_LLADDR

REACHABLE, STALE, NOARP, PERMANENT = 0x02, 0x04, 0x40, 0x80  # NUD_*
_PROXY = 0x08  # NTF_PROXY


@dataclass(frozen=True, slots=True)
class Neighbour:
    """An entry of a link's table; a proxy entry has no `mac`."""

    index: int
    address: str
    mac: str
    state: int
    proxy: bool


def add_neighbour(netlink: Netlink, index: int, address: str, mac: str, *, state: int = PERMANENT) -> None:
    """Set the MAC address of `address` on the link, in the place of what is known."""
    body = _body(index, address, state, 0) + attribute(_MAC, bytes.fromhex(mac.replace(":", "")))
    netlink.do(_NEWNEIGH, body, flags=CREATE | REPLACE, about=address)


def add_proxy(netlink: Netlink, index: int, address: str) -> None:
    """Answer on the link for `address` in proxy; for IPv4 the link's sysctl proxy_arp or proxy_arp_pvlan has a say."""
    netlink.do(_NEWNEIGH, _body(index, address, PERMANENT, _PROXY), flags=CREATE | REPLACE, about=address)


def delete_neighbour(netlink: Netlink, index: int, address: str, *, proxy: bool = False) -> None:
    """Forget an entry; OSError ENOENT when there is none."""
    netlink.do(_DELNEIGH, _body(index, address, 0, _PROXY if proxy else 0), about=address)


def neighbours(netlink: Netlink, index: int = 0, *, proxy: bool = False) -> list[Neighbour]:
    """The entries of a link, or of all links."""
    messages = netlink.dump(_GETNEIGH, _MESSAGE.pack(0, 0, 0, _PROXY if proxy else 0, 0))
    found = [_neighbour(content) for content in messages]
    return [neighbour for neighbour in found if index in {0, neighbour.index} and neighbour.proxy == proxy]


def _body(index: int, address: str, state: int, flags: int) -> bytes:
    family, payload = pack(address)
    return _MESSAGE.pack(family, index, state, flags, 0) + attribute(_ADDRESS, payload)


def _neighbour(content: bytes) -> Neighbour:
    _, index, state, flags, _ = _MESSAGE.unpack_from(content)
    found = attributes(content, _MESSAGE.size)
    return Neighbour(
        index, unpack(found.get(_ADDRESS, b"")), found.get(_MAC, b"").hex(":"), state, bool(flags & _PROXY)
    )
