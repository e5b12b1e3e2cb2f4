"""Control groups that a test named: removing them again from every hierarchy."""

from __future__ import annotations

from sampan.cgroup import open_cgroup


def remove_groups(path: str) -> None:
    """Remove a group and what is below it; nobody may be in there any more."""
    cgroup = open_cgroup(path)
    try:
        cgroup.remove(timeout_s=30)
    finally:
        cgroup.close()
