"""The groups above a container's own cgroup: a start makes those that are missing, and they go with the container.

Somebody may have made them in some hierarchies only, so each directory counts for itself.
"""

from __future__ import annotations

import os
from contextlib import closing, suppress

from sampan.cgroup import open_cgroup

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable


def missing_parents(path: str) -> tuple[str, ...]:
    """The directories above the cgroup `path` that are not there in some hierarchy, absolute, the deepest first."""
    missing: list[str] = []
    parent = os.path.dirname(path)
    while parent not in {"", "/"}:
        with closing(open_cgroup(parent)) as cgroup:
            absent = [directory for _, directory in cgroup.directories() if not os.path.isdir(directory)]
        if not absent:
            break
        missing += absent
        parent = os.path.dirname(parent)
    return tuple(missing)


def remove_parents(directories: Iterable[str]) -> None:
    """Remove those in which nobody and nothing is; in the order of `missing_parents`."""
    for directory in directories:
        with suppress(OSError):
            os.rmdir(directory)
