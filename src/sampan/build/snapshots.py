"""Trees that steps work on: an image's layers as one read-only tree, or below a directory that becomes the next layer.

The overlay is mounted nowhere: a tree is a descriptor, everything below it is reached by openat2, and it is gone with
its last descriptor. What a crash leaves is a directory that the layer store removes when it is next prepared.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from sampan.errors import NotImplementedHere
from sampan.image.adopt import adopt
from sampan.image.layers import Hold, Layer, LayerStore
from sampan.image.records import Base, Image
from sampan.image.tree import disk_failure, dress_as, remove_tree
from sampan.linux.mount import MountAttr
from sampan.linux.overlay import mount_overlay

# Each off, whatever the kernel's defaults: an upper directory must be whole without the layers below it.
_SELF_CONTAINED = (("index", "off"), ("redirect_dir", "off"), ("metacopy", "off"))


@dataclass(slots=True)
class Snapshot:
    """A tree that a step may change: `root_fd` is the whole of it, until `finish`."""

    root_fd: int
    upper: str

    def close(self) -> None:
        """Let the tree go; nothing happens the second time."""
        if self.root_fd >= 0:
            os.close(self.root_fd)
            self.root_fd = -1


@dataclass(frozen=True, slots=True)
class Snapshots:
    """Makes trees of layers, and layers of trees. `dispose` frees the disk of a path, now or later in a thread."""

    layers: LayerStore
    dispose: Callable[[str], None] = remove_tree

    @contextmanager
    def writable(self, diff_ids: Sequence[str]) -> Iterator[Snapshot]:
        """A tree on top of these layers (lowest first); what is not finished when the block ends is gone.

        Raises SystemFailure for a disk that is full, NotFound for a layer.
        """
        new = self.layers.begin()
        snapshot = Snapshot(-1, os.path.join(new, "upper"))
        try:
            try:
                lowers = self.lowers(diff_ids)
                os.mkdir(snapshot.upper, 0o700)
                dress_as(lowers[0], snapshot.upper)
                work = os.path.join(new, "work")
                os.mkdir(work, 0o700)
                snapshot.root_fd = mount_overlay(lowers, snapshot.upper, work, (*_SELF_CONTAINED, ("volatile", None)))
            except OSError as error:
                raise disk_failure("cannot make the tree of a step", error) from error
            yield snapshot
        finally:
            snapshot.close()
            remove_tree(new)

    def finish(self, snapshot: Snapshot, hold: Hold, latest_mtime_s: int | None = None) -> Layer:
        """The layer of what was changed. The tree is closed by that."""
        snapshot.close()
        return self.adopt(snapshot.upper, hold, latest_mtime_s)

    def adopt(self, upper: str, hold: Hold, latest_mtime_s: int | None = None) -> Layer:
        """The layer of an upper directory that nobody writes to any more (`image.adopt`)."""
        return adopt(upper, self.layers, hold, latest_mtime_s=latest_mtime_s, dispose=self.dispose)

    @contextmanager
    def readable(self, diff_ids: Sequence[str]) -> Iterator[int]:
        """A descriptor of the read-only tree of these layers."""
        root_fd = self.open_readable(diff_ids)
        try:
            yield root_fd
        finally:
            os.close(root_fd)

    def open_readable(self, diff_ids: Sequence[str]) -> int:
        """The same, for the caller to close. Raises NotFound for a layer."""
        try:
            return mount_overlay(self.layers.stack(diff_ids, 2), attributes=int(MountAttr.RDONLY))
        except OSError as error:
            raise disk_failure("cannot mount an image's layers", error) from error

    def lowers(self, diff_ids: Sequence[str]) -> tuple[str, ...]:
        """The directories of these layers, topmost first; there is always one."""
        return self.layers.stack(diff_ids, 1)


def refuse_machine(image: Image, name: str) -> None:
    """Refuse an image that stands on the machine itself: overlayfs takes no layer inside of another's."""
    if image.base is Base.HOST:
        raise NotImplementedHere(
            f"cannot build from {name!r}: an image on top of the machine itself cannot have layers",
            remedy="use `busybox`, import a root file system, or make one with `sampan image bootstrap`",
        )
