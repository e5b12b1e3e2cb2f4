"""How busy a group is: its processes and threads, and the load averages that the kernel keeps for the machine alone."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Iterator

from sampan.cgroup.membership import Group

PERIODS_S = (60.0, 300.0, 900.0)
SAMPLE_EVERY_S = 5.0
_MOST_LOOKED_AT = 512


class LoadAverage:
    """The three averages of one group, counted whenever `sample` is called, as the kernel does every five seconds.

    Before the first count the CPU time used so far (`usage_ns` in `age_s`) tells what they are.
    """

    __slots__ = ("_sampled_at", "averages", "group")

    def __init__(self, group: Group, usage_ns: int, age_s: float) -> None:
        rate = usage_ns / 1e9 / max(age_s, 0.1)
        self.group = group
        self.averages = [rate * -math.expm1(-age_s / period) for period in PERIODS_S]
        self._sampled_at = time.monotonic()

    def sample(self) -> None:
        """Count now."""
        now = time.monotonic()
        passed, self._sampled_at = now - self._sampled_at, now
        active = sum(running_tasks(self.group))
        for index, period in enumerate(PERIODS_S):
            decay = math.exp(-passed / period)
            self.averages[index] = self.averages[index] * decay + active * (1 - decay)


def running_tasks(group: Group) -> tuple[int, int]:
    """(running or ready, waiting for a disk) of a group's threads; of very many a part, scaled up."""
    every = list(tasks(group))
    looked_at = every[:: max(1, len(every) // _MOST_LOOKED_AT)]
    states = [fields[0] for pid in looked_at if (fields := stat_fields(pid))]
    scale = len(every) / len(looked_at) if looked_at else 1
    return round(states.count("R") * scale), round(states.count("D") * scale)


def processes(group: Group) -> Iterator[int]:
    """The pids in a group and in those below it."""
    return _listed(group, "cgroup.procs")


def tasks(group: Group) -> Iterator[int]:
    """The threads in a group and in those below it."""
    return _listed(group, "tasks" if group.version == 1 else "cgroup.threads")


def stat_fields(pid: int) -> list[str]:
    """The fields of /proc/PID/stat from the state on; empty when it is gone (proc_pid_stat(5))."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return file.read().rpartition(b")")[2].decode("ascii").split()
    except OSError:
        return []


def cpu_usage_ns(account: Group | None, unified: Group | None) -> int:
    """The CPU time of a group: of `account` (v1's cpuacct) where there is one, else of the unified tree's group."""
    if account is not None:
        return account.number("cpuacct.usage") or 0
    return unified.numbers("cpu.stat").get("usage_usec", 0) * 1000 if unified is not None else 0


def _listed(group: Group, file: str) -> Iterator[int]:
    yield from (int(word) for word in (group.text(file) or "").split())
    try:
        with os.scandir(group.directory) as entries:
            below = [entry.path for entry in entries if entry.is_dir(follow_symlinks=False)]
    except OSError:
        return
    for directory in below:
        yield from _listed(Group(directory, group.version), file)
