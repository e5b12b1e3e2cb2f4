"""The loopback of the network namespace one is in (netdevice(7)): set up by one ioctl, without a word of netlink.

For the child of a start, which has just got a namespace of its own; what belongs to other links is `link`'s.
"""

from __future__ import annotations

import fcntl
import socket
import struct

_SIOCGIFFLAGS, _SIOCSIFFLAGS = 0x8913, 0x8914
_UP = 0x1  # IFF_UP
_REQUEST = struct.Struct("=16sH22x")  # struct ifreq: ifr_name, ifr_flags


def wake_loopback() -> None:
    """Set `lo` up, with its addresses. Needs CAP_NET_ADMIN in the namespace; raises OSError."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as any_socket:
        request = fcntl.ioctl(any_socket, _SIOCGIFFLAGS, _REQUEST.pack(b"lo", 0))
        _, flags = _REQUEST.unpack(request)
        fcntl.ioctl(any_socket, _SIOCSIFFLAGS, _REQUEST.pack(b"lo", flags | _UP))
