"""Names in users' networks: who finds whom, what is asked elsewhere, and what goes on without a daemon."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dnslib import QTYPE, RCODE, RR, A, DNSRecord
from tests.engine_process import EngineProcess
from tests.network_containers import Containers, Networks, ip_in
from tests.private_network import HOST4, OUTSIDE4, Place, PrivateNetwork
from tests.waiting import until

SERVER = ("127.0.0.11", 53)


def ask(place: Place, name: str, kind: str = "A", *, stream: bool = False, timeout_s: float = 30) -> DNSRecord:
    question = DNSRecord.question(name, kind).pack()
    with place.open_socket(kind=socket.SOCK_STREAM if stream else socket.SOCK_DGRAM) as client:
        client.settimeout(timeout_s)
        client.connect(SERVER)
        if stream:
            client.sendall(len(question).to_bytes(2, "big") + question)
            return DNSRecord.parse(client.recv(4096)[2:])
        client.send(question)
        return DNSRecord.parse(client.recv(4096))


def addresses(place: Place, name: str, kind: str = "A", *, stream: bool = False, timeout_s: float = 30) -> set[str]:
    return {str(record.rdata) for record in ask(place, name, kind, stream=stream, timeout_s=timeout_s).rr}


@contextmanager
def name_server(place: Place, address: str, answer: str) -> Iterator[list[str]]:
    """A name server that knows one address for everything, or fails without; the list tells who asked it."""
    seen: list[str] = []
    server = place.open_socket(kind=socket.SOCK_DGRAM)
    server.bind((address, 53))
    server.settimeout(0.05)
    end = threading.Event()

    def serve() -> None:
        while not end.is_set():
            try:
                question, client = server.recvfrom(4096)
            except TimeoutError:
                continue
            seen.append(client[0])
            query = DNSRecord.parse(question)
            reply = query.reply()
            if answer:
                reply.add_answer(RR(query.q.qname, QTYPE.A, rdata=A(answer)))
            else:
                reply.header.rcode = RCODE.SERVFAIL
            server.sendto(reply.pack(), client)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield seen
    finally:
        end.set()
        thread.join()
        server.close()


def test_names_aliases_and_short_ids_are_found_in_both_directions(
    engine: EngineProcess, networks: Networks, containers: Containers
) -> None:
    networks.create("app", EnableIPv6=True)
    one = containers.run("one", NetworkMode="app")
    containers.run("db", networks={"app": {"Aliases": ["data"]}}, NetworkMode="app")
    there = ip_in(engine, "db", "app")
    short = engine.inspect("db")["Id"][:12]
    for name in ("db", "DB", "data", "db.app", short):
        assert addresses(one, name) == {there}
        assert addresses(one, name, stream=True) == {there}
    assert addresses(one, "db", "AAAA") == {ip_in(engine, "db", "app", "GlobalIPv6Address")}
    reverse = ".".join(reversed(there.split("."))) + ".in-addr.arpa"
    assert addresses(one, reverse, "PTR") == {"db.app."}
    assert "nameserver 127.0.0.11" in Path(engine.inspect("one")["ResolvConfPath"]).read_text()
    containers.remove("db")
    with name_server(containers.place("one"), "127.0.0.99", "192.0.2.1"):
        assert addresses(one, "db") == set()


def test_an_alias_of_several_is_all_of_them_and_strangers_are_nobody(
    engine: EngineProcess, networks: Networks, containers: Containers
) -> None:
    networks.create("app")
    networks.create("other")
    for name in ("web1", "web2"):
        containers.run(name, networks={"app": {"Aliases": ["web"]}}, NetworkMode="app")
    one = containers.place("web1")
    both = {ip_in(engine, name, "app") for name in ("web1", "web2")}
    assert addresses(one, "web") == both
    assert {str(ask(one, "web").rr[0].rdata) for _ in range(40)} == both
    stranger = containers.run("stranger", NetworkMode="other", Dns=["127.0.0.1"])
    assert addresses(stranger, "web1") == set()


def test_what_is_no_name_here_is_asked_where_the_container_was_told_to(
    network: PrivateNetwork, networks: Networks, containers: Containers
) -> None:
    networks.create("app")
    asking = containers.run("asking", NetworkMode="app", Dns=[OUTSIDE4])
    with name_server(network.outside, OUTSIDE4, "192.0.2.7") as seen:
        assert addresses(asking, "far.example.") == {"192.0.2.7"}
    assert seen == [HOST4]
    local = containers.run("local", NetworkMode="app", Dns=["127.0.0.53"])
    with name_server(network, "127.0.0.53", "192.0.2.8"):  # a resolver on the host's own loopback
        assert addresses(local, "far.example.") == {"192.0.2.8"}


def test_a_container_s_own_server_is_asked_on_its_own_loopback(
    networks: Networks, containers: Containers, network: PrivateNetwork
) -> None:
    networks.create("app")
    own = containers.run("own", NetworkMode="app", Dns=["127.0.0.54", "127.0.0.11"])
    with name_server(network, "127.0.0.54", "192.0.2.8"), name_server(own, "127.0.0.54", "192.0.2.9"):
        assert addresses(own, "far.example.") == {"192.0.2.9"}


def test_a_server_that_fails_is_followed_by_the_next(
    network: PrivateNetwork, networks: Networks, containers: Containers
) -> None:
    networks.create("app")
    failing, knowing = "127.0.0.55", "127.0.0.56"
    asking = containers.run("asking", NetworkMode="app", Dns=[failing, knowing])
    with name_server(network, failing, "") as seen:
        assert ask(asking, "far.example.").header.rcode == RCODE.SERVFAIL
        with name_server(network, knowing, "192.0.2.7"):
            assert addresses(asking, "far.example.") == {"192.0.2.7"}
    assert len(seen) == 2


def test_a_container_that_asks_without_end_leaves_others_their_answers(
    network: PrivateNetwork, networks: Networks, containers: Containers
) -> None:
    networks.create("app")
    flooding = containers.run("flooding", NetworkMode="app", Dns=[OUTSIDE4])  # where nobody answers
    asking = containers.run("asking", NetworkMode="app", Dns=["127.0.0.57"])
    with contextlib.ExitStack() as stack:
        silent = stack.enter_context(network.outside.open_socket(kind=socket.SOCK_DGRAM))
        silent.bind((OUTSIDE4, 53))
        stack.enter_context(name_server(network, "127.0.0.57", "192.0.2.7"))
        client = stack.enter_context(flooding.open_socket(kind=socket.SOCK_DGRAM))
        client.connect(SERVER)
        for number in range(3000):
            client.send(DNSRecord.question(f"{number}.example.").pack())
        for _ in range(200):
            stack.enter_context(flooding.open_socket()).connect(SERVER)
        assert addresses(asking, "far.example.", timeout_s=5) == {"192.0.2.7"}


def test_nothing_of_an_internal_network_is_asked_outside(
    engine: EngineProcess, network: PrivateNetwork, networks: Networks, containers: Containers
) -> None:
    networks.create("inner", Internal=True)
    kept = containers.run("kept", NetworkMode="inner", Dns=[OUTSIDE4])
    with name_server(network.outside, OUTSIDE4, "192.0.2.7") as seen:
        assert ask(kept, "secret.example.").header.rcode == RCODE.SERVFAIL
        assert addresses(kept, "kept") == {ip_in(engine, "kept", "inner")}
    assert seen == []


def test_names_are_answered_while_the_daemon_is_dead_and_change_when_it_is_back(
    engine: EngineProcess, networks: Networks, containers: Containers
) -> None:
    networks.create("app")
    one = containers.run("one", NetworkMode="app")
    engine.kill()
    assert addresses(one, "one") == {ip_address(one)}
    engine.start()
    containers.run("two", NetworkMode="app")
    assert addresses(one, "two") == {ip_in(engine, "two", "app")}


def ip_address(place: Place) -> str:
    words = place.run("ip", "-4", "-o", "address", "show", "eth0").split()
    return words[words.index("inet") + 1].partition("/")[0]


def test_a_killed_names_process_is_replaced(
    engine: EngineProcess, network: PrivateNetwork, networks: Networks, containers: Containers
) -> None:
    networks.create("app")
    one = containers.run("one", NetworkMode="app")
    assert addresses(one, "one")
    os.kill(names_pid(network), signal.SIGKILL)

    def answers() -> bool:
        try:
            return addresses(one, "one", timeout_s=1) == {ip_in(engine, "one", "app")}
        except OSError:
            return False

    until(answers)


def names_pid(network: PrivateNetwork) -> int:
    here = os.fstat(network.netns_fd).st_ino
    for pid in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError):
            is_one = Path(f"/proc/{pid}/comm").read_text().strip() == "sampan-names"
            if is_one and os.stat(f"/proc/{pid}/ns/net").st_ino == here:
                return int(pid)
    raise AssertionError("there is no names process")


def test_a_container_that_joins_learns_to_ask_and_one_that_serves_port_53_may(
    engine: EngineProcess, networks: Networks, containers: Containers
) -> None:
    networks.create("app")
    mover = containers.run("mover")
    containers.run("mate", NetworkMode="app")
    resolv_conf = Path(engine.inspect("mover")["ResolvConfPath"])
    assert "127.0.0.11" not in resolv_conf.read_text()
    networks.connect("app", "mover", Aliases=["moved"])
    assert "127.0.0.11" in resolv_conf.read_text()
    assert addresses(mover, "mate") == {ip_in(engine, "mate", "app")}
    assert addresses(containers.place("mate"), "moved") == {ip_in(engine, "mover", "app")}
    with mover.open_socket(kind=socket.SOCK_DGRAM) as own:
        own.bind(("0.0.0.0", 53))
    networks.disconnect("app", "mover")
    assert "127.0.0.11" not in resolv_conf.read_text()


def test_a_link_is_a_name_for_one_alone(engine: EngineProcess, networks: Networks, containers: Containers) -> None:
    networks.create("app")
    containers.run("db", NetworkMode="app")
    linked = containers.run("linked", NetworkMode="app", Links=["db:database"])
    plain = containers.run("plain", NetworkMode="app", Dns=["127.0.0.1"])
    assert addresses(linked, "database") == {ip_in(engine, "db", "app")}
    assert addresses(plain, "database") == set()
