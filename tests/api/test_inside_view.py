"""What programs in a container take the machine for, and that it follows the limits."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import pytest
from tests.engine_process import EngineProcess
from tests.waiting import until

MEGABYTE = 1024 * 1024
PATIENCE_S = 30.0
# Everything that programs ask, as one JSON line; sysinfo(2) by the C library, as a C program would.
LOOK = """
import ctypes, json, os, struct
buffer = ctypes.create_string_buffer(256)
result = ctypes.CDLL(None, use_errno=True).sysinfo(buffer)
uptime, load, _, _, total, free = struct.unpack_from("=q5Q", buffer.raw)
pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
def read(path):
    with open(path) as file:
        return file.read()
info = dict(line.split(":", 1) for line in read("/proc/meminfo").splitlines())
print(json.dumps({
    "result": result, "sysinfo": total, "free": free, "uptime": uptime, "pages": pages, "load": load / 65536,
    "meminfo": int(info["MemTotal"].split()[0]) * 1024, "cpus": os.cpu_count(),
    "affinity": len(os.sched_getaffinity(0)),
    "cpuinfo": read("/proc/cpuinfo").count("processor\\t"), "stat": read("/proc/stat").count("\\ncpu"),
    "proc_uptime": float(read("/proc/uptime").split()[0]), "loadavg": float(read("/proc/loadavg").split()[0]),
    "tasks": int(read("/proc/loadavg").split()[3].split("/")[1]), "online": read("/sys/devices/system/cpu/online"),
    "started": int(read("/proc/self/stat").rpartition(")")[2].split()[19]) / os.sysconf("SC_CLK_TCK"),
    "swaps": read("/proc/swaps").count("\\n"), "pressure": os.path.exists("/proc/pressure")
             and read("/proc/pressure/cpu").count("some"),
}), flush=True)
"""


def _machine_memory() -> int:
    line = Path("/proc/meminfo").read_text().splitlines()[0]
    return int(line.split()[1]) * 1024


def _execute(engine: EngineProcess, name: str, *command: str) -> int:
    exec_id = engine.json("POST", f"/containers/{name}/exec", {"Cmd": list(command)}, expect=201)["Id"]
    engine.json("POST", f"/exec/{exec_id}/start", {"Detach": True}, expect=200)
    until(lambda: engine.json("GET", f"/exec/{exec_id}/json")["Running"] is False, PATIENCE_S)
    code: int = engine.json("GET", f"/exec/{exec_id}/json")["ExitCode"]
    return code


def _look(engine: EngineProcess, name: str, **host: Any) -> dict[str, Any]:
    before = time.clock_gettime(time.CLOCK_BOOTTIME)
    engine.run(name, "/usr/bin/python3", "-c", LOOK, host=host)
    assert engine.wait(name) == 0, engine.output(name)
    found: dict[str, Any] = json.loads(engine.output(name)[0])
    after = time.clock_gettime(time.CLOCK_BOOTTIME)
    return {**found, "before": before, "after": after, "lasted": after - before}


def test_a_container_sees_its_own_memory_processors_and_age(engine: EngineProcess) -> None:
    seen = _look(engine, "limited", Memory=256 * MEGABYTE, NanoCpus=1_500_000_000)
    shown = min(2, len(os.sched_getaffinity(0)))
    assert (seen["meminfo"], seen["sysinfo"], seen["pages"]) == (256 * MEGABYTE,) * 3
    assert seen["result"] == 0
    assert 0 < seen["free"] <= 256 * MEGABYTE
    assert (seen["cpus"], seen["cpuinfo"], seen["stat"]) == (shown,) * 3
    assert seen["uptime"] <= seen["lasted"]
    assert seen["proc_uptime"] <= seen["lasted"]
    assert 0 <= seen["started"] <= seen["proc_uptime"]
    assert seen["tasks"] < 20


def test_a_quota_below_one_processor_shows_one(engine: EngineProcess) -> None:
    seen = _look(engine, "small", NanoCpus=300_000_000)
    assert (seen["cpus"], seen["cpuinfo"], seen["stat"]) == (1, 1, 1)
    assert seen["affinity"] == len(os.sched_getaffinity(0))


def test_a_cpuset_shows_its_processor_under_its_own_number(engine: EngineProcess) -> None:
    last = max(os.sched_getaffinity(0))
    seen = _look(engine, "pinned", CpusetCpus=str(last))
    assert (seen["online"], seen["cpus"], seen["affinity"]) == (f"{last}\n", 1, 1)


def test_a_full_view_tells_the_processors_to_those_who_ask_the_scheduler(engine: EngineProcess) -> None:
    assert _look(engine, "counted", NanoCpus=500_000_000, ResourceView="full")["affinity"] == 1


def test_without_limits_there_is_the_memory_of_the_machine_and_an_age_of_its_own(engine: EngineProcess) -> None:
    seen = _look(engine, "unlimited")
    assert (seen["meminfo"], seen["sysinfo"]) == (_machine_memory(),) * 2
    assert seen["proc_uptime"] <= seen["lasted"]
    assert seen["uptime"] <= seen["lasted"]
    assert abs(seen["load"] - seen["loadavg"]) < 1


@pytest.mark.parametrize("host", [{"ResourceView": "host"}, {"Privileged": True}])
def test_who_asks_for_the_machine_or_manages_it_sees_it(engine: EngineProcess, host: dict[str, Any]) -> None:
    seen = _look(engine, f"machine{len(host)}{next(iter(host))}", Memory=256 * MEGABYTE, **host)
    assert (seen["meminfo"], seen["sysinfo"]) == (_machine_memory(),) * 2
    assert int(seen["before"]) <= seen["proc_uptime"] <= seen["after"]
    assert seen["affinity"] == len(os.sched_getaffinity(0))


def test_an_update_is_seen_without_a_restart_by_the_program_and_by_execs(engine: EngineProcess) -> None:
    script = "while :; do grep MemTotal /proc/meminfo; read -t 0.05 x < /dev/zero; done"
    engine.run("growing", "bash", "-c", script, host={"Memory": 256 * MEGABYTE, "NanoCpus": 1_000_000_000})
    until(lambda: any(f"{256 * 1024} kB" in line for line in engine.output("growing")), PATIENCE_S)
    change = {"Memory": 512 * MEGABYTE, "MemorySwap": 1024 * MEGABYTE, "NanoCpus": 2_000_000_000}
    engine.json("POST", "/containers/growing/update", change, expect=200)
    until(lambda: f"{512 * 1024} kB" in engine.output("growing")[-1], PATIENCE_S)
    shown = min(2, len(os.sched_getaffinity(0)))
    check = f"{LOOK}\nassert info['MemTotal'].split()[0] == '{512 * 1024}' and total == {512 * MEGABYTE}"
    assert _execute(engine, "growing", "/usr/bin/python3", "-c", check) == 0
    check = f"import os; assert os.cpu_count() == {shown}"
    assert _execute(engine, "growing", "/usr/bin/python3", "-c", check) == 0
    engine.json("DELETE", "/containers/growing?force=1", expect=204)


ASKED = """
import ctypes, struct
buffer = ctypes.create_string_buffer(256)
while True:
    with open("/x/ask") as ask:
        ask.read()
    ctypes.CDLL(None).sysinfo(buffer)
    with open("/x/told", "w") as told:
        told.write(str(struct.unpack_from("=q4Q", buffer.raw)[4]))
"""


def test_an_update_is_seen_by_the_very_next_call_of_sysinfo(engine: EngineProcess, tmp_path: Path) -> None:
    for name in ("ask", "told"):
        os.mkfifo(tmp_path / name)
    host = {"Memory": 256 * MEGABYTE, "Binds": [f"{tmp_path}:/x"]}
    engine.run("asked", "/usr/bin/python3", "-c", ASKED, host=host)
    for megabytes in (256, *(300 + number for number in range(10))):
        change = {"Memory": megabytes * MEGABYTE, "MemorySwap": 2 * megabytes * MEGABYTE}
        engine.json("POST", "/containers/asked/update", change, expect=200)
        (tmp_path / "ask").write_text("now")
        assert (tmp_path / "told").read_text() == str(megabytes * MEGABYTE)
    engine.json("DELETE", "/containers/asked?force=1", expect=204)


def test_load_and_processor_time_are_those_of_the_container(engine: EngineProcess) -> None:
    busy = "import time, os\nend = time.process_time() + 0.5\nwhile time.process_time() < end: pass\n"
    script = busy + "print(open('/proc/stat').readline(), end='', flush=True)"
    engine.run("busy", "/usr/bin/python3", "-c", script)
    assert engine.wait("busy") == 0
    _, user, _, system, idle, *_ = engine.output("busy")[0].split()
    ticks = os.sysconf("SC_CLK_TCK")
    assert 0.4 * ticks <= int(user) + int(system) < 60 * ticks
    assert int(idle) < 60 * ticks * (os.cpu_count() or 1)


def test_a_mount_of_the_users_own_over_such_a_file_stays(engine: EngineProcess, tmp_path: Path) -> None:
    own = tmp_path / "meminfo"
    own.write_text("MemTotal: 7 kB\n")
    engine.run("own", "cat", "/proc/meminfo", host={"Binds": [f"{own}:/proc/meminfo:ro"]})
    assert engine.wait("own") == 0
    assert engine.output("own") == ["MemTotal: 7 kB"]


def test_programs_that_copy_within_the_kernel_read_them_too(engine: EngineProcess) -> None:
    script = r"""
mkdir /tmp/copies && cd /tmp/copies
for file in cpuinfo meminfo stat uptime loadavg swaps; do
    busybox cat /proc/$file > cat; busybox cp /proc/$file busybox; cp /proc/$file cp; tail -n 1 /proc/$file > tail
    for copy in cat busybox cp tail; do
        [ -s $copy ] || echo "$copy of $file is empty"
        tr -d '\0' < $copy | cmp - $copy
    done
done 2>&1
busybox cat /sys/devices/system/cpu/online"""
    engine.run("copies", "bash", "-c", script, host={"NanoCpus": 1_000_000_000})
    assert engine.wait("copies") == 0
    assert engine.output("copies") == ["0"]


def test_an_asked_for_offset_of_the_clock_is_what_the_age_tells(engine: EngineProcess) -> None:
    seen = _look(engine, "aged", TimeOffsets={"boottime": "1000h"})
    assert int(seen["before"]) <= seen["proc_uptime"] - 3_600_000 <= seen["after"]
    assert engine.inspect("aged")["HostConfig"]["TimeOffsets"] == {"boottime": "1000h"}


def test_a_view_that_is_none_is_refused(engine: EngineProcess) -> None:
    body = {"Image": "host", "Cmd": ["true"], "HostConfig": {"ResourceView": "sideways"}}
    answer = engine.json("POST", "/containers/create", body, expect=400)
    assert "sideways" in answer["message"]
