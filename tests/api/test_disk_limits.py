"""What is read from and written to one device: rates and weights, set, changed and lifted while it runs."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.engine_process import SOURCE, EngineProcess
from tests.loop_device import loop_device, scheduled_by_bfq
from tests.waiting import until

from sampan.cgroup.host import Mode, hierarchies

MEGABYTE = 1024 * 1024
PATIENCE_S = 30.0
COMMAND = "import sys; sys.path.insert(0, sys.argv.pop(1)); from sampan.cli.__main__ import main; sys.exit(main())"
# Each line is how long a round took: PIECES pieces of 32 kB past every cache.
PIECES = 24
ROUNDS = f"""
import mmap, os, sys, time
path, way = sys.argv[1:]
block = mmap.mmap(-1, 32768)
file = os.open(path, os.O_RDWR | os.O_DIRECT)
while True:
    began = time.monotonic()
    for number in range({PIECES}):
        if way == "write": os.pwrite(file, block, number * 32768)
        else: os.preadv(file, [block], number * 32768)
    print(time.monotonic() - began, flush=True)
    time.sleep(0.005)
"""
GREEDY = """
import mmap, os, random, sys, threading
def read():
    block = mmap.mmap(-1, 65536)
    file = os.open(sys.argv[1], os.O_RDONLY | os.O_DIRECT)
    while True: os.preadv(file, [block], random.randrange(256) * 65536)
threads = [threading.Thread(target=read) for _ in range(4)]
for thread in threads: thread.start()
"""


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[str]:
    with loop_device(tmp_path / "disk", 16 * MEGABYTE) as device:
        yield device


def _given(disk: str) -> dict[str, Any]:
    return {"Devices": [{"PathOnHost": disk, "PathInContainer": disk, "CgroupPermissions": "rw"}]}


def _update(engine: EngineProcess, name: str, **change: Any) -> None:
    engine.json("POST", f"/containers/{name}/update", change, expect=200)


def _lines(engine: EngineProcess, name: str) -> list[float]:
    return [float(line) for line in engine.output(name)]


@pytest.mark.parametrize(
    ("field", "way", "rate"),
    [
        ("BlkioDeviceReadBps", "read", 2 * PIECES * 32768),
        ("BlkioDeviceWriteBps", "write", 2 * PIECES * 32768),
        ("BlkioDeviceReadIOps", "read", 2 * PIECES),
        ("BlkioDeviceWriteIOps", "write", 2 * PIECES),
    ],
)
def test_a_rate_is_held_and_lifted_while_the_container_runs(
    engine: EngineProcess, disk: str, field: str, way: str, rate: int
) -> None:
    engine.run(field, "/usr/bin/python3", "-c", ROUNDS, disk, way, host=_given(disk))
    # half a second's worth in less: more than the rate
    until(lambda: min(_lines(engine, field), default=1.0) < 0.25, PATIENCE_S)
    _update(engine, field, **{field: [{"Path": disk, "Rate": rate}]})
    # what the kernel lets pass at once is a tenth of a second's worth
    until(lambda: _lines(engine, field)[-1] > 0.35, PATIENCE_S)
    held = len(_lines(engine, field))
    until(lambda: len(_lines(engine, field)) >= held + 2, PATIENCE_S)
    assert min(_lines(engine, field)[held:]) > 0.35
    assert engine.inspect(field)["HostConfig"][field] == [{"Path": disk, "Rate": rate}]
    _update(engine, field, **{field: [{"Path": disk, "Rate": 0}]})
    until(lambda: _lines(engine, field)[-1] < 0.25, PATIENCE_S)
    assert not engine.inspect(field)["HostConfig"][field]
    engine.json("DELETE", f"/containers/{field}?force=1", expect=204)


def test_a_rate_of_another_device_leaves_the_first_one_s(engine: EngineProcess, disk: str, tmp_path: Path) -> None:
    with loop_device(tmp_path / "other", MEGABYTE) as other:
        one, two = {"Path": disk, "Rate": 10 * MEGABYTE}, {"Path": other, "Rate": 20 * MEGABYTE}
        engine.run("two", "sleep", "300", host={"BlkioDeviceReadBps": [one]})
        _update(engine, "two", BlkioDeviceReadBps=[two])
        assert engine.inspect("two")["HostConfig"]["BlkioDeviceReadBps"] == [one, two]
        limits = "".join(str(line) for line in engine.json("GET", "/containers/two/limits"))
        assert str(10 * MEGABYTE) in limits
        assert str(20 * MEGABYTE) in limits
        engine.json("DELETE", "/containers/two?force=1", expect=204)


def test_the_command_changes_a_rate_and_a_weight_of_a_device(engine: EngineProcess, disk: str) -> None:
    engine.run("told", "sleep", "300")
    words = [sys.executable, "-I", "-c", COMMAND, str(SOURCE), "-H", f"unix://{engine.socket}", "update"]
    subprocess.run([*words, "--device-write-bps", f"{disk}:5mb", "told"], check=True)
    assert engine.inspect("told")["HostConfig"]["BlkioDeviceWriteBps"] == [{"Path": disk, "Rate": 5 * MEGABYTE}]
    subprocess.run([*words, "--device-write-bps", f"{disk}:0", "--device-read-iops", f"{disk}:7", "told"], check=True)
    assert not engine.inspect("told")["HostConfig"]["BlkioDeviceWriteBps"]
    assert engine.inspect("told")["HostConfig"]["BlkioDeviceReadIOps"] == [{"Path": disk, "Rate": 7}]
    engine.json("DELETE", "/containers/told?force=1", expect=204)


@pytest.mark.skipif(hierarchies().mode is Mode.V2, reason="v2 may have io.cost, which knows weights too")
def test_a_weight_of_a_device_that_nobody_schedules_is_refused_with_what_to_do(
    engine: EngineProcess, disk: str
) -> None:
    scheduler = Path("/sys/block", Path(disk).name, "queue/scheduler")
    before = scheduler.read_text().partition("[")[2].partition("]")[0]
    scheduler.write_text("none")
    try:
        host = {"NetworkMode": "none", "BlkioWeightDevice": [{"Path": disk, "Weight": 300}]}
        engine.create("unweighed", "true", host=host)
        answer = engine.json("POST", "/containers/unweighed/start", expect=501)
    finally:
        scheduler.write_text(before)
    assert "block io weight" in answer["message"]
    assert "bfq" in answer["remedy"] or "this kernel has no" in answer["message"]
    engine.json("DELETE", "/containers/unweighed?force=1", expect=204)


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="one processor cannot keep a disk busy for two")
def test_weights_divide_a_busy_device(engine: EngineProcess, disk: str) -> None:
    with scheduled_by_bfq(disk) as has_weights:
        if not has_weights:
            pytest.skip("this kernel has no bfq, which alone knows weights of processes' groups")
        for name, weight in (("heavy", 900), ("light", 90)):
            host = {**_given(disk), "BlkioWeight": weight}
            engine.run(name, "/usr/bin/python3", "-c", GREEDY, disk, host=host)
        _has_more(engine, disk, "heavy", "light")
        _update(engine, "light", BlkioWeight=900)
        _update(engine, "heavy", BlkioWeightDevice=[{"Path": disk, "Weight": 90}])
        _has_more(engine, disk, "light", "heavy")
        for name in ("heavy", "light"):
            engine.json("DELETE", f"/containers/{name}?force=1", expect=204)


def _has_more(engine: EngineProcess, disk: str, much: str, little: str) -> None:
    """Wait until `much` reads three times as much as `little`, of 64 MB together."""
    before = {name: _read_bytes(engine, disk, name) for name in (much, little)}

    def is_so() -> bool:
        now = {name: _read_bytes(engine, disk, name) for name in before}
        read = {name: now[name] - before[name] for name in before}
        if sum(read.values()) < 64 * MEGABYTE:
            return False
        before.update(now)
        return read[much] > 3 * read[little]

    until(is_so, 2 * PATIENCE_S)


def _read_bytes(engine: EngineProcess, disk: str, name: str) -> int:
    stats = engine.json("GET", f"/containers/{name}/stats?stream=false&one-shot=true")["blkio_stats"]
    number = os.stat(disk).st_rdev
    device = os.major(number), os.minor(number)
    found = stats["io_service_bytes_recursive"] or []
    return sum(
        each["value"] for each in found if (each["major"], each["minor"]) == device and each["op"].lower() == "read"
    )
