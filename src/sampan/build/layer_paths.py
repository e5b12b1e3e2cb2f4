"""Where a path of a merged tree is in the layers below it, without mounting them: for what is bound from a stage.

The paths given have no links in them any more. Layers are never changed, so what is found stays where it is.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence

from sampan.errors import NotFound
from sampan.linux.openat import Resolve, openat2
from sampan.linux.overlay import is_opaque, is_whiteout

_PLAINLY = int(Resolve.BENEATH | Resolve.NO_SYMLINKS | Resolve.NO_MAGICLINKS)


def directories_of(trees: Sequence[str], path: str) -> tuple[str, ...]:
    """The directories (topmost first) that make up the directory `path` of the trees (topmost first) as one.

    Raises NotFound when there is none.
    """
    found = []
    for tree in trees:
        status, hides = _look(tree, path)
        if status is not None and stat.S_ISDIR(status.st_mode):
            found.append(os.path.join(tree, path))
        if hides:
            break
    if not found:
        raise NotFound(f"{path} is no directory", remedy="look at source=")
    return tuple(found)


def file_of(trees: Sequence[str], path: str) -> str:
    """The path of the file `path` in the topmost tree that has it. Raises NotFound when there is none."""
    for tree in trees:
        status, hides = _look(tree, path)
        if status is not None and not stat.S_ISDIR(status.st_mode) and not is_whiteout(status):
            return os.path.join(tree, path)
        if hides:
            break
    raise NotFound(f"{path} is no file", remedy="look at source=")


def _look(tree: str, path: str) -> tuple[os.stat_result | None, bool]:
    """What a tree has at the path, and whether it hides what trees below have there."""
    root = os.open(tree, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        status: os.stat_result | None = None
        for prefix in _prefixes(path):
            try:
                fd = openat2(root, prefix or ".", os.O_PATH | os.O_NOFOLLOW, 0, _PLAINLY)
            except FileNotFoundError:
                return None, False
            except OSError:
                return None, True  # something else is there instead of a directory
            try:
                status = os.fstat(fd)
                if not stat.S_ISDIR(status.st_mode):
                    return (status if prefix == path else None), True
                if is_opaque(f"/proc/self/fd/{fd}"):
                    rest = _beyond(root, path)
                    return rest, True
            finally:
                os.close(fd)
        return status, False
    finally:
        os.close(root)


def _beyond(root: int, path: str) -> os.stat_result | None:
    try:
        fd = openat2(root, path or ".", os.O_PATH | os.O_NOFOLLOW, 0, _PLAINLY)
    except OSError:
        return None
    try:
        return os.fstat(fd)
    finally:
        os.close(fd)


def _prefixes(path: str) -> Iterator[str]:
    yield ""
    parts = [part for part in path.split("/") if part]
    for count in range(1, len(parts) + 1):
        yield "/".join(parts[:count])
