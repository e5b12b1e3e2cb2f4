"""What goes on while the daemon is dead, and is the same when it is back: connections, new ones, and names."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import threading
from collections.abc import Iterator

from tests.api.network.test_names import addresses, names_pid
from tests.engine_process import EngineProcess
from tests.network_containers import Containers, Networks, ip_in
from tests.private_network import HOST4, HOST6, OUTSIDE4, OUTSIDE6, Place, PrivateNetwork
from tests.waiting import until


@contextlib.contextmanager
def echoing(place: Place, port: int) -> Iterator[None]:
    """A server that says back whatever it hears, on every connection for as long as that lasts."""
    server = place.open_socket(socket.AF_INET6)
    server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    server.bind(("::", port))
    server.listen(16)
    server.settimeout(0.05)
    end = threading.Event()
    threads: list[threading.Thread] = []

    def echo(client: socket.socket) -> None:
        with client, contextlib.suppress(OSError):
            while heard := client.recv(1000):
                client.sendall(heard)

    def accept() -> None:
        while not end.is_set():
            with contextlib.suppress(TimeoutError):
                client, _ = server.accept()
                client.settimeout(30)
                threads.append(threading.Thread(target=echo, args=(client,)))
                threads[-1].start()

    accepting = threading.Thread(target=accept)
    accepting.start()
    try:
        yield
    finally:
        end.set()
        accepting.join()
        server.close()
        for thread in threads:  # their clients have hung up
            thread.join()


def connect(place: Place, address: str, port: int) -> socket.socket:
    client = place.open_socket(socket.AF_INET6 if ":" in address else socket.AF_INET)
    client.settimeout(30)
    client.connect((address, port))
    return client


def says_back(client: socket.socket, words: bytes) -> bool:
    client.sendall(words)
    return client.recv(1000) == words


def test_connections_outlive_the_daemon_and_new_ones_are_made(
    engine: EngineProcess, network: PrivateNetwork, networks: Networks, containers: Containers
) -> None:
    networks.create("app", EnableIPv6=True)
    web, mate = containers.run("web", ":8080:80/tcp", NetworkMode="app"), containers.run("mate", NetworkMode="app")
    ways = [
        (network.outside, HOST4, 8080),
        (network.outside, HOST6, 8080),
        (web, OUTSIDE4, 7200),
        (web, OUTSIDE6, 7200),
        (mate, ip_in(engine, "web", "app"), 80),
        (network, "127.0.0.1", 8080),
    ]
    with contextlib.ExitStack() as stack:
        for place, port in ((web, 80), (network.outside, 7200)):
            stack.enter_context(echoing(place, port))
        lasting = [stack.enter_context(connect(*way)) for way in ways]
        for state, words in ((None, b"alive"), (engine.kill, b"dead"), (engine.start, b"back")):
            if state is not None:
                state()
            for way, client in zip(ways, lasting, strict=True):
                assert says_back(client, words), (way, words)
                with connect(*way) as new:
                    assert says_back(new, words), (way, words)


def test_names_are_there_again_when_both_the_daemon_and_their_server_were_killed(
    engine: EngineProcess, network: PrivateNetwork, networks: Networks, containers: Containers
) -> None:
    networks.create("app")
    one = containers.run("one", NetworkMode="app")
    containers.run("two", NetworkMode="app")
    there = ip_in(engine, "two", "app")
    engine.kill()
    os.kill(names_pid(network), signal.SIGKILL)
    engine.start()

    def answers() -> bool:
        with contextlib.suppress(OSError):
            return addresses(one, "two", timeout_s=1) == {there}
        return False

    until(answers)
