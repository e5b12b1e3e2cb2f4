"""A group's limits one by one: the file that holds each, what it says, what is used of it, and what it has refused.

A table of the kernel's files for v1 and for v2; reading it changes nothing. Limits of the groups above come after the
group's own, where they say anything.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from sampan.cgroup.host import Host
from sampan.cgroup.membership import Group, Membership


@dataclass(frozen=True, slots=True)
class LimitLine:
    """One limit. `value` is the kernel's text, None for no limit; `use` and `refused` are None where none is counted.

    `unit` tells what value and use count: "bytes", "tasks", "us" of processor time in a period, or "". `refusal` says
    what was refused, in words.
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


def _number(file: str) -> Callable[[Group], int | None]:
    return lambda group: group.number(file)


def _key(file: str, key: str) -> Callable[[Group], int | None]:
    return lambda group: group.numbers(file).get(key)


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
    _Known("memory reservation", "memory", "memory.soft_limit_in_bytes", "bytes"),
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
    _Known("cpu shares", "cpu", "cpu.shares", own_only=True),
    _Known("cpus", "cpuset", "cpuset.cpus", own_only=True),
    _Known("memory nodes", "cpuset", "cpuset.mems", own_only=True),
    _PIDS,
    _Known("block io weight", "blkio", "blkio.bfq.weight", own_only=True),
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
    _Known("memory reservation", "memory", "memory.low", "bytes"),
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
    _Known("cpu weight", "cpu", "cpu.weight", own_only=True),
    _Known("cpus", "cpuset", "cpuset.cpus", own_only=True),
    _Known("memory nodes", "cpuset", "cpuset.mems", own_only=True),
    _PIDS,
    _Known("block io weight", "io", "io.bfq.weight", own_only=True),
    _Known("block io weight", "io", "io.weight", own_only=True),
    _Known("block io rates", "io", "io.max"),
)
# Files whose content is no limit by itself.
_NO_VALUE = frozenset({"memory.oom_control", "memory.events"})


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
        for known in table:
            hierarchy = host.of(known.controller)
            chain = place.chain(known.controller)
            if hierarchy is None or hierarchy.version != version or not chain or known.name in seen:
                continue
            if chain[0].text(known.file) is not None:
                seen.add(known.name)
                yield known, chain


def _line(known: _Known, group: Group) -> LimitLine:
    file = f"{group.directory}/{known.file}"
    return LimitLine(
        known.name, file, _value(known, group), known.use(group), known.unit, known.refused(group), known.refusal
    )


def _value(known: _Known, group: Group) -> str | None:
    if known.file in _NO_VALUE:
        return None
    text = (group.text(known.file) or "").strip()
    if known.unit == "bytes" and group.number(known.file) is None:
        return None
    if text == "0" and known.unit == "bytes":
        return text if known.name == "swap" else None
    return None if text in ("", "-1", "max") or text.startswith("max ") else text
