"""What the old packet filter (iptables before nftables, "legacy") does with packets that none of its rules is about.

Only that is read, by getsockopt(2), and only of a table that is in use: asking for another one would make it. Rules are
`iptables-legacy`'s to show. Source: linux/netfilter_ipv4/ip_tables.h, linux/netfilter_ipv6/ip6_tables.h.
"""

from __future__ import annotations

import ctypes
import socket
import struct
from dataclasses import dataclass

from sampan.linux.libc import check, libc

_GET_INFO, _GET_ENTRIES = 64, 65  # IPT_SO_*, IP6T_SO_*
_INFO = struct.Struct("=32sI5I5III")  # struct ipt_getinfo
_ENTRIES_HEADER = 40  # struct ipt_get_entries before its entries
_FORWARD = 2  # NF_INET_FORWARD
_TARGET_OFFSET = {4: 88, 6: 140}  # of the field in struct ipt_entry, ip6t_entry
_VERDICT_OFFSET = 32  # in struct xt_standard_target
_DROP = -1  # -NF_DROP - 1


@dataclass(frozen=True, slots=True)
class Filter:
    """The filter table of a family: whether FORWARD drops by default, and all of it as the kernel gives it."""

    drops: bool
    content: bytes


def forward_policy(family: int) -> Filter | None:
    """The table `filter` of the caller's network namespace; None when it is not in use. Raises OSError."""
    names = f"/proc/thread-self/net/{'ip6' if family == 6 else 'ip'}_tables_names"
    try:
        with open(names, encoding="ascii") as file:
            if "filter" not in file.read().split():
                return None
    except FileNotFoundError:
        return None
    kind, level = (socket.AF_INET6, socket.IPPROTO_IPV6) if family == 6 else (socket.AF_INET, socket.IPPROTO_IP)
    with socket.socket(kind, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.IPPROTO_RAW) as raw:
        information = _ask(raw, level, _GET_INFO, b"filter".ljust(_INFO.size, b"\0"))
        fields = _INFO.unpack(information)
        underflow, size = fields[7 + _FORWARD], fields[13]
        request = struct.pack("=32sI", b"filter", size).ljust(_ENTRIES_HEADER + size, b"\0")
        entries = _ask(raw, level, _GET_ENTRIES, request)[_ENTRIES_HEADER:]
    (target,) = struct.unpack_from("=H", entries, underflow + _TARGET_OFFSET[family])
    (verdict,) = struct.unpack_from("=i", entries, underflow + target + _VERDICT_OFFSET)
    return Filter(verdict == _DROP, entries)


def _ask(raw: socket.socket, level: int, option: int, request: bytes) -> bytes:
    """getsockopt(2) with a buffer that says what is asked for, which Python's own cannot."""
    buffer = ctypes.create_string_buffer(request, len(request))
    length = ctypes.c_uint32(len(request))
    check(libc.getsockopt(raw.fileno(), level, option, buffer, ctypes.byref(length)), "getsockopt", "filter")
    return buffer.raw[: length.value]
