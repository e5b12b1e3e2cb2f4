"""Asking further: the host's name servers, or those that an owner was given, each question by a socket of its own.

Those that an owner was given are asked from where the owner is: they may be its own, or behind a tunnel of its. A
socket a question means an unforeseeable port a question (RFC 5452); what is passed on and back is not looked at but for
whether it tells of a failure.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator

from sampan.linux.network_namespace import home_of, inside
from sampan.network.names import ADDRESS

TIMEOUT_S = 3.0
_LARGEST = 65535
_FAILURES = frozenset({2, 5})  # SERVFAIL, REFUSED: another may know


def servers_of_host(path: str = "/etc/resolv.conf") -> tuple[str, ...]:
    """The name servers of resolv.conf(5), as they are now."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            lines = [line.split() for line in file]
    except OSError:
        return ()
    return tuple(words[1] for words in lines if len(words) > 1 and words[0] == "nameserver")


def ask(question: bytes, servers: tuple[str, ...], *, stream: bool, owner: socket.socket) -> bytes | None:
    """The first answer that any of the servers gives in time, one that tells of no failure if there is any.

    Without `servers` the host's are asked, else from where the owner's socket is. By TCP with `stream`. Blocks: for a
    thread.
    """
    failure = None
    for server, home in _places(servers, owner) if servers else ((one, None) for one in servers_of_host()):
        try:
            with _open(server, home, stream=stream) as asking:
                answer = _ask(question, asking, server, stream=stream)
        except (OSError, ValueError):
            continue
        if answer[:2] == question[:2] and len(answer) > 3:
            if answer[3] & 0xF not in _FAILURES:
                return answer
            failure = answer
    return failure


def _places(servers: tuple[str, ...], owner: socket.socket) -> Iterator[tuple[str, socket.socket | None]]:
    """Where to ask an owner's servers from: a loopback's is the owner's if it has one there, else the host's."""
    for server in servers:
        if server != ADDRESS:
            yield server, owner
            if server.startswith("127.") or server == "::1":
                yield server, None


def _open(server: str, home: socket.socket | None, *, stream: bool) -> socket.socket:
    kind = socket.SOCK_STREAM if stream else socket.SOCK_DGRAM
    if home is None:
        return socket.socket(_family(server), kind)
    netns_fd = home_of(home)
    try:
        with inside(netns_fd):
            return socket.socket(_family(server), kind)
    finally:
        os.close(netns_fd)


def _ask(question: bytes, asking: socket.socket, server: str, *, stream: bool) -> bytes:
    asking.settimeout(TIMEOUT_S)
    asking.connect((server, 53))
    if stream:
        asking.sendall(len(question).to_bytes(2, "big") + question)
        return receive_framed(asking)
    asking.send(question)
    return asking.recv(_LARGEST)


def receive_framed(connection: socket.socket) -> bytes:
    """One message with its length before it (RFC 1035, 4.2.2). Raises OSError when the other end goes away."""
    length = int.from_bytes(_receive(connection, 2), "big")
    return _receive(connection, length)


def _receive(connection: socket.socket, length: int) -> bytes:
    content = b""
    while len(content) < length:
        piece = connection.recv(length - len(content))
        if not piece:
            raise ConnectionError("the other end went away")
        content += piece
    return content


def _family(address: str) -> int:
    return socket.AF_INET6 if ":" in address else socket.AF_INET
