"""A LaunchPlan: everything that a start needs, as plain frozen data.

`plan` makes it from an OCI runtime specification and refuses what cannot be; `launch` and `init` only carry it out.
It crosses from the daemon to the launcher and from there to the monitor, so it holds nothing but numbers, strings,
bytes, tuples and further dataclasses of this module. Flags are the kernel's numbers; paths are strings as the kernel
takes them. Nothing in here is looked up, defaulted or parsed any more.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from sampan.cgroup.limits import Limits


@dataclass(frozen=True, slots=True)
class IdMap:
    """One line of uid_map or gid_map (user_namespaces(7))."""

    inside: int
    outside: int
    count: int


@dataclass(frozen=True, slots=True)
class NamespaceJoin:
    """A namespace that exists: `kind` as in /proc/PID/ns ("mnt", "net", "pid", …), `path` to a file of it."""

    kind: str
    path: str


@dataclass(frozen=True, slots=True)
class TimeOffset:
    """An offset of a time namespace: `clock` is "monotonic" or "boottime" (time_namespaces(7))."""

    clock: str
    seconds: int
    nanoseconds: int


@dataclass(frozen=True, slots=True)
class NamespacesPlan:
    """Which namespaces are made and which are joined; a kind in neither is the runtime's own.

    `new` has the kinds of /proc/PID/ns: "cgroup", "ipc", "mnt", "net", "pid", "time", "user", "uts".
    """

    new: frozenset[str]
    join: tuple[NamespaceJoin, ...] = ()
    uid_maps: tuple[IdMap, ...] = ()
    gid_maps: tuple[IdMap, ...] = ()
    time_offsets: tuple[TimeOffset, ...] = ()


@dataclass(frozen=True, slots=True)
class IdMapping:
    """Ids of an idmapped mount; with no maps the container's own user namespace is meant."""

    uid_maps: tuple[IdMap, ...] = ()
    gid_maps: tuple[IdMap, ...] = ()
    recursive: bool = False


@dataclass(frozen=True, slots=True)
class FileCopy:
    """A file in memory with the content that another has at the start; ids are the container's own."""

    mode: int
    uid: int
    gid: int


@dataclass(frozen=True, slots=True)
class OverlayPlan:
    """The overlay that becomes the root: lower layers from the top down; without `upper` it is read-only."""

    lowers: tuple[str, ...]
    upper: str = ""
    work: str = ""
    options: tuple[tuple[str, str | None], ...] = ()


@dataclass(frozen=True, slots=True)
class MountPlan:
    """One mount, its target relative to the container's root and reached under RESOLVE_IN_ROOT.

    `flags` and `clear` are MS_* numbers (mount(2)); `attributes_set`/`attributes_clear` are MOUNT_ATTR_* numbers for
    mount_setattr(AT_RECURSIVE); `propagation` is MS_PRIVATE, MS_SLAVE, … possibly with MS_REC, or 0.
    """

    target: str
    source: str
    fstype: str
    flags: int = 0
    clear: int = 0
    data: tuple[tuple[str, str | None], ...] = ()  # fsconfig pairs: (key, value), or (key, None) for a flag
    propagation: int = 0
    attributes_set: int = 0
    attributes_clear: int = 0
    idmap: IdMapping | None = None
    copy_up: bool = False
    create_source: bool = False  # make a missing bind source a directory, as Docker's `-v` does
    subpath: str = ""  # of a bind: what below `source` is meant, reached without leaving it
    namespace: str = ""  # of a bind: the mount namespace, by a path to it, in which `source` is
    optional: bool = False  # of a bind of a file: read-only, and left out when source or target is not there
    by_parent: bool = False  # a file system to make before the clone, in the host's namespaces
    file_copy: FileCopy | None = None  # what is mounted is a copy of the file `source`, in a ramfs of its own
    overlay: OverlayPlan | None = None  # what is mounted is this, or the `subpath` of it, read-only


@dataclass(frozen=True, slots=True)
class RootPlan:
    """Where the root is: `path` on the host, over which `overlay` is mounted first when there is one."""

    path: str
    overlay: OverlayPlan | None = None
    readonly: bool = False
    propagation: int = 0  # of the root after it is mounted; 0 keeps private
    pivot: bool = True


@dataclass(frozen=True, slots=True)
class DevicePlan:
    """A device node to make (mknod), or to bind from the host where mknod is not allowed."""

    path: str
    kind: str  # "c", "b", "u" or "p"
    major: int
    minor: int
    mode: int
    uid: int
    gid: int


@dataclass(frozen=True, slots=True)
class CapabilitiesPlan:
    """The five sets as bit masks (capabilities(7))."""

    bounding: int = 0
    effective: int = 0
    permitted: int = 0
    inheritable: int = 0
    ambient: int = 0


@dataclass(frozen=True, slots=True)
class RlimitPlan:
    """One resource limit by its RLIMIT_ number."""

    resource: int
    soft: int
    hard: int


@dataclass(frozen=True, slots=True)
class SchedulerPlan:
    """sched_setattr(2)'s attributes."""

    policy: int
    flags: int = 0
    nice: int = 0
    priority: int = 0
    runtime: int = 0
    deadline: int = 0
    period: int = 0


@dataclass(frozen=True, slots=True)
class SeccompPlan:
    """A compiled filter: `program` is an array of struct sock_filter; `flags` are SECCOMP_FILTER_FLAG_*.

    `listener_path` is the unix socket that gets the notification descriptor, with `metadata`. With `answered`, system
    calls, it stays with the launching process, which answers them; where there is a listener already (in a container
    in a container) `unanswered` is loaded in the place of `program`.
    """

    program: bytes
    flags: int = 0
    listener_path: str = ""
    metadata: str = ""
    answered: tuple[str, ...] = ()
    unanswered: bytes = b""


@dataclass(frozen=True, slots=True)
class ProcessPlan:
    """A program to execute, as pid 1 or by exec; `user_spec`, when not empty, is resolved inside the root first."""

    argv: tuple[str, ...]
    environment: tuple[str, ...]
    cwd: str = "/"
    uid: int = 0
    gid: int = 0
    additional_gids: tuple[int, ...] = ()
    umask: int | None = None
    user_spec: str | None = None  # Docker's USER (name, uid, name:group, …); None: uid, gid and additional_gids hold
    extra_groups: tuple[str, ...] = ()  # Docker's --group-add, names or numbers, resolved inside the root
    terminal: bool = False
    console_height: int = 0
    console_width: int = 0
    capabilities: CapabilitiesPlan | None = None
    no_new_privileges: bool = False
    rlimits: tuple[RlimitPlan, ...] = ()
    oom_score_adj: int | None = None
    io_priority: int | None = None  # as ioprio_set(2) takes it
    scheduler: SchedulerPlan | None = None
    apparmor_profile: str = ""
    selinux_label: str = ""
    seccomp: SeccompPlan | None = None
    cpu_affinity: tuple[int, ...] = ()
    create_cwd: bool = True


@dataclass(frozen=True, slots=True)
class HookPlan:
    """One hook: run with the container's state as JSON on its standard input; 0 means no time-out."""

    path: str
    argv: tuple[str, ...] = ()
    environment: tuple[str, ...] = ()
    timeout_s: int = 0


@dataclass(frozen=True, slots=True)
class HooksPlan:
    """The six kinds of hook of the OCI runtime specification."""

    prestart: tuple[HookPlan, ...] = ()
    create_runtime: tuple[HookPlan, ...] = ()
    create_container: tuple[HookPlan, ...] = ()
    start_container: tuple[HookPlan, ...] = ()
    poststart: tuple[HookPlan, ...] = ()
    poststop: tuple[HookPlan, ...] = ()


@dataclass(frozen=True, slots=True)
class CgroupPlan:
    """Where the container's cgroup is (a path below each hierarchy's root) and what it may use."""

    path: str
    limits: Limits


@dataclass(frozen=True, slots=True)
class LaunchPlan:
    """All of one container's start."""

    id: str
    bundle: str
    root: RootPlan
    process: ProcessPlan
    namespaces: NamespacesPlan
    cgroup: CgroupPlan | None
    mounts: tuple[MountPlan, ...] = ()
    devices: tuple[DevicePlan, ...] = ()
    masked_paths: tuple[str, ...] = ()
    readonly_paths: tuple[str, ...] = ()
    sysctl: tuple[tuple[str, str], ...] = ()
    hostname: str = ""
    domainname: str = ""
    hooks: HooksPlan = field(default_factory=HooksPlan)
    annotations: tuple[tuple[str, str], ...] = ()
    init: bool = False  # `--init`: pid 1 is a tiny reaper of ours and the user's program its child
    personality: int | None = None
    new_keyring: bool = False  # a session keyring of its own (keyctl(2), KEYCTL_JOIN_SESSION_KEYRING)
    traced: bool = False  # tell when each step began
    own_dev: bool = True  # make the links of /dev; False when the host's /dev is bound: then `devices` is empty, too
