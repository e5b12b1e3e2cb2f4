"""Control groups: what is asked (`limits`), how it is written (`v1`, `v2`), what was used, out of memory.

This face chooses the implementation. Paths such as "/sampan/<id>" are below the root of every hierarchy.
"""

from __future__ import annotations

from sampan.cgroup import v1_devices, v2_devices
from sampan.cgroup.group import Cgroup, Entry, OomWatch
from sampan.cgroup.host import Hierarchy, Host, Mode, hierarchies
from sampan.cgroup.limits import Limits
from sampan.cgroup.name import check_path
from sampan.cgroup.plan import plan_writes
from sampan.cgroup.presence import require_files
from sampan.cgroup.statistics import Statistics
from sampan.cgroup.v1 import LegacyCgroup
from sampan.cgroup.v2 import UnifiedCgroup

__all__ = [
    "Cgroup",
    "Entry",
    "Hierarchy",
    "Host",
    "Limits",
    "Mode",
    "OomWatch",
    "Statistics",
    "check",
    "hierarchies",
    "open_cgroup",
]


def open_cgroup(path: str, host: Host | None = None) -> Cgroup:
    """The cgroup at `path`, which need not exist yet, in every hierarchy of `host` (this machine's when None).

    "/a/b" is below each hierarchy's root, "a/b" below the group that this process started in. Raises InvalidArgument
    for what cannot be a path. Nothing is touched.
    """
    check_path(path)
    host = host or hierarchies()
    if host.unified is not None and not host.legacy:
        return UnifiedCgroup(host, host.unified, path)
    return LegacyCgroup(host, path)


def check(limits: Limits, host: Host | None = None) -> None:
    """Refuse now what `apply` would have to refuse: impossible values, and controllers or files that are not here.

    Raises InvalidArgument or NotImplementedHere, naming them. A file is looked for in the groups that exist (the root
    of a hierarchy lacks most); where there is none yet, `apply` finds out.
    """
    host = host or hierarchies()
    require_files(host, plan_writes(limits, host))
    if any("devices" in one.controllers for one in host.legacy):
        v1_devices.state_of(limits.devices)
    else:
        v2_devices.check(limits.devices)
