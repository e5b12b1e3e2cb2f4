"""Which ports of the host are published: conflicts, free ones, and who else listens.

Nothing is kept open: the kernel translates before a socket is looked up. A probe socket is bound for a moment so that
a listener of the host is found before it would be cut off.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain

from sampan.errors import InvalidArgument
from sampan.network.definitions import (
    ANY4,
    ANY6,
    HOST_BINDING,
    Network,
    PortRequest,
    Publication,
    family_of,
    is_same_place,
)

_IPPROTO_SCTP = getattr(socket, "IPPROTO_SCTP", 132)
_KINDS = {
    "tcp": (socket.SOCK_STREAM, socket.IPPROTO_TCP),
    "udp": (socket.SOCK_DGRAM, socket.IPPROTO_UDP),
    "sctp": (socket.SOCK_STREAM, _IPPROTO_SCTP),
}
MANY = 64  # requests, whose sockets would keep the event loop from others
SELF = "self"  # who holds a port that is asked for twice at once
_EPHEMERAL = "/proc/sys/net/ipv4/ip_local_port_range"


@dataclass(frozen=True, slots=True)
class Taken:
    """A port that cannot be had: `holder` is the endpoint's id, or SELF, `rival` another engine's table.

    Both are empty when somebody else listens.
    """

    address: str
    port: int
    protocol: str
    holder: str = ""
    rival: str = ""


class PortTakenError(Exception):
    """The first port that stood in the way."""

    def __init__(self, taken: Taken) -> None:
        super().__init__(f"{taken.address}:{taken.port}/{taken.protocol}")
        self.taken = taken


type Holder = Callable[[str, int, str], str]
type Clash = Callable[[PortRequest, int, tuple[str, ...]], Taken | None]


def _of_nobody(_address: str, _port: int, _protocol: str) -> str:
    return ""


@dataclass(slots=True)
class Ports:
    """Chooses ports. `holder` tells the endpoint that has an address, port and protocol.

    `rivals` looks at what other engines publish now, and gives what tells the table of the one that has it.
    """

    holder: Holder
    rivals: Callable[[], Holder] = lambda: _of_nobody
    _next: int = 0

    def publish(self, requests: Iterable[PortRequest], families: Iterable[int]) -> tuple[Publication, ...]:
        """A publication for each request and address, none of which clashes. Raises PortTakenError, InvalidArgument."""
        found: list[Publication] = []
        beside: dict[tuple[str, int], list[str]] = {}  # by protocol and port: addresses
        wanted = tuple(families)
        rival = self.rivals()

        def clash(request: PortRequest, port: int, addresses: tuple[str, ...]) -> Taken | None:
            protocol = request.protocol
            for address in addresses:
                if any(is_same_place(other, address) for other in beside.get((protocol, port), ())):
                    return Taken(address, port, protocol, SELF)
                holder = self.holder(address, port, protocol)
                if holder:
                    return Taken(address, port, protocol, holder)
                other = rival(address, port, protocol)
                if other:
                    return Taken(address, port, protocol, rival=other)
                if not request.free and not _is_free(address, port, protocol):
                    return Taken(address, port, protocol)
            return None

        for request in requests:
            addresses = _addresses(request.address, wanted)
            port = self._choose(request, addresses, clash)
            beside.setdefault((request.protocol, port), []).extend(addresses)
            found += (Publication(address, port, request.port, request.protocol) for address in addresses)
        return tuple(found)

    def _choose(self, request: PortRequest, addresses: tuple[str, ...], clash_of: Clash) -> int:
        reason: Taken | None = None
        for port in self._candidates(request):
            clash = clash_of(request, port, addresses)
            if clash is None:
                return port
            reason = reason or clash
        raise PortTakenError(reason or Taken(request.address or ANY4, request.first, request.protocol))

    def _candidates(self, request: PortRequest) -> Iterator[int]:
        if request.first:
            yield from range(request.first, (request.last or request.first) + 1)
            return
        first, last = ephemeral_range()
        start = self._next if first <= self._next <= last else first
        for port in chain(range(start, last + 1), range(first, start)):
            self._next = port + 1
            yield port


async def look_ahead(network: Network, requests: Sequence[PortRequest]) -> Sequence[PortRequest]:
    """The requests, and of many which are free: asked in another thread, as a socket a port takes its time."""
    requests = bound(network, requests)
    if len(requests) < MANY:
        return requests
    families = tuple(family for family in (4, 6) if network.of_family(family))
    return await asyncio.to_thread(lambda: [replace(one, free=_is_seen_free(one, families)) for one in requests])


def _is_seen_free(request: PortRequest, families: tuple[int, ...]) -> bool:
    if not request.first or request.last not in {0, request.first}:
        return False
    with contextlib.suppress(InvalidArgument):  # `publish` meets it again
        return all(
            _is_free(address, request.first, request.protocol) for address in _addresses(request.address, families)
        )
    return False


def bound(network: Network, requests: Sequence[PortRequest]) -> Sequence[PortRequest]:
    """The requests, those without an address on the one that the network binds ports to."""
    binding = network.options.get(HOST_BINDING, ANY4)
    return requests if binding == ANY4 else [replace(one, address=one.address or binding) for one in requests]


def _addresses(asked: str, families: tuple[int, ...]) -> tuple[str, ...]:
    if asked in {"", "*"}:
        return tuple(ANY6 if family == 6 else ANY4 for family in families)
    if family_of(asked) not in families:
        return ()
    return (asked,)


def _is_free(address: str, port: int, protocol: str) -> bool:
    """Whether nobody listens there. SO_REUSEADDR looks past connections that are only closing (tcp(7))."""
    kind, number = _KINDS[protocol]
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        probe = socket.socket(family, kind, number)
    except OSError:
        return True  # no such family or protocol on this host, so nobody listens
    with probe:
        if protocol != "udp":
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        try:
            probe.bind((address, port))
        except OSError as error:
            if error.errno == 99:  # EADDRNOTAVAIL
                raise InvalidArgument(
                    f"cannot publish on {address}: the host has no such address", remedy="`ip address` lists them"
                ) from error
            return False
    return True


def ephemeral_range() -> tuple[int, int]:
    """The ports that the host gives to whoever does not care (ip(7), ip_local_port_range)."""
    try:
        with open(_EPHEMERAL, encoding="ascii") as file:
            first, last = file.read().split()
            return int(first), int(last)
    except (OSError, ValueError):
        return 32768, 60999


def remedy(taken: Taken) -> str:
    """What to do about a port that no endpoint of ours has."""
    if taken.holder == SELF:
        return "it is asked for twice at once: publish a port of the host once on an address"
    if taken.rival:
        return (
            f"another engine of this network namespace publishes it (`nft list table inet {taken.rival}`): stop its "
            f"container, or publish another port; if that engine is no more, `nft delete table inet {taken.rival}`"
        )
    who = listener(taken.port, taken.protocol)
    return f"{who or 'another program of this host'} listens there: end it, or publish another port"


def listener(port: int, protocol: str) -> str:
    """Who listens on a port of the host, as "name (pid 1)"; empty when that cannot be found out."""
    inodes = set()
    for suffix in ("", "6"):
        with contextlib.suppress(OSError), open(f"/proc/net/{protocol}{suffix}", encoding="ascii") as file:
            next(file)
            for line in file:
                words = line.split()
                if int(words[1].rpartition(":")[2], 16) == port and (protocol == "udp" or words[3] == "0A"):
                    inodes.add(f"socket:[{words[9]}]")
    for pid in filter(str.isdigit, os.listdir("/proc")) if inodes else ():
        with contextlib.suppress(OSError):
            for number in os.listdir(f"/proc/{pid}/fd"):
                if os.readlink(f"/proc/{pid}/fd/{number}") in inodes:
                    with open(f"/proc/{pid}/comm", encoding="utf-8", errors="replace") as file:
                        return f"{file.read().strip()} (pid {pid})"
    return ""


def expand(key: str, address: str, host_port: str) -> PortRequest:
    """A binding in Docker's words: "80/tcp", an address, and "", "8080" or "8080-8090". Raises InvalidArgument."""
    text, _, protocol = key.partition("/")
    port, protocol = port_number(text, key), (protocol or "tcp").lower()
    if protocol not in _KINDS:
        raise InvalidArgument(f"invalid proto: {protocol}", remedy="use tcp, udp or sctp")
    if address:
        try:
            socket.inet_pton(socket.AF_INET6 if ":" in address else socket.AF_INET, address)
        except OSError as error:
            raise InvalidArgument(f"invalid IP address: {address}", remedy="as in 127.0.0.1:8080:80") from error
    first, _, last = host_port.partition("-")
    if not first or first == "0":
        return PortRequest(port, protocol, address)
    begin = port_number(first, host_port)
    end = port_number(last, host_port) if last else begin
    if end < begin:
        raise InvalidArgument(f"invalid port range: {host_port}", remedy="begin with the lower port")
    return PortRequest(port, protocol, address, begin, end)


def port_number(text: str, whole: str) -> int:
    """A port from 1 to 65535. Raises InvalidArgument."""
    if text.isdigit() and 0 < int(text) < 65536:
        return int(text)
    raise InvalidArgument(f"invalid port specification: {whole}", remedy="ports are 1 to 65535")
