"""/proc/loadavg and /proc/uptime of a container.

Who asks for its load once is counted every five seconds from then on, until it has not asked for a while.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

from sampan.cgroup.load import LoadAverage, cpu_usage_ns, running_tasks
from sampan.view.reader import Reader

FORGET_AFTER_S = 900.0


@dataclass(slots=True)
class _Asked:
    """The load of one container, and when it was asked for last."""

    load: LoadAverage
    at: float


class Loads:
    """The load of every container that has been asked for; `sample` wants to be called every SAMPLE_EVERY_S."""

    def __init__(self) -> None:
        self._asked: dict[str, _Asked] = {}

    @property
    def is_wanted(self) -> bool:
        """Whether there is anything to sample."""
        return bool(self._asked)

    def of(self, reader: Reader) -> list[float]:
        """The three averages now."""
        key = reader.container.directory
        if key not in self._asked:
            load = LoadAverage(reader.container, usage_ns(reader), reader.age_s)
            self._asked[key] = _Asked(load, 0)
        self._asked[key].at = time.monotonic()
        return self._asked[key].load.averages

    def sample(self) -> None:
        """Count everywhere, and forget who has not asked for long."""
        for key, asked in tuple(self._asked.items()):
            if time.monotonic() - asked.at > FORGET_AFTER_S:
                del self._asked[key]
            else:
                asked.load.sample()


def usage_ns(reader: Reader) -> int:
    """The CPU time that the container has used."""
    return cpu_usage_ns(reader.group("cpuacct"), reader.group(""))


def loadavg(reader: Reader, averages: list[float]) -> str:
    """/proc/loadavg (proc_loadavg(5))."""
    running, _ = running_tasks(reader.container)
    one, five, fifteen = averages
    return f"{one:.2f} {five:.2f} {fifteen:.2f} {max(running, 1)}/{max(reader.count, 1)} {_newest_pid(reader)}\n"


def uptime(reader: Reader) -> str:
    """/proc/uptime: since the container's start, and the time that its CPUs were idle."""
    idle_s = reader.age_s * len(reader.processors().shown) - usage_ns(reader) / 1e9
    return f"{reader.age_s:.2f} {max(idle_s, 0.0):.2f}\n"


def _newest_pid(reader: Reader) -> int:
    """The pid of the reader, as its own pid namespace has it."""
    try:
        with open(f"/proc/{reader.pid}/status", encoding="utf-8", errors="surrogateescape") as file:
            line = next(line for line in file if line.startswith("NSpid:"))
        return int(line.split()[-1])
    except (OSError, StopIteration):
        return 0
