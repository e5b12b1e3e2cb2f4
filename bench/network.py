"""Networks side by side with Docker's: starts on the bridge, throughput, latency, and what many ports cost.

Each engine lives in a network namespace of its own, with another host outside. Programs that need no container, such
as iperf3, run in the containers' network namespaces: their packets go the same way.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import statistics
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tests.private_network import HOST4, Place, PrivateNetwork, make_private_network

from bench.engines import Engine, engines
from bench.measure import OURS, Row, compare, table
from sampan.linux.network_namespace import inside

MANY = int(os.environ.get("SAMPAN_BENCH_CONTAINERS", "500"))
SECONDS = "1"
_PORT = 5201
NOISE = 0.05
ROUNDS, ANSWERS = 60, 200


@dataclass(frozen=True, slots=True)
class Side:
    """One engine in its network."""

    engine: Engine
    network: PrivateNetwork

    def run(self, name: str, *words: str) -> Place:
        """A container that sleeps, as a place."""
        self.engine.run("run", "-d", "--name", name, *words, "bench", "sleep", "100000")
        return self.place(name)

    def inspect(self, name: str, form: str) -> str:
        return self.engine.run("inspect", "-f", form, name).decode().strip()

    def place(self, name: str) -> Place:
        pid = self.inspect(name, "{{.State.Pid}}")
        return Place(os.open(f"/proc/{pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC))

    def address(self, name: str) -> str:
        return self.inspect(name, "{{.NetworkSettings.IPAddress}}")


def starts(docker: Side, sampan: Side, runs: int) -> list[Row]:
    """`run --rm` on the bridge, with and without a port."""
    found = []
    for what, words in (("on the bridge", ()), ("-p", ("-p", "8080:80"))):
        command = ("run", "--rm", *words, "bench", "true")
        first = partial(docker.engine.run, *command)
        for whose, other, plain in (
            ("the docker CLI on both sides", partial(sampan.engine.run, *command), 0.20),
            ("each its own CLI", partial(sampan.engine.run, *command, command=sampan.engine.command), 0.15),
        ):
            budget = 0.20 if words else plain
            found.append(
                compare(
                    f"`run --rm {what}`, {whose}" if words else f"`run --rm` {what}, {whose}",
                    first,
                    other,
                    runs=runs,
                    budget=budget,
                )
            )
    return found


@contextlib.contextmanager
def iperf_server(place: Place) -> Iterator[None]:
    words = ["nsenter", f"--net=/proc/{os.getpid()}/fd/{place.netns_fd}", "iperf3", "-s", "-p", str(_PORT)]
    server = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        end = time.monotonic() + 10
        while f":{_PORT}" not in place.run("ss", "-ltn") and time.monotonic() < end:
            time.sleep(0.02)
        yield
    finally:
        server.terminate()
        server.wait()


def throughput(server: Place, client: Place, address: str, port: int = _PORT) -> float:
    """Gigabits a second, by iperf3."""
    with iperf_server(server):
        shown = json.loads(client.run("iperf3", "-c", address, "-p", str(port), "-t", SECONDS, "-J"))
    return float(shown["end"]["sum_received"]["bits_per_second"]) / 1e9


@contextlib.contextmanager
def answering(place: Place, port: int) -> Iterator[None]:
    """A process there that answers a byte with a byte and hangs up, on the processor of whoever calls."""
    listener = place.open_socket()
    listener.settimeout(None)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("0.0.0.0", port))
    listener.listen(64)
    pid = os.fork()
    if not pid:
        while True:
            client, _ = listener.accept()
            client.send(client.recv(1))
            client.close()
    listener.close()
    try:
        yield
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def first_answer_us(client: Place, address: str, port: int, count: int) -> float:
    """A new connection and the first byte back, the median."""
    times = []
    with inside(client.netns_fd):
        for _ in range(count):
            begin = time.perf_counter()
            with socket.create_connection((address, port)) as connection:
                connection.send(b"?")
                connection.recv(1)
            times.append((time.perf_counter() - begin) * 1e6)
    return statistics.median(times)


def first_answers(sides: tuple[Side, Side], webs: tuple[Place, Place]) -> Row:
    """First answers in turn, in many short rounds. Client and server share a processor, or the row would be of the
    scheduler, which wakes one on the other's or on its own: two equal sides differ by 1 % so, else by 15."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(before)})
    try:
        with answering(webs[0], 80), answering(webs[1], 80):
            ask = [partial(first_answer_us, side.network.outside, HOST4, 8081) for side in sides]
            one, other = zip(*((ask[0](ANSWERS), ask[1](ANSWERS)) for _ in range(ROUNDS)), strict=True)
    finally:
        os.sched_setaffinity(0, before)
    samples = {"Docker": one, OURS: other}
    return Row("first answer through a published port", samples, budget=1.0, unit="µs", noise=0.01)


def ways(side: Side, web: Place, other: Place) -> dict[str, Callable[[], float]]:
    """What is measured of one engine; `web` has the ports."""
    return {
        "container to container, Gbit/s": partial(throughput, web, other, side.address("web")),
        "container to host, Gbit/s": partial(throughput, side.network, other, HOST4),
        "through a published port, Gbit/s": partial(throughput, web, side.network.outside, HOST4, 8080),
    }


def traffic(docker: Side, sampan: Side, rounds: int) -> Iterator[Row]:
    """Throughput and latency, in turn; two equal sides differ by 5 % on a machine that does nothing else."""
    places = [(side.run("web", "-p", f"8080:{_PORT}", "-p", "8081:80"), side.run("other")) for side in (docker, sampan)]
    first, second = (ways(side, *place) for side, place in zip((docker, sampan), places, strict=True))
    for name in first:
        one, other = zip(*((first[name](), second[name]()) for _ in range(rounds)), strict=True)
        what, _, unit = name.rpartition(", ")
        samples = {"Docker": one, OURS: other}
        yield Row(what, samples, budget=1.0, unit=unit, more_is_better=True, noise=NOISE)
    yield first_answers((docker, sampan), (places[0][0], places[1][0]))
    for web, client in places:
        os.close(web.netns_fd)
        os.close(client.netns_fd)
    for side in (docker, sampan):
        side.engine.run("rm", "-f", "web", "other")


def pss_kb(side: Side) -> int:
    """The proportional memory of everything of the engine's: daemon, launcher, monitors or shims, proxies, names."""
    root = side.engine.socket.rpartition("/")[0]
    mine = {side.engine.process.pid}
    parents = {}
    for pid in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError):
            words = Path(f"/proc/{pid}/cmdline").read_bytes()
            parents[int(pid)] = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
            if root.encode() in words:
                mine.add(int(pid))
    grown = True
    while grown:
        more = {pid for pid, parent in parents.items() if parent in mine} - mine
        grown = bool(more)
        mine |= more
    total_kb = 0
    for number in mine:
        with contextlib.suppress(OSError, StopIteration):
            if Path(f"/proc/{number}/cmdline").read_bytes().startswith(b"sleep\0"):
                continue
            lines = Path(f"/proc/{number}/smaps_rollup").read_text().splitlines()
            total_kb += next(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return total_kb


@dataclass(frozen=True, slots=True)
class Many:
    """What many containers with a port each cost: milliseconds of the first and of the last starts, memory of each."""

    first: list[float]
    last: list[float]
    each_kb: float


def many(side: Side, count: int) -> Many:
    """Start that many; the first eleven and eleven more at the end are timed."""

    def start(number: int) -> float:
        begin = time.perf_counter()
        port = f"{20000 + number}:80"
        side.engine.run("run", "-d", "--name", f"many{number}", "-p", port, "bench", "sleep", "100000")
        return (time.perf_counter() - begin) * 1000

    start(0)
    side.engine.run("rm", "-f", "many0")
    idle = pss_kb(side)
    taken = [start(number) for number in range(1, count + 12)]
    each_kb = (pss_kb(side) - idle) / (count + 11)
    ids = side.engine.run("ps", "-aq").decode().split()
    for place in range(0, len(ids), 50):
        side.engine.run("rm", "-f", *ids[place : place + 50])
    return Many(taken[:11], taken[-11:], each_kb)


def port_cost(side: Side, count: int) -> float:
    """What one published port costs in memory, kB: a container with many, beside one that has as many already."""
    seen = []
    for number in range(3):
        first = 30000 + number * count
        ports = f"{first}-{first + count - 1}:1-{count}"
        side.engine.run("run", "-d", "--name", f"ports{number}", "-p", ports, "bench", "sleep", "100000")
        time.sleep(1)
        seen.append(pss_kb(side))
    side.engine.run("rm", "-f", "ports0", "ports1", "ports2")
    return (seen[2] - seen[1]) / count


def crowds(docker: Side, sampan: Side) -> list[Row]:
    """Ports and containers by the hundred; Docker has a tenth of the containers, as each takes it 0.4 seconds."""
    ports = {"Docker": (port_cost(docker, 50),), OURS: (port_cost(sampan, 1000),)}
    ours, theirs = many(sampan, MANY), many(docker, min(MANY, 50))
    ratio = statistics.median(ours.last) / statistics.median(ours.first)
    return [
        Row("memory of a published port, container included", ports, limit=4, unit="kB"),
        Row(f"start {MANY + 1} with a port, to the first", {OURS: (ratio,)}, limit=1.3, unit="×"),
        Row("memory of a container with a port", {"Docker": (theirs.each_kb,), OURS: (ours.each_kb,)}, unit="kB"),
    ]


def rows(runs: int) -> list[Row]:
    """Every comparison."""
    networks = make_private_network(), make_private_network()
    try:
        with engines(namespaces=(networks[0].netns_fd, networks[1].netns_fd)) as both:
            docker, sampan = (Side(engine, network) for engine, network in zip(both, networks, strict=True))
            return [*starts(docker, sampan, runs), *traffic(docker, sampan, runs), *crowds(docker, sampan)]
    finally:
        for network in networks:
            network.close()


def main(runs: int) -> None:
    """Print the table."""
    print(table(rows(runs)))
