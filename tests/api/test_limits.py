"""Limits that hold, on whatever cgroups this host has."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import pytest
from tests.engine_process import EngineProcess
from tests.waiting import until

MEGABYTE = 1024 * 1024
HOG = "import time; block = bytearray(200 * 1024 * 1024); print('held', flush=True); time.sleep(60)"


def _limit_file(engine: EngineProcess, container_id: str) -> int:
    found = [
        *Path("/sys/fs/cgroup").glob(f"memory/sampan/{container_id}/memory.limit_in_bytes"),
        *Path("/sys/fs/cgroup").glob(f"sampan/{container_id}/memory.max"),
    ]
    return int(found[0].read_text())


def test_more_memory_than_the_limit_ends_the_program_and_is_recorded(engine: EngineProcess) -> None:
    engine.run("hog", "/usr/bin/python3", "-c", HOG, host={"Memory": 64 * MEGABYTE})
    assert engine.wait("hog") == 137
    assert engine.inspect("hog")["State"]["OOMKilled"] is True
    engine.run("modest", "sh", "-c", "exit 137", host={"Memory": 64 * MEGABYTE})
    engine.wait("modest")
    assert engine.inspect("modest")["State"]["OOMKilled"] is False


def test_a_limit_that_is_raised_holds_from_then_on(engine: EngineProcess) -> None:
    container_id = engine.run("growing", "sleep", "300", host={"Memory": 64 * MEGABYTE})
    assert _limit_file(engine, container_id) == 64 * MEGABYTE
    change = {"Memory": 300 * MEGABYTE, "MemorySwap": 600 * MEGABYTE}
    engine.json("POST", "/containers/growing/update", change, expect=200)
    assert _limit_file(engine, container_id) == 300 * MEGABYTE
    assert engine.inspect("growing")["HostConfig"]["Memory"] == 300 * MEGABYTE
    body = {"Cmd": ["/usr/bin/python3", "-c", "bytearray(150 * 1024 * 1024)"]}
    exec_id = engine.json("POST", "/containers/growing/exec", body, expect=201)["Id"]
    engine.json("POST", f"/exec/{exec_id}/start", {"Detach": True}, expect=200)
    until(lambda: engine.json("GET", f"/exec/{exec_id}/json")["ExitCode"] == 0)


def test_what_the_kernel_took_of_a_change_that_it_refuses_is_taken_back(engine: EngineProcess) -> None:
    engine.run("steady", "sleep", "300", host={"CpuShares": 1000})

    def written() -> str:
        lines = {line["Name"]: line["Value"] for line in engine.json("GET", "/containers/steady/limits")}
        return str(lines.get("cpu shares") or lines["cpu weight"])

    before = written()
    change = {"CpuShares": 512, "BlkioDeviceReadBps": [{"Path": "/dev/null", "Rate": 1 << 20}]}
    assert "block io read rate" in engine.json("POST", "/containers/steady/update", change, expect=400)["message"]
    assert written() == before
    assert engine.inspect("steady")["HostConfig"]["CpuShares"] == 1000
    engine.json("POST", "/containers/steady/update", {"CpuShares": 512}, expect=200)
    assert written() != before


def test_no_more_processes_than_the_limit_can_be(engine: EngineProcess) -> None:
    script = "for i in 1 2 3 4 5 6 7 8 9 10; do sleep 5 & done; echo all"
    engine.run("forker", "bash", "-c", script, host={"PidsLimit": 5})
    engine.wait("forker")
    assert any("fork" in line for line in engine.output("forker"))


def test_the_statistics_tell_what_is_used_and_what_may_be(engine: EngineProcess) -> None:
    engine.run("measured", "sh", "-c", "while :; do :; done", host={"Memory": 64 * MEGABYTE})
    stats = engine.json("GET", "/containers/measured/stats?stream=false")
    used = stats["cpu_stats"]["cpu_usage"]["total_usage"] - stats["precpu_stats"]["cpu_usage"]["total_usage"]
    assert used > 0
    assert stats["memory_stats"]["limit"] == 64 * MEGABYTE
    assert stats["pids_stats"]["current"] == 1
    assert stats["name"] == "/measured"


def test_a_container_that_does_not_run_has_no_statistics(engine: EngineProcess) -> None:
    engine.create("unmeasured", "true")
    stats = engine.json("GET", "/containers/unmeasured/stats?stream=false&one-shot=true")
    assert stats["memory_stats"] == {}
    assert stats["cpu_stats"]["cpu_usage"]["total_usage"] == 0


def test_the_process_table_has_only_the_container_s(engine: EngineProcess) -> None:
    engine.run("tabled", "sleep", "299")
    table = engine.json("GET", "/containers/tabled/top")
    assert [row[table["Titles"].index("CMD")] for row in table["Processes"]] == ["sleep 299"]
    assert engine.json("GET", "/containers/tabled/top?ps_args=-o%20cmd", expect=400)["message"]


@pytest.mark.parametrize(
    ("host", "said"),
    [
        ({"Memory": 1024}, "Minimum memory limit allowed is 6MB"),
        ({"NanoCpus": 10**12}, "Range of CPUs is from 0.01"),
        ({"CpusetCpus": "900"}, "Requested CPUs are not available"),
        ({"CgroupParent": "/a/../b"}, "not a cgroup path: '/a/../b'"),
        ({"CpusetCpus": "one"}, "Invalid value one for cpuset cpus"),
        ({"CpusetCpus": "1-0"}, "Invalid value 1-0 for cpuset cpus"),
        ({"CpusetCpus": "\u0661"}, "Invalid value \u0661 for cpuset cpus"),
        ({"CpusetMems": "0,900"}, "Requested memory nodes are not available - requested 0,900, available: 0"),
        ({"RestartPolicy": {"Name": "sometimes"}}, "unknown policy 'sometimes'"),
        ({"AutoRemove": True, "RestartPolicy": {"Name": "always"}}, "can't create 'AutoRemove' container"),
        ({"CapAdd": ["CAP_FLY"]}, "unknown capability"),
        ({"SecurityOpt": ["wings=yes"]}, "invalid --security-opt"),
        ({"OomScoreAdj": 5000}, "range for oom score adj"),
        ({"Binds": ["/a:/b:upside-down"]}, "invalid mode"),
        ({"Binds": ["/a:relative"]}, "mount path must be absolute"),
        ({"Binds": [f"named:/{'n' * 256}"]}, "has a name that is too long"),
        ({"Binds": ["/a:/b", "/c:/b"]}, "Duplicate mount point: /b"),
        ({"Mounts": [{"Type": "bind", "Source": "/no/such", "Target": "/x"}]}, "bind source path does not exist"),
        ({"LogConfig": {"Type": "json-file", "Config": {"max-size": "huge"}}}, "invalid size"),
        ({"LogConfig": {"Type": "json-file", "Config": {"max-size": "1_0k"}}}, "invalid size"),
        ({"LogConfig": {"Type": "local", "Config": {"max-size": "0"}}}, "max-size must be a positive number"),
        ({"LogConfig": {"Type": "json-file", "Config": {"max-file": "9" * 5000}}}, "max-file must be a positive"),
        ({"PidMode": "container:"}, "invalid PID mode"),
        ({"TimeOffsets": {"wall": "1h"}}, "invalid time offset clock"),
        ({"TimeOffsets": {"boottime": "-900000h"}}, "invalid time offset of boottime"),
        ({"TimeOffsets": {"monotonic": "9000000d"}}, "invalid time offset of monotonic"),
        ({"TimeOffsets": {"boottime": "inf"}}, "invalid time offset 'inf' of boottime"),
    ],
)
def test_what_cannot_be_is_refused_at_create_and_leaves_nothing(
    engine: EngineProcess, host: dict[str, object], said: str
) -> None:
    folders = set((Path(engine.data_root) / "containers").iterdir())
    body = {"Image": "host", "Cmd": ["true"], "HostConfig": {"NetworkMode": "none", **host}}
    answer = engine.json("POST", "/containers/create", body, expect=400)
    assert said in answer["message"]
    assert set((Path(engine.data_root) / "containers").iterdir()) == folders


@pytest.mark.parametrize(
    ("body", "said", "remedy"),
    [
        ({"HostConfig": {"CpuShares": 1}}, "cpu shares must be from 2 to 262144, not 1", "choose from that range"),
        ({"HostConfig": {"PidsLimit": 2**63 - 1}}, "pids limit: the kernel refuses", "at most 4194304 processes"),
        ({"User": "99999999999"}, "uids and gids must be in range 0-", "name a user and a group of the image"),
    ],
)
def test_what_is_refused_at_the_start_has_a_remedy(
    engine: EngineProcess, body: dict[str, Any], said: str, remedy: str
) -> None:
    host = {"NetworkMode": "none", **body.get("HostConfig", {})}
    made = engine.json("POST", "/containers/create", {"Image": "host", "Cmd": ["true"], **body, "HostConfig": host})
    answer = engine.json("POST", f"/containers/{made['Id']}/start", expect=400)
    assert said in answer["message"]
    assert remedy in answer["remedy"]


def test_a_memory_limit_of_which_twice_is_no_number_of_the_kernel_s_is_as_good_as_none(engine: EngineProcess) -> None:
    engine.run("vast", "true", host={"Memory": 8191 << 50})
    assert engine.wait("vast") == 0


def test_an_exec_in_no_absolute_directory_is_refused_with_a_remedy(engine: EngineProcess) -> None:
    engine.run("rooted", "sleep", "300")
    answer = engine.json("POST", "/containers/rooted/exec", {"Cmd": ["true"], "WorkingDir": "rel"}, expect=400)
    assert answer["remedy"] == "begin it with /"


def test_all_problems_of_a_request_are_told_together(engine: EngineProcess) -> None:
    body = {"Image": "host", "Cmd": ["true"], "WorkingDir": "here", "HostConfig": {"Memory": 1, "OomScoreAdj": 9999}}
    message = engine.json("POST", "/containers/create", body, expect=400)["message"]
    assert message.count("\n") == 2


def test_whom_the_kernel_killed_is_told_with_the_memory_at_that_moment(engine: EngineProcess) -> None:
    script = f"[ -e /been ] || {{ touch /been; python3 -c {shlex.quote(HOG)}; }}; exec sleep 300"
    engine.run("survivor", "bash", "-c", script, host={"Memory": 64 * MEGABYTE, "MemorySwap": 64 * MEGABYTE})
    until(lambda: "MemoryKills" in engine.inspect("survivor")["State"], 30)
    (kill,) = engine.inspect("survivor")["State"]["MemoryKills"]
    assert kill["Program"] == "python3"
    assert kill["Limit"] == 64 * MEGABYTE
    assert 0 < kill["Usage"] <= kill["Limit"]
    assert kill["Size"] > 0
    assert engine.inspect("survivor")["State"]["Running"] is True
    listed = engine.json("GET", "/containers/json")
    assert [one["MemoryKills"][0]["Pid"] for one in listed if one["Names"] == ["/survivor"]] == [kill["Pid"]]
    engine.json("POST", "/containers/survivor/restart?t=0", expect=204)
    assert "MemoryKills" not in engine.inspect("survivor")["State"]
    engine.json("DELETE", "/containers/survivor?force=1", expect=204)
