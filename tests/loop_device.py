"""A block device of a test's own: a loop device over a file in memory or on disk, gone again afterwards."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def loop_device(image: Path, size: int) -> Iterator[str]:
    """The path of a loop device of `size` bytes, all of them written, over a new file `image`."""
    with image.open("xb") as file:
        for _ in range(size >> 20):
            file.write(bytes(1 << 20))
    found = subprocess.run(["losetup", "-f", "--show", str(image)], capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stderr
    device = found.stdout.strip()
    try:
        yield device
    finally:
        subprocess.run(["losetup", "-d", device], check=True)
        image.unlink()


@contextmanager
def scheduled_by_bfq(device: str) -> Iterator[bool]:
    """Have bfq, which knows weights, decide whose turn it is at `device`; False where the kernel has no bfq."""
    queue = Path("/sys/block", Path(device).name, "queue")
    before = (queue / "scheduler").read_text().partition("[")[2].partition("]")[0]
    with suppress(OSError):
        (queue / "scheduler").write_text("bfq")
    if "[bfq]" not in (queue / "scheduler").read_text():
        yield False
        return
    # weights and nothing else: by default bfq favours whoever seems to be interactive, and keeps a fast disk full
    (queue / "iosched/low_latency").write_text("0")
    (queue / "iosched/strict_guarantees").write_text("1")
    try:
        yield True
    finally:
        (queue / "scheduler").write_text(before)
