"""What `update` makes of limits, and what it refuses, as Docker does."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.engine_process import EngineProcess

MEGABYTE = 1024 * 1024


@pytest.mark.parametrize("lifted", [-1, 0])
def test_a_limit_of_processes_is_lifted_by_an_update(engine: EngineProcess, lifted: int) -> None:
    name = f"crowd{lifted}"
    container_id = engine.run(name, "sleep", "300", host={"PidsLimit": 7})
    (limit,) = [
        *Path("/sys/fs/cgroup").glob(f"pids/sampan/{container_id}/pids.max"),
        *Path("/sys/fs/cgroup").glob(f"sampan/{container_id}/pids.max"),
    ]
    engine.json("POST", f"/containers/{name}/update", {"CpuShares": 512}, expect=200)
    assert limit.read_text() == "7\n"
    engine.json("POST", f"/containers/{name}/update", {"PidsLimit": lifted}, expect=200)
    assert limit.read_text() == "max\n"
    assert engine.inspect(name)["HostConfig"]["PidsLimit"] == 0


@pytest.mark.parametrize("unlimited", [-1, 0])
def test_a_container_made_without_a_limit_of_processes_shows_none(engine: EngineProcess, unlimited: int) -> None:
    container_id = engine.create(f"unbounded{unlimited}", "true", host={"PidsLimit": unlimited})
    assert engine.inspect(container_id)["HostConfig"]["PidsLimit"] is None


@pytest.mark.parametrize(
    ("given", "asked", "words"),
    [
        ({"NanoCpus": 10**9}, {"CpuPeriod": 10_000}, "CPU Period cannot be updated as NanoCPUs has already been set"),
        ({"NanoCpus": 10**9}, {"CpuQuota": 5000}, "CPU Quota cannot be updated as NanoCPUs has already been set"),
        ({"CpuPeriod": 10_000}, {"NanoCpus": 10**9}, "Nano CPUs cannot be updated as CPU Period has already been set"),
        ({"CpuQuota": 5000}, {"NanoCpus": 10**9}, "Nano CPUs cannot be updated as CPU Quota has already been set"),
        ({}, {"NanoCpus": 10**9, "CpuQuota": 5000}, "Nano CPUs and CPU Quota cannot both be set"),
        ({"NanoCpus": 10**9}, {"NanoCpus": 10**8, "CpuPeriod": 5000}, "Nano CPUs and CPU Period cannot both be set"),
    ],
)
def test_processor_time_is_not_changed_in_other_words_than_it_was_given_in(
    engine: EngineProcess, given: dict[str, int], asked: dict[str, int], words: str
) -> None:
    timed = engine.create("_".join(("timed", *given, "to", *asked)), "true", host=given)
    before = engine.inspect(timed)["HostConfig"]
    assert words in engine.json("POST", f"/containers/{timed}/update", asked, expect=400)["message"]
    assert engine.inspect(timed)["HostConfig"] == before


def test_a_processor_time_that_is_lifted_may_be_given_in_other_words(engine: EngineProcess) -> None:
    engine.create("retimed", "true", host={"NanoCpus": 10**9})
    for change in ({"CpuQuota": -1}, {"NanoCpus": 5 * 10**8}):
        engine.json("POST", "/containers/retimed/update", change, expect=200)
    assert engine.inspect("retimed")["HostConfig"]["NanoCpus"] == 5 * 10**8
    assert engine.inspect("retimed")["HostConfig"]["CpuQuota"] == 0


def test_an_update_may_reserve_more_memory_than_the_limit_that_was_set(engine: EngineProcess) -> None:
    engine.run("reserving", "sleep", "300", host={"Memory": 30 * MEGABYTE})
    wish = {"MemoryReservation": 50 * MEGABYTE}
    engine.json("POST", "/containers/reserving/update", wish, expect=200)
    assert engine.inspect("reserving")["HostConfig"]["MemoryReservation"] == 50 * MEGABYTE
    engine.json("POST", "/containers/reserving/update", {"CpuShares": 512}, expect=200)
    both = {"Memory": 40 * MEGABYTE, "MemorySwap": -1, **wish}
    refusal = engine.json("POST", "/containers/reserving/update", both, expect=400)["message"]
    assert "can not be less than memory reservation" in refusal


def test_an_update_of_memory_and_swap_that_contradict_each_other_is_told_so(engine: EngineProcess) -> None:
    engine.create("swapping", "true", host={"Memory": 30 * MEGABYTE})
    change = {"Memory": 20 * MEGABYTE, "MemorySwap": 10 * MEGABYTE}
    refusal = engine.json("POST", "/containers/swapping/update", change, expect=400)["message"]
    assert "Minimum memoryswap limit should be larger than memory limit" in refusal


def test_an_update_that_ends_half_way_says_what_it_did(engine: EngineProcess) -> None:
    engine.run("wishful", "sleep", "300", host={"NetworkMode": "none"})
    ports = {"PortBindings": {"80/tcp": [{"HostPort": "8080"}]}}
    told = engine.json("POST", "/containers/wishful/update", ports, expect=409)["message"]
    assert "changed before" not in told
    wishes = {"CpuShares": 512, "RestartPolicy": {"Name": "always"}, **ports}
    assert engine.json("POST", "/containers/wishful/update", wishes, expect=409)["message"] == (
        f"{told} (changed before that: limits and restart policy)"
    )
    assert engine.inspect("wishful")["HostConfig"]["CpuShares"] == 512
