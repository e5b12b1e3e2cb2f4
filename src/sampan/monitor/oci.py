"""The monitor's way to the OCI runtime of this package; see `container` for what it stands for."""

from __future__ import annotations

import errno
from collections.abc import Callable

from sampan.cgroup.group import Cgroup
from sampan.linux.memory import Ranges
from sampan.monitor.container import Launched, StdioEnds
from sampan.runtime.ahead import Ahead, make_ahead
from sampan.runtime.hooks import state_document, try_hooks
from sampan.runtime.join import join
from sampan.runtime.kept_network import KeptNetwork, keep_network
from sampan.runtime.launch import launch
from sampan.runtime.launch_plan import LaunchPlan, ProcessPlan
from sampan.runtime.launched import Stdio


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
        self._ahead: Ahead | None = None  # the next container's process, in part
        self._network: KeptNetwork | None = None  # for the next container's process

    def prepare(self, model: LaunchPlan, pages: Ranges) -> None:
        """Make the cgroup and the first process of a container like `model`, as `runtime.ahead` has models."""
        if self._ahead is None:
            self._ahead = make_ahead(model, pages, self._network)

    def drop(self) -> None:
        """Give back what was prepared, and what was kept."""
        if self._ahead is not None:
            self._ahead.discard()
            self._ahead = None
        self._let_network_go()

    def keep(self, plan: LaunchPlan, first: Launched) -> None:
        """Keep the network namespace, which `prepare` gives to the next process."""
        if self._network is None:
            self._network = keep_network(first.pid, plan)

    def kept(self) -> tuple[int, ...]:
        """Those of the network namespace."""
        return self._network.descriptors() if self._network is not None else ()

    def _let_network_go(self) -> None:
        if self._network is not None:
            self._network.close()
            self._network = None

    def launch(self, plan: LaunchPlan, stdio: StdioEnds | None, meanwhile: Callable[[Cgroup | None], None]) -> Launched:
        """As `runtime.launch.launch`."""
        ahead, self._ahead = self._ahead, None
        ends = Stdio(*stdio) if stdio else None
        return launch(plan, ends, die_with_parent=True, meanwhile=meanwhile, ahead=ahead)

    def join(self, first: Launched, plan: LaunchPlan, process: ProcessPlan, stdio: StdioEnds | None) -> Launched:
        """As `runtime.join.join`. Who joins may do what the container may not, so its network is not kept."""
        self._let_network_go()
        ends = Stdio(*stdio) if stdio else None
        return join(first.pid, first.pidfd, plan, process, ends, die_with_parent=True)

    def release(self, plan: LaunchPlan, first: Launched) -> None:
        """End who is left, remove the cgroup, and run poststop hooks."""
        if first.cgroup is not None:
            try:
                _remove(plan, first.cgroup)
            finally:
                first.cgroup.close()
        if self._network is not None and not self._network.is_untouched():
            self._let_network_go()
        if plan.hooks.poststop:
            try_hooks("poststop", plan.hooks.poststop, state_document(plan, "stopped", first.pid))
