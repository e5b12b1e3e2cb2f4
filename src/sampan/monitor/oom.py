"""Processes of the container that the kernel killed for want of memory: how many, which, and how much there was then.

The number is the cgroup's. Who it was only the kernel's log tells, which may hold too little of it: then the number
stands alone.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from sampan.cgroup.group import Cgroup
from sampan.linux.kernel_log import KernelLog
from sampan.monitor.loop import READABLE, Loop
from sampan.monitor.protocol import Kill

_KEPT = 8
_LOOK_AGAIN_S = 0.2


class OomCounter:
    """Watches a cgroup; `on_kill(count)` is called whenever the number of kills has risen."""

    def __init__(self, loop: Loop, cgroup: Cgroup, on_kill: Callable[[int], None]) -> None:
        self.count = 0
        self.kills: tuple[Kill, ...] = ()
        self._loop = loop
        self._cgroup = cgroup
        self._on_kill = on_kill
        self._since_us = time.monotonic_ns() // 1000
        self._log: KernelLog | None = None
        self._watch = cgroup.watch_oom()
        if self._watch is not None:
            loop.watch(self._watch.fileno(), READABLE, self._alarmed)

    def check(self) -> None:
        """Count now: a kill may be known to the counter before the watch tells of it."""
        count = self._cgroup.oom_kills()
        if count > self.count:
            self.count = count
            self.kills = (*self.kills, *self._read_log())[-_KEPT:]
            self._on_kill(count)

    def close(self) -> None:
        """Watch no more; idempotent."""
        if self._watch is not None:
            self._loop.forget(self._watch.fileno())
            self._watch.close()
            self._watch = None
        if self._log is not None:
            self._log.close()
            self._log = None

    def _alarmed(self, _mask: int) -> None:
        if self._watch is None:
            return
        self._watch.drain()
        before = self.count
        self.check()
        if self.count == before:  # v1 tells before the victim is chosen
            self._loop.after(_LOOK_AGAIN_S, self._look_again)

    def _look_again(self) -> None:
        if self._watch is not None:
            self.check()

    def _read_log(self) -> list[Kill]:
        try:
            self._log = self._log or KernelLog()
            records = [record for record in self._log.read() if record[0] >= self._since_us]
        except OSError:
            return []
        return kills_of(self._cgroup.path, records, time.time_ns() - time.monotonic_ns())


def kills_of(group: str, records: list[tuple[int, str]], epoch_ns: int) -> list[Kill]:
    """The kills in a cgroup or below it that records of the kernel's log tell of, in order.

    `epoch_ns` is the realtime clock when the machine started. Of a kill come three lines that count: usage and limit of
    the group, who it is, and how large.
    """
    found: list[Kill] = []
    usage = limit = 0
    for at_us, text in records:
        if "memory: usage " in text:
            usage, limit = (_kilobytes(text, word) for word in ("usage ", "limit "))
        elif "oom-kill:" in text:
            before, _, after = text.partition(",task_memcg=")[2].partition(",task=")
            program, _, numbers = after.rpartition(",pid=")
            pid = numbers.partition(",")[0]
            if pid.isdigit() and (before == group or before.startswith(f"{group}/")):
                found.append(Kill(int(pid), program, 0, usage, limit, epoch_ns + at_us * 1000))
        elif found and f"Killed process {found[-1].pid} (" in text:
            size = sum(_kilobytes(text, word) for word in ("anon-rss:", "file-rss:", "shmem-rss:"))
            found[-1] = found[-1]._replace(size_bytes=size)
    return found


def _kilobytes(text: str, word: str) -> int:
    """The number of kilobytes behind a word, in bytes; 0 when there is none."""
    number = text.rpartition(word)[2].partition("kB")[0]
    return int(number) * 1024 if number.isdigit() else 0
