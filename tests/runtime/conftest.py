"""Containers for tests of the runtime: a busybox root, plans in Docker's shape, and a process that launches them.

Whatever launches a container must have one thread, so all of it happens in a forked child (`boat.call`), in a mount
namespace where nobody else mounts anything. What a test leaves behind fails it.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from tests.child import run_in_child

from sampan.cgroup import hierarchies
from sampan.cgroup.limits import Limits
from sampan.linux import capability, process
from sampan.linux.mount import AT_FDCWD, MountFlag, Propagation, mount_setattr, mountinfo
from sampan.linux.namespace import CloneFlag, unshare
from sampan.runtime.ahead import Ahead, make_ahead, model_of
from sampan.runtime.join import join
from sampan.runtime.launch import launch, release
from sampan.runtime.launch_plan import (
    CapabilitiesPlan,
    CgroupPlan,
    DevicePlan,
    IdMap,
    LaunchPlan,
    MountPlan,
    NamespacesPlan,
    ProcessPlan,
    RootPlan,
)
from sampan.runtime.launched import Launched, Stdio

BUSYBOX = Path("/bin/busybox")
QUIET = int(MountFlag.NOSUID | MountFlag.NODEV | MountFlag.NOEXEC)
READ_ONLY = int(MountFlag.RDONLY)
BIND = int(MountFlag.BIND)
RECURSIVE = int(MountFlag.REC)
PROC = MountPlan("proc", "proc", "proc", QUIET)
DEV = MountPlan(
    "dev", "tmpfs", "tmpfs", int(MountFlag.NOSUID | MountFlag.STRICTATIME), data=(("mode", "755"), ("size", "65536k"))
)
PTS = MountPlan(
    "dev/pts",
    "devpts",
    "devpts",
    int(MountFlag.NOSUID | MountFlag.NOEXEC),
    data=(("newinstance", None), ("ptmxmode", "0666"), ("mode", "0620"), ("gid", "5")),
)
SYS = MountPlan("sys", "sysfs", "sysfs", QUIET | READ_ONLY)
CGROUP = MountPlan("sys/fs/cgroup", "cgroup", "cgroup", QUIET | READ_ONLY)
QUEUE = MountPlan("dev/mqueue", "mqueue", "mqueue", QUIET)
SHM = MountPlan("dev/shm", "shm", "tmpfs", QUIET, data=(("mode", "1777"), ("size", "67108864")))
MOUNTS = (PROC, DEV, PTS, SYS, CGROUP, QUEUE, SHM)
DEVICES = tuple(
    DevicePlan(f"/dev/{name}", "c", major, minor, 0o666, 0, 0)
    for name, major, minor in (
        ("null", 1, 3),
        ("zero", 1, 5),
        ("full", 1, 7),
        ("random", 1, 8),
        ("urandom", 1, 9),
        ("tty", 5, 0),
    )
)
MASKED = (
    "/proc/acpi",
    "/proc/kcore",
    "/proc/keys",
    "/proc/timer_list",
    "/proc/interrupts",
    "/sys/firmware",
    "/no/where",
)
READ_ONLY_PATHS = ("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger")
KINDS = frozenset({"cgroup", "ipc", "mnt", "net", "pid", "uts"})
CAPABILITIES = 0xA80425FB  # Docker's fourteen
MAPS = (IdMap(0, 100000, 65536),)

_numbers = itertools.count()


@dataclass(frozen=True)
class Outcome:
    """What became of a container's program: `code` as a shell shows it."""

    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[str]:
        return self.out.splitlines()


@dataclass
class Boat:
    """Builds plans over a root directory and runs them."""

    directory: Path
    root: Path
    prefix: str = ""  # of the cgroups of all its containers, also of those that a child launches
    cgroups: list[str] = field(default_factory=list)
    ahead: bool = False  # the child is cloned before it gets its plan, where there can be one

    def process(self, *argv: str, **changes: Any) -> ProcessPlan:
        """Docker's defaults for a program; one word is a shell script."""
        words = argv if len(argv) > 1 or argv[0].startswith("/") else ("sh", "-c", *argv)
        sets = CapabilitiesPlan(CAPABILITIES, CAPABILITIES, CAPABILITIES, 0, 0)
        return replace(ProcessPlan(words, ("PATH=/bin:/usr/bin", "TERM=xterm"), capabilities=sets), **changes)

    def namespaces(self, *less: str, **changes: Any) -> NamespacesPlan:
        return replace(NamespacesPlan(KINDS - set(less)), **changes)

    def plan(self, process: ProcessPlan | str, **changes: Any) -> LaunchPlan:
        """A plan as Docker's defaults give it; each has a cgroup of its own that the test's end removes."""
        path = f"{self.prefix}-{next(_numbers)}"
        self.cgroups.append(path)
        plan = LaunchPlan(
            id=path.strip("/"),
            bundle=str(self.directory),
            root=RootPlan(str(self.root)),
            process=self.process(process) if isinstance(process, str) else process,
            namespaces=self.namespaces(),
            cgroup=CgroupPlan(path, Limits()),
            mounts=MOUNTS,
            devices=DEVICES,
            masked_paths=MASKED,
            readonly_paths=READ_ONLY_PATHS,
            hostname="boat",
            new_keyring=True,
        )
        return replace(plan, **changes)

    def mapped(self, process: ProcessPlan | str, **changes: Any) -> LaunchPlan:
        """The same in a user namespace, the root given to its root."""
        for path in (self.root, *self.root.rglob("*")):
            os.chown(path, 100000, 100000, follow_symlinks=False)
        for path in (self.directory, *self.directory.parents):
            if path.stat().st_uid == os.getuid() and not path.stat().st_mode & 0o001 and path != Path("/"):
                path.chmod(path.stat().st_mode | 0o011)
        namespaces = self.namespaces(new=KINDS | {"user"}, uid_maps=MAPS, gid_maps=MAPS)
        return self.plan(process, **{"namespaces": namespaces, **changes})

    def run(self, plan: LaunchPlan, *, stdin: bytes = b"", **options: Any) -> Outcome:
        """Launch, go, wait and release; StepFailed as launch and go raise it."""
        return self.call(lambda: self.run_here(plan, stdin=stdin, **options))

    def run_here(self, plan: LaunchPlan, *, stdin: bytes = b"", **options: Any) -> Outcome:
        """The same in the calling process, which must have one thread: inside of call()."""
        with output() as (out, err), given(stdin) as fd:
            launched = launch(plan, Stdio(fd, out.fileno(), err.fileno()), ahead=self.made_ahead(plan), **options)
            launched.go()
            return Outcome(self.finish(launched), text(out), text(err))

    def start(self, plan: LaunchPlan) -> Launched:
        """Launch and go, here; to be given to finish() or end()."""
        with given(b"") as null:
            stdio = Stdio(null, null, null) if not plan.process.terminal else None
            launched = launch(plan, stdio, ahead=self.made_ahead(plan))
        launched.go()
        return launched

    def made_ahead(self, plan: LaunchPlan) -> Ahead | None:
        """A child that waits for the plan, if this boat has such."""
        model = model_of(plan, plan.id) if self.ahead else None
        return make_ahead(model) if model is not None else None

    def exec_here(self, launched: Launched, own: ProcessPlan, *, stdin: bytes = b"", **options: Any) -> Outcome:
        """Run a further process in a container that the calling process launched."""
        with output() as (out, err), given(stdin) as fd:
            stdio = Stdio(fd, out.fileno(), err.fileno())
            joined = join(launched.pid, launched.pidfd, launched.plan, own, stdio, **options)
            return Outcome(wait(joined), text(out), text(err))

    def finish(self, launched: Launched) -> int:
        """Reap the process and remove its cgroup; its code as a shell shows it."""
        code = wait(launched)
        if launched.cgroup is not None:
            launched.cgroup.close()
        if launched.plan.cgroup is not None:
            release(launched.plan.cgroup.path)
        return code

    def end(self, launched: Launched) -> None:
        """Kill the container and remove its cgroup."""
        with contextlib.suppress(ProcessLookupError):
            process.pidfd_send_signal(launched.pidfd, signal.SIGKILL)
        self.finish(launched)

    def call[T](self, function: Callable[[], T]) -> T:
        """Call `function` in a forked child with one thread and return or raise what it did."""
        return run_in_child(lambda: _in_own_mounts(function))


def wait(launched: Launched) -> int:
    """Reap the process; its code as a shell shows it."""
    ended = process.wait_pidfd(launched.pidfd)
    os.close(launched.pidfd)
    if launched.console >= 0:
        os.close(launched.console)
    if ended is None:
        raise ChildProcessError("nothing to reap")
    return ended.status


@contextlib.contextmanager
def output() -> Iterator[tuple[Any, Any]]:
    """Two files for standard output and error."""
    with (
        os.fdopen(os.memfd_create("out"), "r+b", buffering=0) as out,
        os.fdopen(os.memfd_create("err"), "r+b", buffering=0) as err,
    ):
        yield out, err


@contextlib.contextmanager
def given(content: bytes) -> Iterator[int]:
    """A file for standard input."""
    fd = os.memfd_create("in")
    os.write(fd, content)
    os.lseek(fd, 0, os.SEEK_SET)
    try:
        yield fd
    finally:
        os.close(fd)


def text(file: Any) -> str:
    """All of a file."""
    file.seek(0)
    content: bytes = file.read()
    return content.decode(errors="replace")


def _in_own_mounts[T](function: Callable[[], T]) -> T:
    unshare(CloneFlag.NEWNS)  # what others on this machine mount meanwhile is not ours
    mount_setattr(AT_FDCWD, "/", propagation=Propagation.PRIVATE, recursive=True)
    return function()


def cgroup_directories(prefix: str) -> list[str]:
    """The cgroups of one test that exist anywhere."""
    return [str(path) for one in hierarchies().hierarchies for path in Path(one.mount_point).glob(f"{prefix}-*")]


@pytest.fixture(scope="session")
def busybox() -> Path:
    """A static busybox; its applets are what runs in the containers."""
    if not BUSYBOX.exists():
        pytest.skip("needs /bin/busybox (Debian: busybox-static)")
    if b"not a dynamic" not in subprocess.run(["ldd", str(BUSYBOX)], capture_output=True, check=False).stderr:
        pytest.skip("/bin/busybox is not a static program (Debian: busybox-static)")
    return BUSYBOX


@pytest.fixture(scope="session")
def applets(busybox: Path) -> list[str]:
    return subprocess.run([str(busybox), "--list"], capture_output=True, text=True, check=True).stdout.split()


@pytest.fixture
def boat(tmp_path: Path, busybox: Path, applets: list[str]) -> Iterator[Boat]:
    """A Boat over a fresh busybox root; skips without privileges, fails when a test leaves something behind."""
    if not capability.get_capabilities().effective & capability.mask_of(["CAP_SYS_ADMIN"]):
        pytest.skip("needs CAP_SYS_ADMIN")
    root = tmp_path / "root"
    for name in ("bin", "etc", "proc", "sys", "dev", "tmp"):
        (root / name).mkdir(parents=True)
    shutil.copy(busybox, root / "bin" / "busybox")
    for name in applets:
        if name != "busybox":
            (root / "bin" / name).symlink_to("busybox")
    made = Boat(tmp_path, root, f"/sampan-test-{os.getpid()}-{next(_numbers)}")
    yield made
    left = cgroup_directories(made.prefix.strip("/"))
    for name in {os.path.basename(path) for path in left}:
        release(f"/{name}")
    mounts = [entry.target for entry in mountinfo() if str(tmp_path) in entry.target + entry.super_options]
    assert not mounts, f"mounts left behind: {mounts}"
    assert not left, f"cgroups left behind: {left}"
