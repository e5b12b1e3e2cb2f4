"""Who is called what, as seen by whom, and the answers to questions about it. Pure; sockets are `server`'s.

An owner sees the networks it is in and nothing else. What is no name there is somebody else's to answer: the caller
is told to ask further, or, for an owner that is in internal networks alone, that there is no answer.
"""

from __future__ import annotations

import ipaddress
import random
from dataclasses import dataclass, field
from typing import Any

from dnslib import AAAA, PTR, QTYPE, RCODE, RR, A, DNSError, DNSRecord

TTL_S = 600
_REVERSE4, _REVERSE6 = ".in-addr.arpa", ".ip6.arpa"


@dataclass(slots=True)
class Place:
    """An owner's place in one network."""

    names: tuple[str, ...]
    ipv4: str = ""
    ipv6: str = ""


@dataclass(slots=True)
class Owner:
    """Someone who asks and is asked for: places by network, servers to ask further ("" for the host's)."""

    places: dict[str, Place] = field(default_factory=dict)
    servers: tuple[str, ...] = ()
    links: dict[str, str] = field(default_factory=dict)  # a name for it alone -> a name


@dataclass(frozen=True, slots=True)
class Further:
    """The question is for these servers; none for those of the host."""

    servers: tuple[str, ...]


class Zone:
    """All networks and owners."""

    def __init__(self) -> None:
        self.owners: dict[str, Owner] = {}
        self._networks: dict[str, tuple[str, bool]] = {}  # id -> name, whether internal
        self._named: dict[tuple[str, str], list[Place]] = {}  # network, lower-case name -> places
        self._addressed: dict[tuple[str, str], str] = {}  # network, address -> name

    def put_network(self, network_id: str, name: str, *, internal: bool) -> None:
        """Know a network."""
        self._networks[network_id] = (name, internal)

    def put(self, owner_id: str, owner: Owner) -> None:
        """Know an owner, in the place of what was known of it."""
        self.drop(owner_id)
        self.owners[owner_id] = owner
        for network, place in owner.places.items():
            for name in place.names:
                self._named.setdefault((network, name.lower()), []).append(place)
            for address in filter(None, (place.ipv4, place.ipv6)):
                self._addressed[network, address] = place.names[0] if place.names else owner_id[:12]

    def drop(self, owner_id: str) -> None:
        """Forget an owner; nothing happens when it is not known."""
        owner = self.owners.pop(owner_id, None)
        for network, place in owner.places.items() if owner else ():
            for name in place.names:
                places = self._named.get((network, name.lower()), [])
                places[:] = [other for other in places if other is not place]
                if not places:
                    self._named.pop((network, name.lower()), None)
            for address in filter(None, (place.ipv4, place.ipv6)):
                self._addressed.pop((network, address), None)

    def answer(self, owner_id: str, question: bytes) -> bytes | Further | None:
        """The answer to a packet, where to ask further, or nothing for what is no question."""
        owner = self.owners.get(owner_id)
        try:
            query = DNSRecord.parse(question)
        except (DNSError, ValueError, IndexError):
            return None
        if owner is None or query.header.qr or len(query.questions) != 1:
            return None
        name = str(query.q.qname).rstrip(".").lower()
        kind = query.q.qtype
        records = self._reverse(owner, name) if kind == QTYPE.PTR else self._forward(owner, name, kind)
        if records is not None:
            reply = query.reply(ra=1, aa=0)
            for data, record_type in records:
                reply.add_answer(RR(query.q.qname, record_type, ttl=TTL_S, rdata=data))
            return bytes(reply.pack())
        if owner.places and all(self._networks.get(network, ("", False))[1] for network in owner.places):
            return refusal(query)
        return Further(owner.servers)

    def _forward(self, owner: Owner, name: str, kind: int) -> list[tuple[Any, int]] | None:
        places = self._places(owner, owner.links.get(name, name).lower())
        if not places:
            return None
        random.shuffle(places)  # round robin, without remembering who had the last turn
        if kind == QTYPE.A:
            return [(A(place.ipv4), kind) for place in places if place.ipv4]
        if kind == QTYPE.AAAA:
            return [(AAAA(place.ipv6), kind) for place in places if place.ipv6]
        return []

    def _places(self, owner: Owner, name: str) -> list[Place]:
        found = [place for network in owner.places for place in self._named.get((network, name), ())]
        if found or "." not in name:
            return found
        for network in owner.places:
            suffix = "." + self._networks.get(network, ("", False))[0].lower()
            if suffix != "." and name.endswith(suffix):
                found += self._named.get((network, name.removesuffix(suffix)), ())
        return found

    def _reverse(self, owner: Owner, name: str) -> list[tuple[Any, int]] | None:
        address = _address(name)
        for network in owner.places:
            known = self._addressed.get((network, address))
            if known:
                suffix = self._networks.get(network, ("", False))[0]
                return [(PTR(f"{known}.{suffix}" if suffix else known), QTYPE.PTR)]
        return None


def refusal(query: DNSRecord) -> bytes:
    """SERVFAIL: there is nobody who could know."""
    reply = query.reply(ra=1, aa=0)
    reply.header.rcode = RCODE.SERVFAIL
    return bytes(reply.pack())


def _address(name: str) -> str:
    """The address that a reverse name is about, empty when it is about none."""
    try:
        if name.endswith(_REVERSE4):
            return str(ipaddress.IPv4Address(".".join(reversed(name.removesuffix(_REVERSE4).split(".")))))
        if name.endswith(_REVERSE6):
            digits = "".join(reversed(name.removesuffix(_REVERSE6).split(".")))
            return str(ipaddress.IPv6Address(bytes.fromhex(digits)))
    except ValueError:
        pass
    return ""
