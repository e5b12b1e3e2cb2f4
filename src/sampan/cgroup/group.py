"""The face of one container's cgroup, whatever the host has: what may be asked of it, and what it hands back.

Only the Protocol and its small values; `v1` and `v2` implement it, `open_cgroup` of the package chooses between them.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Protocol, Self

from sampan.cgroup.limits import Limits
from sampan.cgroup.statistics import Statistics


@dataclass(frozen=True, slots=True)
class Entry:
    """Open descriptors by which a new process enters; a context manager, or close() it when the child exists.

    `clone_fd` is the unified tree's directory for clone3(CLONE_INTO_CGROUP), -1 where there is none. The child then
    writes b"0" to each of `task_fds` (the `tasks` file of every v1 hierarchy). All are close-on-exec.
    """

    clone_fd: int = -1
    task_fds: tuple[int, ...] = ()

    def close(self) -> None:
        """Close every descriptor; call it once."""
        for descriptor in (self.clone_fd, *self.task_fds):
            if descriptor >= 0:
                os.close(descriptor)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class OomWatch(Protocol):
    """A readable descriptor that tells of memory running out; its owner closes it."""

    def fileno(self) -> int:
        """The descriptor to poll for reading; -1 when closed."""
        ...

    def drain(self) -> None:
        """Take what made the descriptor readable, without blocking; ask `Cgroup.oom_kills` afterwards."""
        ...

    def close(self) -> None:
        """Close it; idempotent."""
        ...


class Cgroup(Protocol):
    """One cgroup: the same path below the root of every hierarchy that this host has.

    Kernel failures raise OSError with the path; what the host lacks raises NotImplementedHere.
    """

    @property
    def path(self) -> str:
        """Where it is below each hierarchy's root, for instance "/sampan/<id>"."""
        ...

    def create(self) -> bool:
        """Make the directories and what is missing above them; False when any was there before.

        cpuset is filled from the parent on v1; on v2 the usual controllers are enabled on the way down. After a
        failure nothing that it made is left.
        """
        ...

    def apply(self, limits: Limits) -> None:
        """Write the limits, new or changed; `None` and empty values stay as they are.

        Raises InvalidArgument when the kernel refuses a value, NotImplementedHere when it lacks the file.
        """
        ...

    def entry(self, *, beside: int = 0) -> Entry:
        """The way in for a new process.

        On v2, with `beside` a pid inside: when the group itself may not hold processes any more (the container has
        made groups of its own below it), the way in is that process's group.
        """
        ...

    def directories(self) -> tuple[tuple[str, str], ...]:
        """(name of the hierarchy as in /proc/PID/cgroup, absolute path of the directory); "" names the unified tree."""
        ...

    def exists(self) -> bool:
        """Whether any of its directories is there."""
        ...

    def processes(self) -> tuple[int, ...]:
        """The pids inside, children groups included, in no order."""
        ...

    def kill_all(self, *, timeout_s: float = 10.0) -> None:
        """SIGKILL everyone inside and below, however fast they fork; returns when all were signalled or are gone.

        Zombies stay for their parents to reap. TimeoutError when some live on.
        """
        ...

    def freeze(self, *, timeout_s: float = 10.0) -> None:
        """Stop everyone inside and below; returns when all stand. TimeoutError, thawed again, when some do not."""
        ...

    def thaw(self) -> None:
        """Let them go on; no error when they were not frozen."""
        ...

    def frozen(self) -> bool:
        """Whether it was frozen by freeze()."""
        ...

    def statistics(self) -> Statistics:
        """What it has used so far."""
        ...

    def oom_kills(self) -> int:
        """How many processes the out-of-memory killer took here; 0 once it is removed."""
        ...

    def watch_oom(self) -> OomWatch | None:
        """A descriptor that becomes readable when memory runs out here; None where memory is not counted."""
        ...

    def delegate(self, uid: int, gid: int) -> None:
        """Let a user namespace's root divide the group further; on v2 only, a v1 hierarchy is not safe to give."""
        ...

    def remove(self, *, timeout_s: float = 2.0) -> None:
        """Remove it and the groups below it, in every hierarchy; fine when it is gone already.

        Kills nothing: while ending processes leave it tries again; when `timeout_s` is over it raises OSError(EBUSY).
        """
        ...

    def close(self) -> None:
        """Close the directory descriptors it holds; idempotent, and it may be used again."""
        ...
