"""The table of what is served: a path below the file system's root, and who writes its content.

Paths are those of the machine without the first slash, as lxcfs has them below its own root, too.
"""

from __future__ import annotations

import functools
import os
import time
from collections.abc import Callable

from sampan.view import devices, load, memory, processors
from sampan.view.load import Loads
from sampan.view.reader import Reader, Readers

ONLINE = "sys/devices/system/cpu/online"
PRESENT = "sys/devices/system/cpu/present"
UPTIME = "proc/uptime"
_PRESSURES = ("proc/pressure/cpu", "proc/pressure/io", "proc/pressure/memory")
# Who reads again and again gets the same for so long: what is asked here is paid for by nobody's limit.
_FRESH_S = 0.05
_MOST_RECENT = 1024
PATHS = (
    "proc/cpuinfo",
    "proc/diskstats",
    "proc/loadavg",
    "proc/meminfo",
    "proc/stat",
    "proc/swaps",
    UPTIME,
    *_PRESSURES,
    ONLINE,
    PRESENT,
)


class Files:
    """Writes each file for its reader."""

    def __init__(self, readers: Readers) -> None:
        self.loads = Loads()
        self._readers = readers
        self._recent: dict[tuple[int, str], tuple[float, bytes]] = {}  # pid, path -> when it was written, and what
        self._writers: dict[str, Callable[[Reader], str]] = {
            "proc/cpuinfo": processors.cpuinfo,
            "proc/diskstats": devices.diskstats,
            "proc/loadavg": self._loadavg,
            "proc/meminfo": memory.meminfo,
            "proc/stat": processors.stat,
            "proc/swaps": memory.swaps,
            UPTIME: load.uptime,
            ONLINE: processors.cpu_list,
            PRESENT: processors.cpu_list,
        }
        for path in _PRESSURES:
            self._writers[path] = functools.partial(devices.pressure, kind=path.rpartition("/")[2])

    def content(self, path: str, pid: int) -> bytes:
        """What the process `pid` reads from `path`; the machine's own for one that is in no container.

        Raises OSError.
        """
        now = time.monotonic()
        at, content = self._recent.get((pid, path), (0.0, b""))
        if now - at < _FRESH_S:
            return content
        content = self._write(path, pid)
        if len(self._recent) >= _MOST_RECENT:
            self._recent.clear()
        self._recent[pid, path] = now, content
        return content

    def _write(self, path: str, pid: int) -> bytes:
        reader = self._readers.find(pid)
        if reader is None:
            with open(f"/{path}", "rb") as file:
                return file.read()
        return self._writers[path](reader).encode("utf-8", "surrogateescape")

    def _loadavg(self, reader: Reader) -> str:
        return load.loadavg(reader, self.loads.of(reader))


def served_paths() -> tuple[str, ...]:
    """Those that this machine has: pressure is kept by some kernels alone."""
    return tuple(path for path in PATHS if os.path.exists(f"/{path}"))
