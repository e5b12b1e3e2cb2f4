"""From a container's record to the runtime specification it is started with, and from there to its launch plan.

Pure: every answer that the host has to give (another container's pid, the place in the network, the root file system)
comes in as a value. Docker's defaults are said here and in the `spec_…` modules beside it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass, field

from sampan.engine import spec_mounts, spec_resources, spec_security
from sampan.engine.config import HostConfig
from sampan.engine.container import ContainerRecord, MountPoint
from sampan.engine.spec_sources import Known, with_source, with_sources
from sampan.engine.views import View
from sampan.errors import Conflict, InvalidArgument, NotImplementedHere
from sampan.oci.image_spec import DEFAULT_PATH
from sampan.oci.runtime_spec import Box, Linux, Namespace, Process, Root, RuntimeSpec, TimeOffset, User
from sampan.runtime.launch_plan import LaunchPlan, MountPlan, RootPlan
from sampan.runtime.plan import plan_launch
from sampan.runtime.plan_mounts import plan_mounts
from sampan.runtime.plan_problems import Problems

_SECONDS = {"h": 3600, "m": 60, "s": 1, "d": 86400}


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the host answers before a start: where the container's parts are.

    `network_namespace` is a path to join, "" for one of its own, None for the host's; `neighbours` gives the pid of
    each container whose namespaces are joined, by its reference.
    """

    root: RootPlan
    bundle: str
    devices: spec_resources.Devices = ()
    network_namespace: str | None = ""
    neighbours: dict[str, int] | None = None
    engine_files: tuple[tuple[str, str], ...] = ()
    known: Known = field(default_factory=Known)
    cgroup_parent: str = "/sampan"
    init: bool = False
    view: View | None = None


def launch_plan(record: ContainerRecord, around: Surroundings) -> LaunchPlan:
    """The plan a monitor is started with. Raises InvalidArgument or NotImplementedHere for what cannot be."""
    host = record.config.host
    security = spec_security.security_options(host.security_opt or ())
    names = spec_security.capabilities(host)
    plan = plan_launch(
        runtime_spec(record, around, security, names),
        id=record.id,
        bundle=around.bundle,
        root=dataclasses.replace(around.root, readonly=host.readonly_rootfs),
        user_spec=record.config.process.user,
        extra_groups=host.group_add or (),
        init=around.init and not host.pid_mode,  # where others live somebody else is the first
        seccomp=spec_security.seccomp_plan(host, security, names, around.view.answered if around.view else ()),
    )
    return with_sources(plan, record, around.neighbours or {}, around.known, around.view)


def mount_plan(point: MountPoint, known: Known) -> MountPlan:
    """One of the user's mounts as the runtime makes it. Raises InvalidArgument or NotImplementedHere."""
    problems = Problems()
    plans = plan_mounts(RuntimeSpec(mounts=(spec_mounts.of_point(point),)), "/", problems)
    problems.refuse()
    return with_source(plans[0], point, known)


def runtime_spec(
    record: ContainerRecord,
    around: Surroundings,
    security: spec_security.SecurityOptions,
    capabilities: tuple[str, ...],
) -> RuntimeSpec:
    """The whole specification but for seccomp, which comes compiled."""
    process, host = record.config.process, record.config.host
    own_uts = host.uts_mode == ""
    return RuntimeSpec(
        process=_process(record, security, capabilities),
        root=Root(path=around.root.path, readonly=host.readonly_rootfs),
        hostname=process.hostname if own_uts else "",
        domainname=process.domainname if own_uts else "",
        mounts=spec_mounts.runtime_mounts(record, security, around.engine_files, around.view),
        annotations=host.annotations or {},
        linux=_linux(record, around, security),
    )


_SHARED = frozenset({"shared", "rshared"})


def _process(
    record: ContainerRecord, security: spec_security.SecurityOptions, capabilities: tuple[str, ...]
) -> Process:
    process, host = record.config.process, record.config.host
    height, width = host.console_size
    return Process(
        terminal=process.tty,
        console_size=Box(height=height, width=width) if height and width else None,
        user=User(),
        args=(record.path, *record.arguments),
        env=environment(record, terminal=process.tty),
        cwd=process.working_dir or "/",
        capabilities=spec_security.capability_sets(capabilities),
        rlimits=spec_resources.rlimits(host.resources),
        no_new_privileges=security.no_new_privileges,
        apparmor_profile="" if security.apparmor == "unconfined" else security.apparmor,
        oom_score_adj=host.oom_score_adj,
    )


def environment(record: ContainerRecord, *, terminal: bool) -> tuple[str, ...]:
    """PATH, HOSTNAME and TERM as Docker sets them, what links say, then what image and user say; a bare name unsets."""
    process = record.config.process
    values = {"PATH": DEFAULT_PATH, "HOSTNAME": process.hostname}
    if terminal:
        values["TERM"] = "xterm"
    values |= dict(entry.split("=", 1) for entry in record.linked.environment)
    for entry in process.environment or ():
        name, separator, value = entry.partition("=")
        values.pop(name, None)
        if separator:
            values[name] = value
    return tuple(f"{name}={value}" for name, value in values.items())


def _linux(record: ContainerRecord, around: Surroundings, security: spec_security.SecurityOptions) -> Linux:
    host = record.config.host
    confined = not (host.privileged or security.unconfined_system_paths)
    masked = host.masked_paths if host.masked_paths is not None else spec_security.MASKED_PATHS
    readonly = host.readonly_paths if host.readonly_paths is not None else spec_security.READONLY_PATHS
    return Linux(
        sysctl=host.sysctls or {},
        resources=spec_resources.runtime_resources(host, around.devices),
        cgroups_path=cgroup_path(record, around.cgroup_parent),
        namespaces=tuple(_namespaces(host, around)),
        devices=tuple(device for device, _ in around.devices),
        masked_paths=masked if confined else (),
        readonly_paths=readonly if confined else (),
        time_offsets=time_offsets(host.time_offsets or {}) or _own_age(around.view),
        # else the runtime lets nothing that is mounted in the container get out (runc's rule for the whole)
        rootfs_propagation="shared" if any(point.propagation in _SHARED for point in record.mounts) else "",
    )


def _own_age(view: View | None) -> dict[str, TimeOffset]:
    """The clock of the time since boot set back to nought: then uptime(1), ps(1) and sysinfo(2) agree.

    The other clocks stay what they are.
    """
    if view is None or not view.boot_ns:
        return {}
    seconds, rest = divmod(-view.boot_ns, 1_000_000_000)
    return {"boottime": TimeOffset(secs=seconds, nanosecs=rest)}


def cgroup_path(record: ContainerRecord, parent: str) -> str:
    """Where the container's cgroup is, below each hierarchy's root."""
    asked = record.config.host.resources.cgroup_parent or parent
    return f"/{asked.strip('/')}/{record.id}"


def _namespaces(host: HostConfig, around: Surroundings) -> Iterator[Namespace]:
    yield Namespace(type="mount")
    if around.network_namespace is not None:
        yield Namespace(type="network", path=around.network_namespace)
    modes = (("pid", "pid", host.pid_mode), ("ipc", "ipc", host.ipc_mode), ("uts", "uts", host.uts_mode))
    for kind, file, mode in modes:
        if mode != "host":
            yield Namespace(type=kind, path=_joined(mode, file, around))
    if host.cgroupns_mode != "host":
        yield Namespace(type="cgroup")
    if host.userns_mode not in {"", "host"}:
        if not host.userns_mode.startswith("container:"):
            raise NotImplementedHere(
                f"user namespace mode {host.userns_mode!r} is not built yet",
                remedy="use --userns host or --userns container:NAME",
            )
        yield Namespace(type="user", path=_joined(host.userns_mode, "user", around))
    if host.time_offsets or _own_age(around.view):
        yield Namespace(type="time")


def _joined(mode: str, file: str, around: Surroundings) -> str:
    if not mode.startswith("container:"):
        return ""
    return f"/proc/{(around.neighbours or {})[mode.removeprefix('container:')]}/ns/{file}"


def neighbours(host: HostConfig) -> tuple[str, ...]:
    """The references of all containers whose namespaces are joined, the network's left out."""
    modes = (host.pid_mode, host.ipc_mode, host.uts_mode, host.userns_mode)
    return tuple(mode.removeprefix("container:") for mode in modes if mode.startswith("container:"))


def refuse_join(host: HostConfig, other: ContainerRecord) -> None:
    """Raise Conflict when `other` does not run, or keeps its IPC namespace to itself (moby, `getIPCContainer`)."""
    if not other.pid:
        raise Conflict(
            f"cannot join a namespace of container {other.name}: it is not running",
            remedy=f"start it first with `sampan start {other.name}`",
        )
    if host.ipc_mode == f"container:{other.id}" and other.config.host.ipc_mode in {"", "none", "private"}:
        raise Conflict(
            f"failed to join IPC namespace: container {other.id}: non-shareable IPC "
            "(hint: use IpcMode:shareable for the donor container)",
            remedy=f"run {other.name} with --ipc shareable",
        )


def time_offsets(asked: dict[str, str]) -> dict[str, TimeOffset]:
    """`--time-offset boottime=24h`: clock -> offset; a bare number is seconds, a sign is allowed.

    Raises InvalidArgument for another clock or text (time_namespaces(7)).
    """
    found = {}
    for clock, text in asked.items():
        if clock not in {"boottime", "monotonic"}:
            raise InvalidArgument(f"invalid time offset clock {clock!r}", remedy="use boottime or monotonic")
        number, unit = (text[:-1], text[-1]) if text and text[-1] in _SECONDS else (text, "s")
        try:
            nanoseconds = round(float(number) * _SECONDS[unit] * 1e9)
        except (ValueError, OverflowError) as error:
            raise InvalidArgument(
                f"invalid time offset {text!r} of {clock}", remedy="use seconds, or a number with d, h, m or s"
            ) from error
        seconds, rest = divmod(nanoseconds, 1_000_000_000)
        found[clock] = TimeOffset(secs=seconds, nanosecs=rest)
    return found
