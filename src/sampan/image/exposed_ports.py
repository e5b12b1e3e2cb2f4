"""What a word of EXPOSE means: ports of the container, whatever address and port of the host stand before them.

The grammar is that of `--publish`, since Docker's builders and `commit --change` read both by one function: addresses
and ports of the host mean nothing to an image and are looked at only to find mistakes.
"""

from __future__ import annotations

import ipaddress
import re

from sampan.errors import InvalidArgument

_RANGE = re.compile(r"(\d{1,9})(?:-(\d{1,9}))?", re.ASCII)
_PROTOCOLS = ("tcp", "udp", "sctp")
_REMEDY = "write it as in 80, 80/udp or 8000-8010/tcp"
_LAST = 0xFFFF


def exposed_ports(word: str) -> tuple[str, ...]:
    """The ports as an image's configuration has them ("80/tcp"). Raises InvalidArgument in Docker's words."""
    address, host, rest = _apart(word)
    port, _, after = rest.partition("/")
    protocol = after.partition("/")[0] or "tcp"
    if address and not _is_address(address):
        raise InvalidArgument(f"Invalid IP address: {address}", remedy=_REMEDY)
    if not port:
        raise InvalidArgument(f"No port specified: {word}<empty>", remedy=_REMEDY)
    ports = _range(port)
    if ports is None:
        raise InvalidArgument(f"Invalid containerPort: {port}", remedy=_REMEDY)
    outside = _range(host) if host else ports
    if outside is None:
        raise InvalidArgument(f"Invalid hostPort: {host}", remedy=_REMEDY)
    if len(outside) != len(ports) > 1:
        raise InvalidArgument(
            f"Invalid ranges specified for container and host Ports: {port} and {host}", remedy=_REMEDY
        )
    if protocol.lower() not in _PROTOCOLS:
        raise InvalidArgument(f"Invalid proto: {protocol}", remedy=f"there are {', '.join(_PROTOCOLS)}")
    return tuple(f"{number}/{protocol.lower()}" for number in ports)


def _apart(word: str) -> tuple[str, str, str]:
    """Address, port of the host, and port of the container with its protocol; "" for what is not there."""
    before, _, port = word.rpartition(":")
    address, _, host = before.rpartition(":")
    return address, host, port


def _is_address(text: str) -> bool:
    inside = text[1:-1] if text.startswith("[") and text.endswith("]") else text
    try:
        ipaddress.ip_address(inside)
    except ValueError:
        return False
    return True


def _range(text: str) -> range | None:
    found = _RANGE.fullmatch(text)
    if found is None:
        return None
    first, last = int(found[1]), int(found[2] or found[1])
    return range(first, last + 1) if first <= last <= _LAST else None
