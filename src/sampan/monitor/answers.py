"""Answering sysinfo(2), and where that was asked for sched_getaffinity(2), in the kernel's place.

They tell the container's own memory, load and number of CPUs. The calls come as seccomp notifications; every other
call is the kernel's as ever. The monitor listens because it lives exactly as long as the container: no daemon is
needed. Whoever waits when it dies gets ENOSYS at once. What an answer says is no secret and grants nothing, so that the
caller may change its memory meanwhile matters to itself alone.
"""

from __future__ import annotations

import errno
import os
import struct
import time
from collections.abc import Mapping

from sampan.cgroup.host import hierarchies
from sampan.cgroup.load import SAMPLE_EVERY_S, LoadAverage, cpu_usage_ns
from sampan.cgroup.membership import (
    Group,
    Membership,
    effective_memory,
    effective_processors,
    membership,
    online_processors,
)
from sampan.linux import seccomp_notify
from sampan.linux.seccomp_notify import Notification
from sampan.monitor.loop import HUNG_UP, READABLE, Loop
from sampan.runtime.launch_plan import LaunchPlan

# struct sysinfo of 64-bit machines (sysinfo(2)).
_SYSINFO = struct.Struct("=q3Q6QHH4x2QI4x")
_LOAD_SHIFT = 1 << 16
_NUMBERS = {
    "x86_64": (0xC000003E, {99: "sysinfo", 204: "sched_getaffinity"}),
    "aarch64": (0xC00000B7, {179: "sysinfo", 123: "sched_getaffinity"}),
}
_FORGET_AFTER_S = 900.0
_FRESH_S = 0.05  # who asks again and again gets the same for so long: our time is paid for by nobody's limit
_LIMITS = {
    1: ("memory.limit_in_bytes", "memory.memsw.limit_in_bytes"),
    2: ("memory.max", "memory.high", "memory.swap.max"),
}
_LONG = 8  # affinity masks are made of unsigned longs


class Answers:
    """All listeners of one container: that of its own program and those of its execs."""

    def __init__(self, loop: Loop, plan: LaunchPlan) -> None:
        self._loop = loop
        self._group_name = plan.cgroup.path.rpartition("/")[2] if plan.cgroup is not None else ""
        offsets = plan.namespaces.time_offsets
        self._boot_offset_s = sum(one.seconds + one.nanoseconds / 1e9 for one in offsets if one.clock == "boottime")
        self._began = time.clock_gettime(time.CLOCK_BOOTTIME)
        self._architecture, self._calls = _NUMBERS.get(os.uname().machine, (0, {}))
        self._listeners: set[int] = set()
        self._load: LoadAverage | None = None
        self._asked_at = 0.0
        # the caller's groups and our limits, when, what was told
        self._recent: tuple[tuple[Mapping[str, str], list[str | None]], float, bytes] | None = None

    def add(self, listener: int) -> None:
        """Listen until no process is left under its filter; -1 is none."""
        if listener >= 0:
            self._listeners.add(listener)
            self._loop.watch(listener, READABLE, lambda mask: self._heard(listener, mask))

    def close(self) -> None:
        """Listen no more."""
        for listener in tuple(self._listeners):
            self._drop(listener)

    def _heard(self, listener: int, mask: int) -> None:
        if mask & READABLE:
            try:
                notification = seccomp_notify.receive(listener)
            except OSError as error:
                if error.errno not in (errno.ENOENT, errno.EINTR):
                    self._drop(listener)
                return
            self._answer(listener, notification)
        elif mask & HUNG_UP:
            self._drop(listener)

    def _answer(self, listener: int, call: Notification) -> None:
        """The container's own, and where there is none or anything goes wrong, the kernel's."""
        value: int | None = None
        try:
            name = self._calls.get(call.number) if call.arch == self._architecture else None
            if name is not None and call.pid:
                place = membership(call.pid, hierarchies())
                value = (self._sysinfo if name == "sysinfo" else self._affinity)(listener, call, place)
        except (OSError, ValueError):
            value = None
        try:
            if value is None:
                seccomp_notify.let_through(listener, call.id)
            else:
                seccomp_notify.respond(listener, call.id, value=value)
        except OSError:  # the caller is gone
            return

    def _sysinfo(self, listener: int, call: Notification, place: Membership) -> int | None:
        about = place.paths, self._limits(place)
        if self._recent is None or self._recent[0] != about or time.monotonic() - self._recent[1] >= _FRESH_S:
            content = _SYSINFO.pack(
                int(self._age_s()),
                *(int(average * _LOAD_SHIFT) for average in self._averages(place)),
                *_memory(place),
                *(min(self._count(place), 0xFFFF), 0, 0, 0, 1),
            )
            self._recent = about, time.monotonic(), content
        content = self._recent[2]
        return 0 if _write(listener, call, call.arguments[0], content) else None

    def _affinity(self, listener: int, call: Notification, place: Membership) -> int | None:
        """As many CPUs of the caller's own mask as its quota fills; what others' masks are, the kernel says."""
        if call.arguments[0] != 0:
            return None
        own = sorted(os.sched_getaffinity(call.pid))
        shown = effective_processors(place, tuple(own)).shown
        size = (max(online_processors()[-1], own[-1]) // 64 + 1) * _LONG
        if call.arguments[1] < size or call.arguments[1] % _LONG:
            return None
        mask = sum(1 << cpu for cpu in shown).to_bytes(size, "little")
        return size if _write(listener, call, call.arguments[2], mask) else None

    def _age_s(self) -> float:
        now = time.clock_gettime(time.CLOCK_BOOTTIME)
        return now + self._boot_offset_s if self._boot_offset_s else now - self._began

    def _count(self, place: Membership) -> int:
        own = self._own(place, "pids")
        return (own.number("pids.current") if own is not None else None) or 1

    def _averages(self, place: Membership) -> list[float]:
        """The load, counted from the first question on until nobody has asked for a while."""
        self._asked_at = time.monotonic()
        group = self._own(place, "pids") or self._own(place, "")
        if group is None:
            return [0.0, 0.0, 0.0]
        if self._load is None:
            usage = cpu_usage_ns(self._own(place, "cpuacct"), self._own(place, ""))
            self._load = LoadAverage(group, usage, self._age_s())
            self._loop.after(SAMPLE_EVERY_S, self._sample)
        return self._load.averages

    def _sample(self) -> None:
        if self._load is None or not self._listeners or time.monotonic() - self._asked_at > _FORGET_AFTER_S:
            self._load = None
            return
        self._load.sample()
        self._loop.after(SAMPLE_EVERY_S, self._sample)

    def _limits(self, place: Membership) -> list[str | None]:
        """What the container's own group says about memory: an update is seen by whoever asks after it."""
        own = self._own(place, "memory")
        if own is None:
            return []
        return [own.text(file) for file in _LIMITS[own.version]]

    def _own(self, place: Membership, controller: str) -> Group | None:
        """The container's own group, whichever group below it the caller is in."""
        chain = place.chain(controller)
        return next((group for group in chain if group.directory.endswith(f"/{self._group_name}")), None)

    def _drop(self, listener: int) -> None:
        self._listeners.discard(listener)
        self._loop.forget(listener)
        os.close(listener)


def _memory(place: Membership) -> tuple[int, ...]:
    """(total, free, shared, buffers, swap, free swap) in bytes: the machine's where no group limits them."""
    machine = dict.fromkeys(("MemTotal", "MemFree", "Shmem", "Buffers", "SwapTotal", "SwapFree"), 0)
    with open("/proc/meminfo", encoding="ascii") as file:
        for line in file:
            name, _, value = line.partition(":")
            if name in machine:
                machine[name] = int(value.split()[0]) * 1024
    used = effective_memory(place)
    if used is None or used.limit_bytes >= machine["MemTotal"]:
        return tuple(machine.values())
    free = min(max(used.limit_bytes - used.usage_bytes, 0), machine["MemFree"])
    swap = machine["SwapTotal"]
    if used.swap_limit_bytes is not None:
        swap = min(swap, used.swap_limit_bytes)
    swap_free = max(min(swap - used.swap_usage_bytes, machine["SwapFree"]), 0)
    return used.limit_bytes, free, used.stat.get("shmem", 0), 0, swap, swap_free


def _write(listener: int, call: Notification, address: int, content: bytes) -> bool:
    """Write into the caller's memory while it waits; False when it may not be, so that the kernel tells it why."""
    try:
        memory = os.open(f"/proc/{call.pid}/mem", os.O_WRONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        # The pid means the caller as long as the call waits; a write past that would hit a stranger's memory.
        return seccomp_notify.is_waiting(listener, call.id) and os.pwrite(memory, content, address) == len(content)
    except (OSError, OverflowError):
        return False
    finally:
        os.close(memory)
