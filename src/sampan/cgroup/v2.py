"""A cgroup in the unified tree: alone on a v2 host, or as the v2 side of a hybrid one (`v1` holds it then)."""

from __future__ import annotations

import contextlib
import errno
import os
import time
from collections.abc import Iterable
from dataclasses import replace

from sampan.cgroup import freezer, killing, oom, v1_statistics, v2_devices, v2_statistics
from sampan.cgroup.directory import Directory, unless_gone
from sampan.cgroup.group import Entry
from sampan.cgroup.host import Hierarchy, Host
from sampan.cgroup.limits import DeviceRule, Limits
from sampan.cgroup.plan import plan_writes
from sampan.cgroup.statistics import Statistics
from sampan.cgroup.writing import Batch, refuse_below_usage, settle
from sampan.errors import Conflict, NotImplementedHere

# Enabled for every group where they can be: usage is counted by them even without a limit.
USUAL = ("cpu", "io", "memory", "pids")
_DELEGATE = "/sys/kernel/cgroup/delegate"


class UnifiedCgroup:
    """The Cgroup Protocol on v2."""

    def __init__(self, host: Host, hierarchy: Hierarchy, path: str) -> None:
        self._host = host
        self._path = path
        # Its own group holds this process, and a group with processes cannot be divided: a relative path starts above.
        start = "" if path.startswith("/") else os.path.dirname(hierarchy.own).rstrip("/") + "/"
        self.directory = Directory(hierarchy, hierarchy.mount_point.rstrip("/") + start + path)

    @property
    def path(self) -> str:
        """See Cgroup."""
        return self._path

    def create(self) -> bool:
        """See Cgroup."""
        made = self.directory.make(lambda _: None)
        try:
            self._enable(USUAL, must=False)
        except BaseException:
            self._undo(made)
            raise
        return self.directory in made

    def _undo(self, made: list[Directory]) -> None:
        self.close()
        for directory in reversed(made):
            with contextlib.suppress(OSError):
                os.rmdir(directory.location)

    def _enable(self, wanted: Iterable[str], *, must: bool) -> None:
        """Let the group have the controllers of `wanted` that this host's tree offers: enable them in all above it."""
        offered = self.directory.hierarchy.controllers
        if not offered:
            return
        present = self.directory.read("cgroup.controllers").split()
        missing = [name for name in wanted if name in offered and name not in present]
        if not missing:
            return
        ancestors: list[Directory] = []
        above = self.directory
        while above.location != above.hierarchy.mount_point:
            above = above.parent()
            ancestors.append(above)
        words = " ".join(f"+{name}" for name in missing)
        for ancestor in reversed(ancestors):
            try:
                ancestor.write("cgroup.subtree_control", words)
            except OSError as error:
                if error.errno == errno.EBUSY:
                    raise Conflict(
                        f"controllers {' '.join(missing)} cannot be enabled below {ancestor.location}: "
                        "it holds processes itself",
                        remedy="move its processes into a group of their own, or use another parent group",
                    ) from error
                if must:
                    raise
            finally:
                ancestor.close()

    def apply(self, limits: Limits) -> None:
        """See Cgroup."""
        refuse_below_usage(self.directory, "memory.current", limits.memory)
        self.apply_batches(plan_writes(self._complete(limits), self._host))
        self.apply_devices(limits.devices)

    def apply_batches(self, batches: list[Batch]) -> None:
        """Write what `plan_writes` planned for this tree."""
        self._enable(dict.fromkeys(batch[0].controller for batch in batches), must=True)
        for batch in batches:
            settle(self.directory, batch)

    def apply_devices(self, rules: tuple[DeviceRule, ...]) -> None:
        """Put a program for `rules` in the place of the one that is there; without rules it stays."""
        if rules:
            v2_devices.attach(self.directory, rules)

    def _complete(self, limits: Limits) -> Limits:
        """Fill in what v2 writes into one file but was asked only by half, from what is in force."""
        cpu, memory = limits.cpu, limits.memory
        if cpu.period_us and not cpu.quota_us and self.directory.has("cpu.max"):
            quota = self.directory.read("cpu.max").split()[0]
            cpu = replace(cpu, quota_us=-1 if quota == "max" else int(quota))
        if memory.swap_bytes and memory.swap_bytes > 0 and not memory.limit_bytes and self.directory.has("memory.max"):
            limit = self.directory.read("memory.max").strip()
            memory = replace(memory, limit_bytes=-1 if limit == "max" else int(limit))
        return replace(limits, cpu=cpu, memory=memory)

    def entry(self, *, beside: int = 0) -> Entry:
        """See Cgroup."""
        location = self.directory.location
        if beside and self.directory.read("cgroup.subtree_control").strip():
            location = self._group_of(beside) or location
        return Entry(clone_fd=os.open(location, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC))

    def _group_of(self, pid: int) -> str:
        """The directory of `pid`'s group when it is below this one, else ""."""
        hierarchy = self.directory.hierarchy
        with open(f"/proc/{pid}/cgroup", encoding="utf-8", errors="surrogateescape") as file:
            paths = [line.rstrip("\n").split(":", 2)[2] for line in file if line.startswith("0:")]
        for path in paths:
            below = path.removeprefix(hierarchy.root.rstrip("/"))
            location = hierarchy.mount_point.rstrip("/") + below
            if location.startswith(self.directory.location + "/"):
                return location
        return ""

    def directories(self) -> tuple[tuple[str, str], ...]:
        """See Cgroup."""
        return (("", self.directory.location),)

    def exists(self) -> bool:
        """See Cgroup."""
        return self.directory.exists()

    def processes(self) -> tuple[int, ...]:
        """See Cgroup."""
        return tuple(self.directory.processes())

    def kill_all(self, *, timeout_s: float = 10.0) -> None:
        """See Cgroup."""
        deadline = time.monotonic() + timeout_s
        if self.signal_all():
            self.wait_until_empty(deadline)
        elif self.exists():
            self._kill_by_signals(deadline)

    def signal_all(self) -> bool:
        """SIGKILL to everyone by cgroup.kill (Linux 5.14), without waiting; False where that cannot be done."""
        try:
            self.directory.write("cgroup.kill", "1")
        except OSError as error:
            # EOPNOTSUPP: a threaded group. ENODEV: removed meanwhile.
            if error.errno not in (errno.ENOENT, errno.ENODEV, errno.EOPNOTSUPP):
                raise
            return False
        return True

    def wait_until_empty(self, deadline: float) -> None:
        """Wait until nobody alive is inside; TimeoutError at `deadline`."""
        if not freezer.wait_for_event(self.directory, "populated", 0, deadline):
            raise TimeoutError(f"processes in {self.directory.location} do not die: {self.processes()[:10]}")

    def _kill_by_signals(self, deadline: float) -> None:
        """For kernels before 5.14. Whoever is frozen here dies of SIGKILL all the same, and cannot fork before."""
        with unless_gone():
            self.directory.write("cgroup.freeze", "1")
        try:
            killing.kill_until_gone(self.directory.processes, _nothing, _nothing, deadline)
        finally:
            with unless_gone():
                self.directory.write("cgroup.freeze", "0")

    def freeze(self, *, timeout_s: float = 10.0) -> None:
        """See Cgroup."""
        freezer.freeze_v2(self.directory, time.monotonic() + timeout_s)

    def thaw(self) -> None:
        """See Cgroup."""
        freezer.thaw_v2(self.directory)

    def frozen(self) -> bool:
        """See Cgroup."""
        return freezer.frozen_v2(self.directory)

    def statistics(self) -> Statistics:
        """See Cgroup."""
        here = self.directory
        return Statistics(
            cpu=v2_statistics.cpu(here),
            memory=v2_statistics.memory(here),
            pids=v1_statistics.pids(lambda _: here),
            block_io=v2_statistics.block_io(here),
            hugepages=v2_statistics.hugepages(here),
            rdma=v2_statistics.rdma(here),
        )

    def oom_kills(self) -> int:
        """See Cgroup."""
        return oom.kills(self.directory, "memory.events")

    def watch_oom(self) -> oom.DescriptorWatch | None:
        """See Cgroup."""
        return oom.watch_v2(self.directory) if self.directory.has("memory.events") else None

    def delegate(self, uid: int, gid: int) -> None:
        """See Cgroup; the files are those that the kernel names in /sys/kernel/cgroup/delegate."""
        try:
            with open(_DELEGATE, encoding="ascii") as file:
                names = file.read().split()
        except FileNotFoundError:
            names = ["cgroup.procs", "cgroup.threads", "cgroup.subtree_control"]
        os.chown(self.directory.location, uid, gid)
        for name in names:
            with contextlib.suppress(FileNotFoundError):
                os.chown(name, uid, gid, dir_fd=self.directory.descriptor, follow_symlinks=False)

    def remove(self, *, timeout_s: float = 2.0) -> None:
        """See Cgroup."""
        self.directory.remove(time.monotonic() + timeout_s)

    def close(self) -> None:
        """See Cgroup."""
        self.directory.close()


def _nothing() -> None:
    """For who is frozen in v2, there is nothing to hold and nothing to release."""


def vacate_root(host: Host, leaf: str = "init") -> bool:
    """Move the processes in the mount's own root group into the group `leaf` below it, so that it can be divided.

    For an engine that runs in a container with a cgroup namespace of its own: there the root of the tree is a common
    group, and one with processes cannot give controllers to its children. False when there was nothing to do: on v1, on
    the real root, or when it was done before. Call it once, early, and only where everyone in there is ours.
    """
    hierarchy = host.unified
    if hierarchy is None or host.legacy:
        return False
    root = Directory(hierarchy, hierarchy.mount_point)
    try:
        if not root.has("cgroup.type"):
            return False
        pids = root.read("cgroup.procs").split()
        if not pids:
            return False
        home = Directory(hierarchy, os.path.join(hierarchy.mount_point, leaf))
        home.make(lambda _: None)
        try:
            for _ in range(100):
                for pid in pids:
                    _move(home, pid)
                pids = root.read("cgroup.procs").split()
                if not pids:
                    return True
        finally:
            home.close()
    finally:
        root.close()
    raise NotImplementedHere(
        f"processes keep appearing in {hierarchy.mount_point}: {' '.join(pids[:10])}",
        remedy="start the engine in a group of its own",
    )


def _move(home: Directory, pid: str) -> None:
    """Move one process; one that is gone, or a zombie, needs no moving."""
    with contextlib.suppress(ProcessLookupError):
        home.write("cgroup.procs", pid)
