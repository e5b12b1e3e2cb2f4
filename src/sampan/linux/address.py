"""IP addresses of links (rtnetlink(7), ip-address(8)). Addresses are text, as inet_pton(3) takes them."""

from __future__ import annotations

import socket
import struct
from dataclasses import dataclass

from sampan.linux.netlink import CREATE, EXCLUSIVE, REPLACE, Netlink, as_number, attribute, attributes, number32

_NEWADDR, _DELADDR, _GETADDR = 20, 21, 22
_MESSAGE = struct.Struct("=BBBBI")  # struct ifaddrmsg
_ADDRESS, _LOCAL, _BROADCAST, _FLAGS = 1, 2, 4, 8  # IFA_*

NODAD, NOPREFIXROUTE, TENTATIVE, PERMANENT = 0x02, 0x200, 0x40, 0x80  # IFA_F_*


@dataclass(frozen=True, slots=True)
class Address:
    """An address of the link `index`; `family` is socket.AF_INET or AF_INET6."""

    index: int
    family: int
    address: str
    prefix: int
    flags: int
    scope: int
    broadcast: str


def add_address(
    netlink: Netlink,
    index: int,
    address: str,
    prefix: int,
    *,
    broadcast: str = "",
    flags: int = 0,
    replace: bool = False,
) -> None:
    """Give the link an address; OSError EEXIST when it has it, unless `replace`.

    With NODAD among the flags an IPv6 address is of use at once, without a search for duplicates.
    """
    body = _body(index, address, prefix)
    if broadcast:
        body += attribute(_BROADCAST, pack(broadcast)[1])
    if flags:
        body += number32(_FLAGS, flags)
    netlink.do(_NEWADDR, body, flags=CREATE | (REPLACE if replace else EXCLUSIVE), about=f"{address}/{prefix}")


def delete_address(netlink: Netlink, index: int, address: str, prefix: int) -> None:
    """Take an address away; OSError EADDRNOTAVAIL when the link does not have it."""
    netlink.do(_DELADDR, _body(index, address, prefix), about=f"{address}/{prefix}")


def addresses(netlink: Netlink, index: int = 0) -> list[Address]:
    """The addresses of a link, or of all links."""
    return [_address(content) for content in netlink.dump(_GETADDR, _MESSAGE.pack(0, 0, 0, 0, index))]


def pack(address: str) -> tuple[int, bytes]:
    """Family and bytes of an address; OSError EINVAL for what is none."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        return family, socket.inet_pton(family, address)
    except OSError as error:
        raise OSError(22, f"not an IP address: {address!r}") from error


def unpack(payload: bytes) -> str:
    """The text of an address of 4 or 16 bytes; empty for nothing."""
    if not payload:
        return ""
    return socket.inet_ntop(socket.AF_INET6 if len(payload) == 16 else socket.AF_INET, payload)


def _body(index: int, address: str, prefix: int) -> bytes:
    family, payload = pack(address)
    scope = 254 if payload[0] == 127 and len(payload) == 4 else 0  # RT_SCOPE_HOST
    return _MESSAGE.pack(family, prefix, 0, scope, index) + attribute(_LOCAL, payload) + attribute(_ADDRESS, payload)


def _address(content: bytes) -> Address:
    family, prefix, flags, scope, index = _MESSAGE.unpack_from(content)
    found = attributes(content, _MESSAGE.size)
    return Address(
        index,
        family,
        unpack(found.get(_LOCAL) or found.get(_ADDRESS, b"")),
        prefix,
        as_number(found[_FLAGS]) if _FLAGS in found else flags,
        scope,
        unpack(found.get(_BROADCAST, b"")),
    )
