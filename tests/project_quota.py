"""A small ext4 with project quotas, on a loop device; and writing until something stops it."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from sampan.linux.quota import held_to_limits

PIECE = 100_000


@contextmanager
def quota_disk(folder: Path) -> Iterator[Path]:
    """Where it is mounted; the test is skipped, with the reason, where the kernel has none."""
    if shutil.which("mkfs.ext4") is None:
        pytest.skip("needs mkfs.ext4: apt-get install e2fsprogs")
    image, path = folder / "image", folder / "disk"
    path.mkdir()
    with image.open("wb") as file:
        file.truncate(200 << 20)
    subprocess.run(["mkfs.ext4", "-q", "-O", "quota,project", str(image)], check=True, capture_output=True)
    mounted = subprocess.run(
        ["mount", "-o", "loop,prjquota", str(image), str(path)], check=False, capture_output=True, text=True
    )
    if mounted.returncode:
        pytest.skip(f"this kernel has no project quotas for ext4: {mounted.stderr.strip()}")
    try:
        yield path
    finally:
        subprocess.run(["umount", "-l", str(path)], check=True)


def write(path: Path, size: int) -> int:
    """Write so many bytes in pieces, as a container does; the errno that stopped it, else 0."""
    try:
        with held_to_limits(), path.open("wb", buffering=0) as file:
            for _ in range(size // PIECE):
                file.write(bytes(PIECE))
    except OSError as error:
        return error.errno or -1
    return 0
