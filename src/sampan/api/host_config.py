"""The engine's host configuration as inspect shows it: the way back of `container_config`."""

from __future__ import annotations

from typing import Any

from msgspec import UNSET, UnsetType

from sampan.cgroup import Mode, hierarchies
from sampan.engine import config as engine
from sampan.engine import spec_security
from sampan.wire import container as wire

DEFAULT_SHM_BYTES = 64 * 1024 * 1024
DEFAULT_RUNTIME = "runc"  # Docker's name for the runtime there is; clients look for it


def host_to(host: engine.HostConfig) -> wire.HostConfig:
    """HostConfig, with the defaults that Docker fills in at create."""
    asked = host.resources
    return wire.HostConfig(
        **_resources(asked),
        binds=host.binds,
        container_id_file=host.container_id_file,
        log_config=wire.LogConfig(type=host.log.driver or "json-file", config=host.log.options),
        network_mode=host.network_mode or "default",
        port_bindings=_bindings(host.port_bindings),
        restart_policy=wire.RestartPolicy(
            name=host.restart_policy.name or "no", maximum_retry_count=host.restart_policy.maximum_retries
        ),
        auto_remove=host.auto_remove,
        volume_driver=host.volume_driver,
        volumes_from=host.volumes_from,
        console_size=host.console_size,
        annotations=host.annotations or UNSET,
        cap_add=host.cap_add,
        cap_drop=host.cap_drop,
        cgroupns_mode=host.cgroupns_mode or "private",
        dns=host.dns,
        dns_options=host.dns_options,
        dns_search=host.dns_search,
        extra_hosts=host.extra_hosts,
        group_add=host.group_add,
        ipc_mode=host.ipc_mode or "private",
        cgroup=host.cgroup,
        links=host.links,
        oom_score_adj=host.oom_score_adj,
        pid_mode=host.pid_mode,
        privileged=host.privileged,
        publish_all_ports=host.publish_all_ports,
        readonly_rootfs=host.readonly_rootfs,
        security_opt=host.security_opt,
        storage_opt=host.storage_opt or UNSET,
        tmpfs=host.tmpfs or UNSET,
        uts_mode=host.uts_mode,
        userns_mode=host.userns_mode,
        shm_size=host.shm_size_bytes or DEFAULT_SHM_BYTES,
        sysctls=host.sysctls or UNSET,
        runtime=host.runtime or DEFAULT_RUNTIME,
        isolation=host.isolation,
        init=UNSET if asked.init is None else asked.init,
        mounts=tuple(mount_to(mount) for mount in host.mounts) if host.mounts else UNSET,
        masked_paths=_paths(host, host.masked_paths, spec_security.MASKED_PATHS),
        readonly_paths=_paths(host, host.readonly_paths, spec_security.READONLY_PATHS),
        time_offsets=host.time_offsets or UNSET,
        health_action=host.health_action or UNSET,
        network_rate=rate_to(host.network_rate),
        network_class=host.network_class or UNSET,
        resource_view=host.resource_view or UNSET,
        secrets=_files_to(host.secrets),
        configs=_files_to(host.configs),
    )


def _files_to(files: tuple[engine.FileRequest, ...] | None) -> tuple[wire.FileMount, ...] | UnsetType:
    return (
        tuple(
            wire.FileMount(source=file.source, target=file.target, uid=file.uid, gid=file.gid, mode=file.mode)
            for file in files or ()
        )
        or UNSET
    )


def rate_to(rate: engine.NetworkRate) -> wire.NetworkRate | UnsetType:
    """A network rate, unless there is none."""
    return UNSET if rate == engine.NetworkRate() else wire.NetworkRate(in_=rate.inward, out=rate.outward)


def _paths(host: engine.HostConfig, asked: engine.Strings, default: tuple[str, ...]) -> engine.Strings:
    """What Docker shows: the paths in force, null when privileged, empty when the user wants none."""
    if asked is not None or host.privileged:
        return asked
    return () if "systempaths=unconfined" in (host.security_opt or ()) else default


def _bindings(
    bindings: dict[str, tuple[engine.PortBinding, ...] | None] | None,
) -> dict[str, tuple[wire.PortBinding, ...] | None]:
    return {
        port: None
        if places is None
        else tuple(wire.PortBinding(host_ip=place.host_ip, host_port=place.host_port) for place in places)
        for port, places in (bindings or {}).items()
    }


def _resources(asked: engine.Resources) -> dict[str, Any]:
    swap = asked.memory_swap_bytes
    if swap == 0 and asked.memory_bytes > 0:
        swap = asked.memory_bytes * 2
    return {
        "cpu_shares": asked.cpu_shares,
        "memory": asked.memory_bytes,
        "nano_cpus": asked.nano_cpus,
        "cgroup_parent": asked.cgroup_parent,
        "blkio_weight": asked.blkio_weight,
        "blkio_weight_device": None
        if asked.blkio_weight_devices is None
        else tuple(wire.WeightDevice(path=item.path, weight=item.weight) for item in asked.blkio_weight_devices),
        "blkio_device_read_bps": _rates(asked.blkio_read_bps),
        "blkio_device_write_bps": _rates(asked.blkio_write_bps),
        "blkio_device_read_iops": _rates(asked.blkio_read_iops),
        "blkio_device_write_iops": _rates(asked.blkio_write_iops),
        "cpu_period": asked.cpu_period_us,
        "cpu_quota": asked.cpu_quota_us,
        "cpu_idle": asked.cpu_idle or UNSET,
        "cpu_realtime_period": asked.cpu_realtime_period_us,
        "cpu_realtime_runtime": asked.cpu_realtime_runtime_us,
        "cpuset_cpus": asked.cpuset_cpus,
        "cpuset_mems": asked.cpuset_mems,
        "devices": None if asked.devices is None else tuple(_device(device) for device in asked.devices),
        "device_cgroup_rules": asked.device_cgroup_rules,
        "device_requests": None if asked.device_requests is None else tuple(map(_request, asked.device_requests)),
        "kernel_memory_tcp": asked.kernel_memory_tcp_bytes or UNSET,
        "memory_reservation": asked.memory_reservation_bytes,
        "memory_swap": swap,
        "memory_swappiness": None if asked.memory_swappiness == -1 else asked.memory_swappiness,
        "oom_kill_disable": None if hierarchies().mode is Mode.V2 else bool(asked.oom_kill_disable),
        "pids_limit": asked.pids_limit,
        "ulimits": None
        if asked.ulimits is None
        else tuple(wire.Ulimit(name=limit.name, hard=limit.hard, soft=limit.soft) for limit in asked.ulimits),
    }


def _rates(devices: tuple[engine.ThrottledDevice, ...] | None) -> tuple[wire.ThrottleDevice, ...] | None:
    return None if devices is None else tuple(wire.ThrottleDevice(path=item.path, rate=item.rate) for item in devices)


def _device(device: engine.DeviceMapping) -> wire.DeviceMapping:
    return wire.DeviceMapping(
        path_on_host=device.host_path,
        path_in_container=device.container_path,
        cgroup_permissions=device.permissions,
    )


def _request(request: engine.DeviceRequest) -> wire.DeviceRequest:
    return wire.DeviceRequest(
        driver=request.driver,
        count=request.count,
        device_ids=request.device_ids,
        capabilities=request.capabilities,
        options=request.options,
    )


def mount_to(mount: engine.MountRequest) -> wire.Mount:
    """One `--mount`, as it was asked for."""
    return wire.Mount(
        type=mount.kind,
        source=mount.source or UNSET,
        target=mount.target or UNSET,
        read_only=mount.readonly or UNSET,
        consistency=mount.consistency or UNSET,
        bind_options=_bind_options(mount) if mount.has_bind_options else UNSET,
        volume_options=_volume_options(mount) if mount.has_volume_options else UNSET,
        tmpfs_options=wire.TmpfsOptions(size_bytes=mount.tmpfs_size_bytes or UNSET, mode=mount.tmpfs_mode or UNSET)
        if mount.has_tmpfs_options
        else UNSET,
        image_options=wire.ImageOptions(subpath=mount.subpath or UNSET) if mount.has_image_options else UNSET,
    )


def _bind_options(mount: engine.MountRequest) -> wire.BindOptions:
    return wire.BindOptions(
        propagation=mount.bind_propagation or UNSET,
        non_recursive=mount.bind_nonrecursive or UNSET,
        create_mountpoint=mount.bind_create_mountpoint or UNSET,
        read_only_non_recursive=mount.bind_readonly_nonrecursive or UNSET,
        read_only_force_recursive=mount.bind_readonly_force_recursive or UNSET,
        uid_mappings=_ranges(mount.bind_uid_maps),
        gid_mappings=_ranges(mount.bind_gid_maps),
        id_mapping=wire.IdMapping(source=mount.bind_id_source, user=mount.bind_id_user or UNSET)
        if mount.bind_id_source
        else UNSET,
    )


def _ranges(texts: engine.Strings) -> tuple[wire.IdRange, ...] | UnsetType:
    numbers = [tuple(int(number) for number in text.split(":")) for text in texts or ()]
    found = tuple(wire.IdRange(container_id=inside, host_id=outside, size=count) for inside, outside, count in numbers)
    return found or UNSET


def _volume_options(mount: engine.MountRequest) -> wire.VolumeOptions:
    has_driver = mount.volume_driver or mount.volume_driver_options
    return wire.VolumeOptions(
        no_copy=mount.volume_nocopy or UNSET,
        labels=mount.volume_labels or UNSET,
        subpath=mount.subpath or UNSET,
        driver_config=wire.Driver(name=mount.volume_driver or UNSET, options=mount.volume_driver_options or UNSET)
        if has_driver
        else UNSET,
    )
