"""The OCI runtime specification 1.2 for Linux as frozen structs: config.json.

A struct per object of the specification, its fields in the specification's order under Python's names; what is absent
there is None or empty here, and unknown fields are ignored as the specification demands. Nothing here judges a value
beyond its type: that is `runtime.plan`'s matter. The resources of a cgroup are in `runtime_resources`, the way from
bytes to all of this in `runtime_documents`.
"""

from __future__ import annotations

from msgspec import Struct, field

from sampan.oci.runtime_resources import Resources
from sampan.version import OCI_RUNTIME


class Box(Struct, frozen=True, kw_only=True, rename="camel"):
    """The size of a terminal in characters."""

    height: int = 0
    width: int = 0


class User(Struct, frozen=True, kw_only=True, rename="camel"):
    """Who the process is, by numbers of the container's user namespace."""

    uid: int = 0
    gid: int = 0
    umask: int | None = None
    additional_gids: tuple[int, ...] = ()
    username: str = ""


class Capabilities(Struct, frozen=True, kw_only=True, rename="camel"):
    """The five sets by names as in capabilities(7)."""

    bounding: tuple[str, ...] = ()
    effective: tuple[str, ...] = ()
    inheritable: tuple[str, ...] = ()
    permitted: tuple[str, ...] = ()
    ambient: tuple[str, ...] = ()


class Rlimit(Struct, frozen=True, kw_only=True, rename="camel"):
    """One resource limit, `type` as in getrlimit(2)."""

    type: str
    hard: int = 0
    soft: int = 0


class Scheduler(Struct, frozen=True, kw_only=True, rename="camel"):
    """The scheduling attributes of the process (sched_setattr(2))."""

    policy: str
    nice: int = 0
    priority: int = 0
    flags: tuple[str, ...] = ()
    runtime: int = 0
    deadline: int = 0
    period: int = 0


class IoPriority(Struct, frozen=True, kw_only=True, rename="camel"):
    """The input and output priority of the process (ioprio_set(2))."""

    class_: str = field(name="class")
    priority: int = 0


class Process(Struct, frozen=True, kw_only=True, rename="camel"):
    """The program of the container, or of an exec."""

    terminal: bool = False
    console_size: Box | None = None
    user: User = User()
    args: tuple[str, ...] = ()
    env: tuple[str, ...] = ()
    cwd: str = ""
    capabilities: Capabilities | None = None
    rlimits: tuple[Rlimit, ...] = ()
    no_new_privileges: bool = False
    apparmor_profile: str = ""
    oom_score_adj: int | None = None
    scheduler: Scheduler | None = None
    selinux_label: str = ""
    io_priority: IoPriority | None = None


class Root(Struct, frozen=True, kw_only=True, rename="camel"):
    """The root file system; a relative path is relative to the bundle."""

    path: str = ""
    readonly: bool = False


class IdMapping(Struct, frozen=True, kw_only=True):
    """One range of ids of a user namespace."""

    container_id: int = field(name="containerID", default=0)
    host_id: int = field(name="hostID", default=0)
    size: int = 0


class Mount(Struct, frozen=True, kw_only=True, rename="camel"):
    """One further mount, in the order of the list."""

    destination: str = ""
    type: str = ""
    source: str = ""
    options: tuple[str, ...] = ()
    uid_mappings: tuple[IdMapping, ...] = ()
    gid_mappings: tuple[IdMapping, ...] = ()


class Hook(Struct, frozen=True, kw_only=True, rename="camel"):
    """A program to run at a point of the lifecycle; `timeout` in seconds."""

    path: str = ""
    args: tuple[str, ...] = ()
    env: tuple[str, ...] = ()
    timeout: int | None = None


class Hooks(Struct, frozen=True, kw_only=True, rename="camel"):
    """The six kinds of hook."""

    prestart: tuple[Hook, ...] = ()
    create_runtime: tuple[Hook, ...] = ()
    create_container: tuple[Hook, ...] = ()
    start_container: tuple[Hook, ...] = ()
    poststart: tuple[Hook, ...] = ()
    poststop: tuple[Hook, ...] = ()


class Namespace(Struct, frozen=True, kw_only=True, rename="camel"):
    """A namespace to make, or with `path` to join; `type` is "pid", "network", "mount", "ipc", …."""

    type: str
    path: str = ""


class TimeOffset(Struct, frozen=True, kw_only=True, rename="camel"):
    """The offset of one clock of a time namespace."""

    secs: int = 0
    nanosecs: int = 0


class Device(Struct, frozen=True, kw_only=True, rename="camel"):
    """A device node that must be there; `type` is "c", "b", "u" or "p"."""

    path: str = ""
    type: str = ""
    major: int = 0
    minor: int = 0
    file_mode: int | None = None
    uid: int | None = None
    gid: int | None = None


class SeccompArgument(Struct, frozen=True, kw_only=True, rename="camel"):
    """A condition on one argument of a system call."""

    index: int
    value: int = 0
    value_two: int = 0
    op: str = ""


class SeccompRule(Struct, frozen=True, kw_only=True, rename="camel"):
    """What becomes of the named system calls when every condition holds."""

    names: tuple[str, ...] = ()
    action: str = ""
    errno_ret: int | None = None
    args: tuple[SeccompArgument, ...] = ()


class Seccomp(Struct, frozen=True, kw_only=True, rename="camel"):
    """A filter of system calls in libseccomp's words."""

    default_action: str = ""
    default_errno_ret: int | None = None
    architectures: tuple[str, ...] = ()
    flags: tuple[str, ...] | None = None
    listener_path: str = ""
    listener_metadata: str = ""
    syscalls: tuple[SeccompRule, ...] = ()


class IntelRdt(Struct, frozen=True, kw_only=True, rename="camel"):
    """Intel's Resource Director Technology (resctrl)."""

    clos_id: str = field(name="closID", default="")
    l3_cache_schema: str = ""
    mem_bw_schema: str = ""
    enable_cmt: bool = field(name="enableCMT", default=False)
    enable_mbm: bool = field(name="enableMBM", default=False)


class Personality(Struct, frozen=True, kw_only=True, rename="camel"):
    """The execution domain: "LINUX" or "LINUX32" (personality(2))."""

    domain: str = ""
    flags: tuple[str, ...] = ()


class Linux(Struct, frozen=True, kw_only=True, rename="camel"):
    """What only Linux has."""

    uid_mappings: tuple[IdMapping, ...] = ()
    gid_mappings: tuple[IdMapping, ...] = ()
    sysctl: dict[str, str] = {}
    resources: Resources | None = None
    cgroups_path: str = ""
    namespaces: tuple[Namespace, ...] = ()
    devices: tuple[Device, ...] = ()
    seccomp: Seccomp | None = None
    rootfs_propagation: str = ""
    masked_paths: tuple[str, ...] = ()
    readonly_paths: tuple[str, ...] = ()
    mount_label: str = ""
    intel_rdt: IntelRdt | None = None
    personality: Personality | None = None
    time_offsets: dict[str, TimeOffset] = {}


class RuntimeSpec(Struct, frozen=True, kw_only=True, rename="camel"):
    """A whole config.json."""

    oci_version: str = OCI_RUNTIME
    process: Process | None = None
    root: Root | None = None
    hostname: str = ""
    domainname: str = ""
    mounts: tuple[Mount, ...] = ()
    hooks: Hooks | None = None
    annotations: dict[str, str] = {}
    linux: Linux | None = None
