"""What a container is asked to be, in the API's JSON: Config, HostConfig and NetworkingConfig of create and inspect.

Field names are Docker's under Python's; `| None` because clients send null for what they do not say, UNSET where
Docker's answer leaves a field out. Nothing here is checked beyond its type.
"""

from __future__ import annotations

from typing import Annotated, Any

from msgspec import UNSET, Meta, Struct, UnsetType, field

Strings = tuple[str, ...] | None
Words = tuple[str, ...] | str | None  # Docker takes one string for a list of one
Map = dict[str, str] | None


class Document(Struct, frozen=True, kw_only=True, rename="pascal"):
    """The base of all: a JSON object with Docker's capitalised names."""


class Health(Document, frozen=True, kw_only=True):
    """Docker's HealthConfig; durations in nanoseconds."""

    test: tuple[str, ...] | None = None
    interval: int | UnsetType | None = UNSET
    timeout: int | UnsetType | None = UNSET
    start_period: int | UnsetType | None = UNSET
    start_interval: int | UnsetType | None = UNSET
    retries: int | UnsetType | None = UNSET


class Config(Document, frozen=True, kw_only=True):
    """Docker's Config, and what an image's config has of it."""

    hostname: str | None = ""
    domainname: str | None = ""
    user: str | None = ""
    attach_stdin: bool | None = False
    attach_stdout: bool | None = False
    attach_stderr: bool | None = False
    exposed_ports: dict[str, Any] | UnsetType | None = UNSET
    tty: bool | None = False
    open_stdin: bool | None = False
    stdin_once: bool | None = False
    env: Strings = None
    cmd: Words = None
    healthcheck: Health | UnsetType | None = UNSET
    args_escaped: bool | UnsetType | None = UNSET
    image: str | None = ""
    volumes: dict[str, Any] | None = None
    working_dir: str | None = ""
    entrypoint: Words = None
    network_disabled: bool | UnsetType | None = UNSET
    mac_address: str | UnsetType | None = UNSET
    on_build: Strings = None
    labels: Map = None
    stop_signal: str | UnsetType | None = UNSET
    stop_timeout: int | UnsetType | None = UNSET
    shell: Words | UnsetType = UNSET


class LogConfig(Document, frozen=True, kw_only=True):
    """The log driver and its options."""

    type: str | None = ""
    config: Map = None


class PortBinding(Document, frozen=True, kw_only=True):
    """Where a port is published."""

    host_ip: str | None = ""
    host_port: str | None = ""


class RestartPolicy(Document, frozen=True, kw_only=True):
    """When an ended container starts again."""

    name: str | None = ""
    maximum_retry_count: int | None = 0


class WeightDevice(Document, frozen=True, kw_only=True):
    """A block I/O weight of a device's path."""

    path: str = ""
    weight: Annotated[int, Meta(ge=0, le=0xFFFF)] = 0


class ThrottleDevice(Document, frozen=True, kw_only=True):
    """A rate of a device's path."""

    path: str = ""
    rate: Annotated[int, Meta(ge=0)] = 0


class DeviceMapping(Document, frozen=True, kw_only=True):
    """A device of the host and where it shows inside."""

    path_on_host: str = ""
    path_in_container: str | None = ""
    cgroup_permissions: str | None = ""


class DeviceRequest(Document, frozen=True, kw_only=True):
    """A request to a device driver."""

    driver: str | None = ""
    count: int | None = 0
    device_ids: Strings = field(name="DeviceIDs", default=None)
    capabilities: tuple[tuple[str, ...], ...] | None = None
    options: Map = None


class Ulimit(Document, frozen=True, kw_only=True):
    """A resource limit."""

    name: str = ""
    hard: int = 0
    soft: int = 0


class IdRange(Document, frozen=True, kw_only=True):
    """One range of an idmapped bind."""

    container_id: int = field(name="ContainerID", default=0)
    host_id: int = field(name="HostID", default=0)
    size: int = 0


class IdMapping(Document, frozen=True, kw_only=True):
    """How the ids of a bind are found, as moby's proposal has it."""

    source: str = ""
    user: str | UnsetType | None = UNSET


class BindOptions(Document, frozen=True, kw_only=True):
    """The options of a bind."""

    propagation: str | UnsetType | None = UNSET
    non_recursive: bool | UnsetType | None = UNSET
    create_mountpoint: bool | UnsetType | None = UNSET
    read_only_non_recursive: bool | UnsetType | None = UNSET
    read_only_force_recursive: bool | UnsetType | None = UNSET
    uid_mappings: tuple[IdRange, ...] | UnsetType | None = UNSET  # beyond Docker
    gid_mappings: tuple[IdRange, ...] | UnsetType | None = UNSET
    id_mapping: IdMapping | UnsetType | None = field(name="IDMapping", default=UNSET)


class Driver(Document, frozen=True, kw_only=True):
    """A volume driver and its options."""

    name: str | UnsetType | None = UNSET
    options: dict[str, str] | UnsetType | None = UNSET


class VolumeOptions(Document, frozen=True, kw_only=True):
    """The options of a volume's mount."""

    no_copy: bool | UnsetType | None = UNSET
    labels: dict[str, str] | UnsetType | None = UNSET
    subpath: str | UnsetType | None = UNSET
    driver_config: Driver | UnsetType | None = UNSET


class TmpfsOptions(Document, frozen=True, kw_only=True):
    """The options of a tmpfs."""

    size_bytes: int | UnsetType | None = UNSET
    mode: int | UnsetType | None = UNSET


class ImageOptions(Document, frozen=True, kw_only=True):
    """The options of an image's mount."""

    subpath: str | UnsetType | None = UNSET


class Mount(Document, frozen=True, kw_only=True):
    """One entry of `--mount`."""

    type: str = ""
    source: str | UnsetType | None = UNSET
    target: str | UnsetType | None = UNSET
    read_only: bool | UnsetType | None = UNSET
    consistency: str | UnsetType | None = UNSET
    bind_options: BindOptions | UnsetType | None = UNSET
    volume_options: VolumeOptions | UnsetType | None = UNSET
    tmpfs_options: TmpfsOptions | UnsetType | None = UNSET
    image_options: ImageOptions | UnsetType | None = UNSET


class Resources(Document, frozen=True, kw_only=True):
    """What a container may use; HostConfig has these fields in line."""

    cpu_shares: int | None = 0
    memory: int | None = 0
    nano_cpus: int | None = 0
    cgroup_parent: str | None = ""
    blkio_weight: int | None = 0
    blkio_weight_device: tuple[WeightDevice, ...] | None = None
    blkio_device_read_bps: tuple[ThrottleDevice, ...] | None = None
    blkio_device_write_bps: tuple[ThrottleDevice, ...] | None = None
    blkio_device_read_iops: tuple[ThrottleDevice, ...] | None = field(name="BlkioDeviceReadIOps", default=None)
    blkio_device_write_iops: tuple[ThrottleDevice, ...] | None = field(name="BlkioDeviceWriteIOps", default=None)
    cpu_period: int | None = 0
    cpu_quota: int | None = 0
    cpu_idle: bool | UnsetType | None = UNSET  # beyond Docker
    cpu_realtime_period: int | None = 0
    cpu_realtime_runtime: int | None = 0
    cpuset_cpus: str | None = ""
    cpuset_mems: str | None = ""
    devices: tuple[DeviceMapping, ...] | None = None
    device_cgroup_rules: Strings = None
    device_requests: tuple[DeviceRequest, ...] | None = None
    kernel_memory_tcp: int | UnsetType | None = field(name="KernelMemoryTCP", default=UNSET)
    memory_reservation: int | None = 0
    memory_swap: int | None = 0
    memory_swappiness: int | None = None
    oom_kill_disable: bool | None = None
    pids_limit: int | None = None
    ulimits: tuple[Ulimit, ...] | None = None
    cpu_count: int | None = 0
    cpu_percent: int | None = 0
    io_maximum_iops: int | None = field(name="IOMaximumIOps", default=0)
    io_maximum_bandwidth: int | None = field(name="IOMaximumBandwidth", default=0)


class FileMount(Document, frozen=True, kw_only=True):
    """A secret or config as a file in the container; beyond Docker."""

    source: str = ""
    target: str | None = ""
    uid: int | None = field(name="UID", default=0)
    gid: int | None = field(name="GID", default=0)
    mode: int | None = None


class NetworkRate(Document, frozen=True, kw_only=True):
    """Beyond Docker: bits per second that may come in and go out; 0 is as many as can be."""

    in_: int | None = field(name="In", default=0)
    out: int | None = 0


class HostConfig(Resources, frozen=True, kw_only=True):
    """Docker's HostConfig."""

    binds: Strings = None
    container_id_file: str | None = field(name="ContainerIDFile", default="")
    log_config: LogConfig | None = None
    network_mode: str | None = ""
    port_bindings: dict[str, tuple[PortBinding, ...] | None] | None = None
    restart_policy: RestartPolicy | None = None
    auto_remove: bool | None = False
    volume_driver: str | None = ""
    volumes_from: Strings = None
    console_size: tuple[int, int] | None = None
    annotations: dict[str, str] | UnsetType | None = UNSET
    cap_add: Words = None
    cap_drop: Words = None
    cgroupns_mode: str | None = ""
    dns: Strings = None
    dns_options: Strings = None
    dns_search: Strings = None
    extra_hosts: Strings = None
    group_add: Strings = None
    ipc_mode: str | None = ""
    cgroup: str | None = ""
    links: Strings = None
    oom_score_adj: int | None = 0
    pid_mode: str | None = ""
    privileged: bool | None = False
    publish_all_ports: bool | None = False
    readonly_rootfs: bool | None = False
    security_opt: Strings = None
    storage_opt: dict[str, str] | UnsetType | None = UNSET
    tmpfs: dict[str, str] | UnsetType | None = UNSET
    uts_mode: str | None = field(name="UTSMode", default="")
    userns_mode: str | None = ""
    shm_size: int | None = 0
    sysctls: dict[str, str] | UnsetType | None = UNSET
    runtime: str | UnsetType | None = UNSET
    isolation: str | None = ""
    init: bool | UnsetType | None = UNSET
    mounts: tuple[Mount, ...] | UnsetType | None = UNSET
    masked_paths: Strings = None
    readonly_paths: Strings = None
    time_offsets: dict[str, str] | UnsetType | None = UNSET  # beyond Docker
    health_action: str | UnsetType | None = UNSET  # beyond Docker
    network_rate: NetworkRate | UnsetType | None = UNSET  # beyond Docker
    network_class: int | UnsetType | None = UNSET  # beyond Docker
    resource_view: str | UnsetType | None = UNSET  # beyond Docker
    secrets: tuple[FileMount, ...] | UnsetType | None = UNSET  # beyond Docker
    configs: tuple[FileMount, ...] | UnsetType | None = UNSET  # beyond Docker


class AddressRequest(Document, frozen=True, kw_only=True):
    """IPAMConfig of an endpoint."""

    ipv4_address: str | UnsetType | None = field(name="IPv4Address", default=UNSET)
    ipv6_address: str | UnsetType | None = field(name="IPv6Address", default=UNSET)
    link_local_ips: tuple[str, ...] | UnsetType | None = field(name="LinkLocalIPs", default=UNSET)


class EndpointSettings(Document, frozen=True, kw_only=True):
    """A container's place in one network, asked for or given."""

    ipam_config: AddressRequest | None = field(name="IPAMConfig", default=None)
    links: Strings = None
    aliases: Strings = None
    mac_address: str | None = ""
    network_id: str | None = field(name="NetworkID", default="")
    endpoint_id: str | None = field(name="EndpointID", default="")
    gateway: str | None = ""
    ip_address: str | None = field(name="IPAddress", default="")
    ip_prefix_len: int | None = field(name="IPPrefixLen", default=0)
    ipv6_gateway: str | None = field(name="IPv6Gateway", default="")
    global_ipv6_address: str | None = field(name="GlobalIPv6Address", default="")
    global_ipv6_prefix_len: int | None = field(name="GlobalIPv6PrefixLen", default=0)
    driver_opts: Map = None
    gw_priority: int | UnsetType | None = UNSET
    dns_names: Strings = field(name="DNSNames", default=None)


class NetworkingConfig(Document, frozen=True, kw_only=True):
    """Which networks a container joins at create."""

    endpoints_config: dict[str, EndpointSettings | None] | None = None


class ContainerCreate(Config, frozen=True, kw_only=True):
    """The body of POST /containers/create."""

    host_config: HostConfig | None = None
    networking_config: NetworkingConfig | None = None


class ContainerUpdate(Resources, frozen=True, kw_only=True):
    """The body of POST /containers/{id}/update."""

    restart_policy: RestartPolicy | None = None
    port_bindings: dict[str, tuple[PortBinding, ...] | None] | None = None  # beyond Docker: published besides
    unpublish_ports: dict[str, tuple[PortBinding, ...] | None] | None = None  # beyond Docker
    mounts: tuple[Mount, ...] | None = None  # beyond Docker: mounted besides
    unmounts: Strings = None  # beyond Docker: targets of mounts to take out
    network_rate: NetworkRate | None = None  # beyond Docker
    add_devices: tuple[DeviceMapping, ...] | None = None  # beyond Docker: given besides
    remove_devices: Strings = None  # beyond Docker: paths inside of devices to take away


class ExecCreate(Document, frozen=True, kw_only=True):
    """The body of POST /containers/{id}/exec."""

    user: str | None = ""
    privileged: bool | None = False
    tty: bool | None = False
    console_size: tuple[int, int] | None = None
    attach_stdin: bool | None = False
    attach_stdout: bool | None = False
    attach_stderr: bool | None = False
    detach_keys: str | None = ""
    detach_keys_of_docker_py: str | None = field(name="detachKeys", default="")  # Go's JSON does not mind the case
    env: Strings = None
    working_dir: str | None = ""
    cmd: Strings = None


class ExecStart(Document, frozen=True, kw_only=True):
    """The body of POST /exec/{id}/start."""

    detach: bool | None = False
    tty: bool | None = False
    console_size: tuple[int, int] | None = None
