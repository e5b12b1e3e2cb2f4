"""What the child of a start knows between clone and execve: the state that its steps work on.

Plain state with little behaviour of its own; the parent fills it in before it clones. The steps are in `init`, `rootfs`
and `security`.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from sampan.linux.memory import Ranges
from sampan.linux.mount import make_filesystem
from sampan.linux.openat import open_in_root
from sampan.linux.statfs import Magic, filesystem_type
from sampan.runtime.handshake import Channel, Mark
from sampan.runtime.launch_plan import LaunchPlan, MountPlan, ProcessPlan

_PROC_ROOT = 1  # the inode number of a procfs root
_LAST_DESCRIPTOR = 0xFFFFFFFF


@dataclass(frozen=True, slots=True)
class Piece:
    """A detached mount that the parent made, to be attached at `name` below a MountPlan's target, or on it ("")."""

    name: str
    fd: int
    is_directory: bool = True
    is_attached: bool = False  # the parent did that already, to another of its mounts


@dataclass(slots=True)
class Sources:
    """Descriptors of detached mounts that need the host's privileges or paths; -1 where there is none.

    `mounts` stands beside LaunchPlan.mounts: an empty tuple means that the child makes that one itself. `devices`
    stands beside LaunchPlan.devices, for containers that may not mknod. `null` is a bind of the host's /dev/null.
    """

    root: int = -1
    mounts: tuple[tuple[Piece, ...], ...] = ()
    devices: tuple[int, ...] = ()
    null: int = -1
    dev_filled: bool = False  # the tmpfs on /dev holds the devices and links already

    def descriptors(self) -> tuple[int, ...]:
        """All of them."""
        pieces = [piece.fd for made in self.mounts for piece in made]
        return tuple(fd for fd in (self.root, self.null, *self.devices, *pieces) if fd >= 0)

    def renumbered(self, numbers: Mapping[int, int]) -> Sources:
        """The same where some descriptors have other numbers."""
        mounts = tuple(
            tuple(replace(piece, fd=numbers.get(piece.fd, piece.fd)) for piece in pieces) for pieces in self.mounts
        )
        devices = tuple(numbers.get(fd, fd) for fd in self.devices)
        root, null = (numbers.get(fd, fd) for fd in (self.root, self.null))
        return Sources(root, mounts, devices, null, self.dev_filled)


@dataclass(frozen=True, slots=True)
class Identity:
    """Who the program is to be: ids of the container's user namespace."""

    uid: int
    gid: int
    groups: tuple[int, ...] = ()
    home: str = ""


def foreign_ranges(needed: set[int]) -> tuple[tuple[int, int], ...]:
    """The ranges (first, last) of descriptors between and above those that are needed."""
    ranges = []
    first = 0
    for fd in sorted(needed):
        if fd > first:
            ranges.append((first, fd - 1))
        first = fd + 1
    return (*ranges, (first, _LAST_DESCRIPTOR))


@dataclass(slots=True)
class Child:
    """The state of one child. Descriptors are -1 until they are open."""

    plan: LaunchPlan
    process: ProcessPlan
    channel: Channel
    sources: Sources = field(default_factory=Sources)
    task_fds: tuple[int, ...] = ()  # `tasks` of every v1 hierarchy, to write "0" to
    stdio: tuple[int, int, int] | None = None
    preserve: tuple[int, ...] = ()  # become 3, 4, …
    gate_fd: int = -1  # a listening unix socket, or the handshake socket is the gate
    target_fd: int = -1  # join: the pidfd of the container's first process
    target_root_fd: int = -1  # join: its root, when that is not the root of its mount namespace
    target_flags: int = 0  # join: the CLONE_NEW* of the namespaces to enter
    mount_namespace_fd: int = -1  # to be joined
    cgroup_namespace_fd: int = -1  # to be joined
    mapped: bool = False  # the child is, or will be, in a user namespace that is not the parent's
    die_with_parent: bool = False
    pages: Ranges = ()  # of a child that waits for its plan: what it is going to write to
    network_fd: int = -1  # the same: a namespace that it enters at once, or one that it joins when it has its plan
    made: list[tuple[MountPlan, int]] = field(default_factory=list)  # the same: its own file systems, without a mount
    clocks_fd: int = -1  # the same: where the offsets of its clocks are written
    has_empty_root: bool = False  # the same: nothing of the host's is mounted for it any more
    foreign: tuple[tuple[int, int], ...] = ()  # descriptors that are the parent's business: foreign_ranges(inherited())
    # found on the way
    step: str = "begin"
    host_pid: int = 0
    root_fd: int = -1
    proc_fd: int = -1
    identity: Identity = Identity(0, 0)
    environment: tuple[str, ...] = ()
    bounding: int = -1  # the capabilities that are in the bounding set, as far as it is known
    program: str = ""
    cwd_open: bool = False
    refused_rlimits: tuple[int, ...] = ()
    readonly_later: list[int] = field(default_factory=list)
    marks: list[Mark] = field(default_factory=list)  # of a start that is traced

    def inherited(self) -> set[int]:
        """The descriptors that the child still needs; every other one it was born with is the parent's business."""
        needed = {
            0,
            1,
            2,
            self.channel.fileno(),
            self.gate_fd,
            self.target_fd,
            self.target_root_fd,
            self.mount_namespace_fd,
            self.cgroup_namespace_fd,
            self.root_fd,
            self.network_fd,
            *self.task_fds,
            *(self.stdio or ()),
            *self.preserve,
            *self.sources.descriptors(),
        }
        return {fd for fd in needed if fd >= 0}

    def proc(self) -> int:
        """A descriptor of a procfs root that nobody else can have mounted over: that made for /proc, or a private one.

        Use it with RESOLVE_NO_XDEV | RESOLVE_NO_SYMLINKS (CVE-2019-16884, CVE-2025-52881).
        """
        if self.proc_fd < 0:
            try:
                self.proc_fd = make_filesystem("proc")
            except PermissionError:  # a user namespace whose /proc is masked in part may not have a whole one
                self.proc_fd = self._mounted_proc()
        return self.proc_fd

    def _mounted_proc(self) -> int:
        fd = open_in_root(self.root_fd, "proc", os.O_PATH | os.O_DIRECTORY)
        if filesystem_type(fd) != Magic.PROC or os.fstat(fd).st_ino != _PROC_ROOT:
            os.close(fd)
            raise OSError(errno.ENODEV, "not the root of a procfs", "/proc")
        return fd

    def own_proc_name(self, name: str) -> str:
        """The name of an entry of the child's own below proc(), without the symbolic link `self`."""
        return f"{os.getpid()}/{name}"
