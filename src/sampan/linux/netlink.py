"""netlink(7): one socket, messages out of structs and attributes, acknowledgements, dumps and the kernel's own words.

The form of messages and nothing of their meaning: links, addresses, routes and neighbours are modules of their own.
A `Netlink` is synchronous and for one thread at a time.
"""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Iterator
from types import TracebackType
from typing import Self

from sampan.linux.network_namespace import inside

NETLINK_ROUTE = 0

REQUEST, MULTI, ACK, ECHO, DUMP_INTERRUPTED, DUMP_FLAGS = 0x01, 0x02, 0x04, 0x08, 0x10, 0x300  # NLM_F_*
REPLACE, EXCLUSIVE, CREATE, APPEND = 0x100, 0x200, 0x400, 0x800

_NAMES = {
    16: "RTM_NEWLINK",
    17: "RTM_DELLINK",
    18: "RTM_GETLINK",
    19: "RTM_SETLINK",
    20: "RTM_NEWADDR",
    21: "RTM_DELADDR",
    22: "RTM_GETADDR",
    24: "RTM_NEWROUTE",
    25: "RTM_DELROUTE",
    26: "RTM_GETROUTE",
    28: "RTM_NEWNEIGH",
    29: "RTM_DELNEIGH",
    30: "RTM_GETNEIGH",
    36: "RTM_NEWQDISC",
    37: "RTM_DELQDISC",
    38: "RTM_GETQDISC",
}
_ERROR, _DONE = 2, 3  # NLMSG_*
_CAPPED, _ACK_TLVS = 0x100, 0x200
_ERROR_MESSAGE = 1  # NLMSGERR_ATTR_MSG
_SOL_NETLINK, _CAP_ACK, _EXT_ACK, _STRICT_CHECK = 270, 10, 11, 12
_HEADER = struct.Struct("=IHHII")  # struct nlmsghdr
_ATTRIBUTE = struct.Struct("=HH")  # struct nlattr
_NESTED = 0x8000
_TYPE_MASK = 0x3FFF
_BUFFER = 1 << 16
_MOST_DUMPS = 10


def attribute(kind: int, payload: bytes) -> bytes:
    """An attribute, padded to 4 bytes."""
    return _ATTRIBUTE.pack(4 + len(payload), kind) + payload + bytes(-len(payload) % 4)


def nested(kind: int, *attributes: bytes) -> bytes:
    """An attribute made of attributes."""
    return attribute(kind | _NESTED, b"".join(attributes))


def text(kind: int, value: str) -> bytes:
    """An attribute with a string, which ends with a zero byte."""
    return attribute(kind, value.encode() + b"\0")


def number8(kind: int, value: int) -> bytes:
    """An attribute with an unsigned 8-bit number."""
    return attribute(kind, struct.pack("=B", value))


def number16(kind: int, value: int) -> bytes:
    """An attribute with an unsigned 16-bit number."""
    return attribute(kind, struct.pack("=H", value))


def number32(kind: int, value: int) -> bytes:
    """An attribute with an unsigned 32-bit number."""
    return attribute(kind, struct.pack("=I", value))


def attributes(content: bytes, offset: int = 0) -> dict[int, bytes]:
    """The attributes from `offset` on, by type; of several with one type the last."""
    found = {}
    while offset + 4 <= len(content):
        length, kind = _ATTRIBUTE.unpack_from(content, offset)
        if length < 4:
            break
        found[kind & _TYPE_MASK] = content[offset + 4 : offset + length]
        offset += length + 3 & ~3
    return found


def as_text(payload: bytes) -> str:
    """The string of an attribute."""
    return payload.rstrip(b"\0").decode(errors="surrogateescape")


def as_number(payload: bytes) -> int:
    """The unsigned number of an attribute, of whatever width."""
    return int.from_bytes(payload, "little" if struct.pack("=H", 1)[0] else "big")


def socket_in(netns_fd: int, protocol: int = NETLINK_ROUTE) -> socket.socket:
    """A netlink socket (close-on-exec) of another network namespace; the calling thread is there for a moment only."""
    with inside(netns_fd):
        return socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, protocol)


class Netlink:
    """A conversation with the kernel about one network namespace: the caller's own, or that of `netns_fd`.

    The namespace lives at least as long as the socket. Every method raises OSError with the kernel's errno; its text is
    the request's name, what errno means, and the words of the extended acknowledgement when there are any.
    """

    def __init__(self, netns_fd: int = -1) -> None:
        self._socket = (
            socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, NETLINK_ROUTE)
            if netns_fd < 0
            else socket_in(netns_fd)
        )
        self._sequence = 0
        try:
            for option in (_CAP_ACK, _EXT_ACK, _STRICT_CHECK):
                self._socket.setsockopt(_SOL_NETLINK, option, 1)
            self._socket.bind((0, 0))
        except OSError:
            self._socket.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the socket; again is no error."""
        self._socket.close()

    def do(self, kind: int, body: bytes, *, flags: int = 0, about: object = "") -> None:
        """Make a request and wait until the kernel has carried it out."""
        for _ in self._answers(kind, body, ACK | flags, about):
            pass

    def get(self, kind: int, body: bytes, *, about: object = "") -> bytes:
        """Ask for one object: its message without the header."""
        for _, content in self._answers(kind, body, 0, about):
            return content
        raise _error(kind, 71, "", about)  # EPROTO

    def echoed(self, kind: int, body: bytes, *, about: object = "") -> list[bytes]:
        """Make a request and hear what it came to, which may be nothing, before the acknowledgement (NLM_F_ECHO)."""
        return [content for _, content in self._answers(kind, body, ACK | ECHO, about) if content]

    def dump(self, kind: int, body: bytes) -> list[bytes]:
        """Ask for all objects that `body` selects; the kernel checks strictly and selects itself (Linux 4.20).

        A dump during which the objects changed may lack some (NLM_F_DUMP_INTR): it is asked again, ten times at most,
        then InterruptedError is raised.
        """
        for _ in range(_MOST_DUMPS):
            complete = True
            found = []
            for flags, content in self._answers(kind, body, DUMP_FLAGS, ""):
                complete = complete and not flags & DUMP_INTERRUPTED
                if content:
                    found.append(content)
            if complete:
                return found
        raise _error(kind, 4, "the objects kept changing", "")  # EINTR

    def _answers(self, kind: int, body: bytes, flags: int, about: object) -> Iterator[tuple[int, bytes]]:
        """Flags and content of each message until the answer is complete; the last one of a dump has no content."""
        self._sequence = self._sequence + 1 & 0xFFFFFFFF
        header = _HEADER.pack(_HEADER.size + len(body), kind, REQUEST | flags, self._sequence, 0)
        self._socket.send(header + body)
        is_complete = False
        while not is_complete:
            datagram, _, received, _ = self._socket.recvmsg(_BUFFER)
            if received & socket.MSG_TRUNC:
                raise _error(kind, 90, "the answer is longer than 64 KiB", about)  # EMSGSIZE
            offset = 0
            while offset + _HEADER.size <= len(datagram):
                length, answer, answer_flags, sequence, _ = _HEADER.unpack_from(datagram, offset)
                content = datagram[offset + _HEADER.size : offset + length]
                offset += length + 3 & ~3
                if sequence != self._sequence:
                    continue  # a late answer to a request that was given up
                if answer in (_ERROR, _DONE):
                    _check(kind, answer, answer_flags, content, about)
                    is_complete = True
                    yield answer_flags, b""
                else:
                    is_complete = not (answer_flags & MULTI or flags & ACK)
                    yield answer_flags, content


def _check(kind: int, answer: int, flags: int, content: bytes, about: object) -> None:
    """Raise what an NLMSG_ERROR or NLMSG_DONE message says, unless it says that all went well."""
    number = -struct.unpack_from("=i", content)[0] if len(content) >= 4 else 0
    if not number:
        return
    words = ""
    if flags & _ACK_TLVS:
        offset = 4
        if answer == _ERROR:
            offset += _HEADER.size
            if not flags & _CAPPED:
                offset += _HEADER.unpack_from(content, 4)[0] - _HEADER.size
        words = as_text(attributes(content, offset).get(_ERROR_MESSAGE, b""))
    raise _error(kind, number, words, about)


def _error(kind: int, number: int, words: str, about: object) -> OSError:
    name = f"netlink {_NAMES.get(kind, kind)}"
    sentence = ": ".join(part for part in (name, os.strerror(number), words) if part)
    return OSError(number, sentence, str(about) if about != "" else None)
