"""How fast a link may send: a token bucket as its queueing discipline, by rtnetlink (tc-tbf(8)), and its counters.

One discipline, at the root of a link; of others' disciplines what has passed a class of theirs. What a container may
send and receive is decided elsewhere.
"""

from __future__ import annotations

import contextlib
import errno
import struct
from dataclasses import dataclass

from sampan.linux.netlink import CREATE, REPLACE, Netlink, as_text, attribute, attributes, nested, number32, text

_NEW, _DELETE, _GET = 36, 37, 38  # RTM_*QDISC
_GET_CLASS = 42  # RTM_GETTCLASS
_MESSAGE = struct.Struct("=BxxxiIII")  # struct tcmsg
_ROOT = 0xFFFFFFFF  # TC_H_ROOT
_HANDLE = 0x53500000  # 5350:
_KIND, _OPTIONS, _STATISTICS = 1, 2, 7  # TCA_*
_PARAMETERS, _RATE64, _BURST = 1, 4, 6  # TCA_TBF_*
_RATE = struct.Struct("=BBHhHI")  # struct tc_ratespec: cell_log, linklayer, overhead, cell_align, mpu, rate
_BUCKET = struct.Struct("=III")  # limit, buffer, mtu
_ETHERNET = 1  # TC_LINKLAYER_ETHERNET, with which the kernel needs no rate table
_BASIC, _QUEUE = 1, 3  # TCA_STATS_*
_MOST32 = (1 << 32) - 1
_LEAST_BURST_BYTES = 64 << 10  # a whole packet of segmentation offload
_BURST_S, _QUEUE_S = 0.01, 0.05

LEAST_BITS = 8_000


@dataclass(frozen=True, slots=True)
class Passed:
    """What has gone through a class, was dropped, waited and waits."""

    bytes: int
    packets: int
    dropped: int
    delayed: int
    waiting_bytes: int


@dataclass(frozen=True, slots=True)
class Shaped:
    """A link's token bucket: what it lets through, and what has passed, was dropped, waited and waits."""

    bits_per_second: int
    bytes: int
    packets: int
    dropped: int
    delayed: int
    waiting_bytes: int


def shape(netlink: Netlink, index: int, bits_per_second: int) -> None:
    """Let the link `index` send so much and no more, from now on; again changes it."""
    rate = bits_per_second // 8
    burst = max(_LEAST_BURST_BYTES, int(rate * _BURST_S))
    limit = min(burst + max(int(rate * _QUEUE_S), _LEAST_BURST_BYTES), _MOST32)
    spec = _RATE.pack(0, _ETHERNET, 0, -1, 0, min(rate, _MOST32))
    parameters = spec + bytes(_RATE.size) + _BUCKET.pack(limit, 0, 0)
    options = attribute(_PARAMETERS, parameters) + number32(_BURST, min(burst, _MOST32))
    if rate > _MOST32:
        options += attribute(_RATE64, struct.pack("=Q", rate))
    body = _MESSAGE.pack(0, index, _HANDLE, _ROOT, 0) + text(_KIND, "tbf") + nested(_OPTIONS, options)
    netlink.do(_NEW, body, flags=CREATE | REPLACE, about=index)


def unshape(netlink: Netlink, index: int) -> None:
    """Let the link send as fast as it can; nothing happens when it may already."""
    if shaped(netlink, index) is not None:
        netlink.do(_DELETE, _MESSAGE.pack(0, index, _HANDLE, _ROOT, 0), about=index)


def shaped(netlink: Netlink, index: int) -> Shaped | None:
    """The link's bucket; None when it has none of ours."""
    try:
        answer = netlink.echoed(_GET, _MESSAGE.pack(0, index, 0, _ROOT, 0), about=index)
    except OSError as error:
        if error.errno == errno.ENOENT:
            return None
        raise
    if not answer:
        return None  # a discipline that the kernel gives every link, and says nothing about
    _, _, handle, _, _ = _MESSAGE.unpack_from(answer[0])
    found = attributes(answer[0], _MESSAGE.size)
    if handle != _HANDLE or as_text(found.get(_KIND, b"")) != "tbf":
        return None
    options, passed = attributes(found[_OPTIONS]), _passed(found[_STATISTICS])
    rate = _RATE.unpack_from(options[_PARAMETERS])[-1]
    if _RATE64 in options:
        (rate,) = struct.unpack("=Q", options[_RATE64])
    return Shaped(rate * 8, passed.bytes, passed.packets, passed.dropped, passed.delayed, passed.waiting_bytes)


def passed_through(netlink: Netlink, class_id: int) -> dict[int, Passed]:
    """What has gone through a class, by the index of each link that has one of this id (tc's 10:1 is 0x100001)."""
    found = {}
    for discipline in netlink.dump(_GET, _MESSAGE.pack(0, 0, 0, 0, 0)):
        _, index, handle, _, _ = _MESSAGE.unpack_from(discipline)
        if handle == class_id & 0xFFFF0000:
            with contextlib.suppress(OSError, KeyError):  # no such class, none at all, one that does not count
                (answer,) = netlink.echoed(_GET_CLASS, _MESSAGE.pack(0, index, class_id, 0, 0), about=index)
                found[index] = _passed(attributes(answer, _MESSAGE.size)[_STATISTICS])
    return found


def _passed(statistics: bytes) -> Passed:
    counters = attributes(statistics)
    sent, packets = struct.unpack_from("=QI", counters[_BASIC])
    _, backlog, drops, _, overlimits = struct.unpack_from("=IIIII", counters[_QUEUE])
    return Passed(sent, packets, drops, overlimits, backlog)
