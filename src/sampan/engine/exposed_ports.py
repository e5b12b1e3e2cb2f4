"""What an exposed port's key means: "80/tcp" as a rule, and whatever else a client wrote, which Docker lets pass."""

from __future__ import annotations

_PROTOCOLS = frozenset({"tcp", "udp", "sctp"})
_LAST = 0xFFFF
_DIGITS = 19  # of a number of 64 bits; int() takes a few thousand and refuses more


def port_of(key: str) -> tuple[int, str]:
    """Number and protocol; tcp where none is said, and what is no port or no protocol is 0, as with Docker."""
    number, _, rest = key.partition("/")
    protocol = rest.partition("/")[0].lower() or "tcp"
    known = protocol if number and protocol in _PROTOCOLS else "0"
    is_port = number.isascii() and number.isdigit() and len(number) <= _DIGITS and int(number) <= _LAST
    return (int(number) if is_port else 0), known


def name_of(key: str) -> str:
    """The key as Docker shows it: "80" and "080/TCP" are "80/tcp"."""
    number, protocol = port_of(key)
    return f"{number}/{protocol}"
