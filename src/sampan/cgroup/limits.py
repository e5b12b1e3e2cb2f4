"""What is asked of a cgroup: limits as plain frozen data, in the units of their names; `None` leaves a value alone.

The fields are those of the OCI runtime specification's `linux.resources`. How a value is written is the matter of
`v1` and `v2`; nothing here touches a file. -1 means unlimited wherever the specification says so.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class DeviceRule:
    """Allow or deny a device: `kind` is "a", "b" or "c"; -1 is any number; `access` is a subset of "rwm".

    Rules are read in order from a group that allows all, the last that matches decides: begin with a denial of all.
    """

    allow: bool
    kind: str = "a"
    major: int = -1
    minor: int = -1
    access: str = "rwm"


@dataclass(frozen=True, slots=True)
class CpuLimits:
    """CPU time and the CPUs themselves: `shares` as v1 counts (2 to 262144), quota and period in microseconds."""

    shares: int | None = None
    quota_us: int | None = None
    period_us: int | None = None
    burst_us: int | None = None
    realtime_runtime_us: int | None = None
    realtime_period_us: int | None = None
    idle: int | None = None
    cpus: str = ""  # a list as in cpuset(7); empty leaves it alone
    mems: str = ""


@dataclass(frozen=True, slots=True)
class MemoryLimits:
    """Memory; `swap_bytes` is memory plus swap, as v1 and Docker count it."""

    limit_bytes: int | None = None
    reservation_bytes: int | None = None
    swap_bytes: int | None = None
    kernel_bytes: int | None = None
    kernel_tcp_bytes: int | None = None
    swappiness: int | None = None
    disable_oom_killer: bool | None = None
    use_hierarchy: bool | None = None
    check_before_update: bool = False


@dataclass(frozen=True, slots=True)
class DeviceWeight:
    """The blkio weight of one device (10 to 1000)."""

    major: int
    minor: int
    weight: int | None = None
    leaf_weight: int | None = None


@dataclass(frozen=True, slots=True)
class DeviceRate:
    """A rate of one device, in bytes or operations a second."""

    major: int
    minor: int
    rate: int


@dataclass(frozen=True, slots=True)
class BlockIoLimits:
    """Block input and output."""

    weight: int | None = None
    leaf_weight: int | None = None
    weights: tuple[DeviceWeight, ...] = ()
    read_bps: tuple[DeviceRate, ...] = ()
    write_bps: tuple[DeviceRate, ...] = ()
    read_iops: tuple[DeviceRate, ...] = ()
    write_iops: tuple[DeviceRate, ...] = ()


@dataclass(frozen=True, slots=True)
class HugepageLimit:
    """A limit for pages of one size, named as the kernel does ("2MB")."""

    page_size: str
    limit_bytes: int


@dataclass(frozen=True, slots=True)
class RdmaLimit:
    """Handles and objects of one RDMA device; `None` is no limit."""

    device: str
    handles: int | None = None
    objects: int | None = None


@dataclass(frozen=True, slots=True)
class InterfacePriority:
    """The priority of traffic through one interface (net_prio)."""

    name: str
    priority: int


@dataclass(frozen=True, slots=True)
class Limits:
    """Everything that may be asked of one cgroup."""

    cpu: CpuLimits = CpuLimits()
    memory: MemoryLimits = MemoryLimits()
    pids_max: int | None = None
    block_io: BlockIoLimits = BlockIoLimits()
    devices: tuple[DeviceRule, ...] = ()
    hugepages: tuple[HugepageLimit, ...] = ()
    network_class: int | None = None
    network_priorities: tuple[InterfacePriority, ...] = ()
    rdma: tuple[RdmaLimit, ...] = ()
    unified: tuple[tuple[str, str], ...] = ()  # raw v2 keys: file name -> value
