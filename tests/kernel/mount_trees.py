"""Small trees of mounts below a private host's root, and what is mounted there afterwards."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from sampan.linux import mount


def entry(path: str) -> mount.MountInfo:
    """The topmost mount at a path."""
    return [line for line in mount.mountinfo() if line.target == os.path.realpath(path)][-1]


def targets() -> list[str]:
    own = os.getcwd()
    return [os.path.relpath(line.target, own) for line in mount.mountinfo() if line.target.startswith(own + "/")]


def tree() -> None:
    """A file system at `tree` with one below it at `tree/sub`, each with a file."""
    for path in ("tree", "tree/sub"):
        os.mkdir(path)
        mount.mount("tmpfs", path, "tmpfs")
        Path(path, "file").touch()


def error_of(function: Callable[[], object]) -> int:
    try:
        function()
    except OSError as error:
        return error.errno or -1
    return 0
