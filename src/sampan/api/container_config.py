"""Between the API's words for a container and the engine's: both ways, so that inspect gives back what create took."""

from __future__ import annotations

from msgspec import UNSET, UnsetType

from sampan.engine import config as engine
from sampan.errors import InvalidArgument
from sampan.wire import container as wire


def _said[T](value: T | UnsetType | None, default: T) -> T:
    return default if value is None or value is UNSET else value


def _unless[T](value: T, nothing: T) -> T | UnsetType:
    """Docker's omitempty."""
    return UNSET if value == nothing else value


def _words(value: wire.Words | UnsetType) -> engine.Strings:
    if value is None or isinstance(value, UnsetType):
        return None
    return (value,) if isinstance(value, str) else value


def _names(value: dict[str, object] | UnsetType | None) -> engine.Strings:
    return None if value is None or isinstance(value, UnsetType) else tuple(value)


def _optional[T](value: T | UnsetType | None) -> T | None:
    return None if value is UNSET else value


def from_create(body: wire.ContainerCreate) -> engine.ContainerConfig:
    """The configuration that a create asks for."""
    networks = (body.networking_config and body.networking_config.endpoints_config) or {}
    return engine.ContainerConfig(
        process=process_from(body),
        host=host_from(body.host_config or wire.HostConfig()),
        networks={name: endpoint_from(settings) for name, settings in networks.items()},
    )


def process_from(body: wire.Config) -> engine.ProcessConfig:
    """Config, from the wire."""
    return engine.ProcessConfig(
        image=body.image or "",
        hostname=body.hostname or "",
        domainname=body.domainname or "",
        user=body.user or "",
        attach_stdin=bool(body.attach_stdin),
        attach_stdout=bool(body.attach_stdout),
        attach_stderr=bool(body.attach_stderr),
        exposed_ports=_names(body.exposed_ports),
        tty=bool(body.tty),
        open_stdin=bool(body.open_stdin),
        stdin_once=bool(body.stdin_once),
        environment=body.env,
        command=_words(body.cmd),
        entrypoint=_words(body.entrypoint),
        healthcheck=health_from(_optional(body.healthcheck)),
        args_escaped=_said(body.args_escaped, default=False),
        volumes=_names(body.volumes),
        working_dir=body.working_dir or "",
        network_disabled=_said(body.network_disabled, default=False),
        mac_address=_said(body.mac_address, ""),
        on_build=body.on_build,
        labels=body.labels,
        stop_signal=_said(body.stop_signal, ""),
        stop_timeout_s=_optional(body.stop_timeout),
        shell=_words(body.shell),
    )


def process_to(process: engine.ProcessConfig) -> wire.Config:
    """Config, as inspect shows it."""
    return wire.Config(
        hostname=process.hostname,
        domainname=process.domainname,
        user=process.user,
        attach_stdin=process.attach_stdin,
        attach_stdout=process.attach_stdout,
        attach_stderr=process.attach_stderr,
        exposed_ports=_keys(process.exposed_ports),
        tty=process.tty,
        open_stdin=process.open_stdin,
        stdin_once=process.stdin_once,
        env=process.environment or None,
        cmd=process.command,
        healthcheck=health_to(process.healthcheck),
        args_escaped=_unless(process.args_escaped, nothing=False),
        image=process.image,
        volumes={target: {} for target in process.volumes} if process.volumes else None,
        working_dir=process.working_dir,
        entrypoint=process.entrypoint,
        network_disabled=_unless(process.network_disabled, nothing=False),
        mac_address=_unless(process.mac_address, ""),
        on_build=process.on_build,
        labels=process.labels or {},
        stop_signal=_unless(process.stop_signal, ""),
        stop_timeout=UNSET if process.stop_timeout_s is None else process.stop_timeout_s,
        shell=process.shell or UNSET,
    )


def _keys(names: engine.Strings) -> dict[str, object] | UnsetType:
    return {name: {} for name in names} if names else UNSET


def health_from(health: wire.Health | None) -> engine.Healthcheck | None:
    """A health check, from the wire; an empty one says nothing."""
    if health is None:
        return None
    return engine.Healthcheck(
        test=_words(health.test),
        interval_ns=_said(health.interval, 0),
        timeout_ns=_said(health.timeout, 0),
        start_period_ns=_said(health.start_period, 0),
        start_interval_ns=_said(health.start_interval, 0),
        retries=_said(health.retries, 0),
    )


def health_to(check: engine.Healthcheck | None) -> wire.Health | UnsetType:
    """A health check, as inspect shows it."""
    if check is None:
        return UNSET
    return wire.Health(
        test=check.test,
        interval=_unless(check.interval_ns, 0),
        timeout=_unless(check.timeout_ns, 0),
        start_period=_unless(check.start_period_ns, 0),
        start_interval=_unless(check.start_interval_ns, 0),
        retries=_unless(check.retries, 0),
    )


def endpoint_from(settings: wire.EndpointSettings | None) -> engine.EndpointRequest:
    """What an endpoint asks for, from the wire."""
    if settings is None:
        return engine.EndpointRequest()
    address = settings.ipam_config
    return engine.EndpointRequest(
        ipv4_address=_said(address.ipv4_address, "") if address else "",
        ipv6_address=_said(address.ipv6_address, "") if address else "",
        link_local_addresses=_optional(address.link_local_ips) if address else None,
        has_address_request=address is not None,
        links=settings.links,
        aliases=settings.aliases,
        mac_address=settings.mac_address or "",
        driver_options=settings.driver_opts,
        gateway_priority=_said(settings.gw_priority, 0),
    )


def host_from(body: wire.HostConfig) -> engine.HostConfig:
    """HostConfig, from the wire."""
    log, policy = body.log_config or wire.LogConfig(), body.restart_policy or wire.RestartPolicy()
    return engine.HostConfig(
        binds=body.binds,
        container_id_file=body.container_id_file or "",
        log=engine.LogConfig(log.type or "", log.config or {}),
        network_mode=body.network_mode or "",
        port_bindings=bindings_from(body.port_bindings),
        restart_policy=engine.RestartPolicy(policy.name or "", policy.maximum_retry_count or 0),
        auto_remove=bool(body.auto_remove),
        volume_driver=body.volume_driver or "",
        volumes_from=body.volumes_from,
        console_size=body.console_size or (0, 0),
        annotations=_optional(body.annotations),
        cap_add=_words(body.cap_add),
        cap_drop=_words(body.cap_drop),
        cgroupns_mode=body.cgroupns_mode or "",
        dns=body.dns,
        dns_options=body.dns_options,
        dns_search=body.dns_search,
        extra_hosts=body.extra_hosts,
        group_add=body.group_add,
        ipc_mode=body.ipc_mode or "",
        cgroup=body.cgroup or "",
        links=body.links,
        oom_score_adj=body.oom_score_adj or 0,
        pid_mode=body.pid_mode or "",
        privileged=bool(body.privileged),
        publish_all_ports=bool(body.publish_all_ports),
        readonly_rootfs=bool(body.readonly_rootfs),
        security_opt=body.security_opt,
        storage_opt=_optional(body.storage_opt),
        tmpfs=_optional(body.tmpfs),
        uts_mode=body.uts_mode or "",
        userns_mode=body.userns_mode or "",
        shm_size_bytes=body.shm_size or 0,
        sysctls=_optional(body.sysctls),
        runtime=_said(body.runtime, ""),
        isolation=body.isolation or "",
        resources=resources_from(body, init=_optional(body.init)),
        mounts=tuple(mount_from(mount) for mount in _said(body.mounts, ())) or None,
        masked_paths=body.masked_paths,
        readonly_paths=body.readonly_paths,
        time_offsets=_optional(body.time_offsets),
        health_action=_said(body.health_action, ""),
        network_rate=rate_from(_said(body.network_rate, None)),
        network_class=_said(body.network_class, 0),
        resource_view=_said(body.resource_view, ""),
        secrets=_files_from(body.secrets),
        configs=_files_from(body.configs),
    )


def _files_from(files: tuple[wire.FileMount, ...] | UnsetType | None) -> tuple[engine.FileRequest, ...] | None:
    return (
        tuple(
            engine.FileRequest(
                file.source, file.target or "", file.uid or 0, file.gid or 0, 0o444 if file.mode is None else file.mode
            )
            for file in _said(files, ())
        )
        or None
    )


def rate_from(rate: wire.NetworkRate | None) -> engine.NetworkRate:
    """A network rate, from the wire. Raises InvalidArgument."""
    inward, outward = (rate.in_ or 0, rate.out or 0) if rate else (0, 0)
    if min(inward, outward) < 0:
        raise InvalidArgument("a network rate cannot be negative", remedy="0 is as fast as can be")
    return engine.NetworkRate(inward, outward)


def bindings_from(
    bindings: dict[str, tuple[wire.PortBinding, ...] | None] | None,
) -> dict[str, tuple[engine.PortBinding, ...] | None] | None:
    """Where ports are to be published, from the wire."""
    if bindings is None:
        return None
    return {
        port: None
        if places is None
        else tuple(engine.PortBinding(place.host_ip or "", place.host_port or "") for place in places)
        for port, places in bindings.items()
    }


def resources_from(body: wire.Resources, *, init: bool | None = None) -> engine.Resources:
    """Resources, from create's HostConfig or update's body."""
    return engine.Resources(
        cpu_shares=body.cpu_shares or 0,
        memory_bytes=body.memory or 0,
        cgroup_parent=body.cgroup_parent or "",
        blkio_weight=body.blkio_weight or 0,
        blkio_weight_devices=_weights_from(body.blkio_weight_device),
        blkio_read_bps=_rates_from(body.blkio_device_read_bps),
        blkio_write_bps=_rates_from(body.blkio_device_write_bps),
        blkio_read_iops=_rates_from(body.blkio_device_read_iops),
        blkio_write_iops=_rates_from(body.blkio_device_write_iops),
        cpu_period_us=body.cpu_period or 0,
        cpu_quota_us=body.cpu_quota or 0,
        cpu_idle=_optional(body.cpu_idle),
        cpu_realtime_period_us=body.cpu_realtime_period or 0,
        cpu_realtime_runtime_us=body.cpu_realtime_runtime or 0,
        cpuset_cpus=body.cpuset_cpus or "",
        cpuset_mems=body.cpuset_mems or "",
        devices=None if body.devices is None else tuple(device_from(device) for device in body.devices),
        device_cgroup_rules=body.device_cgroup_rules,
        device_requests=None if body.device_requests is None else tuple(map(_request_from, body.device_requests)),
        kernel_memory_tcp_bytes=_said(body.kernel_memory_tcp, 0),
        memory_reservation_bytes=body.memory_reservation or 0,
        memory_swap_bytes=body.memory_swap or 0,
        memory_swappiness=body.memory_swappiness,
        nano_cpus=body.nano_cpus or 0,
        oom_kill_disable=body.oom_kill_disable,
        init=init,
        pids_limit=body.pids_limit,
        ulimits=None
        if body.ulimits is None
        else tuple(engine.Ulimit(limit.name, limit.soft, limit.hard) for limit in body.ulimits),
    )


def _weights_from(devices: tuple[wire.WeightDevice, ...] | None) -> tuple[engine.WeightedDevice, ...] | None:
    return None if devices is None else tuple(engine.WeightedDevice(item.path, item.weight) for item in devices)


def _rates_from(devices: tuple[wire.ThrottleDevice, ...] | None) -> tuple[engine.ThrottledDevice, ...] | None:
    return None if devices is None else tuple(engine.ThrottledDevice(item.path, item.rate) for item in devices)


def device_from(device: wire.DeviceMapping) -> engine.DeviceMapping:
    """A device of the body."""
    return engine.DeviceMapping(device.path_on_host, device.path_in_container or "", device.cgroup_permissions or "")


def _request_from(request: wire.DeviceRequest) -> engine.DeviceRequest:
    return engine.DeviceRequest(
        request.driver or "", request.count or 0, request.device_ids, request.capabilities, request.options
    )


def mount_from(mount: wire.Mount) -> engine.MountRequest:
    """One `--mount`, from the wire."""
    bind = _said(mount.bind_options, wire.BindOptions())
    ids = _said(bind.id_mapping, wire.IdMapping())
    volume = _said(mount.volume_options, wire.VolumeOptions())
    driver = _said(volume.driver_config, wire.Driver())
    tmpfs = _said(mount.tmpfs_options, wire.TmpfsOptions())
    image = _said(mount.image_options, wire.ImageOptions())
    return engine.MountRequest(
        kind=mount.type,
        target=_said(mount.target, ""),
        source=_said(mount.source, ""),
        readonly=_said(mount.read_only, default=False),
        consistency=_said(mount.consistency, ""),
        bind_propagation=_said(bind.propagation, ""),
        bind_nonrecursive=_said(bind.non_recursive, default=False),
        bind_create_mountpoint=_said(bind.create_mountpoint, default=False),
        bind_readonly_nonrecursive=_said(bind.read_only_non_recursive, default=False),
        bind_readonly_force_recursive=_said(bind.read_only_force_recursive, default=False),
        bind_uid_maps=_ranges(_optional(bind.uid_mappings)),
        bind_gid_maps=_ranges(_optional(bind.gid_mappings)),
        bind_id_source=ids.source,
        bind_id_user=_said(ids.user, ""),
        volume_nocopy=_said(volume.no_copy, default=False),
        volume_labels=_optional(volume.labels),
        volume_driver=_said(driver.name, ""),
        volume_driver_options=_optional(driver.options),
        subpath=_said(volume.subpath, "") or _said(image.subpath, ""),
        tmpfs_size_bytes=_said(tmpfs.size_bytes, 0),
        tmpfs_mode=_said(tmpfs.mode, 0),
        has_bind_options=isinstance(mount.bind_options, wire.BindOptions),
        has_volume_options=isinstance(mount.volume_options, wire.VolumeOptions),
        has_tmpfs_options=isinstance(mount.tmpfs_options, wire.TmpfsOptions),
        has_image_options=isinstance(mount.image_options, wire.ImageOptions),
    )


def _ranges(ranges: tuple[wire.IdRange, ...] | None) -> engine.Strings:
    return None if ranges is None else tuple(f"{item.container_id}:{item.host_id}:{item.size}" for item in ranges)
