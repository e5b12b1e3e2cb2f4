"""The daemon killed at random points of everything that touches networks; nothing is leaked, nothing lost."""

from __future__ import annotations

import contextlib
import http.client
import os
import random
import re
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from tests.engine_process import EngineProcess
from tests.private_network import PrivateNetwork, make_private_network
from tests.waiting import until

NAMES = ("one", "two", "three")
NETWORKS = ("red", "blue")


def work(engine: EngineProcess, end: threading.Event, seed: int) -> None:
    """Random verbs until the end; what they answer does not matter."""
    chance = random.Random(seed)
    while not end.is_set():
        name, network = chance.choice(NAMES), chance.choice(NETWORKS)
        port = {"80/tcp": [{"HostPort": str(8000 + NAMES.index(name))}]}
        host = {"NetworkMode": chance.choice(("default", network)), "PortBindings": port}
        verbs = (
            ("POST", f"/containers/create?name={name}", {"Image": "host", "Cmd": ["sleep", "300"], "HostConfig": host}),
            ("POST", f"/containers/{name}/start", None),
            ("POST", f"/containers/{name}/start", None),
            ("POST", f"/containers/{name}/stop?t=0", None),
            ("DELETE", f"/containers/{name}?force=1", None),
            ("POST", "/networks/create", {"Name": network}),
            ("DELETE", f"/networks/{network}", None),
            ("POST", f"/networks/{network}/connect", {"Container": name}),
            ("POST", f"/networks/{network}/disconnect", {"Container": name}),
            ("POST", f"/containers/{name}/update", {"PortBindings": {"81/tcp": [{"HostPort": "8100"}]}}),
            ("POST", f"/containers/{name}/update", {"UnpublishPorts": {"81/tcp": None}}),
        )
        with contextlib.suppress(OSError, http.client.HTTPException):
            engine.request(*chance.choice(verbs))


def in_force(engine: EngineProcess) -> list[dict[str, Any]]:
    """The running containers, as they are inspected."""
    found = [engine.inspect(one["Id"]) for one in engine.json("GET", "/containers/json")]
    return [one for one in found if one["State"]["Running"]]


def places_of(running: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Where they are in networks."""
    return [place for one in running for place in one["NetworkSettings"]["Networks"].values()]


def have_their_links(engine: EngineProcess, network: PrivateNetwork) -> bool:
    """Whether our links are those of the records: a container killed with the daemon may only now be ending."""
    links = {f"sp{place['EndpointID'][:12]}" for place in places_of(in_force(engine)) if place["MacAddress"]}
    return {link for link in network.links() if link.startswith("sp")} == links


def check(engine: EngineProcess, network: PrivateNetwork) -> None:
    """The kernel has what the records say, and nothing else."""
    until(lambda: have_their_links(engine, network))
    running = in_force(engine)
    places = places_of(running)
    known = {f"br-{one['Id'][:12]}" for one in engine.json("GET", "/networks")}
    assert {link for link in network.links() if link.startswith("br-")} <= known
    for place in places:
        if place["IPAddress"]:
            network.run("ping", "-c1", "-w30", place["IPAddress"])
    published = {
        (binding["HostPort"], one["NetworkSettings"]["Networks"][name]["IPAddress"])
        for one in running
        for bindings in one["NetworkSettings"]["Ports"].values()
        for binding in bindings or ()
        for name in one["NetworkSettings"]["Networks"]
    }
    rules = network.run("nft", "list map inet sampan any4", check=False)
    elements = set(re.findall(r"tcp \. (\d+) : ([\d.]+) \.", rules))
    assert elements <= published
    ports = {port for port, _ in published}
    assert {port for port, _ in elements} == ports


def test_no_kill_leaks_or_loses_what_is_of_networks(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    network = make_private_network()
    try:
        with EngineProcess(tmp_path, netns_fd=network.netns_fd) as engine:
            for kill in range(int(request.config.getoption("--kills"))):
                end = threading.Event()
                workers = [threading.Thread(target=work, args=(engine, end, kill * 7 + n)) for n in range(3)]
                for worker in workers:
                    worker.start()
                time.sleep(random.uniform(0.3, 1.5))
                engine.kill()
                end.set()
                for worker in workers:
                    worker.join()
                engine.start()
                check(engine, network)
        until(lambda: not names_processes(network))
    finally:
        network.close()


def come_and_go(engine: EngineProcess, end: threading.Event) -> None:
    """Connect to a network that ranks first, and leave it, until the end."""
    while not end.is_set():
        for verb in ("connect", "disconnect"):
            with contextlib.suppress(OSError, http.client.HTTPException):
                engine.request("POST", f"/networks/alpha/{verb}", {"Container": "web"})


def test_no_kill_loses_a_port_that_moves_with_the_first_network(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    network = make_private_network()
    try:
        with EngineProcess(tmp_path, netns_fd=network.netns_fd) as engine:
            for name in ("alpha", "zulu"):
                engine.json("POST", "/networks/create", {"Name": name}, expect=201)
            ports = {"80/tcp": [{"HostPort": "8200"}]}
            engine.run("web", "sleep", "300", host={"NetworkMode": "zulu", "PortBindings": ports})
            for _ in range(int(request.config.getoption("--kills"))):
                end = threading.Event()
                worker = threading.Thread(target=come_and_go, args=(engine, end))
                worker.start()
                time.sleep(random.uniform(0.2, 0.5))
                engine.kill()
                end.set()
                worker.join()
                engine.start()
                check(engine, network)
                assert engine.inspect("web")["NetworkSettings"]["Ports"]["80/tcp"]
            engine.json("DELETE", "/containers/web?force=1", expect=204)
    finally:
        network.close()


def names_processes(network: PrivateNetwork) -> list[str]:
    """The names processes of the network: each ends with the last container that has names."""
    here = os.fstat(network.netns_fd).st_ino
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError):
            is_one = Path(f"/proc/{pid}/comm").read_text().strip() == "sampan-names"
            if is_one and os.stat(f"/proc/{pid}/ns/net").st_ino == here:
                found.append(pid)
    return found
