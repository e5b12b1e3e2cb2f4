"""Whether this kernel has the file of a limit, asked before anything is made.

The root group of a hierarchy lacks most files, so a group that exists is looked at; without one nothing is known here
and `apply` finds out.
"""

from __future__ import annotations

import os

from sampan.cgroup.directory import Directory
from sampan.cgroup.host import Hierarchy, Host
from sampan.cgroup.writing import Batch, refusal

_IN_EACH = "cgroup.procs"  # of either version


def require_files(host: Host, batches: list[Batch]) -> None:
    """NotImplementedHere for the first write of which no file exists, as far as can be seen."""
    samples: dict[str, Directory | None] = {}
    try:
        for write in (write for batch in batches for write in batch):
            hierarchy = host.unified if write.controller == "cgroup" else host.of(write.controller)
            if hierarchy is None:
                continue
            if write.controller not in samples:
                samples[write.controller] = _sample(hierarchy, write.controller)
            sample = samples[write.controller]
            if sample is None or any(sample.has(file) for file, _ in write.choices):
                continue
            if sample.has(_IN_EACH):  # else it has been removed since it was found, with all its files
                raise refusal(write, FileNotFoundError())
    finally:
        for sample in samples.values():
            if sample is not None:
                sample.close()


def _sample(hierarchy: Hierarchy, controller: str) -> Directory | None:
    """Some group below the root that has `controller`."""
    try:
        with os.scandir(hierarchy.mount_point) as entries:
            paths = [entry.path for entry in entries if entry.is_dir(follow_symlinks=False)]
    except OSError:
        return None
    for path in paths:
        directory = Directory(hierarchy, path)
        if hierarchy.version == 1 or controller == "cgroup" or controller in _enabled(directory):
            return directory
        directory.close()
    return None


def _enabled(directory: Directory) -> list[str]:
    try:
        return directory.read("cgroup.controllers").split()
    except OSError:
        return []
