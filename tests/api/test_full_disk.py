"""A data root that is full: each act with images says so, loses nothing, and works once there is room."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import random
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.engine_process import EngineProcess, UnixConnection
from tests.registry_process import registry_process
from tests.unit.image.conftest import make_archive
from tests.waiting import until

ROOM = 24 << 20
LARGE = make_archive(*[(f"d/f{number}", random.Random(number).randbytes(500_000)) for number in range(12)])


@pytest.fixture(scope="module")
def disk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A file system with little room."""
    path = tmp_path_factory.mktemp("disk")
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={ROOM}", "sampan-test", str(path)], check=True)
    try:
        yield path
    finally:
        subprocess.run(["umount", "-l", str(path)], check=True)


@pytest.fixture(scope="module")
def the_engine(disk: Path) -> Iterator[EngineProcess]:
    """An engine on it, with the image `small` and a container of it that wrote something large."""
    with EngineProcess(disk) as running:
        send(running, "/images/create?fromSrc=-&repo=small", make_archive(("f", b"small")))
        container = running.create("wrote", "/none", image="small")
        upper = Path(running.data_root) / "containers" / container / "upper"
        for number in range(8):
            (upper / f"w{number}").write_bytes(random.Random(number).randbytes(500_000))
        yield running


@pytest.fixture
def engine(the_engine: EngineProcess, disk: Path) -> Iterator[EngineProcess]:
    """The engine, with room on its disk and no other image than `small` before and after."""
    yield the_engine
    (disk / "ballast").unlink(missing_ok=True)
    the_engine.request("DELETE", "/images/large?force=1")
    until(lambda: len(state(the_engine)[1]) == 1, 30)


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory, the_engine: EngineProcess) -> Iterator[str]:
    """A registry that has the image `large`."""
    with registry_process(tmp_path_factory.mktemp("registry")) as domain:
        import_it(the_engine)
        the_engine.json("POST", f"/images/large/tag?repo={domain}/large", expect=201)
        assert b"error" not in the_engine.request("POST", f"/images/{domain}/large/push?tag=latest")[1]
        for name in ("large", f"{domain}/large"):
            the_engine.json("DELETE", f"/images/{name}?force=1")
        until(lambda: len(state(the_engine)[1]) == 1, 30)
        yield domain


def send(engine: EngineProcess, path: str, body: bytes) -> str:
    connection = UnixConnection(engine.socket)
    try:
        connection.request("POST", path, body, {"Content-Type": "application/x-tar"})
        return connection.getresponse().read().decode()
    finally:
        connection.close()


def fill(disk: Path, leave: int = 0) -> None:
    """Let a ballast take all room but so many bytes."""
    with (disk / "ballast").open("wb") as file:
        for _ in range(100):
            room = os.statvfs(disk)
            left = room.f_bavail * room.f_bsize - leave
            try:
                os.posix_fallocate(file.fileno(), 0, max(left - left % 4096, 4096))
            except OSError as error:
                if error.errno != errno.ENOSPC:
                    raise
                continue  # the engine wrote a line of its log meanwhile
            return


def state(engine: EngineProcess) -> tuple[list[str], list[str]]:
    images = sorted(image["Id"] for image in engine.json("GET", "/images/json?all=1"))
    return images, sorted({*os.listdir(Path(engine.data_root) / "layers")} - {"bottom"})


def load(engine: EngineProcess) -> str:
    return send(engine, "/images/load", saved(LARGE))


def import_it(engine: EngineProcess) -> str:
    return send(engine, "/images/create?fromSrc=-&repo=large", LARGE)


def commit(engine: EngineProcess) -> str:
    return engine.request("POST", "/commit?container=wrote&repo=large", {})[1].decode()


def saved(layer: bytes) -> bytes:
    """An image of one layer as `docker save` writes it."""
    digest = hashlib.sha256(layer).hexdigest()
    config = json.dumps({"os": "linux", "architecture": "amd64", "rootfs": {"diff_ids": [f"sha256:{digest}"]}})
    manifest = json.dumps([{"Config": "c.json", "RepoTags": ["large:latest"], "Layers": ["layer.tar"]}])
    return make_archive(("layer.tar", layer), ("c.json", config.encode()), ("manifest.json", manifest.encode()))


def test_a_pull_that_finds_no_room_says_so_and_works_with_room(
    engine: EngineProcess, disk: Path, registry: str
) -> None:
    before = state(engine)
    fill(disk, 5_000_000)
    answer = send(engine, f"/images/create?fromImage={registry}/large&tag=latest", b"")
    assert "No space left" in answer, answer
    assert state(engine) == before
    engine.json("POST", "/images/prune")  # what came of it goes
    assert os.statvfs(disk).f_bavail * os.statvfs(disk).f_bsize > 4_000_000
    (disk / "ballast").unlink()
    assert "error" not in send(engine, f"/images/create?fromImage={registry}/large&tag=latest", b"")
    assert engine.json("GET", f"/images/{registry}/large/json")["Size"] == 6_000_000
    engine.json("DELETE", f"/images/{registry}/large?force=1")


@pytest.mark.parametrize("act", [load, import_it, commit])
@pytest.mark.parametrize("leave", [0, 1_500_000])
def test_what_finds_no_room_says_so_and_works_with_room(
    engine: EngineProcess, disk: Path, act: Callable[[EngineProcess], str], leave: int
) -> None:
    before = state(engine)
    fill(disk, leave)
    answer = act(engine)
    assert "No space left" in answer or "disk is full" in answer, answer
    assert state(engine) == before
    (disk / "ballast").unlink()
    assert "error" not in act(engine)
    assert len(state(engine)[0]) == 2
    status, archive = engine.request("GET", "/images/large:latest/get")
    assert (status, archive[-1024:]) == (200, bytes(1024))


def test_images_are_removed_from_a_full_disk(engine: EngineProcess, disk: Path) -> None:
    import_it(engine)
    fill(disk)
    engine.json("DELETE", "/images/large?force=1")
    (disk / "ballast").unlink()
    engine.json("GET", "/images/large/json", expect=404)


def test_images_are_pruned_from_a_full_disk(engine: EngineProcess, disk: Path) -> None:
    import_it(engine)
    fill(disk)
    engine.json("POST", '/images/prune?filters={"dangling":["false"]}')
    (disk / "ballast").unlink()
    engine.json("GET", "/images/large/json", expect=404)
    engine.json("GET", "/images/small/json")
