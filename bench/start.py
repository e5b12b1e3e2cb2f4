"""Create + start + wait + delete of `true` with all namespaces: launch(), the launcher, sampan-runtime, runc and crun.

One bundle in one run, the ways taking turns (A B C A B C …), so that whatever else the machine does hits all of them.
`wall` is what a clock shows; `cpu` is user and system time of everything that a start costs, which a busy machine
disturbs less. The container has its own pid, mount, network, ipc, uts and cgroup namespaces, /proc, /dev, /sys and
cgroup mounts, Docker's masked and read-only paths, capabilities and no seccomp filter; its root is a directory with a
static busybox.

    ./dev bench start [--rounds 15] [--each 4] [--json FILE]

crun refuses hybrid cgroups: it gets a private mount namespace without the unified tree.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import pickle
import resource
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

SOURCE = str(Path(__file__).resolve().parents[1] / "src")
if SOURCE not in sys.path:
    sys.path.insert(0, SOURCE)

from bench.measure import OURS, Row  # noqa: E402 - after the path is set

PROGRAMS = Path(sys.executable).parent
DEVICE_OPTIONS = ["nosuid", "noexec", "nodev"]
CAPABILITIES = [
    f"CAP_{name}"
    for name in (
        "CHOWN DAC_OVERRIDE FSETID FOWNER MKNOD NET_RAW SETGID SETUID SETFCAP SETPCAP NET_BIND_SERVICE SYS_CHROOT KILL "
        "AUDIT_WRITE"
    ).split()
]
CONFIG: dict[str, Any] = {
    "ociVersion": "1.0.2",
    "process": {
        "user": {"uid": 0, "gid": 0},
        "args": ["true"],
        "env": ["PATH=/bin", "HOME=/"],
        "cwd": "/",
        "capabilities": dict.fromkeys(("bounding", "effective", "permitted"), CAPABILITIES),
    },
    "root": {"path": "rootfs"},
    "hostname": "bench",
    "mounts": [
        {"destination": "/proc", "type": "proc", "source": "proc", "options": DEVICE_OPTIONS},
        {
            "destination": "/dev",
            "type": "tmpfs",
            "source": "tmpfs",
            "options": ["nosuid", "strictatime", "mode=755", "size=65536k"],
        },
        {
            "destination": "/dev/pts",
            "type": "devpts",
            "source": "devpts",
            "options": ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"],
        },
        {"destination": "/sys", "type": "sysfs", "source": "sysfs", "options": [*DEVICE_OPTIONS, "ro"]},
        {"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup", "options": [*DEVICE_OPTIONS, "ro"]},
        {"destination": "/dev/mqueue", "type": "mqueue", "source": "mqueue", "options": DEVICE_OPTIONS},
        {
            "destination": "/dev/shm",
            "type": "tmpfs",
            "source": "shm",
            "options": [*DEVICE_OPTIONS, "mode=1777", "size=65536k"],
        },
    ],
    "linux": {
        "namespaces": [{"type": kind} for kind in ("pid", "mount", "network", "ipc", "uts", "cgroup")],
        "maskedPaths": [
            "/proc/acpi",
            "/proc/interrupts",
            "/proc/kcore",
            "/proc/keys",
            "/proc/latency_stats",
            "/proc/timer_list",
            "/proc/sched_debug",
            "/proc/scsi",
            "/sys/firmware",
            "/sys/devices/virtual/powercap",
        ],
        "readonlyPaths": ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"],
        "resources": {"devices": [{"allow": False, "access": "rwm"}]},
    },
}


NAMES = {
    "launch()": "`launch()` in a warm process",
    "launcher + monitor": "launcher and monitor, with log and exit record",
    "sampan-runtime run": "`sampan-runtime run`, cold",
}
AHEAD = "sampan-test-bench-ahead"  # the cgroup of the launcher's way, which is there before the plan is
BUDGETS = {"launcher + monitor": 0.25}


@dataclass
class Way:
    """One way to start a container; `take` returns wall and cpu seconds of one."""

    name: str
    take: Callable[[str], tuple[float, float]]
    wall: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)


def make_bundle(directory: Path, cgroup: str) -> Path:
    """A bundle over a busybox root."""
    busybox = Path("/bin/busybox")
    if not busybox.exists():
        sys.exit("bench/start.py needs /bin/busybox (Debian: busybox-static)")
    root = directory / "rootfs"
    for name in ("bin", "etc", "proc", "sys", "dev"):
        (root / name).mkdir(parents=True)
    shutil.copy(busybox, root / "bin" / "busybox")
    (root / "bin" / "true").symlink_to("busybox")
    config = json.loads(json.dumps(CONFIG))
    config["linux"]["cgroupsPath"] = cgroup
    (directory / "config.json").write_text(json.dumps(config))
    return directory


def children_cpu() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def command(words: list[str], bundle: Path, *, without_unified: bool = False) -> Callable[[str], tuple[float, float]]:
    """A runtime's `run`, from its own cold start to the deleted container."""

    def take(name: str) -> tuple[float, float]:
        before = children_cpu()
        started = time.perf_counter()
        subprocess.run(
            [*words, "run", "--bundle", str(bundle), name],
            check=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            preexec_fn=hide_unified if without_unified else None,
        )
        return time.perf_counter() - started, children_cpu() - before

    return take


def hide_unified() -> None:
    from sampan.linux.mount import AT_FDCWD, Propagation, UmountFlag, mount_setattr, umount
    from sampan.linux.namespace import CloneFlag, unshare

    unshare(CloneFlag.NEWNS)
    mount_setattr(AT_FDCWD, "/", propagation=Propagation.PRIVATE, recursive=True)
    umount("/sys/fs/cgroup/unified", UmountFlag.DETACH)


class Worker:
    """A warm process that has imported only what a start needs, and launches on demand."""

    def __init__(self, plan: Any, directory: Path) -> None:
        path = directory / "plan"
        path.write_bytes(pickle.dumps(plan))
        worker = str(Path(__file__).with_name("start_worker.py"))
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", worker, SOURCE, str(path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def take(self, _: str) -> tuple[float, float]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        wall, cpu = self._process.stdout.readline().split()
        return float(wall), float(cpu)

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()


class Launcher:
    """The engine's way: the launcher forks a monitor, which launches, serves, writes the exit record and releases.

    As with `run --rm` the record is not waited for by the disk, since nothing of the container stays.
    """

    def __init__(self, plan: Any, directory: Path) -> None:
        from sampan.launcher.spawn import spawn_launcher

        self._plan = replace(plan, id=AHEAD, cgroup=replace(plan.cgroup, path=f"/{AHEAD}"))
        self._directory = directory
        self._pid, self._connection = spawn_launcher()
        self._number = 0
        self._prepare()

    def _prepare(self) -> None:
        from sampan.monitor import handle
        from sampan.runtime.ahead import model_of

        self._spare = handle.prepare(self._connection)
        model = model_of(self._plan, AHEAD)
        assert model is not None
        handle.expect(self._spare, model)
        time.sleep(0.05)

    def take(self, _: str) -> tuple[float, float]:
        from sampan.monitor import handle, protocol
        from sampan.monitor.log_plan import LogPlan
        from sampan.monitor.protocol import Exited, Go, Gone, MonitorPlan, Ready

        self._number += 1
        home = self._directory / f"ship{self._number}"
        home.mkdir()
        whole = MonitorPlan(self._plan, str(home), str(home), LogPlan("json-file", str(home / "log")), durable=False)
        before = self._cpu()
        started = time.perf_counter()
        monitor = self._spare
        handle.launch_prepared(monitor, whole)
        monitor.settimeout(60)
        hear_until(monitor, Ready)
        protocol.send(monitor, Go())
        hear_until(monitor, Exited)
        monitor.close()
        hear_until(self._connection, Gone)
        wall = time.perf_counter() - started
        self._prepare()
        return wall, self._cpu() - before

    def _cpu(self) -> float:
        fields = Path(f"/proc/{self._pid}/stat").read_text().rpartition(")")[2].split()
        return sum(int(field) for field in fields[11:15]) / os.sysconf("SC_CLK_TCK")

    def close(self) -> None:
        self._connection.close()
        os.waitpid(self._pid, 0)


def hear_until(connection: socket.socket, kind: type) -> None:
    from sampan.monitor import protocol

    while (packet := protocol.receive(connection)) is not None:
        if isinstance(packet[0], kind):
            return
    raise ConnectionError(f"no {kind.__name__}")


@contextlib.contextmanager
def ways(directory: Path) -> Iterator[list[Way]]:
    """Every way that this machine has."""
    from sampan.oci.runtime_documents import decode_spec
    from sampan.runtime.plan import plan_launch

    bundle = make_bundle(directory / "bundle", "/sampan-test-bench")
    spec = decode_spec((bundle / "config.json").read_bytes())
    plan = plan_launch(spec, id="bench", bundle=str(bundle))
    with contextlib.ExitStack() as undo:
        worker = Worker(plan, directory)
        undo.callback(worker.close)
        launcher = Launcher(plan, directory)
        undo.callback(launcher.close)
        found = [Way("launch()", worker.take), Way("launcher + monitor", launcher.take)]
        own = PROGRAMS / "sampan-runtime"
        if own.exists():
            found.append(Way("sampan-runtime run", command([str(own)], bundle)))
        for name in ("runc", "crun"):
            program = shutil.which(name)
            if program:
                hybrid = os.path.isdir("/sys/fs/cgroup/unified")
                root = ["--root", str(directory / name)]
                found.append(
                    Way(f"{name} run", command([program, *root], bundle, without_unified=name == "crun" and hybrid))
                )
        yield found


def measure(found: list[Way], rounds: int, each: int) -> None:
    for number in range(rounds):
        for way in found:
            for repetition in range(each):
                wall, cpu = way.take(f"bench-{number}-{repetition}")
                if number:  # the first round warms caches
                    way.wall.append(wall * 1e3)
                    way.cpu.append(cpu * 1e3)


def report(found: list[Way]) -> list[dict[str, Any]]:
    base = next((way for way in found if way.name.startswith("runc")), found[0])
    rows = []
    print(f"{'ms':<22}{'wall median':>12}{'min':>8}{'max':>9}{'cpu mean':>10}{'wall/runc':>11}{'cpu/runc':>10}")
    for way in found:
        wall, cpu = statistics.median(way.wall), statistics.mean(way.cpu)
        ratios = wall / statistics.median(base.wall), cpu / statistics.mean(base.cpu)
        print(
            f"{way.name:<22}{wall:>12.2f}{min(way.wall):>8.2f}{max(way.wall):>9.2f}{cpu:>10.2f}"
            f"{ratios[0]:>11.3f}{ratios[1]:>10.3f}"
        )
        rows.append({"way": way.name, "wall_ms": way.wall, "cpu_ms": way.cpu, "wall_to_runc": ratios[0]})
    return rows


def rows(rounds: int) -> list[Row]:
    """Each way of ours against runc, with crun beside it."""
    with tempfile.TemporaryDirectory(prefix="sampan-bench-") as name, ways(Path(name)) as found:
        measure(found, rounds + 1, 1)
    taken = {way.name: tuple(way.wall) for way in found}
    peers = {name: taken.pop(f"{name} run") for name in ("runc", "crun") if f"{name} run" in taken}
    return [
        Row(NAMES[name], {"runc": peers.get("runc", ()), OURS: wall, **peers}, BUDGETS.get(name, 0), reference="runc")
        for name, wall in taken.items()
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--each", type=int, default=4)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="sampan-bench-") as name, ways(Path(name)) as found:
        measure(found, arguments.rounds + 1, arguments.each)
        print(f"load average {os.getloadavg()[0]:.1f}, {os.cpu_count()} cpus, Linux {os.uname().release}")
        rows = report(found)
        if arguments.json:
            arguments.json.write_text(json.dumps(rows))


if __name__ == "__main__":
    main()
