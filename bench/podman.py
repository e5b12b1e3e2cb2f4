"""Podman beside the two: no daemon, roots of its own, and on hybrid hosts a mount namespace without the unified tree.

crun, which Podman runs containers with, refuses cgroup v1 beside v2; without the tree of v2 it sees v1 alone.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from bench.engines import busybox_image

UNIFIED = "/sys/fs/cgroup/unified"


@dataclass(frozen=True, slots=True)
class Podman:
    """Podman with its roots below one directory; every command of it is run inside a mount namespace of its own."""

    root: Path
    mount_namespace: int
    words: list[str] = field(default_factory=list)

    def run(self, *words: str, given: bytes | None = None) -> bytes:
        """Run a command line; its output. A failure is an error."""
        done = subprocess.run(
            [*self.words, *words],
            input=given,
            stdin=subprocess.DEVNULL if given is None else None,
            capture_output=True,
            check=False,
            env={**os.environ, "PODMAN_IGNORE_CGROUPSV1_WARNING": "1"},
            preexec_fn=self._enter,
        )
        if done.returncode:
            raise RuntimeError(f"Podman: {words}: {done.stderr.decode()}")
        return done.stdout

    def _enter(self) -> None:
        os.setns(self.mount_namespace, os.CLONE_NEWNS)


@contextlib.contextmanager
def podman() -> Iterator[Podman | None]:
    """Podman with the image `bench`; None where it is not installed or runs no container."""
    if shutil.which("podman") is None:
        yield None
        return
    root = Path(tempfile.mkdtemp(prefix="sampan-bench-podman-"))
    roots = [word for name in ("root", "runroot", "tmpdir") for word in (f"--{name}", str(root / name))]
    namespace = _private_mounts()
    cgroups = _cgroups()
    engine = Podman(root, namespace, ["podman", *roots, "--cgroup-manager", "cgroupfs"])
    try:
        usable = True
        try:
            engine.run("import", "-", "bench", given=busybox_image(root))
            engine.run("run", "--rm", "--network", "none", "bench", "true")
        except RuntimeError as error:
            print(f"without Podman: {error}")
            usable = False
        yield engine if usable else None
    finally:
        with contextlib.suppress(RuntimeError):
            engine.run("rm", "-f", "-t0", "--all")
        os.close(namespace)  # the mounts go with it
        shutil.rmtree(root, ignore_errors=True)
        for path in _cgroups() - cgroups:
            _remove_tree(path)


def _private_mounts() -> int:
    """A mount namespace where nothing of the unified tree is seen, as a descriptor."""
    told, tell = os.pipe()
    child = os.fork()
    if child == 0:
        with contextlib.suppress(BaseException):
            os.unshare(os.CLONE_NEWNS)
            subprocess.run(["mount", "--make-rprivate", "/"], check=True)
            if os.path.ismount(UNIFIED):
                subprocess.run(["umount", UNIFIED], check=True)
            os.write(tell, b"1")
            os.kill(os.getpid(), 19)  # until its namespace was opened
        os._exit(1)
    os.close(tell)
    try:
        if os.read(told, 1) != b"1":
            raise RuntimeError("no mount namespace of its own")
        return os.open(f"/proc/{child}/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
    finally:
        os.close(told)
        os.kill(child, 9)
        os.waitpid(child, 0)


def _cgroups() -> set[Path]:
    """What Podman makes and leaves in each hierarchy."""
    return set(Path("/sys/fs/cgroup").glob("*/libpod_parent")) | set(Path("/sys/fs/cgroup").glob("libpod_parent"))


def _remove_tree(path: Path) -> None:
    """Remove a cgroup with all below it, or the plain directories of a hierarchy that is not mounted."""
    for folder, _, files in os.walk(path, topdown=False):
        for name in files:
            with contextlib.suppress(OSError):  # files of a cgroup go with it
                os.unlink(f"{folder}/{name}")
        with contextlib.suppress(OSError):
            os.rmdir(folder)
