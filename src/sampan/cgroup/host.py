"""Which cgroup hierarchies this host has and where they are mounted: v1, v2, or both beside each other (hybrid).

Read from /proc/self/mountinfo, /proc/self/cgroup and the unified tree's cgroup.controllers, so it holds when they are
mounted elsewhere and inside a container; /proc/cgroups only tells why a controller is missing. What a group may use is
not decided here.
"""

from __future__ import annotations

import enum
import functools
import os
from dataclasses import dataclass, replace

from sampan.errors import NotImplementedHere


class Mode(enum.Enum):
    """What `docker info` calls the cgroup version."""

    V1 = "v1"
    HYBRID = "hybrid"
    V2 = "v2"


_V1_CONTROLLERS = frozenset(
    [
        "blkio",
        "cpu",
        "cpuacct",
        "cpuset",
        "debug",
        "devices",
        "freezer",
        "hugetlb",
        "memory",
        "misc",
        "net_cls",
        "net_prio",
        "perf_event",
        "pids",
        "rdma",
    ]
)


@dataclass(frozen=True, slots=True)
class Hierarchy:
    """One mounted hierarchy.

    `name` is the second field of /proc/PID/cgroup: "memory", "cpu,cpuacct", "name=systemd", or "" for the unified tree.
    `own` is where the calling process is, below `mount_point`: "/" unless this process was put into a group.
    """

    name: str
    version: int
    mount_point: str
    controllers: frozenset[str]
    root: str = "/"
    own: str = "/"


@dataclass(frozen=True, slots=True)
class Host:
    """All hierarchies of this host, the v1 ones first."""

    hierarchies: tuple[Hierarchy, ...]

    @property
    def mode(self) -> Mode:
        """v1, v2 or hybrid: hybrid is the unified tree beside at least one v1 hierarchy with a controller."""
        if self.unified is None:
            return Mode.V1
        return Mode.HYBRID if self.legacy else Mode.V2

    @property
    def legacy(self) -> tuple[Hierarchy, ...]:
        """The v1 hierarchies, named ones included."""
        return tuple(one for one in self.hierarchies if one.version == 1)

    @property
    def unified(self) -> Hierarchy | None:
        """The v2 tree."""
        return next((one for one in self.hierarchies if one.version == 2), None)

    @property
    def controllers(self) -> frozenset[str]:
        """Every controller that a mounted hierarchy offers, under v1's names on v1 and v2's on v2."""
        return frozenset().union(*(one.controllers for one in self.hierarchies))

    def of(self, controller: str) -> Hierarchy | None:
        """The hierarchy that has `controller`; None when no mounted one does."""
        return next((one for one in self.hierarchies if controller in one.controllers), None)


@functools.cache
def hierarchies() -> Host:
    """What this host has, read once per process (a launcher's children inherit it).

    NotImplementedHere when no hierarchy is mounted at all.
    """
    host = read_host(_text("/proc/self/mountinfo"), _text("/proc/self/cgroup"))
    if not host.hierarchies:
        raise NotImplementedHere(
            "no cgroup hierarchy is mounted", remedy="mount one with `mount -t cgroup2 none /sys/fs/cgroup`"
        )
    return host


def why_missing(controller: str) -> str:
    """Why no hierarchy has `controller`, as a remedy, from /proc/cgroups."""
    try:
        lines = [line.split() for line in _text("/proc/cgroups").splitlines()]
    except FileNotFoundError:
        lines = []
    enabled = next((line[3] for line in lines if line[0] == controller), None)
    if enabled is None:
        return f"this kernel is built without the {controller} controller"
    if enabled == "0":
        return f"the {controller} controller is disabled by the kernel's command line (cgroup_disable=)"
    return f"mount the {controller} controller, for instance with `mount -t cgroup -o {controller} none DIRECTORY`"


def read_host(mountinfo: str, own_groups: str) -> Host:
    """The host described by the texts of /proc/self/mountinfo and /proc/self/cgroup.

    Of a hierarchy that is mounted several times the mount that shows most of it counts, of equals the first. Only the
    unified tree's list of controllers is read from the file system, at its mount point.
    """
    found: dict[str, Hierarchy] = {}
    for line in mountinfo.splitlines():
        one = _hierarchy(line)
        if one is not None and (one.name not in found or len(one.root) < len(found[one.name].root)):
            found[one.name] = one
    placed = [_with_own(one, own_groups) for one in found.values()]
    return Host(tuple(sorted(placed, key=lambda one: one.version)))


def _hierarchy(line: str) -> Hierarchy | None:
    """The cgroup mount of one line of mountinfo (proc_pid_mountinfo(5)), or None for any other mount."""
    before, _, after = line.partition(" - ")
    kind, _, options = [*after.split(" ", 2), "", ""][:3]
    if kind not in ("cgroup", "cgroup2"):
        return None
    root, mount_point = (_unescape(word) for word in before.split(" ")[3:5])
    if kind == "cgroup2":
        return Hierarchy("", 2, mount_point, _unified_controllers(mount_point), root)
    words = options.split(",")
    controllers = [word for word in words if word in _V1_CONTROLLERS]
    named = [word for word in words if word.startswith("name=")]
    return Hierarchy(",".join(controllers + named), 1, mount_point, frozenset(controllers), root)


def _with_own(one: Hierarchy, own_groups: str) -> Hierarchy:
    for line in own_groups.splitlines():
        _, names, path = line.split(":", 2)
        if set(names.split(",")) == set(one.name.split(",")):
            return replace(one, own=_below(one.root, path))
    return one


def _below(root: str, path: str) -> str:
    """`path` as seen from a mount of the hierarchy's directory `root`; "/" when it is not below it."""
    if root in ("/", path) or path.startswith(root + "/"):
        return path[len(root.rstrip("/")) :] or "/"
    return "/"


def _unified_controllers(mount_point: str) -> frozenset[str]:
    try:
        return frozenset(_text(os.path.join(mount_point, "cgroup.controllers")).split())
    except OSError:
        return frozenset()


def _unescape(word: str) -> str:
    """A path of mountinfo, in which space, tab, line feed and backslash are written as three octal digits."""
    first, *rest = word.split("\\")
    return first + "".join(chr(int(part[:3], 8)) + part[3:] for part in rest)


def _text(path: str) -> str:
    with open(path, encoding="utf-8", errors="surrogateescape") as file:
        return file.read()
