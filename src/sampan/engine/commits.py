"""What a container wrote becomes an image: Docker's commit."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace

from sampan.cgroup import open_cgroup
from sampan.engine.announcer import Announcer
from sampan.engine.config import ProcessConfig
from sampan.engine.container import ContainerRecord, Dead, Removing, Running
from sampan.engine.defaults import fill_in
from sampan.engine.image_events import announce
from sampan.engine.images import EngineImages
from sampan.engine.spec import cgroup_path
from sampan.engine.store import ContainerStore
from sampan.engine.threads import to_its_end
from sampan.engine.waiting import Locks
from sampan.errors import Conflict, NotImplementedHere, SystemFailure
from sampan.image.changes import apply_changes
from sampan.image.commit import CommitRequest, child_config, commit_layer
from sampan.image.import_rootfs import now
from sampan.image.records import Base, Image
from sampan.oci.image_spec import ContainerDefaults, Healthcheck
from sampan.oci.reference import parse_reference


@dataclass(frozen=True, slots=True)
class Commits:
    """Makes images of containers."""

    store: ContainerStore
    images: EngineImages
    announcer: Announcer
    locks: Locks
    cgroup_parent: str

    async def commit(
        self,
        reference: str,
        target: str,
        *,
        asked: ProcessConfig | None = None,
        changes: tuple[str, ...] = (),
        author: str = "",
        comment: str = "",
        pause: bool = True,
    ) -> Image:
        """A new image of the container's root as it is now, named `target` unless that is "".

        Its configuration is what is `asked`, the container's own where nothing is, and the `changes` on top.
        With `pause` a running container stands still meanwhile. Raises InvalidArgument for changes or name, Conflict
        for a container that is being removed, NotImplementedHere for one that stands on the machine itself.
        """
        record = self.store.find(reference)
        if isinstance(record.state, Removing | Dead):
            raise Conflict(f"You cannot commit container {record.id} which is being removed", remedy="commit another")
        parent = self.images.images.records.get(record.image_id)
        _refuse_host(record, parent)
        name = parse_reference(target).named() if target else None
        defaults = apply_changes(defaults_of(_merged(asked, record.config.process)), changes)
        request = CommitRequest(defaults, " ".join((record.path, *record.arguments)), author, comment)
        async with self.locks.alone(record.id):
            stands_still = pause and isinstance(record.state, Running)
            if stands_still:
                self.announcer.container(record, "pause")
            with self.images.making() as hold:
                upper = self.images.roots.upper(record.id)
                async with standing_still(record, self.cgroup_parent, really=pause):
                    layer = await to_its_end(commit_layer, upper, self.images.layers, hold)
                config = child_config(parent.config, layer, request, now())
                image = self.images.images.record(config, base=parent.base, parent=parent.id)
                if name is not None:
                    self.images.images.point(name, image.id)
                    announce(self.announcer.events, self.images.images, "tag", image.id, name.familiar)
            shown = name.familiar if name else ""
            self.announcer.container(record, "commit", comment=comment, imageID=image.id, imageRef=shown)
            if stands_still:
                self.announcer.container(record, "unpause")
        return image


def _refuse_host(record: ContainerRecord, parent: Image) -> None:
    """A layer of ours is a directory below "/", and overlayfs takes no layer inside of another (ELOOP)."""
    if parent.base is Base.HOST:
        raise NotImplementedHere(
            f"cannot commit container {record.name}: an image on top of the machine itself cannot have layers",
            remedy=f"make an image of its own with `sampan export {record.name} | sampan import - NAME`",
        )


@contextlib.asynccontextmanager
async def standing_still(record: ContainerRecord, cgroup_parent: str, *, really: bool = True) -> AsyncIterator[None]:
    """Freeze a running container for the block; a paused one stands still anyway, as does one that has just ended.

    Raises SystemFailure for one that cannot be.
    """
    if not really or not isinstance(record.state, Running):
        yield
        return
    cgroup = open_cgroup(cgroup_path(record, cgroup_parent))
    try:
        try:
            with contextlib.suppress(FileNotFoundError):
                await to_its_end(cgroup.freeze)
        except OSError as error:
            raise SystemFailure(
                f"cannot pause container {record.name}: {error}", remedy="try again, or go without the pause"
            ) from error
        try:
            yield
        finally:
            with contextlib.suppress(FileNotFoundError):
                cgroup.thaw()
    finally:
        cgroup.close()


def _merged(asked: ProcessConfig | None, own: ProcessConfig) -> ProcessConfig:
    if asked is None or asked == ProcessConfig():
        return own
    return replace(fill_in(asked, own), on_build=asked.on_build or own.on_build)


def defaults_of(process: ProcessConfig) -> ContainerDefaults:
    """What the container's own configuration says of containers of the new image."""
    check = process.healthcheck
    return ContainerDefaults(
        user=process.user,
        exposed_ports={port: {} for port in process.exposed_ports} if process.exposed_ports else None,
        env=process.environment,
        entrypoint=process.entrypoint,
        cmd=process.command,
        volumes={target: {} for target in process.volumes} if process.volumes else None,
        working_dir=process.working_dir,
        labels=process.labels,
        stop_signal=process.stop_signal,
        healthcheck=Healthcheck(
            test=check.test or (),
            interval=check.interval_ns,
            timeout=check.timeout_ns,
            start_period=check.start_period_ns,
            start_interval=check.start_interval_ns,
            retries=check.retries,
        )
        if check
        else None,
        on_build=process.on_build,
        shell=process.shell,
        stop_timeout=process.stop_timeout_s,
    )
