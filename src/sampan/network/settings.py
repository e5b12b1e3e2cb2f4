"""What the daemon is told about its networks: the default bridge, and where subnets are taken from.

Frozen data and its checks, in dockerd's words. The default network is made from it by `registry`.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import chain

from sampan.errors import InvalidArgument
from sampan.network import addresses
from sampan.network.addresses import AnyNetwork
from sampan.network.definitions import ANY4, ROUTERS, Subnet, family_of


@dataclass(frozen=True, slots=True)
class NetworkSettings:
    """The daemon's settings; `pools` as in "base=10.0.0.0/8,size=24".

    `ipv6` is of networks that nobody has asked about IPv6: None for what the host has.
    """

    bridge: str = ""
    bip: str = ""
    fixed_cidr: str = ""
    fixed_cidr_v6: str = ""
    ipv6: bool | None = None
    default_gateway: str = ""
    default_gateway_v6: str = ""
    mtu: int = 0
    icc: bool = True
    ip: str = ANY4
    ip_masq: bool = True
    pools: tuple[str, ...] = ()

    @property
    def fingerprint(self) -> str:
        """What tells these settings from others; empty for the defaults."""
        return "" if self == NetworkSettings() else repr(self)

    def check(self) -> None:
        """Raises InvalidArgument for the first setting that cannot be."""
        for pool in self.pools:
            _read_pool(pool)
        if self.mtu and not 68 <= self.mtu <= 65535:
            raise InvalidArgument(f"invalid MTU {self.mtu}", remedy="a number such as 1450")
        try:
            ipaddress.ip_address(self.ip)
        except ValueError as error:
            raise InvalidArgument(f"invalid --ip {self.ip}", remedy="an address of this host") from error
        _check_router(self.default_gateway, 4, "--default-gateway")
        _check_router(self.default_gateway_v6, 6, "--default-gateway-v6")
        if self.bridge and self.bip:
            raise InvalidArgument(
                "You specified -b & --bip, mutually exclusive options. Please specify only one",
                remedy="a bridge that is there has its own address",
            )
        self.completed(self.given())

    def given(self) -> tuple[Subnet, ...]:
        """The subnets that follow from the settings alone."""
        asked = [self.bip] if self.bip else [self.fixed_cidr] if self.fixed_cidr else []
        found = [_of_bridge(text) if self.bip else _of_part(text) for text in asked]
        return (*found, *(_of_part(text) for text in filter(None, [self.fixed_cidr_v6])))

    def completed(self, subnets: tuple[Subnet, ...]) -> tuple[Subnet, ...]:
        """Subnets with the range and the router that were asked for. Raises InvalidArgument for what is outside."""
        if self.default_gateway and subnets and not any(subnet.family == 4 for subnet in subnets):
            raise InvalidArgument(f"no subnet has the gateway {self.default_gateway}", remedy="give one with --bip")
        return tuple(map(self._completed, subnets))

    def _completed(self, subnet: Subnet) -> Subnet:
        part, router = (
            (self.fixed_cidr_v6, self.default_gateway_v6)
            if subnet.family == 6
            else (self.fixed_cidr, self.default_gateway)
        )
        if router:
            _check_place(router, ipaddress.ip_network(subnet.subnet))
        ip_range = _subnet(part).subnet if part else ""
        auxiliary = {ROUTERS[subnet.family]: router} if router else {}
        asked = Subnet(subnet.subnet, subnet.gateway, "" if ip_range == subnet.subnet else ip_range, auxiliary)
        return replace(addresses.complete(asked), chosen=True)

    def candidates(self, family: int) -> Iterator[AnyNetwork] | None:
        """Subnets to choose from, in order; None when nothing was said about the family."""
        pools = [pool for pool in self.pools if family_of(pool) == family]
        return chain.from_iterable(map(_read_pool, pools)) if pools else None


def _of_bridge(text: str) -> Subnet:
    """The subnet of the bridge's own address. InvalidArgument where it is no host's, or leaves none for a container."""
    subnet = addresses.of_interface(text)
    remedy = "an address of a host with its prefix length, as in --bip 172.20.0.1/16"
    _check_room(subnet, f"--bip {text}", remedy)
    network, address = ipaddress.ip_network(subnet.subnet), ipaddress.ip_address(subnet.gateway)
    if addresses.is_of_no_host(address, network):
        what = "the network itself" if address == network[0] else "broadcasts"
        raise InvalidArgument(f"--bip {text}: in {network} {address} stands for {what}", remedy=remedy)
    return subnet


def _of_part(text: str) -> Subnet:
    """A subnet that is all that was said of the bridge's."""
    subnet = _subnet(text)
    _check_room(subnet, f"subnet {text}", "as in --fixed-cidr 10.1.0.0/24")
    return subnet


def _check_room(subnet: Subnet, what: str, remedy: str) -> None:
    network = ipaddress.ip_network(subnet.subnet)
    if network.num_addresses < 2:
        raise InvalidArgument(f"{what} leaves no address for a container", remedy=remedy)
    addresses.check_hosts(network, what, remedy)


def _check_router(text: str, family: int, option: str) -> None:
    """InvalidArgument unless it is an address of the family, or empty; where it has to be is `completed`'s to say."""
    remedy = f"as in {option} {'172.20.0.254' if family == 4 else '2001:db8::fe'}"
    try:
        found = ipaddress.ip_address(text) if text else None
    except ValueError as error:
        raise InvalidArgument(f"invalid {option} {text}: no IP address", remedy=remedy) from error
    if found is not None and found.version != family:
        raise InvalidArgument(f"invalid {option} {text}: no IPv{family} address", remedy=remedy)


def _check_place(router: str, network: AnyNetwork) -> None:
    """InvalidArgument unless a host of the network can have the address."""
    found = ipaddress.ip_address(router)
    if found not in network:
        sentence = f"the default gateway {router} is outside of the default bridge's subnet {network}"
        raise InvalidArgument(sentence, remedy="choose one inside, or move the subnet with --bip")
    if addresses.is_of_no_host(found, network):
        raise InvalidArgument(
            f"the default gateway {router} is no host's address in {network}", remedy="choose another"
        )


def _subnet(text: str) -> Subnet:
    try:
        network = ipaddress.ip_network(text, strict=False)
    except ValueError as error:
        raise InvalidArgument(f"invalid subnet {text}", remedy="as in --fixed-cidr 10.1.0.128/25") from error
    return addresses.complete(Subnet(str(network)))


def _read_pool(text: str) -> Iterator[AnyNetwork]:
    words = dict(word.partition("=")[::2] for word in text.split(","))
    try:
        base = ipaddress.ip_network(words.pop("base", ""))
        size = int(words.pop("size", ""))
        if words or not base.prefixlen <= size <= base.max_prefixlen - 2:
            raise ValueError(text)
    except ValueError as error:
        raise InvalidArgument(
            f"invalid default address pool {text!r}", remedy="as in base=10.10.0.0/16,size=24"
        ) from error
    return base.subnets(new_prefix=size)
