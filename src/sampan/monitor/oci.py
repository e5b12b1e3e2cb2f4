"""The monitor's way to the OCI runtime of this package; see `container` for what it stands for."""

from __future__ import annotations

import errno
from collections.abc import Callable

from sampan.cgroup.group import Cgroup
from sampan.monitor.container import Launched, StdioEnds
from sampan.runtime.hooks import state_document, try_hooks
from sampan.runtime.join import join
from sampan.runtime.launch import Stdio, launch
from sampan.runtime.launch_plan import LaunchPlan, ProcessPlan
from sampan.runtime.spawn import make_spare_network


def _remove(plan: LaunchPlan, cgroup: Cgroup) -> None:
    """Remove the cgroup; with a pid namespace of its own nobody is left in it, so nobody is looked for first."""
    if "pid" in plan.namespaces.new:
        try:
            cgroup.remove(timeout_s=0)
        except OSError as error:
            if error.errno not in {errno.EBUSY, errno.ENOTEMPTY}:
                raise
        else:
            return
    cgroup.kill_all()
    cgroup.remove()


class OciRuntime:
    """Containers whose processes die with their monitor."""

    def __init__(self) -> None:
        self._network = -1  # a namespace that nobody was in yet

    def prepare(self, *, network: bool) -> None:
        """Make a network namespace: of all that a start makes, what takes the kernel longest."""
        if network and self._network < 0:
            self._network = make_spare_network()

    def launch(self, plan: LaunchPlan, stdio: StdioEnds | None, meanwhile: Callable[[Cgroup | None], None]) -> Launched:
        """As `runtime.launch.launch`."""
        network, self._network = self._network, -1
        ends = Stdio(*stdio) if stdio else None
        return launch(plan, ends, die_with_parent=True, meanwhile=meanwhile, spare_network=network)

    def join(self, first: Launched, plan: LaunchPlan, process: ProcessPlan, stdio: StdioEnds | None) -> Launched:
        """As `runtime.join.join`."""
        ends = Stdio(*stdio) if stdio else None
        return join(first.pid, first.pidfd, plan, process, ends, die_with_parent=True)

    def release(self, plan: LaunchPlan, first: Launched) -> None:
        """End who is left, remove the cgroup, and run poststop hooks."""
        if first.cgroup is not None:
            try:
                _remove(plan, first.cgroup)
            finally:
                first.cgroup.close()
        if plan.hooks.poststop:
            try_hooks("poststop", plan.hooks.poststop, state_document(plan, "stopped", first.pid))
