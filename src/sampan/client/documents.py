"""The documents that calls give and take, as types. What a daemon adds to them is there all the same."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple, NotRequired, TypedDict

type Ports = Mapping[str, Any] | Mapping[int, Any] | Mapping[str | int, Any]
type Groups = list[str] | list[int] | list[str | int]


class ExecResult(NamedTuple):
    """What a command in a container came to; `exit_code` is None while it is still running."""

    exit_code: int | None
    output: Any


class PathStat(TypedDict):
    """A file in a container."""

    name: str
    size: int
    mode: int
    mtime: str
    linkTarget: str


class WaitResult(TypedDict):
    """How a container ended."""

    StatusCode: int
    Error: NotRequired[dict[str, str] | None]


class Change(TypedDict):
    """A changed path: kind 0 changed, 1 added, 2 deleted."""

    Path: str
    Kind: int


class Processes(TypedDict):
    """The processes of a container as a table."""

    Titles: list[str]
    Processes: list[list[str]]


class Actor(TypedDict):
    """Whom an event is about."""

    ID: str
    Attributes: dict[str, str]


class Event(TypedDict):
    """Something that happened."""

    Type: str
    Action: str
    Actor: Actor
    scope: str
    time: int
    timeNano: int


class Pruned(TypedDict, total=False):
    """What a prune removed."""

    ContainersDeleted: list[str] | None
    ImagesDeleted: list[dict[str, str]] | None
    NetworksDeleted: list[str] | None
    VolumesDeleted: list[str] | None
    SpaceReclaimed: int


class Version(TypedDict, total=False):
    """The daemon's versions."""

    Version: str
    ApiVersion: str
    MinAPIVersion: str
    GitCommit: str
    Os: str
    Arch: str
    KernelVersion: str
    BuildTime: str
    Components: list[dict[str, Any]]


class SystemInfo(TypedDict, total=False):
    """What the engine and its host are."""

    ID: str
    Containers: int
    ContainersRunning: int
    ContainersPaused: int
    ContainersStopped: int
    Images: int
    Driver: str
    DriverStatus: list[list[str]]
    Plugins: dict[str, list[str] | None]
    CgroupDriver: str
    CgroupVersion: str
    KernelVersion: str
    OperatingSystem: str
    OSType: str
    Architecture: str
    NCPU: int
    MemTotal: int
    DockerRootDir: str
    Name: str
    Labels: list[str]
    ServerVersion: str
    Runtimes: dict[str, dict[str, Any]]
    DefaultRuntime: str
    SecurityOptions: list[str]
    Warnings: list[str] | None


class DiskUsage(TypedDict, total=False):
    """What takes how much disk."""

    LayersSize: int
    Images: list[dict[str, Any]]
    Containers: list[dict[str, Any]]
    Volumes: list[dict[str, Any]]
    BuildCache: list[dict[str, Any]]


class CreateOptions(TypedDict, total=False):
    """The keyword arguments of containers.create and run, which are docker-py's; sampan's own come last."""

    auto_remove: bool
    blkio_weight: int
    blkio_weight_device: list[dict[str, Any]]
    cap_add: list[str]
    cap_drop: list[str]
    cgroup_parent: str
    cgroupns: str
    cpu_idle: bool
    cpu_period: int
    cpu_quota: int
    cpu_rt_period: int
    cpu_rt_runtime: int
    cpu_shares: int
    cpuset_cpus: str
    cpuset_mems: str
    device_cgroup_rules: list[str]
    device_read_bps: list[dict[str, Any]]
    device_read_iops: list[dict[str, Any]]
    device_requests: list[dict[str, Any]]
    device_write_bps: list[dict[str, Any]]
    device_write_iops: list[dict[str, Any]]
    devices: list[str]
    dns: list[str]
    dns_opt: list[str]
    dns_search: list[str]
    domainname: str
    entrypoint: str | list[str]
    environment: Mapping[str, str | None] | list[str]
    extra_hosts: Mapping[str, str] | list[str]
    group_add: Groups
    healthcheck: dict[str, Any]
    hostname: str
    init: bool
    ipc_mode: str
    isolation: str
    labels: Mapping[str, str] | list[str]
    links: Mapping[str, str | None] | list[tuple[str, str]]
    log_config: dict[str, Any]
    mac_address: str
    mem_limit: int | str
    mem_reservation: int | str
    mem_swappiness: int
    memswap_limit: int | str
    mounts: list[dict[str, Any]]
    name: str
    nano_cpus: int
    network: str
    network_disabled: bool
    network_mode: str
    networking_config: dict[str, dict[str, Any]]
    oom_kill_disable: bool
    oom_score_adj: int
    pid_mode: str
    pids_limit: int
    platform: str
    ports: Ports
    privileged: bool
    publish_all_ports: bool
    read_only: bool
    restart_policy: dict[str, Any]
    runtime: str
    security_opt: list[str]
    shm_size: int | str
    stdin_open: bool
    stop_signal: str
    storage_opt: dict[str, str]
    sysctls: dict[str, str]
    tmpfs: dict[str, str]
    tty: bool
    ulimits: list[dict[str, Any]]
    user: str | int
    userns_mode: str
    uts_mode: str
    volume_driver: str
    volumes: Mapping[str, Mapping[str, str]] | list[str]
    volumes_from: list[str]
    working_dir: str
    time_offsets: dict[str, str]
    network_rate: dict[str, int]
    network_class: int
    resource_view: str
    health_action: str
    secrets: list[dict[str, Any]]
    configs: list[dict[str, Any]]


class BuildOptions(TypedDict, total=False):
    """The keyword arguments of images.build."""

    buildargs: Mapping[str, str | None]
    cache_from: list[str]
    dockerfile: str
    extra_hosts: Mapping[str, str]
    labels: Mapping[str, str]
    network_mode: str
    nocache: bool
    platform: str
    pull: bool
    shmsize: int
    squash: bool
    tag: str
    target: str


class LogOptions(TypedDict, total=False):
    """The keyword arguments of Container.logs; moments are datetimes or seconds since 1970."""

    stdout: bool
    stderr: bool
    timestamps: bool
    details: bool
    tail: int | str
    since: float | datetime | None
    until: float | datetime | None
    follow: bool | None


class UpdateOptions(TypedDict, total=False):
    """The keyword arguments of Container.update: docker-py's, and sampan's own for what changes while it runs."""

    blkio_weight: int
    cpu_idle: bool
    cpu_period: int
    cpu_quota: int
    cpu_rt_period: int
    cpu_rt_runtime: int
    cpu_shares: int
    cpuset_cpus: str
    cpuset_mems: str
    devices: list[str]
    mem_limit: int | str
    mem_reservation: int | str
    memswap_limit: int | str
    mounts: list[dict[str, Any]]
    nano_cpus: int
    network_rate: dict[str, int]
    pids_limit: int
    ports: Ports
    remove_devices: list[str]
    restart_policy: dict[str, Any]
    unmounts: list[str]
    unpublish: Ports
