"""Images side by side with Docker: the same docker command, the same archives, the same registry on loopback.

Both engines have their data roots on a file system of their own, made anew: tmpfs, which says what the engine costs and
not the disk, or with `--on DIRECTORY` wherever that is. What is timed is load, import, pull, save and commit; what is
removed between two turns is not timed.

    ./dev bench images [--runs 5] [--debian ARCHIVE] [--on DIRECTORY] [--only WORD]

The image of about 11 000 files is made by mmdebstrap (trixie with python3 and git) unless `--debian` names its archive.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import socket
import subprocess
import tarfile
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

from bench.engines import Engine, engines
from bench.image_archives import large_layer, layered_image, small_files
from bench.measure import OURS, Row, table

REGISTRY = """version: 0.1
storage: {{filesystem: {{rootdirectory: {root}}}}}
http: {{addr: "127.0.0.1:{port}"}}
log: {{level: error, accesslog: {{disabled: true}}}}
"""
LAYERS = 6
LARGE_BYTES = 2 << 30
PULL_LIMIT_MB = 150


class Bench:
    """The two engines, a scratch directory, and how often a work is done."""

    def __init__(self, first: Engine, second: Engine, scratch: Path, runs: int) -> None:
        self.first, self.second, self.scratch, self.runs = first, second, scratch, runs

    def compare(
        self,
        name: str,
        work: Callable[[Engine], object],
        undo: Callable[[Engine], object],
        budget: float,
    ) -> Row:
        """Both in turn, each undone after its turn; one turn each before the first does not count."""
        times: dict[str, list[float]] = {"Docker": [], OURS: []}
        for turn in range(self.runs + 1):
            for side, engine in (("Docker", self.first), (OURS, self.second)):
                start = time.perf_counter()
                work(engine)
                taken = (time.perf_counter() - start) * 1000
                undo(engine)
                if turn:
                    times[side].append(taken)
        return Row(name, {side: tuple(taken) for side, taken in times.items()}, budget)


def archives(bench: Bench) -> Iterator[Row]:
    """load and import of 10 000 small files."""
    tree = small_files(bench.scratch / "small.tar")
    image = layered_image(tree, bench.scratch / "small-image.tar", "small:1", 1)

    def remove(engine: Engine) -> None:
        engine.run("rmi", "-f", "small:1")

    yield bench.compare("load of 10 000 small files", lambda e: e.run("load", "-i", str(image)), remove, 0.30)
    yield bench.compare("import of 10 000 small files", lambda e: e.run("import", str(tree), "small:1"), remove, 0.30)


def debian(bench: Bench, tree: Path) -> Iterator[Row]:
    """load, save and pull of a Debian image, and commit over it."""
    image = layered_image(tree, bench.scratch / "debian-image.tar", "debian:bench", 1)
    with tarfile.open(tree) as tar:
        files = sum(1 for _ in tar)
    what = f"a Debian image ({files} files, {tree.stat().st_size >> 20} MB)"

    def remove(engine: Engine) -> None:
        engine.run("rmi", "-f", "debian:bench")

    yield bench.compare(f"load of {what}", lambda e: e.run("load", "-i", str(image)), remove, 0.35)
    for engine in (bench.first, bench.second):
        engine.run("load", "-i", str(image))
    saved = bench.scratch / "saved.tar"
    yield bench.compare(
        f"save of {what}", lambda e: e.run("save", "-o", str(saved), "debian:bench"), lambda _: saved.unlink(), 0.60
    )
    yield commit(bench)
    for engine in (bench.first, bench.second):
        remove(engine)


def commit(bench: Bench) -> Row:
    """A container writes 50 MB, and is committed."""
    words = ["dd", "if=/dev/urandom", "of=/written", "bs=1M", "count=50"]
    for engine in (bench.first, bench.second):
        engine.run("run", "--name", "writer", "--network", "none", "debian:bench", *words)
    row = bench.compare(
        "commit after 50 MB",
        lambda e: e.run("commit", "writer", "committed"),
        lambda e: e.run("rmi", "-f", "committed"),
        0.60,
    )
    for engine in (bench.first, bench.second):
        engine.run("rm", "writer")
    return row


def pulls(bench: Bench, tree: Path) -> Iterator[Row]:
    """pull of a Debian image in six layers, compressed by Docker, from a registry on loopback."""
    with registry(bench.scratch / "registry") as domain:
        name = f"{domain}/debian:layers"
        image = layered_image(tree, bench.scratch / "layers.tar", name, LAYERS)
        bench.first.run("load", "-i", str(image))
        bench.first.run("push", name)
        bench.first.run("rmi", name)

        def remove(engine: Engine) -> None:
            engine.run("rmi", "-f", name)

        yield bench.compare(f"pull of the same in {LAYERS} layers", lambda e: e.run("pull", name), remove, 0.40)


def memory(bench: Bench) -> Row:
    """The most memory that the daemon has while it pulls a layer of 2 GB."""
    with registry(bench.scratch / "registry") as domain:
        name = f"{domain}/large:1"
        image = layered_image(large_layer(bench.scratch / "large.tar", LARGE_BYTES), bench.scratch / "l.tar", name, 1)
        bench.first.run("load", "-i", str(image))
        bench.first.run("push", name)
        bench.first.run("rmi", name)
        image.unlink()
        (bench.scratch / "large.tar").unlink()
        peaks = {side: (_peak_mb(engine, name),) for side, engine in (("Docker", bench.first), (OURS, bench.second))}
        return Row("most memory of the daemon in a pull of 2 GB", peaks, limit=PULL_LIMIT_MB, unit="MB")


def _peak_mb(engine: Engine, name: str) -> float:
    """VmHWM of a pull (proc_pid_status(5)), which clear_refs sets back."""
    status = Path(f"/proc/{engine.process.pid}/status")
    Path(f"/proc/{engine.process.pid}/clear_refs").write_text("5")
    engine.run("pull", name)
    peak = next(int(line.split()[1]) for line in status.read_text().splitlines() if line.startswith("VmHWM"))
    engine.run("rmi", "-f", name)
    return peak / 1024


@contextlib.contextmanager
def registry(directory: Path) -> Iterator[str]:
    """Debian's docker-registry on a free port of loopback; its domain."""
    directory.mkdir(exist_ok=True)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    config = directory / "config.yml"
    config.write_text(REGISTRY.format(root=directory / "data", port=port))
    process = subprocess.Popen(
        ["docker-registry", "serve", str(config)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        for _ in range(300):
            with contextlib.suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}/v2/"):
                break
            time.sleep(0.05)
        yield f"127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()
        shutil.rmtree(directory)


@contextlib.contextmanager
def file_system(on: str) -> Iterator[Path]:
    """A directory for all of it: on a tmpfs of its own, or below `on`."""
    root = Path(tempfile.mkdtemp(prefix="sampan-bench-", dir=on or None))
    try:
        if not on:
            subprocess.run(["mount", "-t", "tmpfs", "-o", "size=75%", "tmpfs", str(root)], check=True)
        yield root
    finally:
        if not on:
            subprocess.run(["umount", str(root)], check=True)
        shutil.rmtree(root, ignore_errors=True)


def debian_tree(path: str, scratch: Path) -> Path:
    """The archive of the Debian tree, made by mmdebstrap when there is none."""
    if path:
        return Path(shutil.copy(path, scratch / "debian.tar"))
    words = ["mmdebstrap", "--quiet", "--variant=minbase", "--include=python3,git", "trixie"]
    subprocess.run([*words, str(scratch / "debian.tar")], check=True)
    return scratch / "debian.tar"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--debian", default="", metavar="ARCHIVE")
    parser.add_argument("--on", default="", metavar="DIRECTORY")
    parser.add_argument("--only", default="", choices=("", "archives", "debian", "pulls", "memory"))
    options = parser.parse_args()
    print(table(rows(options.runs, debian_archive=options.debian, on=options.on, only=options.only)))


def rows(runs: int, *, debian_archive: str = "", on: str = "", only: str = "") -> list[Row]:
    """Every comparison, or those of one word."""
    os.environ["DOCKER_CLI_HINTS"] = "false"
    wanted = {only} if only else {"archives", "debian", "pulls", "memory"}
    found: list[Row] = []
    with file_system(on) as root, engines(root, image=False) as pair:
        scratch = root / "scratch"
        scratch.mkdir()
        bench = Bench(*pair, scratch, runs)
        if "archives" in wanted:
            found += archives(bench)
        if wanted & {"debian", "pulls"}:
            tree = debian_tree(debian_archive, scratch)
            found += debian(bench, tree) if "debian" in wanted else ()
            found += pulls(bench, tree) if "pulls" in wanted else ()
        if "memory" in wanted:
            found.append(memory(bench))
    return found


if __name__ == "__main__":
    main()
