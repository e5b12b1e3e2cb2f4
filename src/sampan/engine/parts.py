"""What the engine needs of the parts below it, as narrow Protocols: images, root file systems, networks, volumes.

The parts know nothing of containers; the daemon wires them to these.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from sampan.engine.config import ProcessConfig
from sampan.engine.container import ContainerRecord, Endpoint, Linked
from sampan.runtime.launch_plan import OverlayPlan, RootPlan

type Later = Callable[[Callable[[], None]], None]


def at_once(call: Callable[[], None]) -> None:
    """The `Later` for what nobody reads."""
    call()


@dataclass(frozen=True, slots=True)
class ImageFacts:
    """What a container takes from its image."""

    id: str
    defaults: ProcessConfig


class Images(Protocol):
    """Finding images."""

    def resolve(self, reference: str, platform: str = "") -> ImageFacts:
        """The image that a user means. Raises NotFound in Docker's words, also for one of another platform."""


class Trees(Protocol):
    """Images as trees of files, to be mounted."""

    def mountable(self, reference: str) -> str:
        """The id of an image whose tree is to be mounted. Raises NotFound, NotImplementedHere for the machine's."""

    def tree(self, image_id: str) -> OverlayPlan:
        """An image's own tree as an overlay. Raises NotFound."""


class Roots(Trees, Protocol):
    """Root file systems of containers."""

    def prepare(self, image_id: str, container_id: str, options: dict[str, str], *, disposable: bool) -> RootPlan:
        """Make what the root needs (idempotent) and say how it is mounted.

        `options` are those of --storage-opt; a `disposable` root need not survive a power failure.
        """

    def release(self, container_id: str, later: Later = at_once) -> None:
        """Remove the container's folder with all that `prepare` made; nothing happens when there is nothing.

        `later` is called with what frees the disk, when the files may go.
        """

    def open_stopped(self, container_id: str, *, writable: bool = False) -> int:
        """A descriptor of the whole root of a container that does not run, mounted nowhere; closing it unmounts."""


def prepare_root(roots: Roots, record: ContainerRecord) -> RootPlan:
    """The root of a container, as its configuration asks."""
    host = record.config.host
    return roots.prepare(
        record.image_id, record.id, host.storage_opt or {}, disposable=host.auto_remove or record.build_step
    )


@dataclass(frozen=True, slots=True)
class Place:
    """A container's place in its networks: the namespace to join ("" makes one, None is the host's)."""

    namespace: str | None
    endpoints: dict[str, Endpoint] = field(default_factory=dict)
    ports: dict[str, tuple[tuple[str, str], ...]] = field(default_factory=dict)
    name_server: str = ""
    host_gateway: str = ""
    linked: Linked = field(default_factory=Linked)
    identity_of: str = ""  # the container whose network, and so /etc/hosts, hostname and resolv.conf, this one shares


class Networks(Protocol):
    """Places in networks."""

    def check(self, record: ContainerRecord) -> None:
        """Refuse what cannot be, before anything is taken."""

    async def attach(self, record: ContainerRecord) -> Place:
        """Make the container's place; what is taken is released by `release`, also after a failure half-way."""

    async def complete(self, container_id: str) -> None:
        """Wait until all of the place is made; the container is in it already. Raises SystemFailure."""

    async def release(self, container_id: str) -> None:
        """Give up the place; nothing happens when there is none."""

    def name(self, reference: str) -> str:
        """The name of the network that a reference means; itself when there is none."""

    def places(self, record: ContainerRecord) -> dict[str, Endpoint]:
        """The networks of a container that has no place yet."""

    def drivers(self, record: ContainerRecord) -> dict[str, str]:
        """The drivers of the networks that the container is in, by the networks' names."""

    async def recover(self) -> None:
        """Make kernel and records agree, when a daemon has just started."""


@dataclass(frozen=True, slots=True)
class VolumeFacts:
    """What a container takes from a volume; `path` is where its content is on the host.

    With an `fstype` ("none" for a bind) it is what mount(2) makes of `device` and the comma-separated `options`.
    """

    name: str
    driver: str
    path: str
    fstype: str = ""
    device: str = ""
    options: str = ""


class Volumes(Protocol):
    """Volumes, by name."""

    async def ensure(self, name: str, driver: str, options: dict[str, str], labels: dict[str, str]) -> VolumeFacts:
        """The volume of this name, made when it is not there; without a name a new anonymous one."""

    async def fill(self, record: ContainerRecord) -> None:
        """Copy what the new container's root has at its mount points into volumes that are empty."""

    async def mount(self, record: ContainerRecord) -> ContainerRecord:
        """Have the volumes that plugins keep mounted for a run; the record says where they are then."""

    async def unmount(self, record: ContainerRecord) -> ContainerRecord:
        """Give them up; nothing happens when there are none."""

    def remove_anonymous(self, name: str) -> None:
        """Remove an anonymous volume that nothing uses any more; nothing happens when it is gone."""


class Secrets(Protocol):
    """Secrets and configs, by name or id."""

    def locate(self, kind: str, reference: str) -> tuple[str, str]:
        """The name of a "secret" or "config", and the file with its content. Raises NotFound."""
