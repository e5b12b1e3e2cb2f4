"""A child that is cloned before there is a plan for it, and waits for one: the larger half of a start, made in time.

A *model* says what the next container is going to be like: its cgroup's path, its kinds of namespaces, the mounts that
such containers have, the devices it may use. From it `make_ahead` makes the cgroup, the detached mounts, and the child,
which goes through the first of init's steps in its namespaces and then waits. A plan that the child `suits` is handed
over by `launch`; for any other the child is discarded, and the start makes one of its own.
"""

from __future__ import annotations

import _pickle
import os
import signal
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace

from sampan.cgroup import open_cgroup
from sampan.cgroup.group import Cgroup
from sampan.cgroup.limits import DeviceRule, Limits
from sampan.linux import process
from sampan.linux.memory import Ranges
from sampan.linux.process import block_signals, restore_signals
from sampan.runtime import init
from sampan.runtime.ahead_steps import AHEAD_STEPS
from sampan.runtime.child import Child, foreign_ranges
from sampan.runtime.handshake import Channel, Say
from sampan.runtime.kept_network import KeptNetwork
from sampan.runtime.launch_plan import CapabilitiesPlan, CgroupPlan, LaunchPlan, NamespacesPlan, ProcessPlan, RootPlan
from sampan.runtime.launched import end_process, shut_caller
from sampan.runtime.prepare import Common, is_common, prepare_common
from sampan.runtime.spawn import spawn

_ITS_OWN = frozenset({"mnt", "pid"})  # without these the child could not be told from what it shares
_NEVER = frozenset({"user"})  # it is made from what only the plan says
# A process that has made a clocks' namespace for its children enters it at execve since then (fs/exec.c).
_CLOCKS_AT_EXECVE = (6, 3)
_MOST_DESCRIPTORS = 200  # SCM_MAX_FD is 253


@dataclass(slots=True)
class Ahead:
    """The child and what was made with it. `pid` and `pidfd` are the caller's; `discard` gives everything back."""

    model: LaunchPlan
    cgroup: Cgroup
    common: Common
    channel: Channel
    pid: int
    pidfd: int
    network: KeptNetwork | None  # the network namespace that it is in, unless that is new
    held: ExitStack  # descriptors of the detached mounts
    undo: ExitStack  # ends the child, removes the cgroup

    def suits(self, plan: LaunchPlan) -> bool:
        """Whether a container of this plan can be made of the child, which lives and waits."""
        return bool(
            plan.id == self.model.id
            and _has_model(plan)
            and plan.cgroup is not None
            and plan.cgroup.path == self.cgroup.path
            and _kinds(plan.namespaces) == _kinds(self.model.namespaces)
            and not _bounding(plan) & ~_bounding(self.model)  # what was dropped does not come back
            and not (plan.hooks.prestart or plan.hooks.create_runtime or plan.hooks.create_container)  # see attach_root
            and (plan.cgroup.limits.devices or not self._device_rules())  # no rules allow all
            and not (plan.init and plan.namespaces.time_offsets)  # pid 1 never comes to an execve
            and (self.network is None or self.network.suits(plan))
            and not self.channel.wait(0)  # it says nothing unasked, unless that it failed
        )

    def limits(self, wanted: Limits) -> Limits:
        """Those of the limits that the cgroup has not got yet."""
        return replace(wanted, devices=()) if wanted.devices == self._device_rules() else wanted

    def _device_rules(self) -> tuple[DeviceRule, ...]:
        return self.model.cgroup.limits.devices if self.model.cgroup is not None else ()

    def hand_plan(self, plan: LaunchPlan) -> None:
        """Tell the child what it is going to be; it can read that while its sources are made."""
        fd = os.memfd_create("sampan-plan", os.MFD_CLOEXEC)
        try:
            os.write(fd, _pickle.dumps(plan, protocol=5))
            self.channel.tell(Say.PLAN, descriptors=(fd,))
        finally:
            os.close(fd)

    def hand_sources(self, child: Child, network_fd: int) -> None:
        """Send what `child`, as it would be cloned now, has beyond the child that was cloned then."""
        inherited = self.common.descriptors()
        own = {*child.sources.descriptors(), *(child.stdio or ()), network_fd}
        sent = tuple(sorted(fd for fd in own if fd >= 0 and fd not in inherited))
        if len(sent) > _MOST_DESCRIPTORS:
            raise OSError(0, f"{len(sent)} descriptors are more than a message takes")
        content = (sent, child.sources, child.stdio, network_fd, child.die_with_parent)
        self.channel.tell(Say.SOURCES, _pickle.dumps(content, protocol=5).decode("latin-1"), descriptors=sent)

    def kill(self) -> None:
        """End the child; the rest is for `discard`."""
        with suppress(ProcessLookupError):
            process.pidfd_send_signal(self.pidfd, signal.SIGKILL)

    def discard(self) -> None:
        """End the child and give back all that was made; idempotent."""
        self.held.close()
        self.undo.close()


def model_of(plan: LaunchPlan, container_id: str) -> LaunchPlan | None:
    """What a container `container_id` is like that is like that of `plan`; None where nothing can be made ahead.

    It holds nothing of the program, of its environment or of its files.
    """
    if plan.cgroup is None or not _has_model(plan):
        return None
    names = plan.namespaces
    parent = plan.cgroup.path.removesuffix(plan.id)
    return LaunchPlan(
        container_id,
        "",
        RootPlan("/"),
        ProcessPlan((), (), capabilities=CapabilitiesPlan(_bounding(plan))),
        NamespacesPlan(names.new, names.join),
        CgroupPlan(f"{parent}{container_id}", Limits(devices=plan.cgroup.limits.devices)),
        mounts=tuple(mount for mount in plan.mounts if is_common(mount)),
        devices=plan.devices,
        own_dev=plan.own_dev,
    )


def make_ahead(model: LaunchPlan, pages: Ranges = (), network: KeptNetwork | None = None) -> Ahead:
    """Make the cgroup, the mounts and the child; `pages` are those of the caller that the child will write to.

    `network` is what an earlier container has left, for one that is to have a network namespace of its own.
    Raises OSError, SampanError or StepFailed, and then nothing is left behind. The caller has one thread, and becomes
    non-dumpable for good.
    """
    if model.cgroup is None:
        raise ValueError("a model without a cgroup")
    shut_caller()
    with ExitStack() as undo, ExitStack() as held, ExitStack() as passing:
        cgroup = open_cgroup(model.cgroup.path)
        undo.callback(cgroup.close)
        if not cgroup.create():
            raise FileExistsError(f"the cgroup {model.cgroup.path} is there already")
        undo.callback(cgroup.remove)
        undo.callback(cgroup.kill_all)
        cgroup.apply(model.cgroup.limits)
        entry = cgroup.entry()
        passing.callback(entry.close)
        common = prepare_common(model, cgroup, held)
        channel, theirs = Channel.pair()
        undo.callback(channel.close)
        passing.callback(theirs.close)
        new = model.namespaces.new - {"time"}
        network = network if "net" in new else None
        if network is not None:
            new -= {"net"}
        child = Child(model, model.process, theirs, task_fds=entry.task_fds, pages=pages)
        child.network_fd = network.fd if network is not None else -1
        child.foreign = foreign_ranges(child.inherited() | common.descriptors())
        before = block_signals()
        try:
            pid, pidfd = spawn(NamespacesPlan(new), entry.clone_fd)
            if pid == 0:
                init.become(child, AHEAD_STEPS)
            undo.callback(end_process, pidfd)
        finally:
            restore_signals(before)
        return Ahead(model, cgroup, common, channel, pid, pidfd, network, held.pop_all(), undo.pop_all())


def _has_model(plan: LaunchPlan) -> bool:
    names = plan.namespaces
    return not (
        plan.cgroup is None
        or not plan.cgroup.path.endswith(f"/{plan.id}")
        or not names.new >= _ITS_OWN
        or names.new & _NEVER
        or any(join.kind != "net" for join in names.join)
        or ("time" in names.new and not _enters_clocks_at_execve())
    )


def _bounding(plan: LaunchPlan) -> int:
    return plan.process.capabilities.bounding if plan.process.capabilities else 0


def _enters_clocks_at_execve() -> bool:
    major, minor = os.uname().release.split(".")[:2]
    return (int(major), int(minor.partition("-")[0])) >= _CLOCKS_AT_EXECVE


def _kinds(names: NamespacesPlan) -> tuple[frozenset[str], frozenset[str]]:
    return names.new, frozenset(join.kind for join in names.join)
