"""The process that answers: one loop over the sockets of all owners, and the daemon's packets that tell who is who.

It is told everything by the daemon (`client` writes the packets) and goes on without it. It ends when it has neither a
daemon nor an owner. Local answers are given by the loop; questions for others and connections are threads'.
"""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import socket
import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from dnslib import DNSRecord

from sampan.linux.process import set_name, set_title
from sampan.network.names import PACKET
from sampan.network.names.upstream import ask, receive_framed
from sampan.network.names.zone import Further, Owner, Place, Zone, refusal

_MOST_THREADS = 1024
_MOST_OF_ONE = 128  # questions and connections of one owner at once, so that none takes all the threads
_IDLE_S = 10.0


class Server:
    """All sockets, and what is known."""

    def __init__(self, listener: socket.socket, control: socket.socket) -> None:
        self._zone = Zone()
        self._lock = threading.Lock()  # over the zone: connections ask it from threads
        self._selector = selectors.DefaultSelector()
        self._sockets: dict[str, tuple[socket.socket, socket.socket]] = {}
        self._controls: set[socket.socket] = set()
        self._threads = ThreadPoolExecutor(max_workers=_MOST_THREADS)
        self._busy: Counter[str] = Counter()  # owners' threads
        self._selector.register(listener, selectors.EVENT_READ, ("listen", ""))
        self._add_control(control)

    def run(self) -> None:
        """Serve until nobody needs it."""
        while self._controls or self._sockets:
            for key, _ in self._selector.select():
                what, owner = key.data
                found: Any = key.fileobj
                with contextlib.suppress(OSError):
                    self._act(what, owner, found)

    def _act(self, what: str, owner: str, ready: socket.socket) -> None:
        match what:
            case "listen":
                self._add_control(ready.accept()[0])
            case "control":
                self._receive(ready)
            case "udp":
                question, address = ready.recvfrom(4096, socket.MSG_DONTWAIT)
                self._answer(owner, question, ready, address)
            case "tcp":
                connection, _ = ready.accept()
                if not self._begin(owner, self._converse, owner, connection, ready):
                    connection.close()

    # -- questions

    def _answer(self, owner: str, question: bytes, udp: socket.socket, address: Any) -> None:
        with self._lock:
            answer = self._zone.answer(owner, question)
        if isinstance(answer, Further):
            self._begin(owner, self._pass_on, question, answer, udp, address)
        elif answer is not None:
            udp.sendto(_fitting(question, answer), address)

    def _begin(self, owner: str, work: Callable[..., None], *arguments: Any) -> bool:
        """Have a thread do it, unless the owner has as many as it may have: then it has to ask again."""
        with self._lock:
            may = self._busy[owner] < _MOST_OF_ONE
            self._busy[owner] += may
        if may:
            self._threads.submit(self._work, owner, work, *arguments)
        return may

    def _work(self, owner: str, work: Callable[..., None], *arguments: Any) -> None:
        try:
            work(*arguments)
        finally:
            with self._lock:
                self._busy[owner] -= 1
                if not self._busy[owner]:
                    del self._busy[owner]

    def _pass_on(self, question: bytes, further: Further, udp: socket.socket, address: Any) -> None:
        answer = ask(question, further.servers, stream=False, owner=udp) or refusal(DNSRecord.parse(question))
        with contextlib.suppress(OSError):  # the owner may be gone meanwhile
            udp.sendto(answer, address)

    def _converse(self, owner: str, connection: socket.socket, home: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            connection.settimeout(_IDLE_S)
            while True:
                question = receive_framed(connection)
                with self._lock:
                    answer = self._zone.answer(owner, question)
                if isinstance(answer, Further):
                    asked = ask(question, answer.servers, stream=True, owner=home)
                    answer = asked or refusal(DNSRecord.parse(question))
                if answer is None:
                    return
                connection.sendall(len(answer).to_bytes(2, "big") + answer)

    # -- the daemon

    def _add_control(self, control: socket.socket) -> None:
        self._controls.add(control)
        self._selector.register(control, selectors.EVENT_READ, ("control", ""))
        with contextlib.suppress(OSError):
            control.send(json.dumps({"owners": sorted(self._sockets)}).encode())

    def _receive(self, control: socket.socket) -> None:
        content, descriptors, _, _ = socket.recv_fds(control, PACKET, 2)
        if not content:
            self._selector.unregister(control)
            self._controls.discard(control)
            control.close()
            return
        message = json.loads(content)
        with self._lock:
            self._tell(message)
        if "owner" in message and len(descriptors) == 2:
            self._take(message["owner"], descriptors)
        if "drop" in message:
            self._let_go(message["drop"])

    def _tell(self, message: dict[str, Any]) -> None:
        for network in message.get("networks", ()):
            self._zone.put_network(network["id"], network["name"], internal=network["internal"])
        if "owner" in message:
            places = {
                network: Place(tuple(place["names"]), place["ipv4"], place["ipv6"])
                for network, place in message["places"].items()
            }
            self._zone.put(message["owner"], Owner(places, tuple(message["servers"]), message["links"]))
        if "drop" in message:
            self._zone.drop(message["drop"])

    def _take(self, owner: str, descriptors: list[int]) -> None:
        self._let_go(owner)
        pair = socket.socket(fileno=descriptors[0]), socket.socket(fileno=descriptors[1])
        self._sockets[owner] = pair
        for kind, one in zip(("udp", "tcp"), pair, strict=True):
            self._selector.register(one, selectors.EVENT_READ, (kind, owner))

    def _let_go(self, owner: str) -> None:
        for one in self._sockets.pop(owner, ()):
            self._selector.unregister(one)
            one.close()


def _fitting(question: bytes, answer: bytes) -> bytes:
    """The answer, or its head with the bit that says to ask again by TCP when it is longer than the asker takes."""
    if len(answer) <= 512:
        return answer
    query = DNSRecord.parse(question)
    sizes = [record.edns_len for record in query.ar if record.rtype == 41]
    if len(answer) <= max([512, *sizes]):
        return answer
    reply = query.reply(ra=1, aa=0)
    reply.header.tc = 1
    return bytes(reply.pack())


def main(listener_fd: int, control_fd: int) -> None:
    """The program, with the listener and the first daemon's connection."""
    set_name("sampan-names")
    set_title("sampan-names")
    listener, control = socket.socket(fileno=listener_fd), socket.socket(fileno=control_fd)
    listener.settimeout(0)
    Server(listener, control).run()
    os._exit(0)  # threads that wait for far servers need not be waited for
