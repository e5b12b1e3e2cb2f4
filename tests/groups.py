"""Control groups that a test named: found in every hierarchy, and removed again from every hierarchy."""

from __future__ import annotations

from pathlib import Path

from sampan.cgroup import hierarchies, open_cgroup


def groups_matching(pattern: str) -> list[Path]:
    """The directories of the groups whose path fits the pattern of glob(3), in whichever hierarchies they are."""
    return [path for one in hierarchies().hierarchies for path in Path(one.mount_point).glob(pattern) if path.is_dir()]


def remove_groups(path: str) -> None:
    """Remove a group and what is below it; nobody may be in there any more."""
    cgroup = open_cgroup(path)
    try:
        cgroup.remove(timeout_s=30)
    finally:
        cgroup.close()
