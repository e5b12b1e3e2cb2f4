"""What a user asked of a container, as frozen data: names as the trade has them, units in the names.

It mirrors what Docker's create takes (Config and HostConfig), so that inspect can give back exactly what was asked:
where Docker tells null from an empty list, `None` stands beside the empty tuple. How it came in over HTTP is api's
matter, what it means to the kernel is `spec`'s.
"""

from __future__ import annotations

from dataclasses import dataclass, field

Strings = tuple[str, ...] | None
Labels = dict[str, str]


@dataclass(frozen=True, slots=True)
class Healthcheck:
    """A health check as Docker has it; `test` is None to inherit, ("NONE",), ("CMD", …) or ("CMD-SHELL", command)."""

    test: Strings = None
    interval_ns: int = 0
    timeout_ns: int = 0
    start_period_ns: int = 0
    start_interval_ns: int = 0
    retries: int = 0


@dataclass(frozen=True, slots=True)
class ProcessConfig:
    """Docker's Config: what runs, and as whom; what an image may bring and a container may override."""

    image: str = ""
    hostname: str = ""
    domainname: str = ""
    user: str = ""
    attach_stdin: bool = False
    attach_stdout: bool = False
    attach_stderr: bool = False
    exposed_ports: Strings = None  # "80/tcp"
    tty: bool = False
    open_stdin: bool = False
    stdin_once: bool = False
    environment: Strings = None  # "NAME=value"; "NAME" alone unsets
    command: Strings = None
    entrypoint: Strings = None
    healthcheck: Healthcheck | None = None
    args_escaped: bool = False
    volumes: Strings = None  # mount points of anonymous volumes
    working_dir: str = ""
    network_disabled: bool = False
    mac_address: str = ""
    on_build: Strings = None
    labels: Labels | None = None
    stop_signal: str = ""
    stop_timeout_s: int | None = None
    shell: Strings = None


@dataclass(frozen=True, slots=True)
class PortBinding:
    """Where a container's port is published on the host; an empty port means one that is free."""

    host_ip: str = ""
    host_port: str = ""


@dataclass(frozen=True, slots=True)
class RestartPolicy:
    """When an ended container starts again: "no", "always", "on-failure" or "unless-stopped" ("" is "no")."""

    name: str = ""
    maximum_retries: int = 0


@dataclass(frozen=True, slots=True)
class LogConfig:
    """The log driver and its options."""

    driver: str = ""
    options: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Ulimit:
    """One resource limit by its name without RLIMIT_, lower case."""

    name: str
    soft: int
    hard: int


@dataclass(frozen=True, slots=True)
class DeviceMapping:
    """A device of the host and where it shows inside; `permissions` is a subset of "rwm"."""

    host_path: str
    container_path: str = ""
    permissions: str = ""


@dataclass(frozen=True, slots=True)
class DeviceRequest:
    """A request to a device driver (GPUs, CDI); kept for inspect, refused at create unless a driver is there."""

    driver: str = ""
    count: int = 0
    device_ids: Strings = None
    capabilities: tuple[tuple[str, ...], ...] | None = None
    options: dict[str, str] | None = None


@dataclass(frozen=True, slots=True)
class WeightedDevice:
    """The block I/O weight of the device at a path of the host."""

    path: str
    weight: int


@dataclass(frozen=True, slots=True)
class ThrottledDevice:
    """A rate, in bytes or operations a second, of the device at a path of the host."""

    path: str
    rate: int


@dataclass(frozen=True, slots=True)
class Resources:
    """What a container may use, as Docker counts: 0 and None leave the host's default."""

    cpu_shares: int = 0
    memory_bytes: int = 0
    cgroup_parent: str = ""
    blkio_weight: int = 0
    blkio_weight_devices: tuple[WeightedDevice, ...] | None = None
    blkio_read_bps: tuple[ThrottledDevice, ...] | None = None
    blkio_write_bps: tuple[ThrottledDevice, ...] | None = None
    blkio_read_iops: tuple[ThrottledDevice, ...] | None = None
    blkio_write_iops: tuple[ThrottledDevice, ...] | None = None
    cpu_period_us: int = 0
    cpu_quota_us: int = 0
    cpu_idle: bool | None = None  # beyond Docker: whether it runs when nobody else wants the processor
    cpu_realtime_period_us: int = 0
    cpu_realtime_runtime_us: int = 0
    cpuset_cpus: str = ""
    cpuset_mems: str = ""
    devices: tuple[DeviceMapping, ...] | None = None
    device_cgroup_rules: Strings = None
    device_requests: tuple[DeviceRequest, ...] | None = None
    kernel_memory_tcp_bytes: int = 0
    memory_reservation_bytes: int = 0
    memory_swap_bytes: int = 0  # memory plus swap; -1 is unlimited
    memory_swappiness: int | None = None
    nano_cpus: int = 0
    oom_kill_disable: bool | None = None
    init: bool | None = None
    pids_limit: int | None = None
    ulimits: tuple[Ulimit, ...] | None = None


@dataclass(frozen=True, slots=True)
class MountRequest:
    """One entry of Docker's Mounts; `kind` is "bind", "volume", "tmpfs", "image", "npipe" or "cluster"."""

    kind: str
    target: str = ""
    source: str = ""
    readonly: bool = False
    consistency: str = ""
    bind_propagation: str = ""
    bind_nonrecursive: bool = False
    bind_create_mountpoint: bool = False
    bind_readonly_nonrecursive: bool = False
    bind_readonly_force_recursive: bool = False
    bind_uid_maps: Strings = None  # idmapped binds: "inside:outside:count"
    bind_gid_maps: Strings = None
    bind_id_source: str = ""  # "match-user": the source's owner is the user inside; "userns": as the user namespace
    bind_id_user: str = ""  # whom it is to be; the container's user when it is empty
    volume_nocopy: bool = False
    volume_labels: Labels | None = None
    volume_driver: str = ""
    volume_driver_options: dict[str, str] | None = None
    subpath: str = ""
    tmpfs_size_bytes: int = 0
    tmpfs_mode: int = 0
    has_bind_options: bool = False  # whether the client sent the object, for inspect
    has_volume_options: bool = False
    has_tmpfs_options: bool = False
    has_image_options: bool = False


@dataclass(frozen=True, slots=True)
class FileRequest:
    """A secret or config of the engine's as a file in the container (beyond Docker, where only services have them)."""

    source: str  # its name or id
    target: str = ""  # by default where Docker's services have it
    uid: int = 0
    gid: int = 0
    mode: int = 0o444


@dataclass(frozen=True, slots=True)
class NetworkRate:
    """Bits per second that may come into a container and go out of it; 0 is as many as can be."""

    inward: int = 0
    outward: int = 0


@dataclass(frozen=True, slots=True)
class HostConfig:
    """Docker's HostConfig: how a container is joined to the host."""

    binds: Strings = None
    container_id_file: str = ""
    log: LogConfig = LogConfig()
    network_mode: str = ""
    port_bindings: dict[str, tuple[PortBinding, ...] | None] | None = None
    restart_policy: RestartPolicy = RestartPolicy()
    auto_remove: bool = False
    volume_driver: str = ""
    volumes_from: Strings = None
    console_size: tuple[int, int] = (0, 0)  # height, width
    annotations: dict[str, str] | None = None
    cap_add: Strings = None
    cap_drop: Strings = None
    cgroupns_mode: str = ""
    dns: Strings = None
    dns_options: Strings = None
    dns_search: Strings = None
    extra_hosts: Strings = None
    group_add: Strings = None
    ipc_mode: str = ""
    cgroup: str = ""
    links: Strings = None
    oom_score_adj: int = 0
    pid_mode: str = ""
    privileged: bool = False
    publish_all_ports: bool = False
    readonly_rootfs: bool = False
    security_opt: Strings = None
    storage_opt: dict[str, str] | None = None
    tmpfs: dict[str, str] | None = None
    uts_mode: str = ""
    userns_mode: str = ""
    shm_size_bytes: int = 0
    sysctls: dict[str, str] | None = None
    runtime: str = ""
    isolation: str = ""
    resources: Resources = Resources()
    mounts: tuple[MountRequest, ...] | None = None
    masked_paths: Strings = None
    readonly_paths: Strings = None
    time_offsets: dict[str, str] | None = None  # beyond Docker: clock -> duration, as "boottime": "24h"
    health_action: str = ""  # beyond Docker: what an unhealthy container gets: "", "none", "restart", "stop", "kill"
    network_rate: NetworkRate = NetworkRate()  # beyond Docker
    network_class: int = 0  # beyond Docker: of net_cls
    resource_view: str = ""  # beyond Docker: "auto" or "host"
    secrets: tuple[FileRequest, ...] | None = None  # beyond Docker
    configs: tuple[FileRequest, ...] | None = None  # beyond Docker


@dataclass(frozen=True, slots=True)
class EndpointRequest:
    """How a container is to join one network, as Docker's EndpointSettings asks."""

    ipv4_address: str = ""
    ipv6_address: str = ""
    link_local_addresses: Strings = None
    has_address_request: bool = False  # whether IPAMConfig was sent, for inspect
    links: Strings = None
    aliases: Strings = None
    mac_address: str = ""
    driver_options: dict[str, str] | None = None
    gateway_priority: int = 0


@dataclass(frozen=True, slots=True)
class ContainerConfig:
    """All that create was asked for; `networks` by network name or id, in the order asked."""

    process: ProcessConfig = ProcessConfig()
    host: HostConfig = HostConfig()
    networks: dict[str, EndpointRequest] = field(default_factory=dict)
