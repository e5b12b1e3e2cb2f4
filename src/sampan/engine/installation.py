"""What this installation is, apart from what it runs: its id, and the file system that its data are on."""

from __future__ import annotations

import os
import uuid
from functools import cache

from sampan.linux.mount import mountinfo

_DOCKERS_WORDS = {"ext2": "extfs", "ext3": "extfs", "ext4": "extfs", "overlay": "overlayfs"}


@cache
def engine_id(data_root: str) -> str:
    """The UUID of the engine with these data, which the first to ask makes and `engine-id` keeps as dockerd's does."""
    path = f"{data_root}/engine-id"
    try:
        with open(path, encoding="ascii") as file:
            return str(uuid.UUID(file.read().strip()))
    except (FileNotFoundError, ValueError):
        made = str(uuid.uuid4())
    with open(f"{path}.new", "w", encoding="ascii") as file:
        file.write(made)
        file.flush()
        os.fsync(file.fileno())
    os.rename(f"{path}.new", path)
    return made


def backing_filesystem(path: str) -> str:
    """The type of the file system that holds `path`, in the words of `docker info` (extfs, xfs, tmpfs, …)."""
    path = os.path.realpath(path)
    holding = [one for one in mountinfo() if os.path.commonpath((path, one.target)) == one.target]
    fstype = max(holding, key=lambda one: (len(one.target), one.id)).fstype
    return _DOCKERS_WORDS.get(fstype, fstype)
