"""A RUN step as build asks for it, and who runs it: whoever has containers implements `StepRunner`.

A step is a container of its own on the image that its stage has come to. What it wrote is a directory that becomes the
next layer. Nothing here knows how containers are made.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from sampan.oci.image_spec import ContainerDefaults


@dataclass(frozen=True, slots=True)
class Ulimit:
    """A resource limit by its name (nofile, nproc …)."""

    name: str
    soft: int
    hard: int


@dataclass(frozen=True, slots=True)
class StepLimits:
    """What every step of a build may use and reach; 0 and "" are the engine's defaults."""

    memory_bytes: int = 0
    memory_swap_bytes: int = 0
    cpu_shares: int = 0
    cpu_period_us: int = 0
    cpu_quota_us: int = 0
    cpuset_cpus: str = ""
    cpuset_mems: str = ""
    cgroup_parent: str = ""
    shm_size_bytes: int = 0
    ulimits: tuple[Ulimit, ...] = ()
    extra_hosts: tuple[str, ...] = ()
    security_opt: tuple[str, ...] = ()
    network: str = ""


NO_LIMITS = StepLimits()


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose a file is that is put into a step, and its mode."""

    mode: int
    uid: int = 0
    gid: int = 0


@dataclass(frozen=True, slots=True)
class StepMount:
    """A mount of one step: a bind of `source`, a path of the host; an overlay of `lowers`; else a tmpfs.

    `subpath` is looked up below the source without ever leaving it. `is_file` says what the mount point has to be.
    `lowers` are directories from the top down, below `upper` (with `work`) when it may be written. With `secret` the
    source's content is given, in memory and with that owner, and never the file itself.
    """

    target: str
    source: str = ""
    subpath: str = ""
    writable: bool = False
    is_file: bool = False
    size_bytes: int = 0
    lowers: tuple[str, ...] = ()
    upper: str = ""
    work: str = ""
    secret: Owner | None = None


@dataclass(frozen=True, slots=True)
class StepRequest:
    """One command on one image. `environment` comes on top of what the configuration says.

    `private` does so too, and must be written down nowhere.
    """

    image_id: str
    defaults: ContainerDefaults
    command: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    private: Mapping[str, str] = field(default_factory=dict, repr=False)
    limits: StepLimits = NO_LIMITS
    mounts: tuple[StepMount, ...] = ()
    network: str = ""
    hostname: str = ""


@dataclass(frozen=True, slots=True)
class StepEnd:
    """How a step ended; `oom_killed` when it was for want of memory."""

    container_id: str
    code: int
    oom_killed: bool = False


class StepRunner(Protocol):
    """Runs steps."""

    async def run(
        self, request: StepRequest, begun: Callable[[str], None], output: Callable[[bytes, bool], Awaitable[None]]
    ) -> StepEnd:
        """Run it to its end. `begun` is told the container's id, `output` what it writes and whether to stderr.

        The container is there afterwards, until `remove`. Raises what its creation and start raise; the container is
        gone then, and when the call is cancelled. While `output` is awaited, the command waits too.
        """

    def upper(self, container_id: str) -> str:
        """The directory with what a step wrote."""

    def keep(self, container_id: str) -> None:
        """Let the container stay when the build has ended, to be looked at."""

    async def remove(self, container_id: str) -> None:
        """Remove the container of a step that has ended; nothing happens when there is none."""

    def remove_soon(self, container_id: str) -> None:
        """The same a moment later, when nobody waits for it; what fails is logged."""

    async def removed(self) -> None:
        """Wait until all that was to be removed soon is gone."""
