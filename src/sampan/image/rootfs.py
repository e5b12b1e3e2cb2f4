"""Root file systems of containers: an image's layers, shared and never written, below a directory of their own.

    containers/<id>/upper   what the container writes
    containers/<id>/work    overlayfs's own
    containers/<id>/root    where the overlay is mounted, in the container's mount namespace alone

prepare and release take microseconds, mount nothing, and are made from the event loop's thread; the mount itself is
runtime's, from the RootPlan. Nothing here knows what a container is beyond its id.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field

from sampan.errors import InvalidArgument, NotFound, NotImplementedHere, SystemFailure
from sampan.image.differences import Change, differences
from sampan.image.host import HOST_ROOT, HostImage
from sampan.image.layers import LayerStore
from sampan.image.records import Base, ImageRecords
from sampan.image.root_records import Root, RootRecords
from sampan.image.root_size import bound, check_quota, size_of
from sampan.image.stubs import StubShelf
from sampan.image.tree import disk_failure, dress_as, remove_tree
from sampan.linux.filesystem import make_directory
from sampan.linux.mount import MountAttr
from sampan.linux.overlay import MOST_LOWERS, mount_overlay
from sampan.linux.quota import unbound
from sampan.runtime.launch_plan import OverlayPlan, RootPlan

type OverlayOptions = tuple[tuple[str, str | None], ...]

# Each off, whatever the kernel's defaults: an upper directory must be whole without the layers below it.
_SELF_CONTAINED: OverlayOptions = (("index", "off"), ("redirect_dir", "off"), ("metacopy", "off"))
MASKED = "masked.json"  # what of the machine was hidden in the upper directory (`host`)
STUBS = "stubs"  # a link to the mount points that the image lacks, which are the topmost lower layer
SHARED = "mask"  # the name of the mask that hides something of the machine, where it is shared
_NAMES = ("upper", "work", "root", "upper.new", MASKED, SHARED, STUBS)


@dataclass(frozen=True, slots=True)
class Roots:
    """The roots below one `containers` directory.

    `host` is what images on the base HOST stand on; `dispose` frees the disk of a path that is no longer of any use,
    now or later in a thread. `bottom` is a tree below the layers of every image but the machine (`image/bottom`).
    """

    images: ImageRecords
    records: RootRecords
    layers: LayerStore
    containers: str
    host: HostImage
    dispose: Callable[[str], None] = remove_tree
    bottom: str = ""
    stubs: StubShelf = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Share mount points among the roots of these layers."""
        object.__setattr__(self, "stubs", StubShelf(self.layers))

    def prepare(
        self, image_id: str, container_id: str, options: dict[str, str] | None = None, *, disposable: bool = False
    ) -> RootPlan:
        """Make what the root needs, the first time and again before each start, and say how it is mounted.

        `options` are those of --storage-opt. A `disposable` root (of --rm) is mounted without waiting for the disk at
        its end (overlayfs's "volatile"), 4 ms and more. Raises NotFound for the image, SystemFailure for a layer that
        is gone or a disk that is full, InvalidArgument and NotImplementedHere for options.
        """
        size = size_of(options or {})
        if size:
            os.makedirs(self.containers, mode=0o710, exist_ok=True)
            check_quota(self.containers)
        root = self.records.get(container_id)
        if root is None:
            image = self.images.get(image_id)
            _check_base(image.base, image.diff_ids)
            root = Root(container_id, image.id, image.base, image.diff_ids)
            self.records.add(root)
        upper, work, place, *_ = self._paths(container_id)
        try:
            if root.base is Base.HOST and not os.path.isdir(upper) and self.host.shelf.is_usable():
                self._choose_mask(container_id)
            lowers = self._lowers(root)
            make_directory(self._directory(container_id), 0o710)
            make_directory(work, 0o700)
            if not os.path.isdir(upper):
                self._make_upper(root, lowers, upper, size)
            make_directory(place, 0o700)
            shutil.rmtree(os.path.join(work, "work", "incompat"), ignore_errors=True)  # left by a volatile mount
        except OSError as error:
            raise disk_failure(f"cannot make the root of container {container_id}", error) from error
        volatile: OverlayOptions = (("volatile", None),) if disposable else ()
        stubs = os.path.join(self._directory(container_id), STUBS)
        if os.path.isdir(stubs):
            lowers = (stubs, *lowers)
        overlay = OverlayPlan(lowers=lowers, upper=upper, work=work, options=(*self._overlay_options(root), *volatile))
        return RootPlan(path=place, overlay=overlay)

    def make_mount_points(self, container_id: str, targets: Iterable[tuple[str, bool]]) -> None:
        """Put those mount points (path, whether a directory) that the image lacks below the container's own layer.

        Between `prepare` and the start. Raises NotFound when the container has no root.
        """
        root = self.records.get(container_id)
        if root is None:
            raise NotFound(f"container {container_id} has no root file system")
        stubs = os.path.join(self._directory(container_id), STUBS)
        remove_tree(stubs)
        self.stubs.place(self._lowers(root), tuple(targets), stubs)

    def readonly_plan(self, image_id: str, place: str) -> RootPlan:
        """An image's own tree, mounted over the directory `place` without anything of a container's."""
        image = self.images.get(image_id)
        lowers = self._lowers(Root("", image.id, image.base, image.diff_ids), fewest=2)
        return RootPlan(path=place, overlay=OverlayPlan(lowers=lowers), readonly=True)

    def open_stopped(self, container_id: str, *, writable: bool = False) -> int:
        """A descriptor of the whole root of a container that does not run, mounted nowhere; closing it unmounts.

        Raises NotFound when the container has no root. While the container runs, /proc/PID/root is the way.
        """
        root = self.records.get(container_id)
        if root is None:
            raise NotFound(f"container {container_id} has no root file system")
        upper, work, *_ = self._paths(container_id)
        attributes = 0 if writable else int(MountAttr.RDONLY)
        return mount_overlay(self._lowers(root), upper, work, self._overlay_options(root), attributes)

    def changes(self, container_id: str) -> list[Change]:
        """What the container changed (`differences`). Raises NotFound when it has no root."""
        return self.plan_changes(container_id)()

    def plan_changes(self, container_id: str) -> Callable[[], list[Change]]:
        """What finds the container's changes: slow for one that wrote much, so for a thread.

        Raises NotFound when it has no root.
        """
        root = self.records.get(container_id)
        if root is None:
            raise NotFound(f"container {container_id} has no root file system")
        masked = os.path.join(self._directory(container_id), MASKED)
        upper, lowers = self.upper(container_id), self._lowers(root)
        return lambda: differences(upper, lowers, masked)

    def committable(self, container_id: str) -> str:
        """The upper directory that `commit` makes a layer of.

        Raises NotFound for a container without a root, NotImplementedHere for one of the machine itself.
        """
        root = self.records.get(container_id)
        if root is None:
            raise NotFound(f"container {container_id} has no root file system")
        _check_base(root.base, (*root.diff_ids, "the new one"))
        return self.upper(container_id)

    def upper(self, container_id: str) -> str:
        """Where what a container wrote is."""
        return self._paths(container_id)[0]

    def lowers(self, container_id: str) -> tuple[str, ...]:
        """What a container's root stands on, topmost first; empty when it has no root."""
        root = self.records.get(container_id)
        return () if root is None else self._lowers(root)

    def release(self, container_id: str, dispose: Callable[[str], None] | None = None) -> None:
        """Remove all that `prepare` made; nothing happens when there is nothing.

        Layers that only this root needed, since its image was removed by force, go too. `dispose` is given what has
        been moved aside, instead of the one that this was made with.
        """
        dispose = dispose or self.dispose
        root = self.records.get(container_id)
        if os.path.isdir(self._directory(container_id)):
            self.lift_limit(container_id)
            for path in self._paths(container_id):
                if rubbish := self.layers.throw_away(path):
                    dispose(rubbish)
            with suppress(OSError):
                os.rmdir(self._directory(container_id))  # the engine's files may be there still
        if root is None:
            return
        self.records.remove(container_id)
        if self.images.has(root.image_id):
            return
        for diff_id in root.diff_ids:
            is_used = self.images.uses_layer(diff_id) or self.records.uses_layer(diff_id)
            if not is_used and (rubbish := self.layers.detach(diff_id)):
                self.images.forget_layer(diff_id)
                dispose(rubbish)

    def lift_limit(self, container_id: str) -> None:
        """Forget how much the container may write, before its directory is moved away."""
        unbound(self.upper(container_id))

    def recover(self, container_ids: Iterable[str]) -> None:
        """Release the roots of all containers but these."""
        known = set(container_ids)
        for root in self.records.all():
            if root.container_id not in known:
                self.release(root.container_id)

    def _directory(self, container_id: str) -> str:
        if not container_id or not set(container_id) <= set("0123456789abcdef"):
            raise InvalidArgument(f"{container_id!r} is no container id")
        return os.path.join(self.containers, container_id)

    def _paths(self, container_id: str) -> tuple[str, ...]:
        directory = self._directory(container_id)
        return tuple(os.path.join(directory, name) for name in _NAMES)

    def _lowers(self, root: Root, fewest: int = 1) -> tuple[str, ...]:
        """The trees below the upper directory, topmost first (`LayerStore.stack`)."""
        if root.base is Base.HOST:
            return self._host_lowers(root.container_id) if root.container_id else (HOST_ROOT,)
        lowers = self.layers.stack(root.diff_ids, fewest)
        has_room = len(lowers) < MOST_LOWERS - 1  # one is for the mount points of a step
        return (*lowers, self.bottom) if self.bottom and root.container_id and has_room else lowers

    def _host_lowers(self, container_id: str) -> tuple[str, ...]:
        """The machine, below the mask that the container shares, if it does; one that a boot took is made anew."""
        try:
            with open(os.path.join(self._directory(container_id), SHARED), encoding="ascii") as file:
                place = self.host.shelf.place(file.read())
        except FileNotFoundError:
            return (HOST_ROOT,)  # the marks are in the upper directory
        return (place if os.path.isdir(place) else self._choose_mask(container_id), HOST_ROOT)

    def _choose_mask(self, container_id: str) -> str:
        """Have the container share the mask that hides what is to be hidden now; its path."""
        os.makedirs(self._directory(container_id), mode=0o710, exist_ok=True)
        name = self._share()
        path = os.path.join(self._directory(container_id), SHARED)
        with open(f"{path}.new", "w", encoding="ascii") as file:
            file.write(name)
        os.rename(f"{path}.new", path)
        return self.host.shelf.place(name)

    def _share(self) -> str:
        if not self.host.shelf.is_usable():
            raise SystemFailure(
                "what the image host is to hide has no place: the engine's run directory is no tmpfs",
                remedy="start sampand with an --exec-root on a tmpfs, as /run/sampan is on most machines",
            )
        return self.host.share(self._masks_used)

    def _masks_used(self) -> set[str]:
        used = set()
        for name in os.listdir(self.containers):
            with suppress(OSError), open(os.path.join(self.containers, name, SHARED), encoding="ascii") as file:
                used.add(file.read())
        return used

    def _overlay_options(self, root: Root) -> OverlayOptions:
        """Layers of two file systems are to look like one (st_dev): with a shared mask there are."""
        is_shared = root.base is Base.HOST and len(self._lowers(root)) > 1
        return (*_SELF_CONTAINED, ("xino", "on")) if is_shared else _SELF_CONTAINED

    def _make_upper(self, root: Root, lowers: tuple[str, ...], upper: str, size: int) -> None:
        """Make the upper directory, whole or not at all."""
        new = f"{upper}.new"
        remove_tree(new)
        os.mkdir(new, 0o700)
        if size:
            bound(root.container_id, size, new, self._paths(root.container_id)[1])
        if root.base is Base.HOST and len(lowers) == 1:
            self.host.fill_upper(new, os.path.join(os.path.dirname(upper), MASKED))
        dress_as(lowers[0], new)
        os.rename(new, upper)


def _check_base(base: Base, diff_ids: tuple[str, ...]) -> None:
    if base is Base.HOST and diff_ids:
        raise NotImplementedHere(
            "an image on top of the machine itself cannot have layers: overlayfs takes none inside of another",
            remedy="make an image of its own with `sampan export CONTAINER | sampan import - NAME`",
        )
