"""RUN steps of builds as containers of this engine: made, started, listened to, and removed.

A step's container is one like any other while it is there; its record says that it belongs to a build, so that the next
daemon removes it when this one dies.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import logging
import socket
import struct
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from dataclasses import dataclass, field
from typing import Any

from sampan.build.steps import StepEnd, StepLimits, StepMount, StepRequest
from sampan.engine.config import ContainerConfig, Healthcheck, HostConfig, LogConfig, ProcessConfig, Resources, Ulimit
from sampan.engine.container import ContainerRecord, Exited, MountPoint
from sampan.engine.containers import Containers
from sampan.engine.control import Control
from sampan.engine.images import EngineImages
from sampan.engine.layout import OWN_CGROUP
from sampan.engine.lifecycle import Lifecycle
from sampan.engine.step_launcher import StepLauncher
from sampan.errors import Conflict, NotFound, SampanError
from sampan.image.rootfs import Roots
from sampan.monitor.protocol import Attach

_FRAME = struct.Struct(">BxxxL")
_STDERR = 2
_PIECE = 1 << 16
# How long after a step its container is removed: when the next one's monitor is at work, and the daemon waits for it.
_REMOVE_AFTER_S = 0.004
# what every container has mounted, and whether it is a directory (`spec_mounts`)
_USUAL = (
    ("proc", True),
    ("dev", True),
    ("sys", True),
    ("etc/resolv.conf", False),
    ("etc/hostname", False),
    ("etc/hosts", False),
)

log = logging.getLogger("sampan.engine")


@dataclass(frozen=True, slots=True)
class StepContainers:
    """The step runner over an engine's containers."""

    containers: Containers
    lifecycle: Lifecycle
    control: Control
    images: EngineImages
    launcher: StepLauncher
    due: dict[str, asyncio.TimerHandle] = field(default_factory=dict, compare=False)  # removals that have not begun
    removals: set[asyncio.Task[None]] = field(default_factory=set, compare=False)

    async def run(
        self, request: StepRequest, begun: Callable[[str], None], output: Callable[[bytes, bool], Awaitable[None]]
    ) -> StepEnd:
        """Run a step to its end; its container is there until `remove`."""
        config = _config(request, sees_machine=self._may_use_the_machine(request.limits))
        record = await self.containers.create(config, build_step=True, mounts=_points(request.mounts))
        try:
            begun(record.id)
            private = tuple(f"{name}={value}" for name, value in request.private.items())
            self.launcher.private_environment[record.id] = private
            self._roots.make_mount_points(record.id, (*_USUAL, *_targets(record, request.mounts)))
            return await self._run(record, output)
        except BaseException:
            self.launcher.private_environment.pop(record.id, None)
            await to_the_end(self.discard(record.id))
            raise

    def _may_use_the_machine(self, limits: StepLimits) -> bool:
        """Whether what a step sees of the machine is right; a cgroup of somebody else's may have limits, too."""
        return not _has_limits(limits) and self.lifecycle.settings.cgroup_parent == OWN_CGROUP

    async def _run(self, record: ContainerRecord, output: Callable[[bytes, bool], Awaitable[None]]) -> StepEnd:
        ours, theirs = socket.socketpair()
        ours.setblocking(False)  # noqa: FBT003 -- the method has no keyword
        self.lifecycle.early.add(record.id, Attach(), theirs.detach())
        ended = self.lifecycle.waits.exit(record.id)
        try:
            await unbroken(self.lifecycle.start(record.id))
            self.images.layers.stock(1)
            await _listen(ours, output)
            ending = await ended
        finally:
            ended.cancel()
            ours.close()
        state = self.containers.store.find(record.id).state
        return StepEnd(record.id, ending.code, oom_killed=isinstance(state, Exited) and state.oom_killed)

    def upper(self, container_id: str) -> str:
        """The directory with what a step wrote."""
        return self._roots.upper(container_id)

    def remove_soon(self, container_id: str) -> None:
        """Remove the container of a step that has ended, while the next one comes up."""
        loop = asyncio.get_running_loop()
        self.due[container_id] = loop.call_later(_REMOVE_AFTER_S, self._begin_removal, container_id)

    def _begin_removal(self, container_id: str) -> None:
        self.due.pop(container_id).cancel()
        task = asyncio.ensure_future(self._remove_or_log(container_id))
        self.removals.add(task)
        task.add_done_callback(self.removals.discard)

    async def removed(self) -> None:
        """Wait until all that was to be removed soon is gone, which it is at once."""
        for container_id in tuple(self.due):
            self._begin_removal(container_id)
        await to_the_end(self._wait())
        self.images.layers.stock(0)

    async def _wait(self) -> None:
        while self.removals:
            await asyncio.wait(self.removals)

    async def _remove_or_log(self, container_id: str) -> None:
        try:
            await self.remove(container_id)
        except SampanError:
            log.exception("the container of a build's step was not removed")

    async def remove(self, container_id: str) -> None:
        """Remove the container of a step that has ended; nobody waits for the disk."""
        run = self.images.layers.throw_away(self.containers.layout.run(container_id))
        if run is not None:
            self.images.disposal.dispose(run)
        record = self.containers.store.get(container_id)
        if record is not None:
            await self.lifecycle.release_run_or_log(record)
            with contextlib.suppress(NotFound):
                await self.containers.remove(container_id, volumes=True)

    def keep(self, container_id: str) -> None:
        """Let the container stay when the build has ended, to be looked at; it is like any other from now on."""
        record = self.containers.store.get(container_id)
        if record is not None:
            self.containers.store.save(dataclasses.replace(record, build_step=False))
            self.lifecycle.spawn(self._release_kept(container_id))

    async def _release_kept(self, container_id: str) -> None:
        """What is left of a step's run, unless its container was started again or removed by now."""
        async with self.containers.locks.of(container_id):
            record = self.containers.store.get(container_id)
            if record is not None and record.running is None:
                await self.lifecycle.release_run_or_log(record)

    async def discard(self, container_id: str) -> None:
        """End and remove a step's container, whatever it is doing."""
        record = self.containers.store.get(container_id)
        if record is None:
            return
        if record.running is not None:
            with contextlib.suppress(Conflict):  # it has just ended
                await self.control.kill(container_id)
        await self.remove(container_id)

    @property
    def _roots(self) -> Roots:
        return self.images.roots


async def unbroken[T](work: Coroutine[Any, Any, T]) -> T:
    """Await work that must not be cut off in its middle: cancelled, it is waited for first."""
    task = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        while not task.done():
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.wait([task])
        if not task.cancelled():
            task.exception()
        raise


async def to_the_end(work: Coroutine[Any, Any, None]) -> None:
    """Await the work whatever cancellations come meanwhile."""
    task = asyncio.ensure_future(work)
    while not task.done():
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.wait([task])
    task.result()


async def _listen(connection: socket.socket, output: Callable[[bytes, bool], Awaitable[None]]) -> None:
    """Pass on what comes in Docker's frames, until the other side closes."""
    loop = asyncio.get_running_loop()
    pending = b""
    while piece := await loop.sock_recv(connection, _PIECE):
        pending += piece
        at = 0
        while len(pending) - at >= _FRAME.size:
            stream, size = _FRAME.unpack_from(pending, at)
            if len(pending) - at - _FRAME.size < size:
                break
            at += _FRAME.size
            await output(pending[at : at + size], stream == _STDERR)
            at += size
        pending = pending[at:]


def _config(request: StepRequest, *, sees_machine: bool) -> ContainerConfig:
    limits = request.limits
    process = ProcessConfig(
        image=request.image_id,
        hostname=request.hostname,
        command=request.command,
        entrypoint=("",),
        environment=tuple(f"{name}={value}" for name, value in request.environment.items()),
        healthcheck=Healthcheck(("NONE",)),
        attach_stdout=True,
        attach_stderr=True,
    )
    host = HostConfig(
        log=LogConfig("none"),
        network_mode=request.network or limits.network,
        extra_hosts=limits.extra_hosts or None,
        security_opt=limits.security_opt or None,
        shm_size_bytes=limits.shm_size_bytes,
        resources=_resources(limits),
        resource_view="host" if sees_machine else "",
        tmpfs={mount.target: _tmpfs(mount) for mount in request.mounts if not (mount.source or mount.lowers)} or None,
    )
    return ContainerConfig(process, host)


def _has_limits(limits: StepLimits) -> bool:
    """Whether a step may have less than the machine."""
    return bool(
        limits.memory_bytes
        or limits.memory_swap_bytes
        or limits.cpu_quota_us
        or limits.cpuset_cpus
        or limits.cpuset_mems
        or limits.cgroup_parent
    )


def _resources(limits: StepLimits) -> Resources:
    return Resources(
        cpu_shares=limits.cpu_shares,
        memory_bytes=limits.memory_bytes,
        memory_swap_bytes=limits.memory_swap_bytes,
        cpu_period_us=limits.cpu_period_us,
        cpu_quota_us=limits.cpu_quota_us,
        cpuset_cpus=limits.cpuset_cpus,
        cpuset_mems=limits.cpuset_mems,
        cgroup_parent=limits.cgroup_parent,
        ulimits=tuple(Ulimit(one.name, one.soft, one.hard) for one in limits.ulimits) or None,
    )


def _tmpfs(mount: StepMount) -> str:
    size = f",size={mount.size_bytes}" if mount.size_bytes else ""
    return f"exec,mode=1777{size}"  # for whoever the command runs as


def _points(mounts: tuple[StepMount, ...]) -> tuple[MountPoint, ...]:
    return tuple(_point(mount) for mount in mounts if mount.source or mount.lowers)


def _point(mount: StepMount) -> MountPoint:
    if mount.lowers:
        words = [f"lowerdir+={lower}" for lower in mount.lowers]
        if mount.upper:
            words += [f"upperdir={mount.upper}", f"workdir={mount.work}", "index=off", "metacopy=off"]
        return MountPoint("layers", mount.target, writable=mount.writable, fstype="overlay", options=",".join(words))
    if mount.secret is not None:
        owner = mount.secret
        options = f"mode={owner.mode:o},uid={owner.uid},gid={owner.gid}"
        return MountPoint("secret", mount.target, source=mount.source, options=options, writable=False)
    return MountPoint(
        "bind",
        mount.target,
        source=mount.source,
        writable=mount.writable,
        propagation="rprivate",
        subpath=mount.subpath,
        nonrecursive=True,
    )


def _targets(record: ContainerRecord, mounts: tuple[StepMount, ...]) -> Iterator[tuple[str, bool]]:
    """The mount points of a step's own mounts, but for those below what is mounted anyway.

    Those of volumes stay in the layer, as Docker has it.
    """
    files = {mount.target for mount in mounts if mount.is_file}
    for point in record.mounts:
        if point.kind != "volume" and not point.destination.startswith(("/proc/", "/dev/", "/sys/")):
            yield point.destination, point.destination not in files
    for target in record.config.host.tmpfs or {}:
        if not target.startswith(("/proc/", "/dev/", "/sys/")):
            yield target, True
