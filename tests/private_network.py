"""A network of a test's own: a host in a namespace where an engine can live, and another host outside of it.

    outside (203.0.113.2, 2001:db8:1::2) ──veth── host (203.0.113.1, 2001:db8:1::1; the engine lives here)

The outside host has no route to anything behind the host, so what it answers to was translated.
"""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field

from sampan.linux.address import NODAD, add_address
from sampan.linux.link import NewLink, Peer, add_veth, get_link, links, set_link
from sampan.linux.netlink import Netlink
from sampan.linux.network_namespace import inside, make_network_namespace, write_sysctl
from sampan.linux.route import Route, add_route

HOST4, OUTSIDE4 = "203.0.113.1", "203.0.113.2"
HOST6, OUTSIDE6 = "2001:db8:1::1", "2001:db8:1::2"


@dataclass
class Place:
    """A network namespace as a place to talk from."""

    netns_fd: int

    def open_socket(
        self, family: int = socket.AF_INET, kind: int = socket.SOCK_STREAM, protocol: int = 0
    ) -> socket.socket:
        """A socket there, with a timeout."""
        with inside(self.netns_fd):
            made = socket.socket(family, kind, protocol)
        made.settimeout(30)
        return made

    def run(self, *words: str, check: bool = True) -> str:
        """Run a program there; its output."""
        done = subprocess.run(
            ["nsenter", f"--net=/proc/{os.getpid()}/fd/{self.netns_fd}", *words],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert not check or done.returncode == 0, (words, done.stderr)
        return done.stdout

    def links(self) -> set[str]:
        """The names of all links."""
        with Netlink(self.netns_fd) as netlink:
            return {link.name for link in links(netlink)}

    def ask(self, address: str, port: int, kind: int = socket.SOCK_STREAM, *, timeout_s: float = 30) -> str:
        """What a server says to us; see `serving`. Raises OSError when it cannot be reached."""
        with self.open_socket(socket.AF_INET6 if ":" in address else socket.AF_INET, kind) as client:
            client.settimeout(timeout_s)
            client.connect((address, port))
            client.send(b"?")
            return client.recv(1000).decode()

    @contextlib.contextmanager
    def serving(self, address: str, port: int, kind: int = socket.SOCK_STREAM) -> Iterator[None]:
        """A server there that tells everyone the address it sees them with."""
        server = self.open_socket(socket.AF_INET6 if ":" in address else socket.AF_INET, kind)
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        server.bind((address, port))
        if kind == socket.SOCK_STREAM:
            server.listen(16)
        server.settimeout(0.05)
        end = threading.Event()
        thread = threading.Thread(target=_serve, args=(server, kind, end))
        thread.start()
        try:
            yield
        finally:
            end.set()
            thread.join()
            server.close()


def _serve(server: socket.socket, kind: int, end: threading.Event) -> None:
    while not end.is_set():
        with contextlib.suppress(TimeoutError, ConnectionError):
            if kind == socket.SOCK_STREAM:
                client, address = server.accept()
                with client:
                    client.settimeout(30)
                    client.recv(1)
                    client.sendall(address[0].encode())
            else:
                _, address = server.recvfrom(1000)
                server.sendto(address[0].encode(), address)


@dataclass
class PrivateNetwork(Place):
    """The host, with `outside` beside it; close it when the engine has gone."""

    outside: Place = field(default_factory=lambda: Place(make_network_namespace()))

    def close(self) -> None:
        """Let both go; what is in them goes too."""
        os.close(self.netns_fd)
        os.close(self.outside.netns_fd)


def make_private_network() -> PrivateNetwork:
    """Both hosts, joined and with addresses."""
    network = PrivateNetwork(make_network_namespace())
    with Netlink(network.netns_fd) as host, Netlink(network.outside.netns_fd) as outside:
        add_veth(host, "uplink", "eth0", NewLink(), Peer(netns_fd=network.outside.netns_fd))
        for netlink, fd, name, addresses in (
            (host, network.netns_fd, "uplink", (HOST4, HOST6)),
            (outside, network.outside.netns_fd, "eth0", (OUTSIDE4, OUTSIDE6)),
        ):
            # while the link's own address is being checked (RFC 4862), no neighbour is asked for on behalf of others
            write_sysctl(fd, f"ipv6/conf/{name}/accept_dad", "0")
            set_link(netlink, 1, up=True)
            index = get_link(netlink, name).index
            set_link(netlink, index, up=True)
            add_address(netlink, index, addresses[0], 24)
            add_address(netlink, index, addresses[1], 64, flags=NODAD)
        index = get_link(host, "uplink").index
        add_route(host, Route("0.0.0.0/0", gateway=OUTSIDE4, index=index))
        add_route(host, Route("::/0", gateway=OUTSIDE6, index=index))
    return network
