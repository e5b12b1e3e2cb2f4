"""What a container changed: its upper directory compared with the layers below, and with those alone where it matters.

Only what the upper directory holds is looked up in the layers; they are never walked. What counts as a change is what
`docker diff` counts: times of directories do not, and a file that was only copied up is none. Names are reached by
descriptor and never through symbolic links.
"""

from __future__ import annotations

import enum
import json
import os
import posixpath
import stat
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Self

from sampan.image.host_mask import Hiding
from sampan.linux.openat import Resolve, openat2
from sampan.linux.overlay import is_opaque, is_whiteout

_PLAINLY = int(Resolve.BENEATH | Resolve.NO_SYMLINKS)
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW


class ChangeKind(enum.Enum):
    """Docker's numbers for what happened to a path."""

    MODIFIED = 0
    ADDED = 1
    DELETED = 2


@dataclass(frozen=True, slots=True)
class Change:
    """A changed path, absolute as the container sees it."""

    path: str
    kind: ChangeKind


def differences(upper: str, lowers: Sequence[str], masked: str = "") -> list[Change]:
    """The changes in order of their paths; `masked` is the list of what the image `host` hid in the upper directory."""
    hidden: dict[str, str] = {}
    if masked and os.path.exists(masked):
        with open(masked, encoding="utf-8") as file:
            hidden = dict(json.load(file))
    with ExitStack() as opened:
        roots = []
        for path in (upper, *lowers):
            roots.append(os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC))
            opened.callback(os.close, roots[-1])
        found = _Comparison(roots[0], roots[1:], hidden).run()
    _add_parents(found)
    return [Change(path, kind) for path, kind in sorted(found.items())]


def _add_parents(found: dict[str, ChangeKind]) -> None:
    """A directory in which something changed has changed."""
    for path in list(found):
        parent = posixpath.dirname(path)
        while parent != "/" and parent not in found:
            found[parent] = ChangeKind.MODIFIED
            parent = posixpath.dirname(parent)


class _Comparison:
    def __init__(self, upper: int, lowers: list[int], hidden: dict[str, str]) -> None:
        self._upper = upper
        self._lowers = lowers
        self._hidden = hidden
        self._found: dict[str, ChangeKind] = {}
        self._pending: list[tuple[str, list[int]]] = [("", lowers)]

    def run(self) -> dict[str, ChangeKind]:
        while self._pending:
            path, layers = self._pending.pop()
            try:
                directory = openat2(self._upper, path or ".", _DIRECTORY, 0, _PLAINLY)
            except (FileNotFoundError, NotADirectoryError):
                continue  # removed meanwhile by a container that runs
            try:
                self._directory(directory, path, layers)
            finally:
                os.close(directory)
        return self._found

    def _directory(self, directory: int, path: str, layers: list[int]) -> None:
        """Compare what is in one directory of the upper with the layers that have it too."""
        names = os.listdir(directory)
        with ExitStack() as opened:
            below = [(layer, opened.enter_context(_Opened(layer, path))) for layer in layers]
            for name in names:
                try:
                    status = os.stat(name, dir_fd=directory, follow_symlinks=False)
                except FileNotFoundError:
                    continue
                self._entry(f"{path}/{name}" if path else name, name, status, below)
            if is_opaque(directory) and self._hidden.get(f"/{path}") != Hiding.EMPTY.value:
                for name in _visible(below) - set(names):
                    self._found[f"/{path}/{name}"] = ChangeKind.DELETED

    def _entry(self, path: str, name: str, status: os.stat_result, below: Sequence[tuple[int, _Opened]]) -> None:
        old, layers = _look_up(name, below)
        shown = f"/{path}"
        hiding = self._hidden.get(shown)
        if is_whiteout(status):
            if old is not None and hiding != Hiding.GONE.value:
                self._found[shown] = ChangeKind.DELETED
            return
        if old is None:
            self._found[shown] = ChangeKind.ADDED
        elif _differs(old, status, with_size=hiding != Hiding.REPLACED.value):
            self._found[shown] = ChangeKind.MODIFIED
        if stat.S_ISDIR(status.st_mode):
            self._pending.append((path, [] if hiding == Hiding.EMPTY.value else layers))
        elif old is not None and stat.S_ISDIR(old.st_mode):
            with ExitStack() as opened:
                inside = [(layer, opened.enter_context(_Opened(layer, path))) for layer in layers]
                for child in _visible(inside):
                    self._found[f"{shown}/{child}"] = ChangeKind.DELETED


class _Opened:
    """A layer's directory while it is looked at; `fd` is -1 when the layer has none there."""

    def __init__(self, layer: int, path: str) -> None:
        try:
            self.fd = openat2(layer, path or ".", _DIRECTORY, 0, _PLAINLY)
        except OSError:
            self.fd = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.fd >= 0:
            os.close(self.fd)


def _look_up(name: str, below: Iterable[tuple[int, _Opened]]) -> tuple[os.stat_result | None, list[int]]:
    """What the layers together show for a name: its status, and for a directory the layers that merge in it."""
    found: os.stat_result | None = None
    merging: list[int] = []
    for layer, opened in below:
        if opened.fd < 0:
            continue
        try:
            status = os.stat(name, dir_fd=opened.fd, follow_symlinks=False)
        except FileNotFoundError:
            continue
        is_directory = stat.S_ISDIR(status.st_mode)
        if is_whiteout(status) or (found is not None and not is_directory):
            break
        found = found or status
        if not is_directory:
            break
        merging.append(layer)
        fd = os.open(name, _DIRECTORY | os.O_CLOEXEC, dir_fd=opened.fd)
        try:
            if is_opaque(fd):
                break
        finally:
            os.close(fd)
    return found, merging


def _visible(below: Sequence[tuple[int, _Opened]]) -> set[str]:
    """The names that the layers together show in a directory."""
    names = {name for _, opened in below if opened.fd >= 0 for name in os.listdir(opened.fd)}
    return {name for name in names if _look_up(name, below)[0] is not None}


def _differs(old: os.stat_result, new: os.stat_result, *, with_size: bool) -> bool:
    if (old.st_mode, old.st_uid, old.st_gid, old.st_rdev) != (new.st_mode, new.st_uid, new.st_gid, new.st_rdev):
        return True
    if stat.S_ISDIR(new.st_mode):
        return False
    return old.st_mtime_ns != new.st_mtime_ns or (with_size and old.st_size != new.st_size)
