"""What a container may use: Docker's resources as the runtime specification's, and the devices it may reach.

Pure but for looking up device numbers of paths on the host.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import stat
from collections import deque
from collections.abc import Iterator

from sampan.engine.config import DeviceMapping, HostConfig, Resources, ThrottledDevice
from sampan.errors import InvalidArgument, NotImplementedHere
from sampan.linux.overlay import is_whiteout
from sampan.oci import runtime_resources as oci
from sampan.oci.runtime_spec import Device, Rlimit

CPU_PERIOD_US = 100_000
NANO = 1_000_000_000
_MOST_BYTES = 2**63 - 1  # of a limit: for the kernel that is none
_NO_DEVICES = frozenset({"pts", "shm", "fd", "mqueue", ".lxc", ".lxd-mounts", ".udev"})
MOST_FILES = 100_000  # below a directory that is given as a device; a large host's /dev has some thousands

Devices = tuple[tuple[Device, str], ...]  # each with its permissions


def runtime_resources(host: HostConfig, devices: Devices) -> oci.Resources:
    """The `linux.resources` of a container; `devices` are those of `host_devices`."""
    asked = host.resources
    return oci.Resources(
        devices=tuple(_device_rules(host, devices)),
        memory=_memory(asked),
        cpu=_cpu(asked),
        pids=None if asked.pids_limit is None else oci.Pids(limit=asked.pids_limit if asked.pids_limit > 0 else -1),
        block_io=_block_io(asked),
        network=oci.Network(class_id=host.network_class) if host.network_class else None,
    )


def _memory(asked: Resources) -> oci.Memory:
    swap = asked.memory_swap_bytes
    if swap == 0 and asked.memory_bytes > 0:
        swap = min(asked.memory_bytes * 2, _MOST_BYTES)  # moby's default: as much swap as memory
    swappiness = asked.memory_swappiness
    return oci.Memory(
        limit=asked.memory_bytes or None,
        reservation=asked.memory_reservation_bytes or None,
        swap=swap or None,
        kernel_tcp=asked.kernel_memory_tcp_bytes or None,
        swappiness=None if swappiness == -1 else swappiness,
        disable_oom_killer=asked.oom_kill_disable or None,
    )


def _cpu(asked: Resources) -> oci.Cpu:
    period, quota = asked.cpu_period_us or None, asked.cpu_quota_us or None
    if asked.nano_cpus > 0:
        period, quota = CPU_PERIOD_US, asked.nano_cpus * CPU_PERIOD_US // NANO
    return oci.Cpu(
        shares=asked.cpu_shares or None,
        quota=quota,
        period=period,
        idle=None if asked.cpu_idle is None else int(asked.cpu_idle),
        realtime_runtime=asked.cpu_realtime_runtime_us or None,
        realtime_period=asked.cpu_realtime_period_us or None,
        cpus=asked.cpuset_cpus,
        mems=asked.cpuset_mems,
    )


def _block_io(asked: Resources) -> oci.BlockIo:
    return oci.BlockIo(
        weight=asked.blkio_weight or None,
        weight_device=tuple(
            oci.WeightDevice(major=major, minor=minor, weight=device.weight)
            for device in asked.blkio_weight_devices or ()
            for major, minor in (_numbers(device.path),)
        ),
        throttle_read_bps_device=_throttles(asked.blkio_read_bps),
        throttle_write_bps_device=_throttles(asked.blkio_write_bps),
        throttle_read_iops_device=_throttles(asked.blkio_read_iops),
        throttle_write_iops_device=_throttles(asked.blkio_write_iops),
    )


def _throttles(devices: tuple[ThrottledDevice, ...] | None) -> tuple[oci.ThrottleDevice, ...]:
    return tuple(
        oci.ThrottleDevice(major=major, minor=minor, rate=device.rate)
        for device in devices or ()
        for major, minor in (_numbers(device.path),)
    )


def _numbers(path: str) -> tuple[int, int]:
    status = _device_status(path)
    return os.major(status.st_rdev), os.minor(status.st_rdev)


def _device_status(path: str) -> os.stat_result:
    try:
        status = os.stat(path)
    except OSError as error:
        raise InvalidArgument(
            f'error gathering device information while adding custom device "{path}": {(error.strerror or "").lower()}',
            remedy="name a device that is there on the host",
        ) from error
    if not _is_device(status):
        raise InvalidArgument(
            f'error gathering device information while adding custom device "{path}": not a device node',
            remedy="name a character or block device of the host",
        )
    return status


def _is_device(status: os.stat_result) -> bool:
    """A character or block device; what an overlay marks a deleted name with is none."""
    return stat.S_ISBLK(status.st_mode) or (stat.S_ISCHR(status.st_mode) and not is_whiteout(status))


async def devices_beside(host: HostConfig) -> Devices:
    """`host_devices`, in a thread where files have to be looked at: a directory may hold many."""
    if host.privileged or host.resources.devices:
        return await asyncio.to_thread(host_devices, host)
    return host_devices(host)


def host_devices(host: HostConfig) -> Devices:
    """Each device that shows inside, with its permissions: those asked for, after all of the host's when privileged."""
    asked = host.resources.device_requests
    if asked:
        raise NotImplementedHere(
            f'could not select device driver "{asked[0].driver}" with capabilities: '
            f"[{' '.join('[' + ' '.join(names) + ']' for names in asked[0].capabilities or ())}]",
            remedy="device requests need a driver of the vendor: pass the device's nodes with --device",
        )
    mappings = host.resources.devices or ()
    if not host.privileged:
        return tuple(entry for mapping in mappings for entry in _mapped(mapping))
    # those that keep their path are there anyway, as Docker has it
    elsewhere = [one for one in mappings if one.container_path not in {"", one.host_path}]
    shown = {device.path: device for device, _ in _tree("/dev", "/dev", "rwm")}
    shown |= {device.path: device for mapping in elsewhere for device, _ in _mapped(mapping)}
    return tuple((device, "rwm") for device in shown.values())


def _mapped(mapping: DeviceMapping) -> Iterator[tuple[Device, str]]:
    inside = mapping.container_path or mapping.host_path
    permissions = mapping.permissions or "rwm"
    path = os.path.realpath(mapping.host_path)
    if os.path.isdir(path):
        yield from _tree(path, inside, permissions)
    else:
        yield _node(inside, _device_status(path)), permissions


def _tree(path: str, inside: str, permissions: str) -> Iterator[tuple[Device, str]]:
    """Every device node below `path`; terminals and shared memory of the host are no devices of a container.

    What cannot be looked at is left out: nodes come and go meanwhile. Raises InvalidArgument for more than MOST_FILES.
    """
    for entry in _files_below(path):
        try:
            status = None if entry.is_file(follow_symlinks=False) else entry.stat(follow_symlinks=False)
        except OSError:
            continue
        if status is not None and _is_device(status) and entry.name != "console":
            yield _node(f"{inside}/{entry.path[len(path) :]}", status), permissions


def _files_below(path: str) -> Iterator[os.DirEntry[str]]:
    folders, room = deque([path]), MOST_FILES
    while folders:
        try:
            with os.scandir(folders.popleft()) as entries:
                found = sorted(itertools.islice(entries, room + 1), key=lambda entry: entry.name)
        except OSError:
            continue
        room -= len(found)
        if room < 0:
            raise InvalidArgument(
                f'error gathering device information while adding custom device "{path}": '
                f"there are more than {MOST_FILES} files in it",
                remedy="name the devices, or a directory that has little else",
            )
        for entry in found:
            if not entry.is_dir(follow_symlinks=False):
                yield entry
            elif entry.name not in _NO_DEVICES:
                folders.append(entry.path)


def _node(inside: str, status: os.stat_result) -> Device:
    return Device(
        path=os.path.normpath(inside),
        type="c" if stat.S_ISCHR(status.st_mode) else "b",
        major=os.major(status.st_rdev),
        minor=os.minor(status.st_rdev),
        file_mode=stat.S_IMODE(status.st_mode),
        uid=status.st_uid,
        gid=status.st_gid,
    )


def _device_rules(host: HostConfig, devices: Devices) -> Iterator[oci.DeviceRule]:
    if host.privileged:
        yield oci.DeviceRule(allow=True, access="rwm")
        return
    yield oci.DeviceRule(allow=False, access="rwm")
    for device, permissions in devices:
        yield oci.DeviceRule(allow=True, type=device.type, major=device.major, minor=device.minor, access=permissions)
    for text in host.resources.device_cgroup_rules or ():
        yield device_rule(text)


def device_rule(text: str) -> oci.DeviceRule:
    """A rule of `--device-cgroup-rule`: "c 42:* rwm" (cgroup-v1/devices). Raises InvalidArgument."""
    words = text.split()
    numbers = words[1].split(":") if len(words) == 3 else []
    if (
        len(numbers) != 2
        or words[0] not in {"a", "b", "c"}
        or not set(words[2]) <= set("rwm")
        or not all(number == "*" or number.isdigit() for number in numbers)
    ):
        raise InvalidArgument(f"invalid device cgroup rule format: '{text}'", remedy="as in 'c 42:* rwm'")
    major, minor = (None if number == "*" else int(number) for number in numbers)
    return oci.DeviceRule(allow=True, type=words[0], major=major, minor=minor, access=words[2])


def rlimits(asked: Resources) -> tuple[Rlimit, ...]:
    """`--ulimit` in the specification's words; -1 is no limit, which the kernel writes as all ones."""
    unlimited = 2**64 - 1
    return tuple(
        Rlimit(
            type=f"RLIMIT_{limit.name.upper()}",
            soft=unlimited if limit.soft < 0 else limit.soft,
            hard=unlimited if limit.hard < 0 else limit.hard,
        )
        for limit in asked.ulimits or ()
    )
