"""What passes a link, seen by packet(7): whose address is on a packet, on the wire and behind the translation.

A capture is a raw socket in the link's own namespace. The kernel puts a packet there before it goes on, so whatever an
exchange consisted of is there when the exchange is over.
"""

from __future__ import annotations

import contextlib
import ipaddress
import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field

from tests.private_network import Place

from sampan.linux.network_namespace import inside

_ALL, _IPV4, _IPV6 = 0x0003, 0x0800, 0x86DD  # ETH_P_*
_BUFFER_BYTES = 4 << 20
_PROTOCOLS = {socket.IPPROTO_TCP: "tcp", socket.IPPROTO_UDP: "udp", 132: "sctp"}


@dataclass(frozen=True, slots=True)
class Packet:
    """One packet of tcp, udp or sctp."""

    protocol: str
    source: str
    source_port: int
    target: str
    target_port: int


@dataclass
class Capture:
    """What has passed since it began."""

    raw: socket.socket
    seen: list[Packet] = field(default_factory=list)
    frames: int = 0  # of any kind

    def packets(self, port: int, protocol: str = "") -> list[Packet]:
        """All so far with this port at either end, in order."""
        self._take()
        return [
            one for one in self.seen if port in {one.source_port, one.target_port} and protocol in {"", one.protocol}
        ]

    def sources(self, port: int, protocol: str = "") -> set[str]:
        """Who sent to this port."""
        return {one.source for one in self.packets(port, protocol) if one.target_port == port}

    def answerers(self, port: int, protocol: str = "") -> set[str]:
        """Who sent from this port."""
        return {one.source for one in self.packets(port, protocol) if one.source_port == port}

    def targets(self, port: int, protocol: str = "") -> set[str]:
        """Whom packets for this port were for."""
        return {one.target for one in self.packets(port, protocol) if one.target_port == port}

    def _take(self) -> None:
        while True:
            try:
                content, (_, kind, *_) = self.raw.recvfrom(65535)
            except BlockingIOError:
                return
            self.frames += 1
            found = _parse(content, kind)
            if found is not None:
                self.seen.append(found)


@contextlib.contextmanager
def capturing(place: Place, link: str = "eth0") -> Iterator[Capture]:
    """Capture what a link of a place sends and receives."""
    with inside(place.netns_fd):
        raw = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM)  # of no protocol: it gets nothing until it is bound
    with raw:
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER_BYTES)
        raw.settimeout(0)
        raw.bind((link, _ALL))
        yield Capture(raw)


def _parse(content: bytes, kind: int) -> Packet | None:
    if kind == _IPV4 and len(content) >= 20:
        number, start = content[9], (content[0] & 15) * 4
        source, target = content[12:16], content[16:20]
    elif kind == _IPV6 and len(content) >= 40:
        number, start = content[6], 40
        source, target = content[8:24], content[24:40]
    else:
        return None
    if number not in _PROTOCOLS or len(content) < start + 4:
        return None
    ports = struct.unpack_from("!HH", content, start)
    here, there = (str(ipaddress.ip_address(address)) for address in (source, target))
    return Packet(_PROTOCOLS[number], here, ports[0], there, ports[1])
