"""Which subnets and addresses are free. Pure: what is taken comes in as a value."""

from __future__ import annotations

import hashlib
import ipaddress
import re
from collections.abc import Collection, Iterable, Iterator

from sampan.errors import Conflict, Forbidden, InvalidArgument
from sampan.network.definitions import Subnet

type AnyAddress = ipaddress.IPv4Address | ipaddress.IPv6Address
type AnyNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network


def pools() -> Iterator[ipaddress.IPv4Network]:
    """Docker's default address pools, in its order: 172.17.0.0/16 to 172.31.0.0/16, then 192.168.0.0/16 in /20s."""
    yield from (ipaddress.IPv4Network(f"172.{number}.0.0/16") for number in range(17, 32))
    yield from ipaddress.IPv4Network("192.168.0.0/16").subnets(new_prefix=20)


def free_subnet(taken: Iterable[str], candidates: Iterable[AnyNetwork] | None = None) -> Subnet:
    """The first pool that overlaps nothing of `taken`, with its first address as gateway. Raises Conflict."""
    known = [ipaddress.ip_network(one) for one in taken]
    version = 4
    for pool in pools() if candidates is None else candidates:
        if not any(pool.version == other.version and pool.overlaps(other) for other in known):
            return Subnet(str(pool), gateway=str(pool[1]), chosen=True)
        version = pool.version
    raise Conflict(
        f"could not find an available, non-overlapping IPv{version} address pool among the defaults "
        "to assign to the network",
        remedy="give one with --subnet, or remove networks that are not used: sampan network prune",
    )


def unique_local_subnets(seed: str) -> Iterator[ipaddress.IPv6Network]:
    """The /64s of a unique local prefix (RFC 4193, a /48) that follows from `seed`."""
    prefix = b"\xfd" + hashlib.sha256(seed.encode()).digest()[:5]
    for number in range(1 << 16):
        yield ipaddress.IPv6Network((prefix + number.to_bytes(2) + bytes(8), 64))


def complete(asked: Subnet) -> Subnet:
    """A subnet as a user gave it, checked, with its gateway filled in.

    Raises InvalidArgument, and Forbidden for addresses that no host can have, in Docker's words.
    """
    subnet = _block(asked.subnet, "subnet")
    check_hosts(subnet, f"invalid subnet {subnet}", "choose another, as in --subnet 10.1.0.0/24")
    for what, text in (("gateway", asked.gateway), *asked.auxiliary.items()):
        if text and _is_inside(text, subnet) and is_of_no_host(ipaddress.ip_address(text), subnet):
            named = f"gateway ({text})" if what == "gateway" else f"secondary ip address ({what}:{text})"
            raise Forbidden(f"failed to allocate {named}: Address already in use", remedy=_no_host(text, subnet))
        if text and not _is_inside(text, subnet):
            raise InvalidArgument(
                f"invalid gateway {text}: parent subnet is {subnet}"
                if what == "gateway"
                else f"no matching subnet for aux-address {text}",
                remedy=f"choose an address inside {subnet}",
            )
    if asked.ip_range:
        part = _block(asked.ip_range, "ip-range")
        if part.version == subnet.version and part.prefixlen < subnet.prefixlen:
            why = f"CIDR block is bigger than its parent subnet {subnet}"
            raise InvalidArgument(
                f"invalid network config:\ninvalid ip-range {part}: {why}", remedy=f"choose a range inside {subnet}"
            )
        if part.version != subnet.version or not _covers(subnet, part):
            raise InvalidArgument(
                f"no matching subnet for range {asked.ip_range}", remedy=f"choose a range inside {subnet}"
            )
    gateway = asked.gateway or str(subnet[1 if subnet.num_addresses > 2 else 0])
    return Subnet(str(subnet), gateway, asked.ip_range, asked.auxiliary)


def _block(text: str, what: str) -> AnyNetwork:
    """A block of addresses as a user gave it; a single address is none."""
    remedy = f"as in --{what} 10.1.0.0/24"
    try:
        here = ipaddress.ip_interface(text if "/" in text else "")
    except ValueError as error:
        sentence = f"invalid network config:\ninvalid {what} {text}: invalid CIDR block notation"
        raise InvalidArgument(sentence, remedy=remedy) from error
    if here.ip != here.network.network_address:
        sentence = f"invalid network config:\ninvalid {what} {text}: it should be {here.network}"
        raise InvalidArgument(sentence, remedy=remedy)
    return here.network


# RFC 6890, and what is multicast
_NO_HOSTS = tuple(
    (name, ipaddress.ip_network(text))
    for name, text in (
        ("this network", "0.0.0.0/8"),
        ("the host itself", "127.0.0.0/8"),
        ("multicast", "224.0.0.0/4"),
        ("the host itself", "::/127"),
        ("multicast", "ff00::/8"),
    )
)


def check_hosts(network: AnyNetwork, what: str, remedy: str) -> None:
    """Raises InvalidArgument, about `what`, when no host can have an address of the network."""
    for name, taken in _NO_HOSTS:
        if taken.version == network.version and taken.overlaps(network):
            raise InvalidArgument(f"{what}: {taken} is for {name}, no host has an address there", remedy=remedy)


def overlap(subnet: str, taken: Iterable[str]) -> str:
    """The first of `taken` that overlaps, or nothing."""
    here = ipaddress.ip_network(subnet)
    for other in taken:
        there = ipaddress.ip_network(other)
        if here.version == there.version and here.overlaps(there):
            return other
    return ""


def next_address(subnet: Subnet, used: Collection[int], after: int = 0) -> str:
    """The first free address behind `after`, beginning anew at the end of the range. Raises Conflict without any.

    Addresses come back into use as late as can be, so that what is left of an owner that just went answers to none.
    """
    whole = ipaddress.ip_network(subnet.subnet)
    part = ipaddress.ip_network(subnet.ip_range, strict=False) if subnet.ip_range else whole
    first, last = int(part.network_address), int(part.broadcast_address)
    forbidden = {int(ipaddress.ip_address(text)) for text in (subnet.gateway, *subnet.auxiliary.values()) if text}
    if whole.num_addresses > 2:
        forbidden.add(int(whole.network_address))
        if whole.version == 4:
            forbidden.add(int(whole.broadcast_address))
    start = after + 1 if first <= after < last else first
    for candidate in _around(start, first, last):
        if candidate not in used and candidate not in forbidden:
            return str(ipaddress.ip_address(candidate) if whole.version == 4 else ipaddress.IPv6Address(candidate))
    raise Conflict(
        f"no available IPv4 addresses on this network's address pools: {subnet.subnet}"
        if whole.version == 4
        else f"no available IPv6 addresses on {subnet.subnet}",
        remedy="remove containers, or make a network with a larger --subnet",
    )


def is_of_no_host(address: AnyAddress, network: AnyNetwork) -> bool:
    """Whether it is the network's own address or its broadcast address; a network of one or two has neither."""
    ends = {network[0], network[-1]} if network.version == 4 else {network[0]}
    return network.num_addresses > 2 and address in ends


def _no_host(text: str, network: AnyNetwork) -> str:
    what = "the network itself" if ipaddress.ip_address(text) == network[0] else "broadcasts"
    return f"in {network} {text} stands for {what}: choose another"


def _around(start: int, first: int, last: int) -> Iterator[int]:
    yield from range(start, last + 1)
    yield from range(first, start)


def check_fixed(address: str, subnets: Iterable[Subnet], used: Collection[int]) -> str:
    """An address that a user asked for, in its usual form. Raises InvalidArgument or Forbidden in Docker's words."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError as error:
        raise InvalidArgument(f"invalid IP address: {address}", remedy="as in --ip 10.1.0.7") from error
    fitting = [one for one in subnets if _is_inside(address, ipaddress.ip_network(one.subnet))]
    if not fitting:
        raise InvalidArgument(
            f"no configured subnet or ip-range contain the IP address {address}",
            remedy="`sampan network inspect` shows the subnets",
        )
    if fitting[0].chosen:
        raise InvalidArgument(
            "user specified IP address is supported only when connecting to networks with user configured subnets",
            remedy="make the network with --subnet",
        )
    subnet = ipaddress.ip_network(fitting[0].subnet)
    if is_of_no_host(parsed, subnet):
        raise Forbidden("Address already in use", remedy=_no_host(str(parsed), subnet))
    reserved = {fitting[0].gateway, *fitting[0].auxiliary.values()}
    if int(parsed) in used or str(parsed) in reserved:
        raise Forbidden("Address already in use", remedy=f"choose another than {parsed}")
    return str(parsed)


def _covers(whole: AnyNetwork, part: AnyNetwork) -> bool:
    return part.network_address in whole and part.broadcast_address in whole


def is_address(text: str) -> bool:
    """Whether it is an IPv4 or IPv6 address."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _is_inside(text: str, subnet: AnyNetwork) -> bool:
    try:
        return ipaddress.ip_address(text) in subnet
    except ValueError:
        return False


def mac_of(address: str, seed: str) -> str:
    """A MAC address with Docker's prefix 02:42: made from the IPv4 address, or from `seed` where there is none."""
    if address and ":" not in address:
        payload = ipaddress.IPv4Address(address).packed
    else:
        payload = hashlib.sha256((address or seed).encode()).digest()[:4]
    return "02:42:" + payload.hex(":")


def parse_mac(text: str) -> str:
    """A MAC address of six bytes, as "02:42:ac:11:00:02". Raises InvalidArgument in Docker's words."""
    if not re.fullmatch(r"[0-9A-Fa-f]{2}([:-])[0-9A-Fa-f]{2}(\1[0-9A-Fa-f]{2}){4}", text):
        raise InvalidArgument(f"invalid MAC address {text}", remedy="six bytes, as in 02:42:ac:11:00:02")
    if int(text[:2], 16) & 1:
        raise InvalidArgument(
            f"invalid MAC address {text}: it is a group's, not one interface's",
            remedy="let the first byte be even, as in 02:42:ac:11:00:02",
        )
    return text.replace("-", ":").lower()


def of_interface(text: str) -> Subnet:
    """The subnet of an address with a prefix length, which becomes the gateway. Raises InvalidArgument."""
    try:
        interface = ipaddress.ip_interface(text if "/" in text else "")
    except ValueError as error:
        raise InvalidArgument(f"invalid address and prefix: {text}", remedy="as in --bip 172.20.0.1/16") from error
    return Subnet(str(interface.network), gateway=str(interface.ip), chosen=True)
