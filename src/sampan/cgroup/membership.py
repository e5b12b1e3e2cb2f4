"""Where a process is in every hierarchy, and what holds for it there: its group's limits and those of all above it.

A container may divide its own group, and its group may lie below one that several share; what a process may really use
is the least of what stands on its way up. Read by path, for processes that are not ours to manage; `Cgroup` is for the
groups that are.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from sampan.cgroup.host import Host

_NO_LIMIT_V1 = 0x7FFFFFFFFFFFF000 - 0xFFFF


@dataclass(frozen=True, slots=True)
class Group:
    """One directory of one hierarchy, `version` 1 or 2."""

    directory: str
    version: int

    def text(self, file: str) -> str | None:
        """The content of a file; None when it is not there, or the group is gone."""
        try:
            with open(f"{self.directory}/{file}", encoding="ascii", errors="replace") as opened:
                return opened.read()
        except OSError:
            return None

    def number(self, file: str) -> int | None:
        """A file that holds one number; None for "max", for v1's word for it, and for a file that is not there."""
        text = (self.text(file) or "").strip()
        if not text.lstrip("-").isdigit():
            return None
        value = int(text)
        return None if value < 0 or value >= _NO_LIMIT_V1 else value

    def numbers(self, file: str) -> dict[str, int]:
        """A flat keyed file; empty when it is not there."""
        pairs = (line.split() for line in (self.text(file) or "").splitlines())
        return {pair[0]: int(pair[1]) for pair in pairs if len(pair) == 2 and pair[1].isdigit()}


@dataclass(frozen=True, slots=True)
class Membership:
    """The group of one process in each hierarchy, by its name, as paths below the root of that hierarchy."""

    host: Host
    paths: Mapping[str, str]

    def chain(self, controller: str) -> tuple[Group, ...]:
        """The process's group that `controller` counts in and those above it, the hierarchy's root left out.

        "" means the unified tree.
        """
        hierarchy = self.host.unified if not controller else self.host.of(controller)
        if hierarchy is None:
            return ()
        path = self.paths.get(hierarchy.name, "/")
        groups = []
        while path not in ("/", ""):
            groups.append(Group(hierarchy.mount_point + path, hierarchy.version))
            path = path.rpartition("/")[0]
        return tuple(groups)


def membership(pid: int, host: Host) -> Membership:
    """Where process `pid` is. Raises OSError when it is gone."""
    with open(f"/proc/{pid}/cgroup", encoding="utf-8", errors="surrogateescape") as file:
        return parse_membership(file.read(), host)


def parse_membership(text: str, host: Host) -> Membership:
    """What /proc/PID/cgroup says (cgroups(7)); a group outside of what is mounted here counts as the root."""
    paths = {}
    for line in text.splitlines():
        _, name, path = line.split(":", 2)
        hierarchy = next((one for one in host.hierarchies if set(one.name.split(",")) == set(name.split(","))), None)
        if hierarchy is not None and "/../" not in f"{path}/":
            paths[hierarchy.name] = _below(hierarchy.root, path)
    return Membership(host, paths)


def _below(root: str, path: str) -> str:
    if root == "/":
        return path
    return path[len(root) :] or "/" if path == root or path.startswith(f"{root}/") else "/"


@dataclass(frozen=True, slots=True)
class EffectiveMemory:
    """The memory that a process may use: the tightest limit above it, and what is used of that.

    `swap_limit_bytes` is swap alone; None is no limit. `stat` has memory.stat's keys of the kernel, with those below
    counted in.
    """

    limit_bytes: int
    usage_bytes: int
    swap_limit_bytes: int | None
    swap_usage_bytes: int
    stat: Mapping[str, int]


def effective_memory(place: Membership) -> EffectiveMemory | None:
    """The memory in effect for a process of this membership; None when no group limits it."""
    limited = [(limit, group) for group in place.chain("memory") if (limit := _memory_limit(group)) is not None]
    if not limited:
        return None
    limit, group = min(limited, key=lambda entry: entry[0])
    swap_limit, swap_usage = _swap(place.chain("memory"), limit)
    if group.version == 1:
        stat = group.numbers("memory.stat")
        stat = {key.removeprefix("total_"): value for key, value in stat.items() if key.startswith("total_")}
        return EffectiveMemory(limit, group.number("memory.usage_in_bytes") or 0, swap_limit, swap_usage, stat)
    return EffectiveMemory(
        limit, group.number("memory.current") or 0, swap_limit, swap_usage, group.numbers("memory.stat")
    )


def _memory_limit(group: Group) -> int | None:
    if group.version == 1:
        return group.number("memory.limit_in_bytes")
    limits = (group.number("memory.max"), group.number("memory.high"))
    return min((limit for limit in limits if limit is not None), default=None)


def _swap(chain: tuple[Group, ...], memory_limit: int) -> tuple[int | None, int]:
    """(limit, usage) of swap alone: on v1 what memory plus swap leaves beyond the memory."""
    found: list[tuple[int, int]] = []
    for group in chain:
        if group.version == 2:
            limit = group.number("memory.swap.max")
            if limit is not None:
                found.append((limit, group.number("memory.swap.current") or 0))
        elif (both := group.number("memory.memsw.limit_in_bytes")) is not None:
            used = group.number("memory.memsw.usage_in_bytes") or 0
            found.append((max(both - memory_limit, 0), max(used - (group.number("memory.usage_in_bytes") or 0), 0)))
    return min(found, default=(None, 0))


@dataclass(frozen=True, slots=True)
class EffectiveProcessors:
    """The CPUs that a process may run on, in order, and how much of them: `quota` in CPUs, None without one."""

    allowed: tuple[int, ...]
    quota: float | None

    @property
    def shown(self) -> tuple[int, ...]:
        """As many of the allowed ones as the quota fills, rounded up: at least one."""
        if self.quota is None:
            return self.allowed
        whole = int(self.quota)
        return self.allowed[: max(1, whole if whole == self.quota else whole + 1)]


def effective_processors(place: Membership, online: tuple[int, ...]) -> EffectiveProcessors:
    """The CPUs in effect for a process of this membership; `online` are the machine's."""
    allowed = next((cpus for group in place.chain("cpuset") if (cpus := _cpuset(group))), online)
    allowed = tuple(cpu for cpu in allowed if cpu in online) or online
    quotas = [quota for group in place.chain("cpu") if (quota := _quota(group)) is not None]
    return EffectiveProcessors(allowed, min(quotas, default=None))


def _cpuset(group: Group) -> tuple[int, ...]:
    for file in ("cpuset.cpus.effective", "cpuset.effective_cpus", "cpuset.cpus"):
        text = (group.text(file) or "").strip()
        if text:
            return tuple(parse_list(text))
    return ()


def _quota(group: Group) -> float | None:
    if group.version == 2:
        words = (group.text("cpu.max") or "max").split()
        quota, period = words[0], int(words[1]) if len(words) > 1 else 100_000
        return int(quota) / period if quota.isdigit() else None
    allowed, of = group.number("cpu.cfs_quota_us"), group.number("cpu.cfs_period_us")
    return allowed / of if allowed and of else None


def parse_list(text: str) -> Iterator[int]:
    """The numbers of a list as in cpuset(7): "0-2,4"."""
    for part in text.strip().split(","):
        first, _, last = part.partition("-")
        if first:
            yield from range(int(first), int(last or first) + 1)


def format_list(numbers: tuple[int, ...]) -> str:
    """Ascending numbers as a list as in cpuset(7)."""
    parts: list[list[int]] = []
    for number in numbers:
        if parts and parts[-1][1] == number - 1:
            parts[-1][1] = number
        else:
            parts.append([number, number])
    return ",".join(str(first) if first == last else f"{first}-{last}" for first, last in parts)


def online_processors() -> tuple[int, ...]:
    """The machine's CPUs, as /sys has them; where that is not mounted, those that this process may use."""
    try:
        with open("/sys/devices/system/cpu/online", encoding="ascii") as file:
            return tuple(parse_list(file.read()))
    except OSError:
        return tuple(sorted(os.sched_getaffinity(0)))
