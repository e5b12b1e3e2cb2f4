"""Mount points that an image lacks, as a layer of their own right above the image's: a step's own layer has none.

They are made by the same calls that a start would make them by, in an overlay that is mounted nowhere; so a link is
followed where a start would follow it, and never out of the tree. Nothing has to be removed when the step has ended.
Steps whose layers differ only where no mount point is share one: a `StubShelf` knows those of this daemon's life.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence
from dataclasses import dataclass, field

from sampan.image.layers import SHARED, LayerStore
from sampan.image.tree import disk_failure, dress_as, remove_tree
from sampan.linux.openat import Resolve, make_directories_in_root, make_file_in_root, openat2
from sampan.linux.overlay import mount_overlay

_OPTIONS = (("index", "off"), ("redirect_dir", "off"), ("metacopy", "off"), ("volatile", None))
_IN_THE_WAY = {errno.ENOTDIR, errno.EISDIR, errno.ELOOP, errno.EEXIST, errno.ENAMETOOLONG}
_PLAINLY = int(Resolve.IN_ROOT | Resolve.NO_MAGICLINKS | Resolve.NO_SYMLINKS)
_MOST = 512

type Targets = tuple[tuple[str, bool], ...]  # a path, and whether it is a directory
type _Key = tuple[tuple[str, ...], tuple[int, int, int], Targets]


@dataclass(frozen=True, slots=True)
class StubShelf:
    """Stubs that are shared, in directories of the layer store, which the next daemon's removes."""

    layers: LayerStore
    _known: dict[_Key, str] = field(default_factory=dict)

    def place(self, lowers: Sequence[str], targets: Targets, path: str) -> None:
        """Put a layer of those targets that these layers (topmost first) lack at `path`, or a link to a shared one.

        Nothing is there when they have all. A target that something is in the way of is left to the start, which
        refuses it. Raises SystemFailure for a disk that is full.
        """
        status = os.stat(lowers[0])
        key = (_deciding(lowers, targets), (status.st_uid, status.st_gid, status.st_mode & 0o7777), targets)
        known = self._known.get(key)
        if known is None or (known and not os.path.isdir(known)):
            new = self.layers.begin(SHARED)
            try:
                known, is_plain = make_stubs(lowers, new, targets)
                if is_plain and len(self._known) < _MOST:
                    self._known[key] = known
                elif known:
                    os.rename(known, path)
            finally:
                if not self._known.get(key):
                    remove_tree(new)
        if self._known.get(key):
            os.symlink(known, path)


def make_stubs(lowers: Sequence[str], directory: str, targets: Targets) -> tuple[str, bool]:
    """Make a layer in `directory` of those targets that the lower layers lack; its path, "" when they have all.

    Also whether no link is on the way to any of them. Raises SystemFailure for a disk that is full.
    """
    new, work = os.path.join(directory, "stubs"), os.path.join(directory, "work")
    try:
        os.mkdir(new, 0o755)
        os.mkdir(work, 0o700)
        root = mount_overlay(lowers, new, work, _OPTIONS)
        try:
            is_plain = all(_is_plain(root, target) for target, _ in targets)
            for target, is_directory in targets:
                _make(root, target, is_directory=is_directory)
        finally:
            os.close(root)
        if not os.listdir(new):
            return "", is_plain
        dress_as(lowers[0], new)
    except OSError as error:
        raise disk_failure(f"cannot make the mount points in {directory}", error) from error
    return new, is_plain


def _deciding(lowers: Sequence[str], targets: Targets) -> tuple[str, ...]:
    """The layers without those on top that have nothing where a target's path begins."""
    firsts = {target.strip("/").partition("/")[0] for target, _ in targets}
    for number, lower in enumerate(lowers):
        if number == len(lowers) - 1 or any(os.path.lexists(f"{lower}/{first}") for first in firsts):
            return tuple(lowers[number:])
    return ()


def _is_plain(root: int, target: str) -> bool:
    """Whether what there is of a target's path is no link."""
    try:
        os.close(openat2(root, target.strip("/"), os.O_PATH, 0, _PLAINLY))
    except OSError as error:
        return error.errno == errno.ENOENT
    return True


def _make(root: int, target: str, *, is_directory: bool) -> None:
    make = make_directories_in_root if is_directory else make_file_in_root
    try:
        os.close(make(root, target.strip("/"), 0o755))
    except OSError as error:
        if error.errno not in _IN_THE_WAY:
            raise
