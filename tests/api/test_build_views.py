"""What a build's step sees of the machine: its own limits, where it has any."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from tests.building import build, need_busybox
from tests.engine_process import EngineProcess

from sampan.runtime.launch import release

LIMIT_BYTES = 64 << 20
STEP = "FROM busybox\nRUN grep MemTotal /proc/meminfo; grep -c ' /proc/meminfo ' /proc/mounts || true\n"


def seen(engine: EngineProcess, **query: object) -> tuple[int, int]:
    """The memory that a step sees in KiB, and how much is laid over the kernel's own answer."""
    told = build(engine, {"Dockerfile": STEP}, nocache="1", **query)
    assert told.status == 200, told.text
    memory = next(line for line in told.text.splitlines() if line.startswith("MemTotal"))
    return int(memory.split()[1]), int(told.text.splitlines()[told.text.splitlines().index(memory) + 1])


@pytest.mark.skipif(not Path("/dev/fuse").exists(), reason="needs /dev/fuse")
def test_a_step_with_a_limit_sees_it_and_one_without_sees_the_machine(tmp_path: Path) -> None:
    need_busybox()
    machine_kib = int(Path("/proc/meminfo").read_text().split()[1])
    with EngineProcess(tmp_path) as engine:
        assert seen(engine, memory=LIMIT_BYTES, memswap=LIMIT_BYTES) == (LIMIT_BYTES >> 10, 1)
        assert seen(engine) == (machine_kib, 0)


@pytest.mark.skipif(not Path("/dev/fuse").exists(), reason="needs /dev/fuse")
def test_in_a_cgroup_of_somebody_elses_a_step_asks_what_it_may_use(tmp_path: Path) -> None:
    need_busybox()
    parent = f"/sampan-test-views-{os.getpid()}"
    try:
        with EngineProcess(tmp_path, "--cgroup-parent", parent) as engine:
            assert seen(engine)[1] == 1
    finally:
        release(parent)
