"""Whom the kernel's log tells of when memory ran out in a group."""

from __future__ import annotations

from sampan.monitor.oom import kills_of

MEGABYTE = 1024 * 1024
NAMES = "constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset={0},mems_allowed=0,oom_memcg={0},task_memcg={0}"


def _kill(group: str, program: str, pid: int, at_us: int) -> list[tuple[int, str]]:
    sizes = "total-vm:219400kB, anon-rss:1024kB, file-rss:2048kB, shmem-rss:0kB, UID:0 pgtables:124kB oom_score_adj:0"
    return [
        (at_us, f"{program} invoked oom-killer: gfp_mask=0xcc0(GFP_KERNEL), order=0, oom_score_adj=0"),
        (at_us + 1, "memory: usage 32768kB, limit 65536kB, failcnt 5"),
        (at_us + 2, "memory+swap: usage 32768kB, limit 99kB, failcnt 0"),
        (at_us + 3, f"oom-kill:{NAMES.format(group)},task={program},pid={pid},uid=0"),
        (at_us + 4, f"Memory cgroup out of memory: Killed process {pid} ({program}) {sizes}"),
    ]


def test_a_kill_is_told_with_its_program_its_size_and_the_memory_of_the_group() -> None:
    (kill,) = kills_of("/sampan/a", _kill("/sampan/a", "py,pid=3", 24253, 7000), 10**9)
    assert (kill.pid, kill.program) == (24253, "py,pid=3")
    assert (kill.size_bytes, kill.usage_bytes, kill.limit_bytes) == (3 * MEGABYTE, 32 * MEGABYTE, 64 * MEGABYTE)
    assert kill.at_ns == 10**9 + 7003 * 1000


def test_groups_below_count_and_those_beside_do_not() -> None:
    records = [
        *_kill("/sampan/a/nested", "one", 1, 10),
        *_kill("/sampan/ab", "two", 2, 20),
        *_kill("/b", "three", 3, 30),
    ]
    assert [kill.program for kill in kills_of("/sampan/a", records, 0)] == ["one"]


def test_a_log_with_other_things_in_it_tells_of_nobody() -> None:
    records = [(1, "oom-kill:nonsense"), (2, "Killed process 7 (x) anon-rss:3kB"), (3, "memory: usage lots"), (4, "")]
    assert kills_of("/sampan/a", records, 0) == []
