"""Asking further: the host's name servers, or those that an owner was given, each question by a socket of its own.

A socket a question means an unforeseeable port a question (RFC 5452); what is passed on and back is not looked at.
"""

from __future__ import annotations

import socket

TIMEOUT_S = 3.0
_LARGEST = 65535


def servers_of_host(path: str = "/etc/resolv.conf") -> tuple[str, ...]:
    """The name servers of resolv.conf(5), as they are now."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            lines = [line.split() for line in file]
    except OSError:
        return ()
    return tuple(words[1] for words in lines if len(words) > 1 and words[0] == "nameserver")


def ask(question: bytes, servers: tuple[str, ...], *, stream: bool) -> bytes | None:
    """The first answer that any of the servers gives in time; by TCP with `stream`. Blocks: for a thread."""
    for server in servers or servers_of_host():
        try:
            answer = _ask_stream(question, server) if stream else _ask(question, server)
        except OSError:
            continue
        if answer[:2] == question[:2]:
            return answer
    return None


def _ask(question: bytes, server: str) -> bytes:
    with socket.socket(_family(server), socket.SOCK_DGRAM) as asking:
        asking.settimeout(TIMEOUT_S)
        asking.connect((server, 53))
        asking.send(question)
        return asking.recv(_LARGEST)


def _ask_stream(question: bytes, server: str) -> bytes:
    with socket.create_connection((server, 53), timeout=TIMEOUT_S) as asking:
        asking.sendall(len(question).to_bytes(2, "big") + question)
        return receive_framed(asking)


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
