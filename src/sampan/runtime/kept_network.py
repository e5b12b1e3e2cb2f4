"""A network namespace that a container left as it had found it, for the next container of the same monitor.

Making one and taking it down cost more than all other namespaces together (1 ms on two processors of 2026). Steps of
builds follow each other by the thousand, and one without a network does nothing to its loopback that is still there
when its processes have gone, unless connections are: then the namespace is nobody's any more.
"""

from __future__ import annotations

import os
from contextlib import ExitStack
from dataclasses import dataclass

from sampan.linux.capability import NAMES
from sampan.runtime.launch_plan import LaunchPlan

_MAY_CHANGE_IT = 1 << NAMES.index("CAP_NET_ADMIN") | 1 << NAMES.index("CAP_SYS_ADMIN")
_TABLES = ("sockstat", "sockstat6")
_COUNTS = {"inuse", "tw"}  # sockets of the namespace; the other numbers are the machine's
_MOST = 4096


@dataclass(frozen=True, slots=True)
class KeptNetwork:
    """The namespace of a container that may not change it. The descriptors are its owner's to close."""

    fd: int
    sysctl: tuple[tuple[str, str], ...]  # what containers in there have set
    tables: tuple[int, ...]  # /proc/PID/net/sockstat and sockstat6: of the namespace, whatever became of the process

    def suits(self, plan: LaunchPlan) -> bool:
        """Whether a container of this plan finds what it asks for, and leaves it."""
        return self.sysctl == plan.sysctl and not _may_change(plan)

    def is_untouched(self) -> bool:
        """Whether no socket is left in there, not even in TIME_WAIT, when its containers have gone."""
        return not any(map(_sockets, (os.pread(table, _MOST, 0) for table in self.tables)))

    def descriptors(self) -> tuple[int, ...]:
        """All of them."""
        return (self.fd, *self.tables)

    def close(self) -> None:
        """Let the namespace go."""
        for fd in self.descriptors():
            os.close(fd)


def keep_network(pid: int, plan: LaunchPlan) -> KeptNetwork | None:
    """The namespace that was made for the container of this plan, whose process `pid` is not reaped yet.

    None for one that is not its own, or that its processes may change: by a capability, or by /proc/sys.
    """
    if "net" not in plan.namespaces.new or _may_change(plan):
        return None
    with ExitStack() as undo:
        opened = []
        try:
            for path in ("ns/net", *(f"net/{table}" for table in _TABLES)):
                fd = os.open(f"/proc/{pid}/{path}", os.O_RDONLY | os.O_CLOEXEC)
                undo.callback(os.close, fd)
                opened.append(fd)
        except FileNotFoundError:  # it has ended, or the kernel is without IPv6
            return None
        undo.pop_all()
        return KeptNetwork(opened[0], plan.sysctl, tuple(opened[1:]))


def _may_change(plan: LaunchPlan) -> bool:
    names, capabilities = plan.namespaces, plan.process.capabilities
    return (
        "user" in names.new
        or any(join.kind == "user" for join in names.join)
        or capabilities is None
        or bool(capabilities.bounding & _MAY_CHANGE_IT)
        or "/proc/sys" not in plan.readonly_paths
    )


def _sockets(table: bytes) -> int:
    """How many there are by sockstat's lines: `TCP: inuse 1 orphan 0 tw 0 alloc 9 mem 0`."""
    found = 0
    for line in table.decode().splitlines():
        words = line.split()[1:]
        found += sum(int(count) for name, count in zip(words[::2], words[1::2], strict=True) if name in _COUNTS)
    return found
