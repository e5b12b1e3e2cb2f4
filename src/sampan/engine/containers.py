"""Containers from create to remove: naming, admission, their folder, and their end.

What happens in between, the runs, is `lifecycle`'s and `control`'s.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import shutil
import time
from dataclasses import dataclass
from functools import partial

from sampan.engine import admission, links, mount_points, names
from sampan.engine.announcer import Announcer
from sampan.engine.config import ContainerConfig, HostConfig, LogConfig, ProcessConfig, Resources
from sampan.engine.container import (
    ContainerRecord,
    Created,
    Dead,
    Exited,
    MountPoint,
    Paused,
    Removing,
    Restarting,
    Running,
)
from sampan.engine.defaults import fill_in, program
from sampan.engine.launching import Launcher
from sampan.engine.layout import Layout
from sampan.engine.mount_points import Origins
from sampan.engine.parts import Images, Networks, Roots, Secrets, Volumes, prepare_root
from sampan.engine.store import ContainerStore
from sampan.engine.waiting import EarlyClients, Locks, Waits
from sampan.errors import Conflict, InvalidArgument, NotFound, SampanError, SystemFailure, reason_of


@dataclass(slots=True)
class Containers:
    """Creates, renames and removes containers."""

    store: ContainerStore
    layout: Layout
    images: Images
    roots: Roots
    networks: Networks
    volumes: Volumes
    secrets: Secrets
    announcer: Announcer
    waits: Waits
    early: EarlyClients
    locks: Locks
    default_log: LogConfig
    launcher: Launcher

    async def create(
        self,
        config: ContainerConfig,
        name: str = "",
        *,
        platform: str = "",
        build_step: bool = False,
        mounts: tuple[MountPoint, ...] = (),
    ) -> ContainerRecord:
        """A new container, admitted as a whole, its folder, root and volumes made.

        `mounts` come on top of what the configuration asks for. Raises InvalidArgument with every problem, NotFound for
        the image or when it is of another platform, Conflict for the name.
        """
        image = self.images.resolve(config.process.image, platform)
        container_id = self.launcher.new_id()
        config = self._filled_in(config, image.defaults, container_id)
        path, arguments = program(config.process)
        admission.admit(config)
        record = ContainerRecord(
            id=container_id,
            name=self._name(name),
            created_at_ns=time.time_ns(),
            image_id=image.id,
            config=config,
            path=path,
            arguments=arguments,
            build_step=build_step,
        )
        self.networks.check(record)
        record = dataclasses.replace(record, endpoints=self.networks.places(record))
        if self.store.holder(record.name):
            self.store.add(record)  # raises Conflict in Docker's words
        points = await mount_points.resolve(config, Origins(self.volumes, self.secrets, self.roots, self._known))
        record = dataclasses.replace(record, mounts=(*points, *mounts))
        self.store.add(record)
        async with self.locks.of(record.id):
            await self._make(record)
        self.announcer.container(record, "create")
        return record

    def _filled_in(self, config: ContainerConfig, defaults: ProcessConfig, container_id: str) -> ContainerConfig:
        """With what the image and the daemon say where the user does not. Raises InvalidArgument without a command."""
        admission.refuse_together(config)
        process = fill_in(config.process, defaults)
        process = dataclasses.replace(process, hostname=self._hostname(config, process, container_id))
        if not (process.entrypoint or process.command):
            raise InvalidArgument("no command specified", remedy="say what to run after the image")
        host = dataclasses.replace(
            self._with_ids(config.host),
            log=with_default(config.host.log, self.default_log),
            resources=without_no_limit(config.host.resources),
        )
        networks = {self.networks.name(key): asked for key, asked in config.networks.items()}
        return dataclasses.replace(config, process=process, host=host, networks=networks)

    def _with_ids(self, host: HostConfig) -> HostConfig:
        """With the ids of the containers whose namespaces are joined, so that they may get other names."""

        def with_id(mode: str) -> str:
            kind, separator, reference = mode.partition(":")
            return f"{kind}:{self._known(reference).id}" if kind == "container" and separator and reference else mode

        return dataclasses.replace(
            host,
            network_mode=self._network_with_id(host.network_mode),
            pid_mode=with_id(host.pid_mode),
            ipc_mode=with_id(host.ipc_mode),
        )

    def _network_with_id(self, mode: str) -> str:
        """As for the other namespaces, but whom it is shared with may be made later (moby looks at start)."""
        kind, _, reference = mode.partition(":")
        with contextlib.suppress(SampanError):
            return f"{kind}:{self.store.find(reference).id}" if kind == "container" else mode
        return mode

    def _known(self, reference: str) -> ContainerRecord:
        """A container that another one is made with; that it is not there is the request's fault (moby answers 400)."""
        try:
            return self.store.find(reference)
        except NotFound as error:
            raise InvalidArgument(error.sentence, remedy=error.remedy) from error

    def unlink(self, reference: str) -> None:
        """Take a link `PARENT/ALIAS` away; what a run was told of it stays told. Raises NotFound."""
        parent, _, alias = reference.strip("/").partition("/")
        record = self.store.find(parent)
        host = dataclasses.replace(record.config.host, links=links.without(record, alias))
        self.store.save(dataclasses.replace(record, config=dataclasses.replace(record.config, host=host)))

    async def _make(self, record: ContainerRecord) -> None:
        try:
            os.mkdir(self.layout.container(record.id), 0o710)
            prepare_root(self.roots, record)
            await self.volumes.fill(record)
        except BaseException as error:
            self._release(record)
            self.store.remove(record.id)
            self._remove_anonymous_volumes(record)
            if not isinstance(error, OSError):
                raise
            raise SystemFailure(
                f"cannot make the folder of container {record.id[:12]}: {reason_of(error)}",
                remedy="free space on the disk",
            ) from error
        self.launcher.created(record.id)

    def _hostname(self, config: ContainerConfig, process: ProcessConfig, container_id: str) -> str:
        uts = config.host.uts_mode
        if uts == "host" or (config.host.network_mode == "host" and not process.hostname):
            return os.uname().nodename
        if uts.startswith("container:"):
            return self.store.find(uts.removeprefix("container:")).config.process.hostname
        return process.hostname or container_id[:12]

    def _name(self, asked: str) -> str:
        name = asked.removeprefix("/")
        if name:
            admission.check_name(name)
            return name
        return names.invent(lambda candidate: self.store.holder(candidate) is not None)

    async def rename(self, reference: str, name: str) -> None:
        """Give another name. Raises Conflict when it is taken."""
        name = name.removeprefix("/")
        if not name:
            raise InvalidArgument("Neither old nor new names may be empty", remedy="say the new name")
        container_id = self.store.find(reference).id
        admission.check_name(name, "Error when allocating new name: ")
        async with self.locks.of(container_id):
            record = self.store.find(container_id)
            if name == record.name:
                raise InvalidArgument(
                    "Renaming a container with the same name as its current name", remedy="choose another name"
                )
            owner = self.store.holder(name)
            if owner:
                raise Conflict(
                    f'Error when allocating new name: Conflict. The container name "/{name}" is already in use by '
                    f'container "{owner}". You have to remove (or rename) that container to be able to reuse that '
                    "name.",
                    remedy=f"remove it with `sampan rm {name}`, or choose another name",
                )
            renamed = self.store.save(dataclasses.replace(record, name=name))
            self.announcer.container(renamed, "rename", oldName=f"/{record.name}")

    async def remove(self, reference: str, *, volumes: bool = False) -> None:
        """Remove a container that does not run.

        Raises Conflict when it runs. A removal that fails half-way leaves it Dead; removing it again goes on.
        """
        container_id = self.store.find(reference).id
        async with self.locks.of(container_id):
            record = self.store.get(container_id)
            if record is None:
                raise NotFound(f"No such container: {reference}")
            ended = _removing(record)
            self.store.save(record.with_state(ended))
            self.early.drop(container_id)
            try:
                await self.networks.release(container_id)
                self._release(record)
            except (OSError, SampanError) as error:
                text = f"unable to remove filesystem for {container_id}: {reason_of(error)}"
                self.store.save(record.with_state(Dead(text, ended.code, ended.started_at_ns, ended.finished_at_ns)))
                self.waits.removed(container_id, ended.code, text)
                raise SystemFailure(text, remedy="remove it again when the cause is gone") from error
            self.store.remove(container_id)
            if volumes:
                self._remove_anonymous_volumes(record)
        self.announcer.container(record, "destroy")
        self.waits.removed(container_id, ended.code)

    def _release(self, record: ContainerRecord) -> None:
        self.roots.release(record.id, partial(self.locks.readers.afterwards, record.id))
        shutil.rmtree(self.layout.run(record.id), ignore_errors=True)

    def _remove_anonymous_volumes(self, record: ContainerRecord) -> None:
        used = {point.name for other in self.store.all() for point in other.mounts}
        for point in record.mounts:
            if point.anonymous and point.name not in used:
                self.volumes.remove_anonymous(point.name)


def with_default(asked: LogConfig, default: LogConfig) -> LogConfig:
    """The daemon's log driver and its options where the user names no driver."""
    if asked.driver and asked.driver != default.driver:
        return asked
    return LogConfig(default.driver, {**default.options, **asked.options})


def without_no_limit(asked: Resources) -> Resources:
    """A limit of 0 or -1 processes is none, which inspect shows as Docker's does."""
    return dataclasses.replace(asked, pids_limit=None) if (asked.pids_limit or 0) <= 0 else asked


def _removing(record: ContainerRecord) -> Removing:
    match record.state:
        case Running() | Paused() | Restarting():
            word = {Running: "running", Paused: "paused", Restarting: "restarting"}[type(record.state)]
            raise Conflict(
                f'cannot remove container "/{record.name}": container is {word}: '
                "stop the container before removing or force remove",
                remedy=f"sampan rm -f {record.name}",
            )
        case Exited() as exited:
            return Removing(exited.code, exited.started_at_ns, exited.finished_at_ns)
        case Dead(code=code, started_at_ns=started, finished_at_ns=finished):
            return Removing(code, started, finished)
        case Created(exit_code=code):
            return Removing(code)
        case Removing() as removing:
            return removing
