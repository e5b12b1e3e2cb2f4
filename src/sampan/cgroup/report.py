"""A group's limits one by one: the file that holds each, what it says, what is used of it, and what it has refused.

A table of the kernel's files for v1 and for v2; reading it changes nothing. Limits of the groups above come after the
group's own, where they say anything.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from sampan.cgroup.host import Host
from sampan.cgroup.membership import Group, Membership


@dataclass(frozen=True, slots=True)
class LimitLine:
    """One limit. `value` is the kernel's text, None for no limit; `use` and `refused` are None where none is counted.

    `unit` tells what value and use count: "bytes", "tasks", "us" of processor time in a period, or "". `refusal` says
    what was refused, in words. A value of several lines has one for each device.
    """

    name: str
    file: str
    value: str | None
    use: int | None = None
    unit: str = ""
    refused: int | None = None
    refusal: str = ""


@dataclass(frozen=True, slots=True)
class _Known:
    """How one limit is found: its controller, and per version the file, who reads its use and what it refused."""

    name: str
    controller: str
    file: str
    unit: str = ""
    use: Callable[[Group], int | None] = lambda _: None
    refused: Callable[[Group], int | None] = lambda _: None
    refusal: str = ""
    own_only: bool = False  # of a group above it means nothing to the ones below
    no_limit: str = ""  # what the file says, beside the usual words, when nothing is limited
    part: Callable[[str], str] = str.strip  # of the file's text, where it holds several limits


def _number(file: str) -> Callable[[Group], int | None]:
    return lambda group: group.number(file)


def _key(file: str, key: str) -> Callable[[Group], int | None]:
    return lambda group: group.numbers(file).get(key)


def _of_all_devices(text: str) -> str:
    """Of a file of weights the one for devices that are not named."""
    lines = [line for line in text.splitlines() if ":" not in line]
    return " ".join(lines).removeprefix("default ").strip()


def _by_device(text: str) -> str:
    """Of a file of weights those of named devices, a line each."""
    return "\n".join(line for line in text.splitlines() if ":" in line)


_OVER = "times the limit was hit"
_FORKS = "forks refused"
_KILLS = "processes killed"
_THROTTLED = "periods cut short"
_PIDS = _Known("processes", "pids", "pids.max", "tasks", _number("pids.current"), _key("pids.events", "max"), _FORKS)
_V1 = (
    _Known(
        "memory",
        "memory",
        "memory.limit_in_bytes",
        "bytes",
        _number("memory.usage_in_bytes"),
        _number("memory.failcnt"),
        _OVER,
    ),
    _Known(
        "memory and swap",
        "memory",
        "memory.memsw.limit_in_bytes",
        "bytes",
        _number("memory.memsw.usage_in_bytes"),
        _number("memory.memsw.failcnt"),
        _OVER,
    ),
    _Known("memory reservation", "memory", "memory.soft_limit_in_bytes", "bytes", no_limit="0"),
    _Known("memory swappiness", "memory", "memory.swappiness", own_only=True),
    _Known(
        "kernel memory of tcp",
        "memory",
        "memory.kmem.tcp.limit_in_bytes",
        "bytes",
        _number("memory.kmem.tcp.usage_in_bytes"),
        _number("memory.kmem.tcp.failcnt"),
        _OVER,
    ),
    _Known(
        "out of memory",
        "memory",
        "memory.oom_control",
        "",
        lambda _: None,
        _key("memory.oom_control", "oom_kill"),
        _KILLS,
        own_only=True,
    ),
    _Known(
        "cpu quota",
        "cpu",
        "cpu.cfs_quota_us",
        "us",
        lambda _: None,
        _key("cpu.stat", "nr_throttled"),
        _THROTTLED,
    ),
    _Known("cpu period", "cpu", "cpu.cfs_period_us", "us", own_only=True),
    _Known("cpu burst", "cpu", "cpu.cfs_burst_us", "us", own_only=True, no_limit="0"),
    _Known("cpu shares", "cpu", "cpu.shares", own_only=True),
    _Known("cpu idle", "cpu", "cpu.idle", own_only=True, no_limit="0"),
    _Known("real-time runtime", "cpu", "cpu.rt_runtime_us", "us"),
    _Known("real-time period", "cpu", "cpu.rt_period_us", "us", own_only=True),
    _Known("cpus", "cpuset", "cpuset.cpus", own_only=True),
    _Known("memory nodes", "cpuset", "cpuset.mems", own_only=True),
    _PIDS,
    _Known("block io weight", "blkio", "blkio.bfq.weight", own_only=True),
    _Known("block io weight of devices", "blkio", "blkio.bfq.weight_device", own_only=True, part=_by_device),
    _Known("read bytes a second", "blkio", "blkio.throttle.read_bps_device"),
    _Known("written bytes a second", "blkio", "blkio.throttle.write_bps_device"),
    _Known("reads a second", "blkio", "blkio.throttle.read_iops_device"),
    _Known("writes a second", "blkio", "blkio.throttle.write_iops_device"),
    _Known("devices", "devices", "devices.list", own_only=True),
)
_V2 = (
    _Known(
        "memory",
        "memory",
        "memory.max",
        "bytes",
        _number("memory.current"),
        _key("memory.events", "max"),
        _OVER,
    ),
    _Known(
        "memory before throttling",
        "memory",
        "memory.high",
        "bytes",
        refused=_key("memory.events", "high"),
        refusal=_OVER,
    ),
    _Known(
        "swap",
        "memory",
        "memory.swap.max",
        "bytes",
        _number("memory.swap.current"),
        _key("memory.swap.events", "max"),
        _OVER,
    ),
    _Known("memory reservation", "memory", "memory.low", "bytes", no_limit="0"),
    _Known(
        "out of memory",
        "memory",
        "memory.events",
        "",
        lambda _: None,
        _key("memory.events", "oom_kill"),
        _KILLS,
        own_only=True,
    ),
    _Known("cpu quota", "cpu", "cpu.max", "us", refused=_key("cpu.stat", "nr_throttled"), refusal=_THROTTLED),
    _Known("cpu burst", "cpu", "cpu.max.burst", "us", own_only=True, no_limit="0"),
    _Known("cpu weight", "cpu", "cpu.weight", own_only=True),
    _Known("cpu idle", "cpu", "cpu.idle", own_only=True, no_limit="0"),
    _Known("cpus", "cpuset", "cpuset.cpus", own_only=True),
    _Known("memory nodes", "cpuset", "cpuset.mems", own_only=True),
    _PIDS,
    _Known("block io weight", "io", "io.bfq.weight", own_only=True, part=_of_all_devices),
    _Known("block io weight", "io", "io.weight", own_only=True, part=_of_all_devices),
    _Known("block io weight of devices", "io", "io.bfq.weight", own_only=True, part=_by_device),
    _Known("block io weight of devices", "io", "io.weight", own_only=True, part=_by_device),
    _Known("block io rates", "io", "io.max"),
)
# Files whose content is no limit by itself.
_NO_VALUE = frozenset({"memory.oom_control", "memory.events"})
_NO_LIMIT_BYTES = 1 << 62


def limits_of(path: str, host: Host) -> list[LimitLine]:
    """The limits of the group at `path` below each hierarchy's root, and those above it that say anything."""
    place = Membership(host, {one.name: path for one in host.hierarchies})
    lines: list[LimitLine] = []
    above: list[LimitLine] = []
    for known, chain in _known(place, host):
        own, *parents = chain
        if own.text(known.file) is not None:
            lines.append(_line(known, own))
        if not known.own_only:
            found = (_line(known, group) for group in parents)
            above += (line for line in found if line.value is not None)
    return lines + above


def _known(place: Membership, host: Host) -> Iterator[tuple[_Known, tuple[Group, ...]]]:
    seen = set()
    for version, table in ((1, _V1), (2, _V2)):
        for known in (*table, *_huge_pages(version, place)):
            hierarchy = host.of(known.controller)
            chain = place.chain(known.controller)
            if hierarchy is None or hierarchy.version != version or not chain or known.name in seen:
                continue
            if chain[0].text(known.file) is not None:
                seen.add(known.name)
                yield known, chain


def _huge_pages(version: int, place: Membership) -> Iterator[_Known]:
    """One for each size of huge pages that the kernel has ("2MB"); what is reserved is no limit of ours."""
    start, end = "hugetlb.", ".limit_in_bytes" if version == 1 else ".max"
    for group in place.chain("hugetlb")[:1]:
        try:
            files = sorted(os.listdir(group.directory))
        except OSError:  # it has ended
            return
        for file in files:
            size = file.removeprefix(start).removesuffix(end)
            if file != f"{start}{size}{end}" or "." in size:
                continue
            if version == 1:
                use, refused = _number(f"{start}{size}.usage_in_bytes"), _number(f"{start}{size}.failcnt")
            else:
                use, refused = _number(f"{start}{size}.current"), _key(f"{start}{size}.events", "max")
            yield _Known(f"huge pages of {size}", "hugetlb", file, "bytes", use, refused, _OVER)


def _line(known: _Known, group: Group) -> LimitLine:
    file = f"{group.directory}/{known.file}"
    return LimitLine(
        known.name, file, _value(known, group), known.use(group), known.unit, known.refused(group), known.refusal
    )


def _value(known: _Known, group: Group) -> str | None:
    if known.file in _NO_VALUE:
        return None
    text = known.part(group.text(known.file) or "").strip()
    if text in ("", "-1", "max", known.no_limit) or text.startswith("max "):
        return None
    # What v1 writes for no limit is rounded to the size of a page, of a huge one where it counts these.
    return None if known.unit == "bytes" and text.isdigit() and int(text) >= _NO_LIMIT_BYTES else text
