"""From `linux.resources` and `linux.devices` of a specification to limits of a cgroup and device nodes.

Pure; whether this host's cgroups can do what is asked is judged by `sampan.cgroup`. The devices that every container
has (config-linux.md, Default Devices) and the rules that make them usable are added here.
"""

from __future__ import annotations

import stat
from typing import TYPE_CHECKING

from sampan.cgroup.limits import (
    BlockIoLimits,
    CpuLimits,
    DeviceRate,
    DeviceRule,
    DeviceWeight,
    HugepageLimit,
    InterfacePriority,
    Limits,
    MemoryLimits,
    RdmaLimit,
)
from sampan.runtime.launch_plan import DevicePlan
from sampan.runtime.plan_mounts import target_of
from sampan.runtime.plan_problems import Problems

if TYPE_CHECKING:
    from sampan.oci import runtime_resources as oci
    from sampan.oci.runtime_spec import Device, RuntimeSpec

DENY_ALL = DeviceRule(allow=False)
_DEFAULT_NODES: tuple[DevicePlan, ...] = tuple(
    DevicePlan(f"/dev/{name}", "c", major, minor, 0o666, 0, 0)
    for name, major, minor in (
        ("null", 1, 3),
        ("zero", 1, 5),
        ("full", 1, 7),
        ("random", 1, 8),
        ("urandom", 1, 9),
        ("tty", 5, 0),
    )
)
# Making any node is harmless: using it takes r or w. Terminals of the container's own devpts, and ptmx, are its own.
DEFAULT_RULES: tuple[DeviceRule, ...] = (
    DeviceRule(allow=True, kind="c", access="m"),
    DeviceRule(allow=True, kind="b", access="m"),
    *(DeviceRule(allow=True, kind="c", major=node.major, minor=node.minor) for node in _DEFAULT_NODES),
    DeviceRule(allow=True, kind="c", major=5, minor=2),
    DeviceRule(allow=True, kind="c", major=136),
    DeviceRule(allow=True, kind="c", major=10, minor=200),  # net/tun, as runc: an interface takes CAP_NET_ADMIN besides
)
_KINDS = {"c": stat.S_IFCHR, "u": stat.S_IFCHR, "b": stat.S_IFBLK, "p": stat.S_IFIFO}
_MAX_MAJOR, _MAX_MINOR = (1 << 12) - 1, (1 << 20) - 1  # include/linux/kdev_t.h
_MAX_ID = 2**32 - 2
_MAX_U64 = 2**64 - 1


def plan_limits(asked: oci.Resources | None, problems: Problems) -> Limits:
    """The limits of a new container: what is asked, and its device rules.

    A specification without rules gets the default devices only; the rules of those come last and so always hold.
    """
    devices = _whole_list(device_rules(asked.devices, problems) if asked else ())
    return _limits(asked, devices, problems) if asked else Limits(devices=devices)


def plan_update(asked: oci.Resources) -> Limits:
    """The limits that `update` changes; everything absent, and the device rules when none are given, stay.

    Raises InvalidArgument naming every problem.
    """
    problems = Problems()
    rules = device_rules(asked.devices, problems)
    limits = _limits(asked, _whole_list(rules) if rules else (), problems)
    problems.refuse()
    return limits


def _whole_list(rules: tuple[DeviceRule, ...]) -> tuple[DeviceRule, ...]:
    """All rules of a container: everything is denied first, unless the first rule says how everything is."""
    return (*(rules if rules and rules[0].kind == "a" else (DENY_ALL, *rules)), *DEFAULT_RULES)


def _limits(asked: oci.Resources, devices: tuple[DeviceRule, ...], problems: Problems) -> Limits:
    for key in asked.unified:
        if "/" in key or key in {"", ".", ".."}:
            problems.invalid(f"linux.resources.unified: {key!r} is not the name of a file", "as in memory.max")
    for interface in asked.network.priorities if asked.network else ():
        _check_range(f"network.priorities of {interface.name}", interface.priority, 0, 2**32 - 1, problems)
    return Limits(
        cpu=_cpu(asked.cpu, problems) if asked.cpu else CpuLimits(),
        memory=_memory(asked.memory, problems) if asked.memory else MemoryLimits(),
        pids_max=asked.pids.limit or None if asked.pids else None,
        block_io=_block_io(asked.block_io, problems) if asked.block_io else BlockIoLimits(),
        devices=devices,
        hugepages=tuple(HugepageLimit(one.page_size, one.limit) for one in asked.hugepage_limits),
        network_class=asked.network.class_id if asked.network else None,
        network_priorities=tuple(
            InterfacePriority(one.name, one.priority) for one in (asked.network.priorities if asked.network else ())
        ),
        rdma=tuple(RdmaLimit(name, one.hca_handles, one.hca_objects) for name, one in asked.rdma.items()),
        unified=tuple(asked.unified.items()),
    )


def _check_range(name: str, value: int | None, low: int, high: int, problems: Problems) -> None:
    if value is not None and not low <= value <= high:
        problems.invalid(f"linux.resources.{name} {value} is not between {low} and {high}")


def _cpu(asked: oci.Cpu, problems: Problems) -> CpuLimits:
    """Zeros mean "leave it alone" here, as every writer in Go means it; but 0 is a burst, and an idle value."""
    for name in ("shares", "period", "realtime_period", "burst"):
        _check_range(f"cpu.{name}", getattr(asked, name), 0, _MAX_U64, problems)
    _check_range("cpu.idle", asked.idle, 0, 1, problems)
    if asked.burst and asked.quota and 0 < asked.quota < asked.burst:
        problems.invalid(f"linux.resources.cpu.burst {asked.burst} is larger than cpu.quota {asked.quota}")
    return CpuLimits(
        shares=asked.shares or None,
        quota_us=asked.quota or None,
        period_us=asked.period or None,
        burst_us=asked.burst,
        realtime_runtime_us=asked.realtime_runtime or None,
        realtime_period_us=asked.realtime_period or None,
        idle=asked.idle,
        cpus=asked.cpus,
        mems=asked.mems,
    )


def _memory(asked: oci.Memory, problems: Problems) -> MemoryLimits:
    for name in ("limit", "reservation", "swap", "kernel", "kernel_tcp"):
        _check_range(f"memory.{name}", getattr(asked, name), -1, 2**63 - 1, problems)
    _check_range("memory.swappiness", asked.swappiness, 0, 200, problems)
    if asked.limit and asked.swap and 0 < asked.swap < asked.limit:
        problems.invalid(
            f"linux.resources.memory.swap {asked.swap} is smaller than memory.limit {asked.limit}",
            "swap counts memory plus swap",
        )
    return MemoryLimits(
        limit_bytes=asked.limit or None,
        reservation_bytes=asked.reservation or None,
        swap_bytes=asked.swap or None,
        kernel_bytes=asked.kernel or None,
        kernel_tcp_bytes=asked.kernel_tcp or None,
        swappiness=asked.swappiness,
        disable_oom_killer=asked.disable_oom_killer,
        use_hierarchy=asked.use_hierarchy,
        check_before_update=bool(asked.check_before_update),
    )


def _block_io(asked: oci.BlockIo, problems: Problems) -> BlockIoLimits:
    for name, value in (("weight", asked.weight), ("leafWeight", asked.leaf_weight)):
        if value:
            _check_range(f"blockIO.{name}", value, 10, 1000, problems)
    for one in asked.weight_device:
        where = f"blockIO.weightDevice {one.major}:{one.minor}"
        if one.weight is None and one.leaf_weight is None:
            problems.invalid(f"linux.resources.{where} has neither weight nor leafWeight")
        for value in (one.weight, one.leaf_weight):
            _check_range(f"{where} weight", value, 0, 1000, problems)
    return BlockIoLimits(
        weight=asked.weight or None,
        leaf_weight=asked.leaf_weight or None,
        weights=tuple(DeviceWeight(one.major, one.minor, one.weight, one.leaf_weight) for one in asked.weight_device),
        read_bps=_rates(asked.throttle_read_bps_device, problems),
        write_bps=_rates(asked.throttle_write_bps_device, problems),
        read_iops=_rates(asked.throttle_read_iops_device, problems),
        write_iops=_rates(asked.throttle_write_iops_device, problems),
    )


def _rates(asked: tuple[oci.ThrottleDevice, ...], problems: Problems) -> tuple[DeviceRate, ...]:
    for one in asked:
        _check_range(f"blockIO: rate of {one.major}:{one.minor}", one.rate, 0, _MAX_U64, problems)
    return tuple(DeviceRate(one.major, one.minor, one.rate) for one in asked)


def device_rules(asked: tuple[oci.DeviceRule, ...], problems: Problems) -> tuple[DeviceRule, ...]:
    """The allowed device list in its order; an "a" in `access`, which runc lets pass, means all of r, w and m."""
    for index, rule in enumerate(asked):
        where = f"linux.resources.devices[{index}]"
        if rule.type not in {"", "a", "b", "c"}:
            problems.invalid(f"{where}: unknown type {rule.type!r}", "one of a, b and c")
        if not set(rule.access) <= set("rwma"):
            problems.invalid(f"{where}: access {rule.access!r} is not made of r, w and m")
        for name, number in (("major", rule.major), ("minor", rule.minor)):
            if number is not None and number < -1:
                problems.invalid(f"{where}: {name} {number} is negative")
    return tuple(
        DeviceRule(
            allow=rule.allow,
            kind=rule.type or "a",
            major=-1 if rule.major is None else rule.major,
            minor=-1 if rule.minor is None else rule.minor,
            access="rwm" if "a" in rule.access else rule.access or "rwm",
        )
        for rule in asked
    )


def plan_devices(spec: RuntimeSpec, problems: Problems) -> tuple[tuple[DevicePlan, ...], bool]:
    """The nodes to make, and whether /dev is ours: with a bind mount at /dev nothing is made in it."""
    if any(_binds_dev(mount.destination, mount.type, mount.options) for mount in spec.mounts):
        return (), False
    planned = {node.path: node for node in _DEFAULT_NODES}
    given = spec.linux.devices if spec.linux else ()
    seen: set[str] = set()
    for index, device in enumerate(given):
        where = f"linux.devices[{index}] at {device.path!r}"
        _check_device(device, where, problems)
        path = f"/{target_of(device.path)}"
        if path in seen:
            problems.invalid(f"{where}: the path is given twice")
        seen.add(path)
        if path != "/dev/ptmx":  # it is a link to the container's own pts/ptmx
            planned[path] = _node(path, device)
    return tuple(planned.values()), True


def _binds_dev(destination: str, kind: str, options: tuple[str, ...]) -> bool:
    return target_of(destination) == "dev" and (kind == "bind" or "bind" in options or "rbind" in options)


def _check_device(device: Device, where: str, problems: Problems) -> None:
    if not device.path.startswith("/") or not target_of(device.path):
        problems.invalid(f"{where}: the path must be absolute")
    if "\0" in device.path:
        problems.invalid(f"{where}: there is a NUL byte in it")
    if device.type not in _KINDS:
        problems.invalid(f"{where}: unknown type {device.type!r}", "one of c, b, u and p")
    if device.type != "p" and not (0 <= device.major <= _MAX_MAJOR and 0 <= device.minor <= _MAX_MINOR):
        problems.invalid(f"{where}: there is no device {device.major}:{device.minor}")
    mode = device.file_mode or 0
    if not 0 <= mode < 1 << 16 or stat.S_IFMT(mode) not in {0, _KINDS.get(device.type, 0)}:
        problems.invalid(f"{where}: fileMode {mode:#o} is not the mode of a device of type {device.type!r}")
    for name, number in (("uid", device.uid), ("gid", device.gid)):
        if number is not None and not 0 <= number <= _MAX_ID:
            problems.invalid(f"{where}: {name} {number} is not between 0 and {_MAX_ID}")


def _node(path: str, device: Device) -> DevicePlan:
    mode = 0o666 if device.file_mode is None else device.file_mode & 0o7777
    return DevicePlan(path, device.type, device.major, device.minor, mode, device.uid or 0, device.gid or 0)
