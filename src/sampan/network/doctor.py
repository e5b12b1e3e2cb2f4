"""What stands in the way of our networks on this host: what of ours is missing, and which rules of others stop it.

It looks and changes nothing. Other tables are never touched: for them a finding's remedy says what their owner can do.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from sampan.linux.netlink import Netlink
from sampan.linux.nftables import Nftables
from sampan.linux.xtables import forward_policy
from sampan.network import bridge, parent, rules
from sampan.network.definitions import Endpoint, Network
from sampan.network.rules import Elements

_REPAIR = "`sampan doctor --repair` makes it again, as does the next start on the network"


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is not as it should be, and what to do about it; `ours` can be repaired by us."""

    sentence: str
    remedy: str
    ours: bool = False


def examine(netlink: Netlink, networks: Iterable[Network], endpoints: Iterable[Endpoint], table: str) -> list[Finding]:
    """All findings about the networks that have been used, in the network namespace of the caller."""
    used = [network for network in networks if network.used]
    if not used:
        return []
    with Nftables() as nftables:
        ruleset = json.loads(nftables.run("list ruleset", json=True))["nftables"]
    places = list(endpoints)
    return [
        *_links(netlink, used, places),
        *_table(table, ruleset, used, places),
        *(_of_bridges(ruleset, [network for network in used if network.is_bridge], places)),
    ]


def _of_bridges(ruleset: list[dict[str, Any]], bridges: list[Network], endpoints: list[Endpoint]) -> Iterator[Finding]:
    """What stops traffic that the host forwards."""
    if bridges:
        yield from _forwarding(bridges)
        yield from _others(ruleset, bridges)
        yield from _legacy(bridges)
        yield from _reverse_paths(bridges, endpoints)
        yield from _translation(bridges)


def _links(netlink: Netlink, networks: list[Network], endpoints: list[Endpoint]) -> Iterator[Finding]:
    for network in networks:
        members = [each for each in endpoints if each.network == network.id]
        kind, what = (bridge, "bridge") if network.is_bridge else (parent, "parent")
        if members and not kind.is_ready(netlink, network):
            ours = network.is_bridge or not network.made_elsewhere
            cut_off = "1 container is" if len(members) == 1 else f"{len(members)} containers are"
            yield Finding(
                f"the {what} {network.link} of network {network.name} is not there, or down: {cut_off} cut off",
                _REPAIR if ours else f"`ip link set {network.link} up`, or find out who took it away",
                ours=ours,
            )


def _table(
    table: str, ruleset: list[dict[str, Any]], networks: list[Network], endpoints: list[Endpoint]
) -> Iterator[Finding]:
    mine = [entry for entry in ruleset if _is_of(entry, table)]
    if not any("chain" in entry for entry in mine):
        yield Finding(
            f"the nftables table inet {table} is not there: nothing is translated or published", _REPAIR, ours=True
        )
        return
    counts = dict.fromkeys(rules.CHAINS, 0)
    for entry in mine:
        if "rule" in entry and entry["rule"]["chain"] in counts:
            counts[entry["rule"]["chain"]] += 1
    missing = {chain: count for chain, count in counts.items() if count < rules.rules_of(chain)}
    if missing:
        lost = ", ".join(f"{chain} has {count} of its {rules.rules_of(chain)}" for chain, count in missing.items())
        yield Finding(
            f"chains of table inet {table} lack rules ({lost}): ports are not published, or closed ones are open",
            _REPAIR,
            ours=True,
        )
    by_id = {network.id: network for network in networks}
    parts: list[Elements] = [rules.of_network(network) for network in networks]
    parts += [rules.of_endpoint(each, by_id[each.network]) for each in endpoints if each.network in by_id]
    for name, wanted in rules.merged(parts).items():
        found = next((len(body.get("elem", ())) for body in _bodies(mine) if body["name"] == name), 0)
        if found < len(wanted):
            yield Finding(f"{name} of table inet {table} has {found} of its {len(wanted)} elements", _REPAIR, ours=True)


def _bodies(entries: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for entry in entries:
        for kind in ("set", "map"):
            if kind in entry:
                yield entry[kind]


def _is_of(entry: dict[str, Any], table: str) -> bool:
    kind, body = next(iter(entry.items()))
    return ("inet", table) == (body.get("family"), body.get("name" if kind == "table" else "table"))


def _forwarding(networks: list[Network]) -> Iterator[Finding]:
    leads_out = [network for network in networks if not network.internal]
    if leads_out and bridge.read_sysctl("ipv4/ip_forward") == "0":
        yield Finding(
            "the host does not forward IPv4 packets: containers reach the host alone",
            "sysctl -w net.ipv4.ip_forward=1, and find out who turned it off",
        )
    if any(network.ipv6 for network in leads_out) and bridge.read_sysctl("ipv6/conf/all/forwarding") == "0":
        yield Finding("the host does not forward IPv6 packets", "sysctl -w net.ipv6.conf.all.forwarding=1")


def _others(ruleset: list[dict[str, Any]], networks: list[Network]) -> Iterator[Finding]:
    """Chains of others whose policy is to drop what is forwarded, or what comes to the host."""
    links = ", ".join(network.link for network in networks)
    for entry in ruleset:
        chain = entry.get("chain", {})
        if chain.get("policy") != "drop":
            continue
        where = f"{chain['family']} {chain['table']} {chain['name']}"
        if chain.get("hook") == "forward":
            yield Finding(f"the chain {where} {_drops(links, chain['family'])}", _remedy(chain, ruleset))
        if chain.get("hook") == "input":
            yield Finding(
                f"the chain {where} drops what no rule of it accepts: containers may not reach what the host serves",
                f"allow what they need, as with `nft insert rule {where} iifname {networks[0].link} accept`",
            )


def _remedy(chain: dict[str, Any], ruleset: list[dict[str, Any]]) -> str:
    names = {entry["chain"]["name"] for entry in ruleset if "chain" in entry}
    tables = {entry["table"]["name"] for entry in ruleset if "table" in entry}
    if "DOCKER-USER" in names:
        return (
            "for each bridge: iptables -I DOCKER-USER -i BRIDGE -j ACCEPT; iptables -I DOCKER-USER -o BRIDGE -j ACCEPT"
        )
    if any(name.startswith("ufw-") for name in names):
        return "for each bridge: ufw route allow in on BRIDGE; ufw route allow out on BRIDGE"
    if "firewalld" in tables:
        return "for each bridge: firewall-cmd --permanent --zone=trusted --add-interface=BRIDGE; firewall-cmd --reload"
    where = f"{chain['family']} {chain['table']} {chain['name']}"
    return f"nft insert rule {where} iifname BRIDGE accept; nft insert rule {where} oifname BRIDGE accept"


def _drops(links: str, family: str) -> str:
    """What comes of a chain that drops; bridged packets pass it as well where br_netfilter is told so."""
    setting = {"ip": "iptables", "ip6": "ip6tables", "inet": "iptables"}.get(family, "")
    bridged = setting and bridge.read_sysctl(f"bridge/bridge-nf-call-{setting}") == "1"
    between = f", and between containers of one network (net.bridge.bridge-nf-call-{setting} is 1)," if bridged else ""
    return (
        f"drops what no rule of it accepts: traffic of {links} to and from other hosts, and published ports{between}"
        f"{'' if between else ','} may not pass"
    )


def _legacy(networks: list[Network]) -> Iterator[Finding]:
    """The old packet filter, which nftables does not show."""
    links = ", ".join(network.link for network in networks)
    for family, command in ((4, "iptables-legacy"), (6, "ip6tables-legacy")):
        try:
            found = forward_policy(family)
        except OSError:  # it cannot be read, as where another program is just changing it
            continue
        if found is None or not found.drops:
            continue
        chain = "DOCKER-USER" if b"DOCKER-USER" in found.content else "FORWARD"
        yield Finding(
            f"the chain FORWARD of {command} {_drops(links, 'ip6' if family == 6 else 'ip')}",
            f"{command} -I {chain} -i BRIDGE -j ACCEPT; {command} -I {chain} -o BRIDGE -j ACCEPT",
        )


def _reverse_paths(networks: list[Network], endpoints: list[Endpoint]) -> Iterator[Finding]:
    """Strict reverse path filtering: an answer that takes another network than the question did is dropped."""
    owners = Counter(each.owner for each in endpoints)
    by_id = {network.id: network for network in networks}
    everywhere = bridge.read_sysctl("ipv4/conf/all/rp_filter")
    for network in networks:
        reached = [
            each
            for each in endpoints
            if each.network == network.id and owners[each.owner] > 1 and network.gateway_mode(4) != "nat"
        ]
        ways = {
            by_id[other.network].link
            for each in reached
            for other in endpoints
            if other.owner == each.owner and other.routes and other.network in by_id and other.network != network.id
        }
        for way in sorted(ways):
            if max(everywhere, bridge.read_sysctl(f"ipv4/conf/{way}/rp_filter")) == "1":
                yield Finding(
                    f"reverse paths are filtered strictly on {way} (rp_filter is 1): containers that are in network "
                    f"{network.name} too do not answer to other hosts there",
                    f"sysctl -w net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.{way}.rp_filter=2",
                )


def _translation(networks: list[Network]) -> Iterator[Finding]:
    if any(network.ipv6 for network in networks) and bridge.read_sysctl("bridge/bridge-nf-call-ip6tables") == "1":
        yield Finding(
            "bridged packets pass through ip6tables (net.bridge.bridge-nf-call-ip6tables is 1): published ports "
            "are not reached by the host's own ::1",
            "use 127.0.0.1, or set the sysctl to 0 if nobody needs it",
        )
