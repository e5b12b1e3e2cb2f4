"""The OCI command line as its callers use it: a bundle with busybox, a --root of its own, and the program itself.

Every container's id, and with it its cgroup, starts with "sampan-test-"; what a test leaves running is deleted, and
what it leaves behind fails it.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import pytest

import sampan
from sampan.cgroup import open_cgroup

PROGRAM = "import sys; sys.path[:0] = {paths!r}; from sampan.runtime.__main__ import main; sys.exit(main())"
QUIET = ["nosuid", "noexec", "nodev"]
SPEC: dict[str, Any] = {
    "ociVersion": "1.2.0",
    "process": {
        "args": ["true"],
        "cwd": "/",
        "env": ["PATH=/bin", "COLOUR=blue"],
        "user": {"uid": 0, "gid": 0},
        "capabilities": {name: ["CAP_KILL"] for name in ("bounding", "effective", "permitted")},
        "noNewPrivileges": True,
    },
    "root": {"path": "rootfs"},
    "hostname": "boat",
    "mounts": [
        {"destination": "/proc", "type": "proc", "source": "proc"},
        {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "mode=755"]},
        {"destination": "/dev/pts", "type": "devpts", "source": "devpts", "options": ["newinstance", "ptmxmode=0666"]},
        {"destination": "/sys", "type": "sysfs", "source": "sysfs", "options": [*QUIET, "ro"]},
    ],
    "linux": {
        "namespaces": [{"type": kind} for kind in ("pid", "network", "ipc", "uts", "mount", "cgroup")],
        "resources": {"devices": [{"allow": False, "access": "rwm"}]},
    },
}
_numbers = itertools.count()


def interpreter() -> list[str]:
    """The program as a command of its own: what `.venv/bin/sampan-runtime` does."""
    paths = [sampan.__path__[0].removesuffix("/sampan"), *(path for path in sys.path if path.endswith("site-packages"))]
    return [sys.executable, "-I", "-S", "-c", PROGRAM.format(paths=paths)]


@dataclass(frozen=True)
class Done:
    """What became of a command line."""

    returncode: int
    stdout: str
    stderr: str


def with_descriptor(path: Path) -> list[str]:
    """The program as one that has the file open as descriptor 3, and no other one."""
    return ["sh", "-c", 'exec 3<"$0"; exec "$@"', str(path), *interpreter()]


@dataclass
class Runtime:
    """`sampan-runtime --root …` with a bundle; calling it runs a command line and returns what it said."""

    root: Path
    bundle: Path
    program: list[str] = field(default_factory=interpreter)
    ids: list[str] = field(default_factory=list)

    def __call__(
        self,
        *words: str,
        input: str = "",
        env: dict[str, str] | None = None,
    ) -> Done:
        # into files, as a detached container keeps a pipe open
        with _file() as given, _file() as out, _file() as err:
            given.write(input)
            given.seek(0)
            command = [*self.program, "--root", str(self.root), *words]
            done = subprocess.run(
                command,
                cwd=self.bundle,
                stdin=given,
                stdout=out,
                stderr=err,
                env=env,
                timeout=60,
                check=False,
            )
            out.seek(0)
            err.seek(0)
            return Done(done.returncode, out.read(), err.read())

    def ok(self, *words: str, **options: Any) -> str:
        """Its output, when it succeeds; the test fails when it does not."""
        done = self(*words, **options)
        assert done.returncode == 0, f"{words}: {done.returncode}: {done.stderr}{done.stdout}"
        return done.stdout

    def refused(self, *words: str, code: int = 1, **options: Any) -> str:
        """Its error, when it fails with `code`."""
        done = self(*words, **options)
        assert done.returncode == code, f"{words}: {done.returncode}: {done.stderr}{done.stdout}"
        return done.stderr

    def new_id(self) -> str:
        """An id that nobody else has."""
        self.ids.append(f"sampan-test-oci-{os.getpid()}-{next(_numbers)}")
        return self.ids[-1]

    def write(self, *args: str, **changes: Any) -> None:
        """Write config.json: `args` are the program, one word is a shell script; `changes` are paths with __."""
        spec = json.loads(json.dumps(SPEC))
        if args:
            spec["process"]["args"] = list(args) if len(args) > 1 else ["sh", "-c", *args]
        for path, value in changes.items():
            *parents, last = path.split("__")
            place = spec
            for name in parents:
                place = place.setdefault(name, {})
            place[last] = value
        (self.bundle / "config.json").write_text(json.dumps(spec))

    def state(self, name: str) -> dict[str, Any]:
        """The state document."""
        document: dict[str, Any] = json.loads(self.ok("state", name))
        return document

    def wait_for(self, name: str, status: str) -> None:
        """Wait until the container has that status."""
        wait_until(lambda: self.state(name)["status"] == status, f"{name} is {status}")

    def running(self, *args: str, **changes: Any) -> str:
        """The id of a container that runs detached."""
        self.write(*(args or ("sleep", "1000")), **changes)
        name = self.new_id()
        self.ok("run", "-d", name)
        return name


def wait_until(is_so: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + 60
    while not is_so():
        assert time.monotonic() < deadline, f"waited in vain: {what}"
        time.sleep(0.02)


@pytest.fixture(scope="session")
def busybox_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A root directory with busybox and a few of its names."""
    root = tmp_path_factory.mktemp("busybox") / "rootfs"
    for name in ("bin", "etc", "proc", "sys", "dev", "tmp", "root"):
        (root / name).mkdir(parents=True)
    shutil.copy("/bin/busybox", root / "bin/busybox")
    names = (
        "sh sleep cat echo id ls true false kill ps env pwd grep stty tty hostname mkdir touch stat readlink trap head"
    )
    for name in names.split():
        (root / "bin" / name).symlink_to("busybox")
    (root / "etc/passwd").write_text("root:x:0:0::/root:/bin/sh\n")
    return root


@pytest.fixture
def runtime(tmp_path: Path, busybox_root: Path) -> Iterator[Runtime]:
    bundle = tmp_path / "bundle"
    bundle.mkdir()
    subprocess.run(["cp", "-a", str(busybox_root), str(bundle / "rootfs")], check=True)
    runtime = Runtime(tmp_path / "root", bundle)
    runtime.write()
    yield runtime
    for name in runtime.ids:
        runtime("delete", "--force", name)
    left = [name for name in runtime.ids if _has_cgroup(name)]
    assert not left, f"cgroups are left of {left}"
    assert not runtime.root.exists() or not os.listdir(runtime.root)
    mounts = Path("/proc/self/mountinfo").read_text()
    assert str(tmp_path) not in mounts


def _has_cgroup(name: str) -> bool:
    cgroup = open_cgroup(f"/{name}")
    try:
        return cgroup.exists()
    finally:
        cgroup.close()


def end(pid: int) -> None:
    """Kill a process that a test started."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def _file() -> IO[str]:
    return tempfile.TemporaryFile("w+", newline="")
