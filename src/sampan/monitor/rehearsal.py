"""A rehearsal: whole lives of a monitor, in the process that will fork monitors, before the heap is settled.

CPython writes to code that runs for the first times (it specializes instructions and fills caches), and to a type when
it is first used. Done here once, each monitor shares the result instead of making a copy of its own; see `heap`. The
container is a real one with all its namespaces and an empty root, whose program is an empty file: it comes to its gate,
fails to execute, and everything is released.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
from collections.abc import Callable

from sampan.cgroup import hierarchies, open_cgroup
from sampan.cgroup.group import Cgroup
from sampan.cgroup.limits import CpuLimits, Limits, MemoryLimits
from sampan.errors import SampanError
from sampan.monitor import protocol
from sampan.monitor.container import Launched, Runtime, StdioEnds
from sampan.monitor.log_plan import LogPlan
from sampan.monitor.monitor import Monitor
from sampan.monitor.protocol import Attach, Go, MonitorPlan
from sampan.runtime.ahead import model_of
from sampan.runtime.launch import release
from sampan.runtime.launch_plan import (
    CapabilitiesPlan,
    CgroupPlan,
    DevicePlan,
    LaunchPlan,
    MountPlan,
    NamespacesPlan,
    OverlayPlan,
    ProcessPlan,
    RootPlan,
    SeccompPlan,
)

_PREFIX = "sampan-rehearsal-"
_MS_RDONLY, _MS_NOSUID, _MS_NODEV, _MS_NOEXEC, _MS_BIND, _MS_REC, _MS_PRIVATE = 1, 2, 4, 8, 1 << 12, 1 << 14, 1 << 18
_ALLOW = b"\x06\0\0\0\0\0\xff\x7f"  # one instruction: return SECCOMP_RET_ALLOW


class _Observed:
    """A runtime that calls `note` when a container is made and its program is to run."""

    def __init__(self, runtime: Runtime, note: Callable[[], None]) -> None:
        self._runtime = runtime
        self._note = note
        self.join = runtime.join
        self.prepare = runtime.prepare
        self.drop = runtime.drop
        self.keep = runtime.keep
        self.kept = runtime.kept
        self.release = runtime.release

    def launch(
        self, plan: LaunchPlan, stdio: StdioEnds | None, meanwhile: Callable[[Cgroup | None], None], /
    ) -> Launched:
        launched = self._runtime.launch(plan, stdio, meanwhile)
        self._note()
        return launched


def rehearse(
    runtime: Runtime, parent: str = "/run", *, ahead: bool = False, note: Callable[[], None] | None = None
) -> None:
    """Live through one in a directory of its own below `parent`. Where containers cannot be made, nothing happens.

    With `ahead` its process is made before the plan is told, as the runtime can. `note` is called when the monitor
    begins, and again when its container's process stands at its gate. What a process left that was killed in the middle
    of it is removed by the next.
    """
    _remove_leftovers(parent)
    scratch = f"{parent}/{_PREFIX}{os.getpid()}"
    with contextlib.suppress(OSError):
        os.mkdir(scratch, 0o700)
        try:
            for name in ("root", "upper", "work", "state", "run"):
                os.mkdir(f"{scratch}/{name}", 0o700)
            os.close(os.open(f"{scratch}/root/program", os.O_WRONLY | os.O_CREAT, 0o755))
            plan = _plan(scratch)
            if ahead and (model := model_of(plan.launch, plan.launch.id)) is not None:
                runtime.prepare(model, ())
            _live(runtime, plan, note)
        finally:
            runtime.drop()
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            _remove_tree(scratch)


def _live(runtime: Runtime, plan: MonitorPlan, note: Callable[[], None] | None) -> None:
    daemon, control = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    client, theirs = socket.socketpair()
    with daemon, client, theirs:
        protocol.send(daemon, Attach(), (theirs.fileno(),))
        protocol.send(daemon, Go())
        client.shutdown(socket.SHUT_WR)
        descriptor = protocol.seal(plan)
        if note is not None:
            note()
            runtime = _Observed(runtime, note)
        Monitor(protocol.unseal(descriptor), control, runtime).run()


def _plan(scratch: str) -> MonitorPlan:
    name = os.path.basename(scratch)
    process = ProcessPlan(
        ("/program",),
        ("PATH=/", "HOME=/"),
        capabilities=CapabilitiesPlan(),
        oom_score_adj=0,
        no_new_privileges=True,
        seccomp=SeccompPlan(_ALLOW, answered=("sysinfo",), unanswered=_ALLOW),
    )
    file = f"{scratch}/root/program"
    launch = LaunchPlan(
        name,
        scratch,
        RootPlan(f"{scratch}/root", OverlayPlan((f"{scratch}/root",), f"{scratch}/upper", f"{scratch}/work")),
        process,
        NamespacesPlan(frozenset({"cgroup", "ipc", "mnt", "pid", "uts"})),
        CgroupPlan(f"/{name}", Limits(CpuLimits(shares=1024), MemoryLimits(limit_bytes=64 << 20), pids_max=64)),
        mounts=(
            MountPlan("/proc", "proc", "proc", _MS_NOSUID | _MS_NODEV | _MS_NOEXEC),
            MountPlan("/dev", "tmpfs", "tmpfs", _MS_NOSUID, data=(("mode", "755"), ("size", "64k"))),
            MountPlan("/dev/pts", "devpts", "devpts", _MS_NOSUID | _MS_NOEXEC, data=(("newinstance", None),)),
            MountPlan("/dev/mqueue", "mqueue", "mqueue", _MS_NOSUID | _MS_NODEV | _MS_NOEXEC),
            MountPlan("/sys", "sysfs", "sysfs", _MS_RDONLY | _MS_NOSUID | _MS_NODEV | _MS_NOEXEC),
            MountPlan("/etc/hosts", file, "bind", _MS_BIND | _MS_REC, propagation=_MS_PRIVATE | _MS_REC),
            MountPlan(
                "/proc/uptime", file, "bind", _MS_BIND | _MS_RDONLY, namespace="/proc/self/ns/mnt", optional=True
            ),
        ),
        devices=(DevicePlan("/dev/null", "c", 1, 3, 0o666, 0, 0),),
        masked_paths=("/proc/kcore", "/sys/firmware"),
        readonly_paths=("/proc/sys",),
        hostname=name,
    )
    return MonitorPlan(launch, f"{scratch}/run", f"{scratch}/state", LogPlan("json-file", f"{scratch}/state/log"))


def _remove_leftovers(parent: str) -> None:
    for name in _of_the_dead(parent):
        with contextlib.suppress(OSError):
            release(f"/{name}")
            _remove_tree(f"{parent}/{name}")
    with contextlib.suppress(OSError, SampanError):  # no hierarchy is mounted
        for name in {name for one in hierarchies().hierarchies for name in _of_the_dead(one.mount_point)}:
            _remove_if_empty(f"/{name}")


def _of_the_dead(directory: str) -> list[str]:
    names = [name for name in os.listdir(directory) if name.startswith(_PREFIX)]
    return [name for name in names if not os.path.exists(f"/proc/{name.removeprefix(_PREFIX)}")]


def _remove_if_empty(path: str) -> None:
    """Remove the cgroup of one who died between its directory and its cgroup, unless somebody is in it.

    Of a launcher in another pid namespace we may see the cgroup and not the pid.
    """
    with contextlib.closing(open_cgroup(path)) as cgroup, contextlib.suppress(OSError):
        if not cgroup.processes():
            cgroup.remove(timeout_s=0)


def _remove_tree(directory: str) -> None:
    for path, directories, files in os.walk(directory, topdown=False):
        for name in files:
            os.unlink(f"{path}/{name}")
        for name in directories:
            os.rmdir(f"{path}/{name}")
    os.rmdir(directory)
