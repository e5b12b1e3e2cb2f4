"""A cgroup in every v1 hierarchy, named ones included, and in the unified tree too where the host has it (hybrid).

The unified side is a `UnifiedCgroup`: what it has (freezing, killing, pressure, its controllers) is used there.
"""

from __future__ import annotations

import contextlib
import os
import time
from dataclasses import replace
from functools import partial

from sampan.cgroup import freezer, killing, oom, v1_devices, v1_statistics, v2_statistics
from sampan.cgroup.directory import Directory, unless_gone
from sampan.cgroup.group import Entry
from sampan.cgroup.host import Host
from sampan.cgroup.limits import DeviceRule, Limits
from sampan.cgroup.plan import plan_writes
from sampan.cgroup.statistics import Statistics
from sampan.cgroup.v2 import UnifiedCgroup
from sampan.cgroup.writing import one, refusal, refuse_below_usage, settle
from sampan.errors import NotImplementedHere


class LegacyCgroup:
    """The Cgroup Protocol on v1 and hybrid hosts."""

    def __init__(self, host: Host, path: str) -> None:
        self._host = host
        self._path = path
        self._fresh = False
        self._directories = tuple(
            Directory(
                one, one.mount_point.rstrip("/") + ("" if path.startswith("/") else one.own.rstrip("/") + "/") + path
            )
            for one in host.legacy
        )
        self._by_controller = {
            controller: directory for directory in self._directories for controller in directory.hierarchy.controllers
        }
        self._unified = None if host.unified is None else UnifiedCgroup(host, host.unified, path)

    @property
    def path(self) -> str:
        """See Cgroup."""
        return self._path

    def create(self) -> bool:
        """See Cgroup."""
        made: list[Directory] = []
        anew = True
        try:
            for directory in self._directories:
                here = directory.make(_fill_cpuset if "cpuset" in directory.hierarchy.controllers else _nothing)
                made += here
                anew = anew and directory in here
            if self._unified is not None:
                anew = self._unified.create() and anew
        except BaseException:
            self.close()
            for directory in reversed(made):
                with contextlib.suppress(OSError):
                    os.rmdir(directory.location)
            raise
        self._fresh = anew
        return anew

    def apply(self, limits: Limits) -> None:
        """See Cgroup."""
        refuse_below_usage(self._by_controller.get("memory"), "memory.usage_in_bytes", limits.memory)
        unified = []
        for batch in plan_writes(limits, self._host):
            directory = self._by_controller.get(batch[0].controller)
            if directory is None:
                unified.append(batch)
            else:
                settle(directory, batch)
        if self._unified is not None and unified:
            self._unified.apply_batches(unified)
        if limits.devices:
            self._apply_devices(limits.devices)

    def _apply_devices(self, rules: tuple[DeviceRule, ...]) -> None:
        directory = self._by_controller.get("devices")
        if directory is None:
            if self._unified is None:
                raise NotImplementedHere("device rules: no cgroup hierarchy has the devices controller")
            self._unified.apply_devices(rules)
            return
        then = v1_devices.state_of(rules)
        now = None if self._fresh else v1_devices.state_in(directory.read("devices.list"))
        lines = v1_devices.writes_between(now, then)
        # A change that starts anew allows or denies too much for a moment: nobody may run meanwhile.
        stop = bool(lines) and lines[0][1] == "a" and not self._fresh and bool(self.processes()) and not self.frozen()
        if stop:
            self.freeze()
        try:
            for file, line in lines:
                write = one("devices", file, line, "device rule", "a group can only allow what its parent allows")
                try:
                    directory.write(file, line)
                except OSError as error:
                    raise refusal(write, error) from error
        finally:
            if stop:
                self.thaw()

    def entry(self, *, beside: int = 0) -> Entry:
        """See Cgroup."""
        tasks: list[int] = []
        try:
            tasks.extend(directory.open("tasks", os.O_WRONLY) for directory in self._directories)
            clone = -1 if self._unified is None else self._unified.entry(beside=beside).clone_fd
        except BaseException:
            for descriptor in tasks:
                os.close(descriptor)
            raise
        self._fresh = False
        return Entry(clone, tuple(tasks))

    def directories(self) -> tuple[tuple[str, str], ...]:
        """See Cgroup."""
        legacy = tuple((directory.hierarchy.name, directory.location) for directory in self._directories)
        return legacy if self._unified is None else legacy + self._unified.directories()

    def exists(self) -> bool:
        """See Cgroup."""
        return any(directory.exists() for directory in self._everywhere())

    def _everywhere(self) -> tuple[Directory, ...]:
        return self._directories if self._unified is None else (*self._directories, self._unified.directory)

    def processes(self) -> tuple[int, ...]:
        """See Cgroup; whoever is inside in any hierarchy counts."""
        return tuple(self._members())

    def _members(self) -> set[int]:
        return {pid for directory in self._everywhere() for pid in directory.processes()}

    def kill_all(self, *, timeout_s: float = 10.0) -> None:
        """See Cgroup."""
        deadline = time.monotonic() + timeout_s
        if self._unified is not None and self._unified.signal_all():
            self._thaw_v1()
            self._unified.wait_until_empty(deadline)
        if not self._members():
            return
        # Someone is inside here but not in the unified tree, or there is none.
        pids = self._by_controller.get("pids")
        if pids is None:
            killing.kill_until_gone(self._members, self._hold_v1, self._thaw_v1, deadline)
            return
        before = ""
        with unless_gone():
            before = pids.read("pids.max").strip()
        try:
            killing.kill_until_gone(self._members, partial(_let_nobody_fork, pids), self._thaw_v1, deadline)
        finally:
            with unless_gone():
                pids.write("pids.max", before)

    def freeze(self, *, timeout_s: float = 10.0) -> None:
        """See Cgroup."""
        if self._unified is not None:
            self._unified.freeze(timeout_s=timeout_s)
        else:
            freezer.freeze_v1(self._freezer(), time.monotonic() + timeout_s)

    def thaw(self) -> None:
        """See Cgroup; whoever was frozen by v1's freezer goes on too."""
        if self._unified is not None:
            self._unified.thaw()
        self._thaw_v1()

    def _thaw_v1(self) -> None:
        directory = self._by_controller.get("freezer")
        if directory is not None:
            with unless_gone():
                freezer.thaw_v1(directory)

    def _hold_v1(self) -> None:
        """Keep them from forking: whoever is FREEZING stops at the end of the system call."""
        directory = self._by_controller.get("freezer")
        if directory is not None:
            with unless_gone():
                directory.write("freezer.state", "FROZEN")

    def frozen(self) -> bool:
        """See Cgroup."""
        if self._unified is not None and self._unified.frozen():
            return True
        directory = self._by_controller.get("freezer")
        return directory is not None and freezer.frozen_v1(directory)

    def _freezer(self) -> Directory:
        directory = self._by_controller.get("freezer")
        if directory is None:
            raise NotImplementedHere(
                "freezing needs the freezer controller, which no cgroup hierarchy of this host has",
                remedy="mount it, for instance with `mount -t cgroup -o freezer none DIRECTORY`",
            )
        return directory

    def statistics(self) -> Statistics:
        """See Cgroup; pressure and what only the unified tree counts come from there."""
        find = self._by_controller.get
        legacy = Statistics(
            cpu=v1_statistics.cpu(find),
            memory=v1_statistics.memory(find),
            pids=v1_statistics.pids(find),
            block_io=v1_statistics.block_io(find),
            hugepages=v1_statistics.hugepages(find),
            rdma=() if (rdma := find("rdma")) is None else v2_statistics.rdma(rdma),
        )
        if self._unified is None:
            return legacy
        return _joined(legacy, self._unified.statistics(), self._unified.directory)

    def oom_kills(self) -> int:
        """See Cgroup."""
        directory = self._by_controller.get("memory")
        if directory is not None:
            return oom.kills(directory, "memory.oom_control")
        return 0 if self._unified is None else self._unified.oom_kills()

    def watch_oom(self) -> oom.DescriptorWatch | None:
        """See Cgroup."""
        directory = self._by_controller.get("memory")
        if directory is not None:
            return oom.watch_v1(directory)
        return None if self._unified is None else self._unified.watch_oom()

    def delegate(self, uid: int, gid: int) -> None:
        """See Cgroup."""
        if self._unified is not None:
            self._unified.delegate(uid, gid)

    def remove(self, *, timeout_s: float = 2.0) -> None:
        """See Cgroup."""
        deadline = time.monotonic() + timeout_s
        failures = []
        for directory in self._everywhere():
            try:
                directory.remove(deadline)
            except OSError as error:
                failures.append(error)
        if failures:
            raise failures[0]

    def close(self) -> None:
        """See Cgroup."""
        for directory in self._everywhere():
            directory.close()


def _joined(legacy: Statistics, unified: Statistics, directory: Directory) -> Statistics:
    """v1's counters with the pressure of the unified tree, and the tree's own where v1 has none."""
    cpu, memory, block_io = legacy.cpu, legacy.memory, legacy.block_io
    if cpu is not None:
        cpu = replace(cpu, pressure=v2_statistics.pressure(directory, "cpu.pressure"))
    if memory is not None:
        memory = replace(memory, pressure=v2_statistics.pressure(directory, "memory.pressure"))
    if block_io is not None:
        block_io = replace(block_io, pressure=v2_statistics.pressure(directory, "io.pressure"))
    return Statistics(
        cpu=cpu or unified.cpu,
        memory=memory or unified.memory,
        pids=legacy.pids or unified.pids,
        block_io=block_io or unified.block_io,
        hugepages=legacy.hugepages or unified.hugepages,
        rdma=legacy.rdma or unified.rdma,
    )


def _let_nobody_fork(pids: Directory) -> None:
    with unless_gone():
        pids.write("pids.max", "0")


def _nothing(_: Directory) -> None:
    """Only cpuset wants something of a new directory."""


def _fill_cpuset(directory: Directory) -> None:
    """Give a new cpuset what its parent has: no process may enter an empty one.

    cgroup.clone_children makes the kernel do so for the groups below, which spares a read and two writes there.
    """
    if directory.read("cpuset.mems").strip():  # which is written last, here and by whoever makes others at this moment
        return
    directory.write("cgroup.clone_children", "1")
    above = directory.parent()
    try:
        if above.location != directory.hierarchy.mount_point:
            _fill_cpuset(above)
        for file in ("cpuset.cpus", "cpuset.mems"):
            directory.write(file, above.read(file).strip())
    finally:
        above.close()
