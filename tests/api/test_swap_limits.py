"""Memory that is swapped out, and how much of it may be: with swap space that is there for these tests alone."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.engine_process import EngineProcess
from tests.loop_device import loop_device
from tests.waiting import until

from sampan.cgroup.host import Mode, hierarchies

MEGABYTE = 1024 * 1024
PATIENCE_S = 60.0
IS_V2 = hierarchies().mode is Mode.V2
# Holds so many megabytes, reads a file when it is told one, and says how much of its memory is swapped out.
HOLD = """
import mmap, sys, time
block = mmap.mmap(-1, int(sys.argv[1]) << 20, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
for offset in range(0, len(block), 4096): block[offset] = 1
for path in sys.argv[2:] * 3:
    with open(path, "rb", buffering=0) as file:
        while file.read(65536): pass
swapped = next(line for line in open("/proc/self/status") if line.startswith("VmSwap"))
print(swapped.split()[1], flush=True)
time.sleep(300)
"""

pytestmark = pytest.mark.skipif(
    "PYTEST_XDIST_WORKER" in os.environ, reason="swap space is the whole machine's: not beside other tests"
)


@pytest.fixture(scope="module", autouse=True)
def _swap_space(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with loop_device(tmp_path_factory.mktemp("swap") / "space", 64 * MEGABYTE) as device:
        subprocess.run(["mkswap", device], check=True, capture_output=True)
        subprocess.run(["swapon", device], check=True)
        try:
            yield
        finally:
            subprocess.run(["swapoff", device], check=True)


def _start(engine: EngineProcess, name: str, swap: int, *words: str, **host: Any) -> None:
    """A program in 24 MB of memory that wants 40, or what `words` say."""
    limits = {"Memory": 24 * MEGABYTE, "MemorySwap": swap, **host}
    engine.run(name, "/usr/bin/python3", "-c", HOLD, *(words or ("40",)), host=limits)


def test_swap_lets_a_program_hold_more_than_its_memory_and_no_more_than_both(engine: EngineProcess) -> None:
    _start(engine, "none", 24 * MEGABYTE)
    assert engine.wait("none") == 137
    _start(engine, "little", 30 * MEGABYTE)
    assert engine.wait("little") == 137
    _start(engine, "enough", 64 * MEGABYTE)
    until(lambda: bool(engine.output("enough")), PATIENCE_S)
    assert int(engine.output("enough")[0]) >= 10 * 1024
    lines = {line["Name"]: line for line in engine.json("GET", "/containers/enough/limits")}
    line = lines["swap" if IS_V2 else "memory and swap"]
    assert int(line["Value"]) == (40 if IS_V2 else 64) * MEGABYTE
    assert line["Use"] >= 10 * MEGABYTE
    engine.json("DELETE", "/containers/enough?force=1", expect=204)


def test_any_amount_of_swap(engine: EngineProcess) -> None:
    _start(engine, "any", -1)
    until(lambda: bool(engine.output("any")), PATIENCE_S)
    assert engine.inspect("any")["State"]["Running"] is True
    engine.json("DELETE", "/containers/any?force=1", expect=204)


def test_a_container_sees_the_swap_that_it_may_use(engine: EngineProcess) -> None:
    engine.run("seen", "cat", "/proc/meminfo", host={"Memory": 24 * MEGABYTE, "MemorySwap": 40 * MEGABYTE})
    assert engine.wait("seen") == 0
    lines = engine.output("seen")
    assert [line.split()[1] for line in lines if line.startswith("SwapTotal")] == [str(16 * 1024)]


@pytest.mark.skipif(IS_V2, reason="cgroup v2 has no swappiness of a group")
def test_swappiness_of_nought_gives_no_memory_away_for_files(engine: EngineProcess, tmp_path: Path) -> None:
    with (tmp_path / "file").open("wb") as file:
        file.write(bytes(64 * MEGABYTE))
        file.flush()
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)  # who reads it first has it in his memory
    for name, swappiness in (("reluctant", 0), ("willing", 100)):
        host = {"Binds": [f"{tmp_path}/file:/file:ro"], "MemorySwappiness": swappiness}
        _start(engine, name, 64 * MEGABYTE, "12", "/file", **host)
    until(lambda: bool(engine.output("reluctant") and engine.output("willing")), PATIENCE_S)
    assert int(engine.output("reluctant")[0]) == 0
    assert int(engine.output("willing")[0]) > 0
    for name in ("reluctant", "willing"):
        engine.json("DELETE", f"/containers/{name}?force=1", expect=204)
