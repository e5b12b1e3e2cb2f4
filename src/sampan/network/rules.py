"""The words of an engine's one nftables table (`inet sampan`): chains that never change, and sets and maps that do.

A network is a few elements, a published port is one element a host address; so what a packet costs does not grow with
the number of either. Pure text in nft(8)'s language; who applies it is `firewall`. The chain `user` is the
administrator's: it sees every packet that we forward first, and we only ever make it when it is not there.
"""

from __future__ import annotations

import ipaddress
import json
import os
import re
import zlib
from collections.abc import Iterable

from sampan.network.definitions import ANY4, ANY6, ENABLE_ICC, GROUP, Endpoint, Network

_NAME = "sampan"
_NO_NAME = re.compile(r"[^a-zA-Z0-9_.-]")  # what the name of a link may have and that of a table may not
USER_CHAIN = "user"

type Elements = dict[str, list[str]]

_SETS = {
    "bridges": "type ifname",
    "internal": "type ifname",
    "open4": "type ifname",
    "open6": "type ifname",
    "talking": "type ifname . ifname",
    "sources4": "type ipv4_addr; flags interval",
    "sources6": "type ipv6_addr; flags interval",
    "own4": "type ifname . ipv4_addr; flags interval",
    "own6": "type ifname . ipv6_addr; flags interval",
    "routed4": "type ipv4_addr . inet_proto . inet_service",
    "routed6": "type ipv6_addr . inet_proto . inet_service",
}
_MAPS = {
    "any4": "type inet_proto . inet_service : ipv4_addr . inet_service",
    "any6": "type inet_proto . inet_service : ipv6_addr . inet_service",
    "at4": "type ipv4_addr . inet_proto . inet_service : ipv4_addr . inet_service",
    "at6": "type ipv6_addr . inet_proto . inet_service : ipv6_addr . inet_service",
}
_CHAINS = {
    # route_localnet is set on our bridges, so that what the host's loopback sends comes back; nothing else may. The
    # answer to that has its target translated back when it comes here, and its source not yet
    "input": (
        "type filter hook input priority filter; policy accept;",
        "iif lo accept",
        "ip saddr 127.0.0.0/8 iifname @bridges drop",
        "ip daddr 127.0.0.0/8 ct direction reply ct status dnat accept",
        "ip daddr 127.0.0.0/8 iifname @bridges drop",
    ),
    # a port that is published on every address is published on no single one besides (ports), so the usual comes first
    "publish": (
        "dnat ip to meta l4proto . th dport map @any4",
        "dnat ip to ip daddr . meta l4proto . th dport map @at4",
        "dnat ip6 to meta l4proto . th dport map @any6",
        "dnat ip6 to ip6 daddr . meta l4proto . th dport map @at6",
    ),
    "prerouting": (
        "type nat hook prerouting priority dstnat; policy accept;",
        # a publication on loopback is for the host alone; the kernel drops the packet as a martian afterwards
        "ip daddr 127.0.0.0/8 iifname != lo accept",
        "meta l4proto { tcp, udp, sctp } fib daddr type local jump publish",
    ),
    "output": (
        "type nat hook output priority dstnat; policy accept;",
        "meta l4proto { tcp, udp, sctp } fib daddr type local jump publish",
    ),
    "postrouting": (
        "type nat hook postrouting priority srcnat; policy accept;",
        f"oifgroup {GROUP} goto inward",
        "oifname @bridges goto inward",
        "ip saddr @sources4 masquerade",
        "ip6 saddr @sources6 masquerade",
    ),
    "inward": (
        "ip saddr 127.0.0.0/8 masquerade",
        "ip6 saddr ::1 masquerade",
        "ct status dnat oifname . ip saddr @own4 masquerade",
        "ct status dnat oifname . ip6 saddr @own6 masquerade",
    ),
    # every packet passes here: a number is compared sooner than a name is looked up. A bridge that somebody else made,
    # or put into another group, is found by its name
    "forward": (
        "type filter hook forward priority filter; policy accept;",
        f"oifgroup {GROUP} goto ours",
        f"iifgroup {GROUP} goto ours",
        "oifname @bridges goto ours",
        "iifname @bridges goto ours",
    ),
    "ours": (
        # as of the host's loopback, which a connection to a port that is published there alone would be taken for
        "ip saddr 127.0.0.0/8 drop",
        f"jump {USER_CHAIN}",
        "ct state established,related accept",
        "iifname . oifname @talking accept",
        "iifname @internal drop",
        "oifname @internal drop",
        "ct status dnat accept",
        "ip daddr . meta l4proto . th dport @routed4 accept",
        "ip6 daddr . meta l4proto . th dport @routed6 accept",
        "meta nfproto ipv4 oifname @open4 iifname != @bridges accept",
        "meta nfproto ipv6 oifname @open6 iifname != @bridges accept",
        "oifname @bridges drop",
        "accept",
    ),
}

_FORMER = "raw"  # a chain that earlier versions had
NAMES = (*_SETS, *_MAPS)
PUBLISHING = tuple(_MAPS)
CHAINS = tuple(_CHAINS)


def table_of(bridge: str, directory: str) -> str:
    """The name of an engine's table: engines side by side in one network namespace have bridges of their own.

    `bridge` is what the engine was told about its default bridge: "" is sampan0. Of several that have "none" each has
    a `directory` of its own.
    """
    if not bridge:
        return _NAME
    own = f"-{zlib.crc32(os.fsencode(directory)):08x}" if bridge == "none" else ""
    return f"{_NAME}-{_NO_NAME.sub('_', bridge)}{own}"


def is_name(table: str) -> bool:
    """Whether a table may be an engine's."""
    return table == _NAME or table.startswith(f"{_NAME}-")


def skeleton(table: str, *, loopback6: bool = True) -> str:
    """Everything that does not change, made when it is not there and made anew where it is; all elements go.

    Without `loopback6` the host's own ::1 is left alone. So it must be where bridged packets pass through ip6tables:
    the answer is translated back to ::1 inside the bridge then, and dropped where it enters the host (ip6_rcv_core).
    """
    table = f"inet {table}"
    lines = [f"add table {table}", f"add chain {table} {USER_CHAIN}"]
    lines += [f"{verb} chain {table} {_FORMER}" for verb in ("add", "flush", "delete")]
    for kind, known in (("set", _SETS), ("map", _MAPS)):
        for name, form in known.items():
            lines.append(f"add {kind} {table} {name} {{ {form}; }}")
            lines.append(f"flush {kind} {table} {name}")
    for name, rules in _CHAINS.items():
        hook = f" {{ {rules[0]} }}" if rules[0].startswith("type ") else ""
        lines += [f"add chain {table} {name}{hook}", f"flush chain {table} {name}"]
    if not loopback6:
        lines.append(f"add rule {table} output ip6 daddr ::1 accept")
    for name, rules in _CHAINS.items():
        lines += [f"add rule {table} {name} {rule}" for rule in rules if not rule.startswith("type ")]
    return "\n".join(lines)


def is_bare(listing: str) -> bool:
    """Whether the table, as nft lists it in JSON, has no element and nothing of anybody else's."""
    known = {*NAMES, *CHAINS, USER_CHAIN}
    for entry in json.loads(listing)["nftables"]:
        for kind, body in entry.items():
            if kind in {"metainfo", "table"} or (kind == "rule" and body["chain"] in CHAINS):
                continue
            if kind == "rule" or body.get("elem") or body.get("name") not in known:
                return False
    return True


def rules_of(chain: str) -> int:
    """How many rules a chain of ours has."""
    return sum(not rule.startswith("type ") for rule in _CHAINS[chain])


def of_network(network: Network) -> Elements:
    """What a network is in sets."""
    if not network.is_bridge:
        return {}
    link = f'"{network.link}"'
    found: Elements = {"bridges": [link]}
    if network.internal:
        found["internal"] = [link]
    if network.allows(ENABLE_ICC):
        found["talking"] = [f"{link} . {link}"]
    for subnet in network.subnets:
        found.setdefault(f"own{subnet.family}", []).append(f"{link} . {subnet.subnet}")
        if network.translates(subnet.family):
            found.setdefault(f"sources{subnet.family}", []).append(subnet.subnet)
    for family in (4, 6):
        if network.gateway_mode(family) == "nat-unprotected":
            found[f"open{family}"] = [link]
    return found


def of_endpoint(endpoint: Endpoint, network: Network) -> Elements:
    """What an endpoint's publications are in maps; one that has no address of the family is nothing."""
    found: Elements = {}
    for publication in endpoint.publications:
        family = 6 if ":" in publication.address else 4
        target = endpoint.address(family)
        if not target:
            continue
        place = f"{publication.protocol} . {publication.host_port} : {target} . {publication.port}"
        if network.gateway_mode(family) == "routed":
            found.setdefault(f"routed{family}", []).append(f"{target} . {publication.protocol} . {publication.port}")
        elif publication.address in {ANY4, ANY6}:
            found.setdefault(f"any{family}", []).append(place)
        else:
            here = ipaddress.ip_address(publication.address)
            found.setdefault(f"at{family}", []).append(f"{here} . {place}")
    return found


def merged(many: Iterable[Elements]) -> Elements:
    """All elements together, each once, in order."""
    found: dict[str, dict[str, None]] = {}
    for elements in many:
        for name, values in elements.items():
            found.setdefault(name, {}).update(dict.fromkeys(values))
    return {name: list(values) for name, values in found.items()}


def additions(table: str, elements: Elements) -> str:
    """The commands that add elements."""
    return "\n".join(f"add element inet {table} {name} {{ {', '.join(values)} }}" for name, values in elements.items())


def removals(table: str, elements: Elements) -> str:
    """The commands that delete elements, by their keys alone."""
    return "\n".join(
        f"delete element inet {table} {name} {{ {', '.join(value.partition(' : ')[0] for value in values)} }}"
        for name, values in elements.items()
    )
