"""The daemon killed at random points of pull, load, import, commit, rmi and prune: the store is consistent afterwards.

Half as often as `--kills N` says; the suite itself makes do with some.
"""

from __future__ import annotations

import http.client
import random
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.engine_process import EngineProcess, UnixConnection
from tests.registry_process import registry_process
from tests.unit.image.conftest import make_archive
from tests.waiting import until

_GONE = (OSError, http.client.HTTPException)
TAGS = 3


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[str]:
    """A registry's domain."""
    with registry_process(tmp_path) as domain:
        yield domain


def post(engine: EngineProcess, path: str, body: bytes = b"") -> bytes:
    """Send bytes; the answer, whatever it is."""
    connection = UnixConnection(engine.socket)
    try:
        connection.request("POST", path, body, {"Content-Type": "application/x-tar"})
        return connection.getresponse().read()
    finally:
        connection.close()


class Client(threading.Thread):
    """Does one thing after the other with images until the daemon dies."""

    def __init__(self, engine: EngineProcess, registry: str, archives: list[bytes], seed: int) -> None:
        super().__init__(daemon=True)
        self.engine, self.registry, self.archives = engine, registry, archives
        self.random = random.Random(seed)
        self.number = seed * 1000
        self.done = 0

    def run(self) -> None:
        acts = (self.pull, self.load, self.import_it, self.commit, self.remove, self.remove, self.prune)
        try:
            while True:
                self.number += 1
                self.random.choice(acts)()
                self.done += 1
        except _GONE:
            pass

    def pull(self) -> None:
        post(self.engine, f"/images/create?fromImage={self.registry}/app&tag={self.random.randrange(TAGS)}")

    def load(self) -> None:
        post(self.engine, "/images/load", self.random.choice(self.archives))

    def import_it(self) -> None:
        tree = make_archive((f"f{self.number}", self.random.randbytes(200_000)))
        post(self.engine, f"/images/create?fromSrc=-&repo=new&tag={self.random.randrange(TAGS)}", tree)

    def commit(self) -> None:
        self.engine.request("POST", f"/commit?container=kept&repo=made&tag={self.random.randrange(TAGS)}", {})

    def remove(self) -> None:
        name = self.random.choice((f"{self.registry}/app", "app", "new", "made"))
        self.engine.request("DELETE", f"/images/{name}:{self.random.randrange(TAGS)}?force=1")

    def prune(self) -> None:
        self.engine.request("POST", "/images/prune")


def fill(engine: EngineProcess, registry: str) -> list[bytes]:
    """Put images of two layers, one of them shared, into the registry, and save them; nothing of them stays here."""
    archives = []
    chance = random.Random(3)
    base = make_archive(("base", chance.randbytes(700_000)))
    post(engine, "/images/create?fromSrc=-&repo=base&tag=1", base)
    for tag in range(TAGS):
        engine.create(f"c{tag}", "/none", image="base:1")
        own = make_archive((f"own{tag}", chance.randbytes(900_000)))
        connection = UnixConnection(engine.socket)
        connection.request("PUT", f"/containers/c{tag}/archive?path=/", own, {"Content-Type": "application/x-tar"})
        assert connection.getresponse().read() == b""
        connection.close()
        engine.json("POST", f"/commit?container=c{tag}&repo=app&tag={tag}", {})
        archives.append(engine.request("GET", f"/images/app:{tag}/get")[1])
        engine.json("POST", f"/images/app:{tag}/tag?repo={registry}/app&tag={tag}", expect=201)
        assert b"errorDetail" not in engine.request("POST", f"/images/{registry}/app/push?tag={tag}")[1]
        engine.request("DELETE", f"/containers/c{tag}")
        for name in ("app", f"{registry}/app"):
            engine.json("DELETE", f"/images/{name}:{tag}?force=1")
    engine.create("kept", "/none", image="base:1")
    return archives


def images_of(engine: EngineProcess) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = engine.json("GET", "/images/json?all=1")
    return found


def check(engine: EngineProcess) -> None:
    """Every image that is listed is whole, byte for byte."""
    for image in images_of(engine):
        status, archive = engine.request("GET", f"/images/{image['Id']}/get")
        assert status == 200, archive[:300]
        assert archive.endswith(bytes(1024)), "the archive ends without its end: a layer is damaged"


def check_empty(engine: EngineProcess) -> None:
    """After everything is pruned nothing is left but what the one container stands on."""
    engine.json("POST", '/images/prune?filters={"dangling":["false"]}')
    layers = engine.inspect("kept")["Image"]
    assert [image["Id"] for image in images_of(engine)] == [layers], images_of(engine)
    data = Path(engine.data_root)
    until(lambda: len([path for path in (data / "layers").iterdir() if path.name != "bottom"]) == 1, 30)
    assert list((data / "content/partial").iterdir()) == []


@pytest.mark.timeout(3600)
def test_images_survive_a_daemon_that_is_killed_at_any_point(
    engine: EngineProcess, registry: str, pytestconfig: pytest.Config
) -> None:
    archives = fill(engine, registry)
    chance = random.Random(11)
    for seed in range(int(pytestconfig.getoption("--kills")) // 2):
        clients = [Client(engine, registry, archives, seed * 2 + number) for number in range(2)]
        for client in clients:
            client.start()
        enough = chance.randrange(4, 16)
        until(lambda: sum(client.done for client in clients) >= enough, 60)  # noqa: B023  # it is over before the next
        time.sleep(chance.uniform(0, 0.05))
        engine.kill()
        for client in clients:
            client.join(60)
            assert not client.is_alive()
        engine.start()
        check(engine)
        if seed % 4 == 3:
            check_empty(engine)
    check_empty(engine)
    documents = {path.name for path in (Path(engine.data_root) / "content/blobs").glob("*/*")}
    engine.stop()
    engine.start()
    assert not list((Path(engine.data_root) / "content/blobs").glob("*/*")), documents
