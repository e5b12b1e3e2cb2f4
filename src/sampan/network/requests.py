"""What an endpoint may be asked to be: names of interfaces and rates. Addresses are `addresses`'."""

from __future__ import annotations

import re
from collections.abc import Collection

from sampan.errors import InvalidArgument, NotImplementedHere
from sampan.linux.shaping import LEAST_BITS
from sampan.network.definitions import Network, Rate


def check_rate(network: Network, rate: Rate) -> None:
    """Refuse what cannot be. Raises InvalidArgument, NotImplementedHere."""
    for bits in (rate.inward, rate.outward):
        if bits and bits < LEAST_BITS:
            raise InvalidArgument(f"a network rate of {bits} bits a second is too low", remedy="8kbit is the least")
    if rate.inward and not network.is_bridge:
        raise NotImplementedHere(
            f"what comes in from network {network.name} cannot be limited: a {network.driver} has no end on the host",
            remedy="limit what goes out (--network-rate out=…), or use a bridge",
        )


def check_interface(name: str, taken: Collection[str]) -> str:
    """A name that an interface may have and no other of the owner has. Raises InvalidArgument."""
    if len(name.encode()) > 15 or name in {".", "..", "lo"} or not re.fullmatch(r"[^\s/:%]+", name):
        raise InvalidArgument(f"invalid interface name {name!r}", remedy="at most 15 characters, such as eth7")
    if name in taken:
        raise InvalidArgument(f"interface name {name} is asked for twice", remedy="give each network another")
    return name
