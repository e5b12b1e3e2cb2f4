"""A network's options as a user gives them: what cannot be is refused here, before anything is made."""

from __future__ import annotations

import re

from sampan.errors import InvalidArgument
from sampan.network.addresses import is_address
from sampan.network.definitions import (
    BRIDGE_NAME,
    ENABLE_ICC,
    ENABLE_MASQUERADE,
    GATEWAY_MODE4,
    GATEWAY_MODE6,
    HOST_BINDING,
    MTU,
)

LEAST_MTU, GREATEST_MTU = 68, 65535  # of a bridge (ETH_MIN_MTU, ETH_MAX_MTU)
LEAST_MTU6 = 1280  # a link with less has no IPv6 (RFC 8200, section 5)
_BOOLEANS = frozenset("1 t T TRUE true True 0 f F FALSE false False".split())  # Go's strconv.ParseBool
_GATEWAY_MODES = ("nat", "nat-unprotected", "routed", "isolated")
_NO_NAME = re.compile(r"[/:\s]")  # what the name of a link may not have (dev_valid_name)


def check(options: dict[str, str], *, is_bridge: bool) -> None:
    """Raises InvalidArgument, in Docker's words, for a value that is none; of a bridge's alone with `is_bridge`."""
    mtu = options.get(MTU, "")
    if mtu and not re.fullmatch("[0-9]+", mtu):
        raise InvalidArgument(f"invalid MTU {mtu!r}", remedy="a number such as 1450")
    if mtu and int(mtu) and not LEAST_MTU <= int(mtu) <= GREATEST_MTU:
        raise InvalidArgument(
            f"invalid MTU {mtu}: a link has one of {LEAST_MTU} to {GREATEST_MTU} bytes", remedy="a number such as 1450"
        )
    if is_bridge:
        _check_name(options.get(BRIDGE_NAME, ""))
        _check_values(options)


def takes_ipv6(mtu: int) -> bool:
    """Whether links of this MTU can have IPv6; 0 is the uplink's."""
    return not mtu or mtu >= LEAST_MTU6


def _check_name(link: str) -> None:
    if len(link) > 15 or link in {".", ".."} or _NO_NAME.search(link):
        raise InvalidArgument(
            f"invalid bridge name {link!r}", remedy="at most 15 characters, without spaces, slashes and colons"
        )


def _check_values(options: dict[str, str]) -> None:
    for option in (ENABLE_ICC, ENABLE_MASQUERADE):
        text = options.get(option, "true")
        if text not in _BOOLEANS:
            raise _unread(option, text, f'strconv.ParseBool: parsing "{text}": invalid syntax', "say true or false")
    for option in (GATEWAY_MODE4, GATEWAY_MODE6):
        text = options.get(option, "nat")
        if text not in _GATEWAY_MODES:
            raise _unread(option, text, f"unknown gateway mode {text}", f"one of {', '.join(_GATEWAY_MODES)}")
    address = options.get(HOST_BINDING)
    if address is not None and not is_address(address):
        raise _unread(HOST_BINDING, address, "nil ip", "an address of this host, as in 127.0.0.1")


def _unread(option: str, text: str, why: str, remedy: str) -> InvalidArgument:
    return InvalidArgument(f"failed to parse {option} value: {text} ({why})", remedy=remedy)
