"""Each limit under a load that goes past it: what happens without the limit, and that it is held with it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from tests.engine_process import EngineProcess
from tests.groups import remove_groups
from tests.waiting import until

from sampan.cgroup.host import Mode, hierarchies

MEGABYTE = 1024 * 1024
PATIENCE_S = 30.0
SPIN = "while :; do :; done"
IS_V2 = hierarchies().mode is Mode.V2


def _ends(engine: EngineProcess, name: str, script: str, **host: Any) -> tuple[int, list[str]]:
    """Exit code and output of a Python program in a container with these limits."""
    engine.run(name, "/usr/bin/python3", "-c", script, host=host)
    code = engine.wait(name)
    return code, engine.output(name)


def _cpu(engine: EngineProcess, name: str) -> dict[str, Any]:
    stats = engine.json("GET", f"/containers/{name}/stats?stream=false&one-shot=true")
    found: dict[str, Any] = stats["cpu_stats"]
    return found


def _used_ns(engine: EngineProcess, name: str) -> int:
    used: int = _cpu(engine, name)["cpu_usage"]["total_usage"]
    return used


def _update(engine: EngineProcess, name: str, **change: Any) -> None:
    engine.json("POST", f"/containers/{name}/update", change, expect=200)


def _remove(engine: EngineProcess, *names: str) -> None:
    for name in names:
        engine.json("DELETE", f"/containers/{name}?force=1", expect=204)


def test_memory(engine: EngineProcess) -> None:
    script = "print(len(bytearray(100 * 1024 * 1024)))"
    assert _ends(engine, "memory-free", script) == (0, [str(100 * MEGABYTE)])
    held = {"Memory": 48 * MEGABYTE, "MemorySwap": 48 * MEGABYTE}
    assert _ends(engine, "memory-held", script, **held) == (137, [])


def test_statistics_tell_the_memory_that_a_program_holds(engine: EngineProcess) -> None:
    script = "import time; block = bytearray(b'x') * (50 * 1024 * 1024); print('held', flush=True); time.sleep(300)"
    engine.run("holder", "/usr/bin/python3", "-c", script, host={"Memory": 128 * MEGABYTE})
    until(lambda: engine.output("holder") == ["held"], PATIENCE_S)
    stats = engine.json("GET", "/containers/holder/stats?stream=false&one-shot=true")["memory_stats"]
    assert 50 * MEGABYTE <= stats["usage"] <= stats["limit"] == 128 * MEGABYTE
    _update(engine, "holder", Memory=96 * MEGABYTE, MemorySwap=96 * MEGABYTE)
    stats = engine.json("GET", "/containers/holder/stats?stream=false&one-shot=true")["memory_stats"]
    assert stats["limit"] == 96 * MEGABYTE
    _remove(engine, "holder")


@pytest.mark.skipif(IS_V2, reason="cgroup v2 cannot switch the out-of-memory killer off")
def test_who_is_not_to_be_killed_waits_for_memory(engine: EngineProcess) -> None:
    script = "bytearray(b'x') * (100 * 1024 * 1024); print('through')"
    host = {"Memory": 32 * MEGABYTE, "MemorySwap": 32 * MEGABYTE, "OomKillDisable": True}
    container_id = engine.run("waiting", "/usr/bin/python3", "-c", script, host=host)
    control = next(Path("/sys/fs/cgroup").glob(f"memory/sampan/{container_id}/memory.oom_control"))
    until(lambda: "under_oom 1" in control.read_text(), PATIENCE_S)
    assert engine.inspect("waiting")["State"]["Running"] is True
    _update(engine, "waiting", Memory=256 * MEGABYTE, MemorySwap=256 * MEGABYTE)
    assert engine.wait("waiting") == 0
    assert engine.output("waiting") == ["through"]


def test_a_quota_of_processor_time(engine: EngineProcess) -> None:
    engine.run("spinner", "bash", "-c", SPIN, host={"NanoCpus": 50_000_000})
    until(lambda: _cpu(engine, "spinner")["throttling_data"]["throttled_periods"] >= 5, PATIENCE_S)
    first = _cpu(engine, "spinner")
    until(lambda: _periods(engine, "spinner") >= first["throttling_data"]["periods"] + 10, PATIENCE_S)
    last = _cpu(engine, "spinner")
    used = last["cpu_usage"]["total_usage"] - first["cpu_usage"]["total_usage"]
    periods = last["throttling_data"]["periods"] - first["throttling_data"]["periods"]
    assert used <= (periods + 2) * 5_000_000 * 2  # 5 ms of every 100, and what a tick may let pass
    _update(engine, "spinner", NanoCpus=int(os.cpu_count() or 1) * 1_000_000_000)
    before = _cpu(engine, "spinner")["throttling_data"]["throttled_periods"]
    used = _used_ns(engine, "spinner")
    until(lambda: _used_ns(engine, "spinner") > used + 300_000_000, PATIENCE_S)
    assert _cpu(engine, "spinner")["throttling_data"]["throttled_periods"] <= before + 1
    _remove(engine, "spinner")


def _periods(engine: EngineProcess, name: str) -> int:
    periods: int = _cpu(engine, name)["throttling_data"]["periods"]
    return periods


def test_shares_of_one_processor(engine: EngineProcess) -> None:
    processor = str(max(os.sched_getaffinity(0)))
    engine.run("much", "bash", "-c", SPIN, host={"CpuShares": 4096, "CpusetCpus": processor})
    engine.run("little", "bash", "-c", SPIN, host={"CpuShares": 256, "CpusetCpus": processor})
    much, little = _used_ns(engine, "much"), _used_ns(engine, "little")
    until(lambda: _used_ns(engine, "much") > much + 700_000_000, PATIENCE_S)
    assert _used_ns(engine, "little") - little < (_used_ns(engine, "much") - much) / 3
    _update(engine, "little", CpuShares=65536)
    much, little = _used_ns(engine, "much"), _used_ns(engine, "little")
    until(lambda: _used_ns(engine, "little") > little + 500_000_000, PATIENCE_S)
    assert _used_ns(engine, "much") - much < (_used_ns(engine, "little") - little) / 3
    _remove(engine, "much", "little")


def test_an_idle_container_leaves_the_processor_to_others_whatever_its_shares(engine: EngineProcess) -> None:
    processor = str(max(os.sched_getaffinity(0)))
    engine.run("busy", "bash", "-c", SPIN, host={"CpusetCpus": processor})
    engine.run("idle", "bash", "-c", SPIN, host={"CpuShares": 65536, "CpuIdle": True, "CpusetCpus": processor})
    assert engine.inspect("idle")["HostConfig"]["CpuIdle"] is True
    assert "CpuIdle" not in engine.inspect("busy")["HostConfig"]
    busy, idle = _used_ns(engine, "busy"), _used_ns(engine, "idle")
    until(lambda: _used_ns(engine, "busy") > busy + 700_000_000, PATIENCE_S)
    assert _used_ns(engine, "idle") - idle < (_used_ns(engine, "busy") - busy) / 3
    _update(engine, "idle", CpuIdle=False)
    assert "CpuIdle" not in engine.inspect("idle")["HostConfig"]
    busy, idle = _used_ns(engine, "busy"), _used_ns(engine, "idle")
    until(lambda: _used_ns(engine, "idle") > idle + 500_000_000, PATIENCE_S)
    assert _used_ns(engine, "busy") - busy < (_used_ns(engine, "idle") - idle) / 3
    _update(engine, "idle", CpuIdle=True, CpuShares=512)
    told = {line["Name"]: line["Value"] for line in engine.json("GET", "/containers/idle/limits")}
    assert told["cpu idle"] == "1"
    _remove(engine, "busy", "idle")


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="one processor leaves no choice")
def test_a_set_of_processors_that_is_changed_while_it_runs(engine: EngineProcess) -> None:
    first, *_, last = sorted(os.sched_getaffinity(0))
    engine.run("moved", "bash", "-c", SPIN, host={"CpusetCpus": str(first)})
    pid = engine.inspect("moved")["State"]["Pid"]
    assert os.sched_getaffinity(pid) == {first}
    _update(engine, "moved", CpusetCpus=str(last))
    until(lambda: os.sched_getaffinity(pid) == {last}, PATIENCE_S)
    _remove(engine, "moved")


def test_processes(engine: EngineProcess) -> None:
    script = (
        "import os, time\n"
        "def fork():\n"
        "    try:\n"
        "        if os.fork() == 0: time.sleep(300); os._exit(0)\n"
        "    except BlockingIOError: return False\n"
        "    return True\n"
        "while True:\n"
        "    fork() or time.sleep(0.02)\n"
    )
    engine.run("bomb", "/usr/bin/python3", "-c", script, host={"PidsLimit": 20})

    def count() -> int:
        current: int = engine.json("GET", "/containers/bomb/stats?stream=false&one-shot=true")["pids_stats"]["current"]
        return current

    until(lambda: count() == 20, PATIENCE_S)
    _update(engine, "bomb", PidsLimit=40)
    until(lambda: count() == 40, PATIENCE_S)
    assert engine.json("GET", "/containers/json")
    _remove(engine, "bomb")


def test_what_a_parent_allows_is_shared_by_all_below_it(engine: EngineProcess) -> None:
    parent = f"/sampan-test-family-{os.getpid()}"
    engine.run("sister", "bash", "-c", SPIN, host={"CgroupParent": parent, "PidsLimit": -1})
    lines = engine.json("GET", "/containers/sister/limits")
    own = Path(next(line["File"] for line in lines if line["Name"] == "processes"))
    (own.parent.parent / "pids.max").write_text("6")
    script = "for i in 1 2 3 4 5 6 7 8 9; do sleep 300 & done; wait"
    engine.run("brother", "bash", "-c", script, host={"CgroupParent": parent})
    until(lambda: bool(engine.output("brother")), PATIENCE_S)
    assert any("fork" in line or "Resource" in line for line in engine.output("brother"))
    _remove(engine, "sister", "brother")
    remove_groups(parent)


def _disk(directory: str) -> str:
    """The whole block device below a directory; "" where there is none, as on tmpfs."""
    device = os.stat(directory).st_dev
    place = Path(f"/sys/dev/block/{os.major(device)}:{os.minor(device)}")
    if not place.exists():
        return ""
    place = place.resolve()
    path = f"/dev/{(place.parent if (place / 'partition').exists() else place).name}"
    return path if os.path.exists(path) else ""


def test_bytes_written_a_second(engine: EngineProcess) -> None:
    disk = _disk(engine.data_root)
    if not disk:
        pytest.skip("the data root is on no disk")
    script = (
        "import mmap, os, sys, time\n"
        "began = time.monotonic()\n"
        "block = mmap.mmap(-1, 1024 * 1024)\n"
        "file = os.open('/scratch', os.O_WRONLY | os.O_CREAT | os.O_DIRECT)\n"
        "for _ in range(4): os.write(file, block)\n"
        "print(time.monotonic() - began)\n"
    )
    limit = {"BlkioDeviceWriteBps": [{"Path": disk, "Rate": 2 * MEGABYTE}]}
    try:
        code, output = _ends(engine, "slow", script, **limit)
    finally:
        held = engine.inspect("slow")["HostConfig"]["BlkioDeviceWriteBps"]
    if code:
        pytest.skip(f"no direct writes here: {output[-1]}")
    assert held == limit["BlkioDeviceWriteBps"]
    assert float(output[0]) >= 1.0  # four megabytes at two a second, the first of them at once at most


def test_devices_by_name_and_by_rule(engine: EngineProcess) -> None:
    script = (
        "import os\n"
        "path = '/tmp/fuse'\n"
        "os.path.exists(path) or os.mknod(path, 0o20666, os.makedev(10, 229))\n"
        "try: os.close(os.open(path, os.O_RDWR)); print('opened')\n"
        "except PermissionError: print('denied')\n"
    )
    assert _ends(engine, "no-device", script) == (0, ["denied"])
    assert _ends(engine, "by-rule", script, DeviceCgroupRules=["c 10:229 rw"]) == (0, ["opened"])
    device = {"PathOnHost": "/dev/fuse", "PathInContainer": "/tmp/fuse", "CgroupPermissions": "rw"}
    assert _ends(engine, "by-name", script, Devices=[device]) == (0, ["opened"])


def test_resource_limits_of_a_process(engine: EngineProcess) -> None:
    script = (
        "import os\n"
        "held = []\n"
        "try:\n"
        "    while len(held) < 100: held.append(os.open('/dev/null', 0))\n"
        "except OSError as error: print(error.errno)\n"
        "print(len(held) < 100)\n"
    )
    assert _ends(engine, "files-free", script) == (0, ["False"])
    limit = {"Name": "nofile", "Soft": 20, "Hard": 20}
    assert _ends(engine, "files-held", script, Ulimits=[limit]) == (0, ["24", "True"])


def test_the_size_of_shared_memory(engine: EngineProcess) -> None:
    script = "open('/dev/shm/block', 'wb', buffering=0).write(bytes(2 * 1024 * 1024)) == 2 * 1024 * 1024 or exit(3)"
    assert _ends(engine, "shm-free", script)[0] == 0
    assert _ends(engine, "shm-held", script, ShmSize=MEGABYTE)[0] != 0


def test_the_score_by_which_the_kernel_chooses_whom_to_kill(engine: EngineProcess) -> None:
    script = "print(open('/proc/self/oom_score_adj').read().strip())"
    assert _ends(engine, "likely", script, OomScoreAdj=500) == (0, ["500"])


def test_kernel_memory_and_real_time_are_refused_by_name_where_the_kernel_has_none(engine: EngineProcess) -> None:
    body: dict[str, Any] = {"Image": "host", "Cmd": ["true"], "HostConfig": {"NetworkMode": "none"}}
    body["HostConfig"]["CpuRealtimeRuntime"] = 1000
    status, _ = engine.request("POST", "/containers/create?name=realtime", body)
    if status == 201:
        status, content = engine.request("POST", "/containers/realtime/start")
        assert status == 204 or b"real-time" in content, content
    else:
        assert status in {400, 501}
