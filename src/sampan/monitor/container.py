"""What a monitor needs of the runtime, as Protocols: a container is launched, joined by execs, and released.

`runtime` implements it; a test may put plain processes in its place.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from sampan.cgroup.group import Cgroup
from sampan.linux.memory import Ranges
from sampan.runtime.launch_plan import LaunchPlan, ProcessPlan

StdioEnds = tuple[int, int, int]


class Launched(Protocol):
    """A process of a container: pid 1 at its gate, or an exec past it.

    Its descriptors are the monitor's to close once it runs; until then `abort` closes them.
    """

    pid: int
    pidfd: int
    console: int  # the terminal's master, or -1
    cgroup: Cgroup | None
    marks: tuple[tuple[str, str, int], ...]  # of a traced start: whose step, its name, when it began
    listener: int  # of a seccomp filter whose calls the monitor answers, or -1; of pid 1 after `go`

    def go(self) -> None:
        """Execute the user's program. Raises StepFailed, and then has done what `abort` does."""

    def abort(self) -> None:
        """End and reap it at its gate, and release what its start took; idempotent."""


class Runtime(Protocol):
    """How containers are made. Each call raises StepFailed with nothing left behind."""

    def prepare(self, model: LaunchPlan, pages: Ranges, /) -> None:
        """Make what a container like `model` (of `runtime.ahead.model_of`) needs; its process will write to `pages`.

        What the next launch does not need is dropped by it. Raises OSError, SampanError or StepFailed with nothing
        left behind.
        """

    def drop(self) -> None:
        """Give back what was prepared, and what was kept; idempotent."""

    def keep(self, plan: LaunchPlan, first: Launched, /) -> None:
        """The caller will make another container when this one has ended: keep what that can have of it."""

    def kept(self) -> tuple[int, ...]:
        """The descriptors of what is kept."""

    def launch(
        self, plan: LaunchPlan, stdio: StdioEnds | None, meanwhile: Callable[[Cgroup | None], None], /
    ) -> Launched:
        """Make the container; pid 1 waits at its gate. `meanwhile` is called once before, with its cgroup."""

    def join(self, first: Launched, plan: LaunchPlan, process: ProcessPlan, stdio: StdioEnds | None, /) -> Launched:
        """Run a further process in the container whose pid 1 is `first`."""

    def release(self, plan: LaunchPlan, first: Launched, /) -> None:
        """End what is left of the container and remove its cgroup; idempotent."""
