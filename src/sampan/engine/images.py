"""Images as the engine needs them: which one is meant, what a container takes from it, and who uses it.

The image package knows no containers; here its questions about them are answered from the store.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from sampan.engine.config import Healthcheck, ProcessConfig, Strings
from sampan.engine.container import ContainerRecord
from sampan.engine.disposal import Disposal
from sampan.engine.layout import Layout
from sampan.engine.parts import ImageFacts, Later, at_once
from sampan.engine.store import ContainerStore
from sampan.errors import NotFound, NotImplementedHere
from sampan.image.bottom import make_bottom
from sampan.image.busybox import BUSYBOX_NAME, create_busybox
from sampan.image.host import HOST_NAME, HostImage
from sampan.image.host_mask import HostMask
from sampan.image.host_shelf import MaskShelf
from sampan.image.images import Images
from sampan.image.layers import Hold, LayerStore
from sampan.image.names import ImageNames
from sampan.image.platforms import parse_platform
from sampan.image.records import Base, Image, ImageRecords
from sampan.image.root_records import RootRecords
from sampan.image.rootfs import Roots
from sampan.oci.image_spec import ContainerDefaults
from sampan.runtime.launch_plan import OverlayPlan, RootPlan


@dataclass(frozen=True, slots=True)
class ContainerUsage:
    """Which containers use an image; `builds` counts those builds that go on from it."""

    store: ContainerStore
    builds: Counter[str] = field(default_factory=Counter)

    def running(self, image_id: str) -> str | None:
        """A running one, or a build."""
        if self.builds[image_id] > 0:
            return "of a build"
        return next((r.id for r in self.store.all() if _has_image(r, image_id) and r.running is not None), None)

    def stopped(self, image_id: str) -> str | None:
        """One that does not run."""
        return next((r.id for r in self.store.all() if _has_image(r, image_id) and r.running is None), None)


def _has_image(record: ContainerRecord, image_id: str) -> bool:
    return record.image_id == image_id or any(
        point.kind == "image" and point.name == image_id for point in record.mounts
    )


def misfit_of(image: Image, reference: str, platform: str) -> str:
    """Why an image is not of the platform that was asked for, in Docker's words; "" when it is, or none was."""
    if not platform:
        return ""
    wanted = parse_platform(platform)
    own = (image.config.os, image.config.architecture, image.config.variant)
    if own[:2] == wanted[:2] and (not own[2] or not wanted[2] or own[2] == wanted[2]):
        return ""
    return (
        f"image with reference {reference} was found but does not match the specified platform: "
        f"wanted {'/'.join(filter(None, wanted))}, actual: {'/'.join(filter(None, own))}"
    )


@dataclass(frozen=True, slots=True)
class EngineImages:
    """Finding images, and preparing the roots that stand on them."""

    images: Images
    roots: Roots
    layers: LayerStore
    disposal: Disposal
    usage: ContainerUsage

    def resolve(self, reference: str, platform: str = "") -> ImageFacts:
        """The image that a user means. Raises NotFound in Docker's words, also for one of another platform."""
        image = self.images.get(reference)
        if misfit := misfit_of(image, reference, platform):
            raise NotFound(misfit, remedy=f"sampan pull --platform {platform} {reference}")
        return ImageFacts(image.id, process_defaults(image.defaults))

    def mountable(self, reference: str) -> str:
        """The id of an image whose tree is to be mounted. Raises NotFound, NotImplementedHere for the machine's."""
        image = self.images.get(reference)
        if image.base is Base.HOST:
            raise NotImplementedHere(
                f"image {reference} is this machine itself, of which no read-only view is mounted",
                remedy="mount a directory of the machine with type=bind",
            )
        return image.id

    @contextmanager
    def making(self, diff_ids: Iterable[str] = ()) -> Iterator[Hold]:
        """Hold these layers and those that are made for an image; what no image has at the end is removed again."""
        made: tuple[str, ...] = ()
        try:
            with self.layers.hold(diff_ids) as hold:
                try:
                    yield hold
                finally:
                    made = tuple(hold.taken)
        finally:
            for rubbish in self.images.release_layers(made).rubbish:
                self.disposal.dispose(rubbish)

    def tree(self, image_id: str) -> OverlayPlan:
        """An image's own tree as an overlay. Raises NotFound."""
        plan = self.roots.readonly_plan(image_id, "")
        if plan.overlay is None:
            raise NotFound(f"image {image_id} has no tree")
        return plan.overlay

    def prepare(self, image_id: str, container_id: str, options: dict[str, str], *, disposable: bool) -> RootPlan:
        """Make what a container's root needs and say how it is mounted."""
        return self.roots.prepare(image_id, container_id, options, disposable=disposable)

    def open_stopped(self, container_id: str, *, writable: bool = False) -> int:
        """A descriptor of the whole root of a container that does not run, mounted nowhere; closing it unmounts."""
        return self.roots.open_stopped(container_id, writable=writable)

    def release(self, container_id: str, later: Later = at_once) -> None:
        """Remove all that `prepare` made, and the container's folder with it; the disk is freed in the background.

        `later` is handed what makes it begin, for the moment when nobody reads there any more.
        """

        def dispose(rubbish: str) -> None:
            later(lambda: self.disposal.dispose(rubbish))

        self.roots.lift_limit(container_id)
        rubbish = self.layers.throw_away(f"{self.roots.containers}/{container_id}")
        if rubbish:
            dispose(rubbish)
        self.roots.release(container_id, dispose)


def open_images(layout: Layout, store: ContainerStore) -> EngineImages:
    """The images below the engine's data root, put right after a crash."""
    records, roots = ImageRecords(store.connection), RootRecords(store.connection)
    layers = LayerStore(f"{layout.data_root}/layers")
    layers.prepare()
    host = HostImage(HostMask((layout.data_root, layout.exec_root)), MaskShelf(f"{layout.exec_root}/host-masks"))
    usage = ContainerUsage(store)
    images = Images(
        records,
        ImageNames(store.connection),
        roots,
        layers,
        usage,
        {HOST_NAME: lambda: host.create(records), BUSYBOX_NAME: lambda: create_busybox(layers, records)},
    )
    disposal = Disposal(layers.dispose)
    for rubbish in images.recover().rubbish:
        disposal.dispose(rubbish)
    bottom = f"{layers.path}/bottom"
    make_bottom(bottom)
    places = Roots(records, roots, layers, layout.containers, host, disposal.dispose, bottom)
    return EngineImages(images, places, layers, disposal, usage)


def process_defaults(defaults: ContainerDefaults) -> ProcessConfig:
    """What an image says of its containers, in the engine's words."""
    return ProcessConfig(
        user=defaults.user,
        exposed_ports=_names(defaults.exposed_ports),
        environment=defaults.env,
        entrypoint=defaults.entrypoint,
        command=defaults.cmd,
        volumes=_names(defaults.volumes),
        working_dir=defaults.working_dir,
        labels=defaults.labels,
        stop_signal=defaults.stop_signal,
        stop_timeout_s=defaults.stop_timeout,
        shell=defaults.shell,
        on_build=defaults.on_build,
        healthcheck=_healthcheck(defaults),
    )


def _names(values: dict[str, dict[str, str]] | None) -> Strings:
    return None if values is None else tuple(values)


def _healthcheck(defaults: ContainerDefaults) -> Healthcheck | None:
    check = defaults.healthcheck
    if check is None:
        return None
    return Healthcheck(
        check.test, check.interval, check.timeout, check.start_period, check.start_interval, check.retries
    )
