"""The `linux.resources` object of the OCI runtime specification 1.2: what is asked of a cgroup, in its own words.

It stands apart from `runtime_spec` because `update` reads it alone. -1 means unlimited wherever the specification
says so; None leaves a value as it is.
"""

from __future__ import annotations

from msgspec import Struct, field


class DeviceRule(Struct, frozen=True, kw_only=True, rename="camel"):
    """One entry of the allowed device list; no number is any number, no type is "a"."""

    allow: bool = False
    type: str = ""
    major: int | None = None
    minor: int | None = None
    access: str = ""


class Memory(Struct, frozen=True, kw_only=True, rename="camel"):
    """Limits in bytes; `swap` is memory plus swap."""

    limit: int | None = None
    reservation: int | None = None
    swap: int | None = None
    kernel: int | None = None
    kernel_tcp: int | None = field(name="kernelTCP", default=None)
    swappiness: int | None = None
    disable_oom_killer: bool | None = field(name="disableOOMKiller", default=None)
    use_hierarchy: bool | None = None
    check_before_update: bool | None = None


class Cpu(Struct, frozen=True, kw_only=True, rename="camel"):
    """CPU time in microseconds, `shares` as v1 counts, and the lists of cpuset(7)."""

    shares: int | None = None
    quota: int | None = None
    burst: int | None = None
    period: int | None = None
    realtime_runtime: int | None = None
    realtime_period: int | None = None
    cpus: str = ""
    mems: str = ""
    idle: int | None = None


class Pids(Struct, frozen=True, kw_only=True, rename="camel"):
    """How many tasks there may be."""

    limit: int = 0


class WeightDevice(Struct, frozen=True, kw_only=True, rename="camel"):
    """The weight of one block device."""

    major: int
    minor: int
    weight: int | None = None
    leaf_weight: int | None = None


class ThrottleDevice(Struct, frozen=True, kw_only=True, rename="camel"):
    """A rate of one block device, in bytes or operations a second."""

    major: int
    minor: int
    rate: int = 0


class BlockIo(Struct, frozen=True, kw_only=True, rename="camel"):
    """Block input and output."""

    weight: int | None = None
    leaf_weight: int | None = None
    weight_device: tuple[WeightDevice, ...] = ()
    throttle_read_bps_device: tuple[ThrottleDevice, ...] = ()
    throttle_write_bps_device: tuple[ThrottleDevice, ...] = ()
    throttle_read_iops_device: tuple[ThrottleDevice, ...] = field(name="throttleReadIOPSDevice", default=())
    throttle_write_iops_device: tuple[ThrottleDevice, ...] = field(name="throttleWriteIOPSDevice", default=())


class HugepageLimit(Struct, frozen=True, kw_only=True, rename="camel"):
    """A limit in bytes for pages of one size."""

    page_size: str
    limit: int = 0


class InterfacePriority(Struct, frozen=True, kw_only=True, rename="camel"):
    """The priority of traffic through one interface."""

    name: str
    priority: int = 0


class Network(Struct, frozen=True, kw_only=True, rename="camel"):
    """The class and the priorities of network traffic (net_cls, net_prio)."""

    class_id: int | None = field(name="classID", default=None)
    priorities: tuple[InterfacePriority, ...] = ()


class Rdma(Struct, frozen=True, kw_only=True, rename="camel"):
    """Handles and objects of one RDMA device."""

    hca_handles: int | None = None
    hca_objects: int | None = None


class Resources(Struct, frozen=True, kw_only=True, rename="camel"):
    """Everything that may be asked of the container's cgroup."""

    devices: tuple[DeviceRule, ...] = ()
    memory: Memory | None = None
    cpu: Cpu | None = None
    pids: Pids | None = None
    block_io: BlockIo | None = field(name="blockIO", default=None)
    hugepage_limits: tuple[HugepageLimit, ...] = ()
    network: Network | None = None
    rdma: dict[str, Rdma] = {}
    unified: dict[str, str] = {}
