"""Builds that end in the middle: the client leaves, somebody cancels, the daemon is killed. Nothing is left."""

from __future__ import annotations

import os
import random
import socket
import threading
import time
from pathlib import Path

import pytest
from tests.building import Told, build, context_of, need_busybox
from tests.engine_process import EngineProcess
from tests.groups import groups_matching, remove_groups
from tests.waiting import until

from sampan.linux.mount import UmountFlag, mount, umount

NAP = str(3_000_000 + os.getpid())  # seconds, by which the steps of this process are known
PARALLEL = f"""FROM busybox AS base
RUN echo done before
FROM base AS one
RUN touch /one; sleep {NAP}
FROM base AS two
RUN --mount=type=cache,target=/c touch /c/two; sleep {NAP}
FROM base
COPY --from=one /one /one
COPY --from=two /etc/passwd /two
"""


@pytest.fixture(autouse=True)
def _busybox() -> None:
    need_busybox()


def start_build(engine: EngineProcess, dockerfile: str, query: str = "") -> socket.socket:
    """Send a build and do not read its answer."""
    archive = context_of({"Dockerfile": dockerfile, "big": b"x" * 100_000})
    connection = socket.socket(socket.AF_UNIX)
    connection.connect(engine.socket)
    head = f"POST /build?{query} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(archive)}\r\n\r\n"
    connection.sendall(head.encode() + archive)
    return connection


def steps_running(engine: EngineProcess) -> int:
    found = engine.json("GET", "/containers/json")
    return sum(f"sleep {NAP}" in container["Command"] for container in found)


def sleepers() -> list[str]:
    """The processes of the steps, by /proc."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().split(b"\0")
        except OSError:
            continue
        if NAP.encode() in words and words[0].endswith(b"sleep"):
            found.append(str(path))
    return found


def assert_nothing_is_left(engine: EngineProcess) -> None:
    until(lambda: engine.json("GET", "/containers/json?all=1") == [], 30)
    until(lambda: os.listdir(f"{engine.data_root}/build") == [], 30)
    until(lambda: sleepers() == [], 30)
    layers = Path(engine.data_root, "layers")
    until(lambda: not [path for path in layers.iterdir() if path.name.startswith("new-")], 30)
    until(lambda: os.listdir(f"{engine.data_root}/containers") == [])
    until(lambda: not [name for name in os.listdir(engine.exec_root) if name.startswith("build-")])
    until(lambda: f" {engine.data_root}/" not in Path("/proc/self/mountinfo").read_text())


def assert_the_cache_is_sound(engine: EngineProcess) -> None:
    """What was done before counts, what was cut off does not, and a whole build works."""
    dockerfile = PARALLEL.replace(f"sleep {NAP}", "true")
    told = build(engine, {"Dockerfile": dockerfile})
    assert not told.error
    assert told.cached()[0]
    status, content = engine.request("GET", f"/images/{told.image_id}/get")
    assert status == 200
    assert len(content) > 1000


def test_a_client_that_leaves_cancels_its_build(engine: EngineProcess) -> None:
    connection = start_build(engine, PARALLEL)
    until(lambda: steps_running(engine) == 2, 30)
    connection.close()
    assert_nothing_is_left(engine)
    assert_the_cache_is_sound(engine)


def test_a_client_that_leaves_while_it_sends_leaves_nothing(engine: EngineProcess) -> None:
    connection = socket.socket(socket.AF_UNIX)
    connection.connect(engine.socket)
    archive = context_of({"Dockerfile": "FROM busybox\n", "big": b"x" * 4_000_000})
    head = f"POST /build HTTP/1.1\r\nHost: x\r\nContent-Length: {len(archive)}\r\n\r\n"
    connection.sendall(head.encode() + archive[:2_000_000])
    until(lambda: os.listdir(f"{engine.data_root}/build") != [], 30)
    connection.close()
    assert_nothing_is_left(engine)


def test_a_build_is_cancelled_by_its_id(engine: EngineProcess) -> None:
    connection = start_build(engine, PARALLEL, "buildid=mine")
    until(lambda: steps_running(engine) == 2, 30)
    engine.json("POST", "/build/cancel?id=mine", expect=204)
    told = b""
    with connection:
        connection.settimeout(30)
        while not told.endswith(b"0\r\n\r\n"):
            told += (piece := connection.recv(65536))
            assert piece, told
    assert b"the build was canceled" in told
    assert_nothing_is_left(engine)
    engine.json("POST", "/build/cancel?id=mine", expect=404)


def test_a_killed_daemon_leaves_nothing_of_a_parallel_build_and_a_sound_cache(engine: EngineProcess) -> None:
    connection = start_build(engine, PARALLEL)
    until(lambda: steps_running(engine) == 2, 30)
    until(lambda: len(sleepers()) == 2, 30)
    engine.kill()
    connection.close()
    assert len(sleepers()) == 2  # containers outlive the daemon; the next one ends these
    engine.start()
    assert_nothing_is_left(engine)
    assert_the_cache_is_sound(engine)


def test_a_daemon_that_ends_in_order_ends_its_builds_and_says_so(engine: EngineProcess) -> None:
    connection = start_build(engine, PARALLEL)
    until(lambda: steps_running(engine) == 2, 30)
    until(lambda: len(sleepers()) == 2, 30)
    engine.stop()
    assert sleepers() == []
    told = b""
    with connection:
        connection.settimeout(30)
        while piece := connection.recv(65536):
            told += piece
    assert b"the build was canceled" in told
    assert told.endswith(b"0\r\n\r\n")
    assert os.listdir(f"{engine.data_root}/containers") == []
    engine.start()
    assert_nothing_is_left(engine)
    assert_the_cache_is_sound(engine)


@pytest.mark.parametrize("words", ["Step 3", "Step 5"])
def test_a_daemon_that_is_killed_between_steps_loses_nothing_else(engine: EngineProcess, words: str) -> None:
    dockerfile = "FROM busybox\nRUN echo 1 > /1\nCOPY big /big\nWORKDIR /w\nRUN echo 2 > /2\n"
    connection = start_build(engine, dockerfile, "nocache=1")
    told = b""
    connection.settimeout(30)
    while words.encode() not in told:
        piece = connection.recv(4096)
        assert piece, told
        told += piece
    engine.kill()
    connection.close()
    engine.start()
    assert_nothing_is_left(engine)
    assert not build(engine, {"Dockerfile": dockerfile, "big": "x"}).error


def test_two_builds_at_once_share_steps_and_do_not_disturb_each_other(engine: EngineProcess) -> None:
    found: list[Told] = []
    files = {"Dockerfile": "FROM busybox\nRUN sleep 0.2; echo shared > /s\nCOPY f /f\n", "f": "x"}
    threads = [threading.Thread(target=lambda: found.append(build(engine, files))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [told.error for told in found] == [{}] * 4
    assert_nothing_is_left(engine)


def test_a_full_disk_ends_a_build_with_a_sentence_and_leaves_nothing(tmp_path: Path) -> None:
    place = tmp_path / "small"
    place.mkdir()
    mount("small", str(place), "tmpfs", 0, "size=24m")
    try:
        with EngineProcess(place) as engine:
            told = build(engine, {"Dockerfile": "FROM busybox\nCOPY big /big\n", "big": b"x" * 14_000_000})
            assert "no space" in told.error["message"].lower()
            assert told.error["remedy"]
            assert_nothing_is_left(engine)
            assert not build(engine, {"Dockerfile": "FROM busybox\nRUN true\n"}).error
    finally:
        umount(str(place), UmountFlag.DETACH)  # what the engine has forked may end a moment later


@pytest.mark.timeout(3600)
def test_a_daemon_that_is_killed_at_any_point_of_a_build_leaves_nothing_of_it(
    tmp_path: Path, pytestconfig: pytest.Config
) -> None:
    """Half as often as `--kills N` says: a chain of steps, each with the next one's process made while it runs."""
    dockerfile = "FROM busybox\n" + "".join(f"RUN echo {number} > /f{number}\n" for number in range(8))
    files: dict[str, str | bytes] = {"Dockerfile": dockerfile, "big": b"x" * 100_000}
    parent = f"sampan-test-builds-{os.getpid()}"
    chance = random.Random(7)
    try:
        with EngineProcess(tmp_path, "--cgroup-parent", f"/{parent}") as engine:
            whole = build(engine, files).image_id
            for _ in range(int(pytestconfig.getoption("--kills")) // 2):
                connection = start_build(engine, dockerfile, "nocache=1")
                time.sleep(chance.uniform(0, 0.4))
                engine.kill()
                connection.close()
                engine.start()
                assert_nothing_is_left(engine)
                until(lambda: not [name for name in os.listdir(engine.exec_root) if len(name) == 64], 30)
                until(lambda: groups_matching(f"{parent}/*") == [], 30)
                assert build(engine, files).image_id == whole
                status, content = engine.request("GET", f"/images/{whole}/get")
                assert status == 200
                assert content.endswith(bytes(1024))
    finally:
        remove_groups(f"/{parent}")
