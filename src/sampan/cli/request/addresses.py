"""Whether a text is an address, asked of the C library."""

from __future__ import annotations

import _socket


def is_address(text: str) -> bool:
    """Whether `text` is an IPv4 or IPv6 address."""
    for family in (_socket.AF_INET, _socket.AF_INET6):
        try:
            _socket.inet_pton(family, text)
        except (OSError, ValueError):
            continue
        return True
    return False


def is_mac_address(text: str) -> bool:
    """Whether `text` is six pairs of hexadecimal digits with colons or dashes between them."""
    parts = text.replace("-", ":").split(":")
    digits = frozenset("0123456789abcdefABCDEF")
    return len(parts) == 6 and all(len(part) == 2 and digits.issuperset(part) for part in parts)
