"""Whether what a container asks for in a network can be its: told when it is created or connected.

Docker's words, several problems of one network together. That an address is taken already shows at the start.
"""

from __future__ import annotations

import ipaddress

from sampan.engine.config import EndpointRequest
from sampan.errors import InvalidArgument
from sampan.network import addresses
from sampan.network.definitions import Network

_REMEDY = (
    "`sampan network inspect` shows the subnets; make a network with --subnet to choose addresses in it, "
    "one of any kind for aliases"
)


def refuse_endpoint(asked: EndpointRequest, network: Network | None, *, user_defined: bool, of: str = "") -> None:
    """Raise InvalidArgument for what cannot be; `of` names the network in the message of a create."""
    where = f"invalid config for network {of}: " if of else ""
    refuse_mac(asked.mac_address, where)
    found = list(dict.fromkeys(_problems(asked, network, user_defined=user_defined)))
    if found:
        said = found[0] if len(found) == 1 else "\n".join(f"* {one}" for one in found)
        raise InvalidArgument(f"{where}invalid endpoint settings:\n{said}", remedy=_REMEDY)


def refuse_mac(address: str, where: str = "") -> None:
    """Raise InvalidArgument for what is given as a MAC address and is none; `where` begins the message."""
    try:
        if address:
            addresses.parse_mac(address)
    except InvalidArgument as error:
        raise InvalidArgument(f"{where}{error}", remedy=error.remedy) from error


def _problems(asked: EndpointRequest, network: Network | None, *, user_defined: bool) -> list[str]:
    given = [address for address in (asked.ipv4_address, asked.ipv6_address) if address]
    found = []
    if given and not user_defined:
        found.append("user specified IP address is supported on user defined networks only")
    if asked.aliases and not user_defined:
        found.append("network-scoped alias is supported only for containers in user defined networks")
    for address, family in ((asked.ipv4_address, 4), (asked.ipv6_address, 6)):
        if not address:
            continue
        try:
            parsed = ipaddress.ip_address(address)
        except ValueError:
            parsed = None
        if parsed is None or parsed.version != family:
            found.append(f"invalid IPv{family} address: {address}")
        elif network is not None:
            found += _outside(address, network)
    for address in asked.link_local_addresses or ():
        try:
            ipaddress.ip_address(address)
        except ValueError:
            found.append(f"invalid link-local IP address: {address}")
    return found


def _outside(address: str, network: Network) -> list[str]:
    subnets = [one for one in network.subnets if one.family == (6 if ":" in address else 4)]
    fitting = [one for one in subnets if ipaddress.ip_address(address) in ipaddress.ip_network(one.subnet)]
    if not network.subnets or any(one.chosen for one in fitting or subnets):
        return ["user specified IP address is supported only when connecting to networks with user configured subnets"]
    return [] if fitting else [f"no configured subnet or ip-range contain the IP address {address}"]
