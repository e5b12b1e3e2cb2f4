"""A container as the engine knows it: a frozen record whose state is a type.

What has no pid cannot show one: each state has just its own fields, and a record moves from one to the next by the
verbs of `ContainerRecord`. Saving is the store's matter.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field

from sampan.engine.config import ContainerConfig


@dataclass(frozen=True, slots=True)
class Created:
    """Never ran; `error` and `exit_code` are those of a start that failed."""

    error: str = ""
    exit_code: int = 0


@dataclass(frozen=True, slots=True)
class Running:
    """pid 1 of the container and its monitor, by pid and start time (proc_pid_stat(5), in clock ticks)."""

    pid: int
    monitor_pid: int
    started_at_ns: int
    pid_start_ticks: int = 0


@dataclass(frozen=True, slots=True)
class Paused:
    """Running, with its cgroup frozen."""

    running: Running


@dataclass(frozen=True, slots=True)
class Exited:
    """Ended; `code` is 128 + signal when a signal ended it, `error` why a later start failed."""

    code: int
    started_at_ns: int
    finished_at_ns: int
    oom_killed: bool = False
    error: str = ""


@dataclass(frozen=True, slots=True)
class Restarting:
    """Ended, and its restart policy starts it again at `due_at_ns` (realtime clock)."""

    exited: Exited
    due_at_ns: int


@dataclass(frozen=True, slots=True)
class Removing:
    """Being removed; what it was before is kept until it is gone."""

    code: int = 0
    started_at_ns: int = 0
    finished_at_ns: int = 0


@dataclass(frozen=True, slots=True)
class Dead:
    """Removal failed; `error` says at what. Removing it again tries again."""

    error: str
    code: int = 0
    started_at_ns: int = 0
    finished_at_ns: int = 0


@dataclass(frozen=True, slots=True)
class MemoryKill:
    """A process that the kernel killed for want of memory, and the container's memory at that moment."""

    pid: int
    program: str
    size_bytes: int
    usage_bytes: int
    limit_bytes: int
    at_ns: int


State = Created | Running | Paused | Exited | Restarting | Removing | Dead


@dataclass(frozen=True, slots=True)
class MountPoint:
    """A mount of the container as inspect shows it, resolved at create.

    `kind` as in MountRequest, or "secret" and "config": a file of the engine's, of which a copy in memory is mounted.
    """

    kind: str
    destination: str
    source: str = ""
    name: str = ""  # of the volume
    driver: str = ""
    mode: str = ""
    writable: bool = True
    propagation: str = ""
    subpath: str = ""
    anonymous: bool = False
    copy_up: bool = False
    create_source: bool = False  # `-v` makes a missing source, `--mount` does not
    nonrecursive: bool = False
    readonly_recursive: bool = True
    readonly_force_recursive: bool = False
    options: str = ""  # of a tmpfs, or of a volume with an fstype
    fstype: str = ""  # of a volume whose driver options say what to mount; "none" for a bind
    device: str = ""  # what of
    uid_maps: tuple[str, ...] = ()
    gid_maps: tuple[str, ...] = ()
    id_source: str = ""  # as MountRequest.bind_id_source
    id_user: str = ""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A container's place in one network, as the network package allotted it."""

    network_id: str
    endpoint_id: str = ""
    mac_address: str = ""
    gateway: str = ""
    ip_address: str = ""
    ip_prefix_length: int = 0
    ipv6_gateway: str = ""
    global_ipv6_address: str = ""
    global_ipv6_prefix_length: int = 0
    nameless6: bool = False  # its IPv6 address came unasked, so that no name is to lead there
    dns_names: tuple[str, ...] = ()

    @property
    def named_addresses(self) -> tuple[str, ...]:
        """The addresses that names lead to."""
        ipv6 = "" if self.nameless6 else self.global_ipv6_address
        return tuple(filter(None, (self.ip_address, ipv6)))


@dataclass(frozen=True, slots=True)
class Linked:
    """What a container's links say in its present run: lines of /etc/hosts (address and names), and variables."""

    hosts: tuple[tuple[str, str], ...] = ()
    environment: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ContainerDefinition:
    """What the engine remembers of a container beside its state; `config` has the image's defaults filled in."""

    id: str
    name: str  # without the slash
    created_at_ns: int
    image_id: str
    config: ContainerConfig
    path: str = ""
    arguments: tuple[str, ...] = ()
    mounts: tuple[MountPoint, ...] = ()
    endpoints: dict[str, Endpoint] = field(default_factory=dict)  # by network name
    ports: dict[str, tuple[tuple[str, str], ...]] = field(default_factory=dict)  # "80/tcp" -> (host ip, port)…
    linked: Linked = field(default_factory=Linked)
    memory_kills: tuple[MemoryKill, ...] = ()  # of the present run or the last one
    restart_count: int = 0
    remounting: tuple[str, ...] = ()  # targets whose mounts are being changed while it runs
    build_step: bool = False  # a RUN of a build: it goes with the build, and with the daemon that ran it
    stopped_by_user: bool = False  # so that unless-stopped and a daemon's restart leave it alone


@dataclass(frozen=True, slots=True)
class ContainerRecord(ContainerDefinition):
    """Everything that the engine remembers of one container."""

    state: State = field(default_factory=Created)

    @property
    def pid(self) -> int:
        """The pid of pid 1, 0 when it does not run."""
        running = self.running
        return running.pid if running else 0

    @property
    def running(self) -> Running | None:
        """The running state, also when paused."""
        match self.state:
            case Running():
                return self.state
            case Paused(running=running):
                return running
            case _:
                return None

    def with_state(self, state: State) -> ContainerRecord:
        """The same container in another state."""
        return dataclasses.replace(self, state=state)
