"""Devices given to a running container and taken from it: the rule of its cgroup, its node, and what is remembered.

What a program has open stays open: the kernel asks the rules when a device is opened. A container that does not run
has what is remembered at its next start.
"""

from __future__ import annotations

import asyncio
import dataclasses
import os
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass

from sampan.cgroup import open_cgroup
from sampan.engine.announcer import Announcer
from sampan.engine.config import DeviceMapping, HostConfig
from sampan.engine.container import ContainerRecord, Dead, Removing, Running
from sampan.engine.spec import cgroup_path
from sampan.engine.spec_resources import host_devices, runtime_resources
from sampan.engine.store import ContainerStore
from sampan.engine.threads import to_its_end
from sampan.engine.trees import open_mounts
from sampan.engine.waiting import Locks
from sampan.errors import Conflict, NotFound, SystemFailure, reason_of
from sampan.linux.apart import in_mounts_of
from sampan.linux.openat import make_directories_in_root, open_in_root
from sampan.oci.runtime_resources import Resources
from sampan.oci.runtime_spec import Device
from sampan.runtime.dev import is_device, make_device
from sampan.runtime.launch_plan import DevicePlan
from sampan.runtime.plan_resources import plan_update


@dataclass(frozen=True, slots=True)
class LiveDevices:
    """`update` of a container's devices."""

    store: ContainerStore
    announcer: Announcer
    locks: Locks
    cgroup_parent: str

    async def update(self, reference: str, added: Sequence[DeviceMapping], removed: Sequence[str]) -> ContainerRecord:
        """Take devices away, by their paths inside, then give others; at once where the container runs.

        Raises NotFound for a path that is no device of the container's, Conflict for one that is taken, InvalidArgument
        for no device of the host; nothing is changed then.
        """
        container_id = self.store.find(reference).id
        async with self.locks.of(container_id):
            record = self.store.find(container_id)
            if isinstance(record.state, Removing | Dead):
                raise Conflict(f"container {record.id} is marked for removal", remedy="update another one")
            host = record.config.host
            changed = _changed(host, added, removed)
            before, after = await asyncio.to_thread(lambda: (_nodes(host), _nodes(changed)))
            if record.running is not None:
                await to_its_end(self._change, record, record.running, changed, before, after)
            config = dataclasses.replace(record.config, host=changed)
            record = self.store.save(dataclasses.replace(record, config=config))
        self.announcer.container(record, "update")
        return record

    def _change(
        self,
        record: ContainerRecord,
        running: Running,
        changed: HostConfig,
        before: dict[str, DevicePlan],
        after: dict[str, DevicePlan],
    ) -> None:
        gone = [node for path, node in before.items() if after.get(path) != node]
        new = [node for path, node in after.items() if before.get(path) != node]
        with ExitStack() as undo:
            undo.callback(self._apply_rules, record, record.config.host)
            self._apply_rules(record, changed)
            try:
                _inside(running, lambda root: _make_nodes(root, gone, new))
            except OSError as error:
                raise SystemFailure(
                    f"cannot change the devices of container {record.id}: {reason_of(error)}",
                    remedy="choose another path inside",
                ) from error
            undo.pop_all()

    def _apply_rules(self, record: ContainerRecord, host: HostConfig) -> None:
        if host.privileged:
            return
        rules = runtime_resources(host, host_devices(host)).devices
        cgroup = open_cgroup(cgroup_path(record, self.cgroup_parent))
        try:
            cgroup.apply(plan_update(Resources(devices=rules)))
        except OSError as error:
            raise SystemFailure(
                f"cannot change the device rules of container {record.id}: {reason_of(error)}",
                remedy="a group can only allow what its parent allows",
            ) from error
        finally:
            cgroup.close()


def _changed(host: HostConfig, added: Sequence[DeviceMapping], removed: Sequence[str]) -> HostConfig:
    present = list(host.resources.devices or ())
    for path in removed:
        found = [device for device in present if _inner(device) == os.path.normpath(path)]
        if not found:
            raise NotFound(f"the container has no device {path}", remedy="`sampan inspect` lists HostConfig.Devices")
        present.remove(found[0])
    for device in added:
        if any(_inner(device) == _inner(other) for other in present):
            raise Conflict(
                f"the container has a device {_inner(device)} already", remedy="take it away first with --device-rm"
            )
        present.append(device)
    return dataclasses.replace(host, resources=dataclasses.replace(host.resources, devices=tuple(present)))


def _inner(device: DeviceMapping) -> str:
    return os.path.normpath(device.container_path or device.host_path)


def _nodes(host: HostConfig) -> dict[str, DevicePlan]:
    """The nodes of the devices asked for, by their paths inside."""
    return {device.path: _plan(device) for device, _ in host_devices(dataclasses.replace(host, privileged=False))}


def _plan(device: Device) -> DevicePlan:
    mode = 0o666 if device.file_mode is None else device.file_mode
    numbers = device.major or 0, device.minor or 0
    return DevicePlan(device.path, device.type, *numbers, mode, device.uid or 0, device.gid or 0)


def _inside(running: Running, act: Callable[[int], None]) -> None:
    """Call with a descriptor of the container's root, inside its mounts."""
    namespace = open_mounts(running)
    try:

        def call() -> None:
            root = os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                act(root)
            finally:
                os.close(root)

        in_mounts_of(namespace, call)
    finally:
        os.close(namespace)


def _make_nodes(root: int, gone: list[DevicePlan], new: list[DevicePlan]) -> None:
    for node in gone:
        with suppress(FileNotFoundError):
            _remove_node(root, node)
    made: list[DevicePlan] = []
    try:
        for node in new:
            directory, _, name = node.path.rpartition("/")
            parent = make_directories_in_root(root, directory or "/", 0o755)
            try:
                make_device(parent, name, node, node.uid, node.gid)
            finally:
                os.close(parent)
            made.append(node)
    except BaseException:
        for node in made:
            with suppress(OSError):
                _remove_node(root, node)
        raise


def _remove_node(root: int, node: DevicePlan) -> None:
    """Remove it, when it is that device still."""
    directory, _, name = node.path.rpartition("/")
    parent = open_in_root(root, directory or "/", os.O_PATH | os.O_DIRECTORY)
    try:
        status = os.stat(name, dir_fd=parent, follow_symlinks=False)
        if is_device(status, node):
            os.unlink(name, dir_fd=parent)
    finally:
        os.close(parent)
