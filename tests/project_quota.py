"""A small ext4 with project quotas, on a loop device; and writing until something stops it."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path

from tests.ext4_disk import ext4_disk

from sampan.linux.quota import held_to_limits

PIECE = 100_000


def quota_disk(folder: Path) -> AbstractContextManager[Path]:
    """Where it is mounted; the test is skipped, with the reason, where the kernel has none."""
    return ext4_disk(
        folder,
        *("-O", "quota,project"),
        megabytes=200,
        mounted_with="loop,prjquota",
        lacks="this kernel has no project quotas for ext4",
    )


def write(path: Path, size: int) -> int:
    """Write so many bytes in pieces, as a container does; the errno that stopped it, else 0."""
    try:
        with held_to_limits(), path.open("wb", buffering=0) as file:
            for _ in range(size // PIECE):
                file.write(bytes(PIECE))
    except OSError as error:
        return error.errno or -1
    return 0
