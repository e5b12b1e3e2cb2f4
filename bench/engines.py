"""The two engines that are compared, each private: roots below one temporary directory, no default path touched.

What an engine keeps while it runs (--exec-root) is on a tmpfs, as below /run on most machines.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent.parent
SAMPAN = str(HERE / ".venv" / "bin" / "sampan")
SAMPAND = str(HERE / ".venv" / "bin" / "sampand")
START_TIMEOUT_S = 60.0


@dataclass(frozen=True, slots=True)
class Engine:
    """A running engine: where it listens, its own command, and its daemon's process."""

    name: str
    socket: str
    command: str
    process: subprocess.Popen[bytes]

    def environment(self) -> dict[str, str]:
        host = f"unix://{self.socket}"
        return {**os.environ, "DOCKER_HOST": host, "SAMPAN_HOST": host, "DOCKER_CLI_HINTS": "false"}

    def run(self, *words: str, command: str = "docker", given: bytes | None = None) -> bytes:
        """Run a command line against this engine; its output. A failure is an error."""
        done = subprocess.run(
            [command, *words],
            env=self.environment(),
            input=given,
            stdin=subprocess.DEVNULL if given is None else None,
            capture_output=True,
            check=False,
        )
        if done.returncode:
            raise RuntimeError(f"{self.name}: {words}: {done.stderr.decode()}")
        return done.stdout


@contextlib.contextmanager
def engines(
    directory: Path | None = None, *, image: bool = True, namespaces: tuple[int, int] | None = None
) -> Iterator[tuple[Engine, Engine]]:
    """Docker and sampan, both running below `directory`, both with the image `bench` unless without `image`.

    With `namespaces` each has its bridge and its rules in a network namespace of its own; else neither has any.
    """
    root = Path(tempfile.mkdtemp(prefix="sampan-bench-", dir=directory))
    started: list[Engine] = []
    try:
        of_docker, of_sampan = namespaces or (-1, -1)
        started.append(_start_docker(root / "docker", of_docker))
        started.append(_start_sampan(root / "sampan", of_sampan))
        archive = busybox_image(root) if image else b""
        for engine in started if image else ():
            engine.run("import", "-", "bench", given=archive)
        yield started[0], started[1]
    finally:
        for engine in started:
            _end(engine)
        _unmount_below(root)
        shutil.rmtree(root, ignore_errors=True)


@contextlib.contextmanager
def sampan_alone(root: Path) -> Iterator[Engine]:
    """sampan alone, its roots and its log below `root`, with the image `bench`."""
    engine = _start_sampan(root, -1)
    try:
        engine.run("import", "-", "bench", given=busybox_image(root))
        yield engine
    finally:
        _end(engine)
        _unmount_below(root)


def _start_docker(root: Path, netns_fd: int) -> Engine:
    _make_volatile(root / "exec")
    socket = str(root / "docker.sock")
    words = ["dockerd", "--data-root", str(root / "data"), "--exec-root", str(root / "exec")]
    words += ["--pidfile", str(root / "pid"), "-H", f"unix://{socket}"]
    process = _start(words, ["--bridge", "none", "--iptables=false"], root / "log", netns_fd)
    return _ready(Engine("docker", socket, "docker", process), root / "log")


def _start_sampan(root: Path, netns_fd: int) -> Engine:
    _make_volatile(root / "run")
    words = [SAMPAND, "--data-root", str(root / "data"), "--exec-root", str(root / "run")]
    process = _start(words, ["--bridge", "none"], root / "log", netns_fd)
    return _ready(Engine("sampan", str(root / "run" / "sampan.sock"), SAMPAN, process), root / "log")


def _make_volatile(place: Path) -> None:
    place.mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", str(place)], check=True)


def _start(words: list[str], alone: list[str], log: Path, netns_fd: int) -> subprocess.Popen[bytes]:
    """Start a daemon inside a network namespace, or here with the words that let it touch no network."""
    inside = ["nsenter", f"--net=/proc/{os.getpid()}/fd/{netns_fd}"]
    with log.open("wb") as file:
        return subprocess.Popen([*words, *alone] if netns_fd < 0 else [*inside, *words], stdout=file, stderr=file)


def _ready(engine: Engine, log: Path) -> Engine:
    end = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < end and engine.process.poll() is None:
        with contextlib.suppress(RuntimeError):
            engine.run("version")
            return engine
        time.sleep(0.1)
    sys.exit(f"bench: {engine.name} did not come up:\n{log.read_text()[-3000:]}")


def busybox_image(root: Path) -> bytes:
    """A root file system with busybox alone, as a tar."""
    tree = root / "tree"
    for name in ("bin", "dev", "etc", "proc", "sys", "tmp"):
        (tree / name).mkdir(parents=True)
    shutil.copy("/bin/busybox", tree / "bin" / "busybox")
    for name in ("sh", "true", "sleep", "cat", "echo", "seq"):
        (tree / "bin" / name).symlink_to("busybox")
    return subprocess.run(["tar", "-C", str(tree), "-cf", "-", "."], capture_output=True, check=True).stdout


def _end(engine: Engine) -> None:
    with contextlib.suppress(RuntimeError):
        ids = engine.run("ps", "-aq").decode().split()
        if ids:
            engine.run("rm", "-f", *ids)
    engine.process.terminate()
    engine.process.wait(60)


def _unmount_below(root: Path) -> None:
    """Unmount what an engine left: dockerd leaves the network namespace of `--network host`."""
    with open("/proc/self/mountinfo", encoding="utf-8") as file:
        targets = [line.split()[4] for line in file]
    for target in reversed(targets):
        if target.startswith(f"{root}/"):
            subprocess.run(["umount", target], check=False)
