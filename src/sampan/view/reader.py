"""Who reads: a process, its container by its cgroup, and since when that container has been running.

Nothing is told to us about containers: whoever reads is in a group named by a container's id, and the oldest process
in there is the container's first. So a server that was started anew knows all that the one before it knew.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass

from sampan.cgroup.host import Host
from sampan.cgroup.load import processes, stat_fields, tasks
from sampan.cgroup.membership import (
    EffectiveProcessors,
    Group,
    Membership,
    effective_processors,
    membership,
    online_processors,
)

TICKS = os.sysconf("SC_CLK_TCK")
_HEX = frozenset("0123456789abcdef")
_ID_LENGTH = 64
_MOST_REMEMBERED = 4096


@dataclass(frozen=True, slots=True)
class Reader:
    """A process that reads, with the container that it is in."""

    pid: int
    place: Membership
    container: Group  # of the hierarchy that counts processes
    first_pid: int
    age_s: float  # of the container, or what its time namespace says
    count: int  # of processes and threads in the container

    def processors(self) -> EffectiveProcessors:
        """The CPUs in effect."""
        return effective_processors(self.place, online_processors())

    def group(self, controller: str) -> Group | None:
        """The container's own group that `controller` counts in; None where nothing counts."""
        groups = [group for group in self.place.chain(controller) if is_container(group.directory)]
        return groups[0] if groups else None


class Readers:
    """Finds readers, and remembers each container's first process."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self._first: dict[str, tuple[int, int]] = {}  # container -> (pid, start time in ticks)

    def find(self, pid: int) -> Reader | None:
        """The reader with this pid; None for one that is in no container, or gone."""
        if pid == 0:
            return None
        try:
            place = membership(pid, self.host)
        except (OSError, ValueError):
            return None
        container = _container(place)
        first = self._first_of(container) if container else None
        if container is None or first is None:
            return None
        first_pid, started = first
        offset = boot_offset_s(pid)
        now = time.clock_gettime(time.CLOCK_BOOTTIME)
        age = now + offset if offset else now - started / TICKS
        count = container.number("pids.current")
        return Reader(
            pid, place, container, first_pid, max(age, 0.0), len(list(tasks(container))) if count is None else count
        )

    def _first_of(self, container: Group) -> tuple[int, int] | None:
        known = self._first.get(container.directory)
        if known is not None and start_ticks(known[0]) == known[1]:
            return known
        ages = [(ticks, pid) for pid in processes(container) if (ticks := start_ticks(pid)) is not None]
        if not ages:
            return None
        if len(self._first) >= _MOST_REMEMBERED:
            self._first.clear()
        ticks, pid = min(ages)
        self._first[container.directory] = (pid, ticks)
        return pid, ticks


def is_container(directory: str) -> bool:
    """Whether a group's name is a container's id."""
    name = directory.rpartition("/")[2]
    return len(name) == _ID_LENGTH and _HEX.issuperset(name)


def _container(place: Membership) -> Group | None:
    """The innermost group of a container, in the first hierarchy that knows one."""
    for controller in ("pids", "", "memory", "cpu"):
        for group in place.chain(controller):
            if is_container(group.directory):
                return group
    return None


def start_ticks(pid: int) -> int | None:
    """When a process started, in ticks since the machine did; None when it is gone (proc_pid_stat(5), field 22)."""
    fields = stat_fields(pid)
    return int(fields[19]) if len(fields) > 19 else None


def boot_offset_s(pid: int) -> float:
    """How far CLOCK_BOOTTIME of a process is from the machine's (time_namespaces(7)); 0 in the machine's own."""
    try:
        with open(f"/proc/{pid}/timens_offsets", encoding="ascii") as file:
            lines = [line.split() for line in file]
    except OSError:
        return 0.0
    return next((int(line[1]) + int(line[2]) / 1e9 for line in lines if line[0] == "boottime"), 0.0)
