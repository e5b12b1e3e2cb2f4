"""A small ext4 of a test's own, on a loop device."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def ext4_disk(folder: Path, *made_with: str, megabytes: int, mounted_with: str, lacks: str) -> Iterator[Path]:
    """Where it is mounted, `made_with` being words for mkfs.ext4 and `mounted_with` options.

    The test is skipped where it cannot be mounted; `lacks` says what is missing then.
    """
    if shutil.which("mkfs.ext4") is None:
        pytest.skip("needs mkfs.ext4: apt-get install e2fsprogs")
    image, path = folder / "image", folder / "disk"
    path.mkdir()
    with image.open("wb") as file:
        file.truncate(megabytes << 20)
    subprocess.run(["mkfs.ext4", "-q", *made_with, str(image)], check=True, capture_output=True)
    mounted = subprocess.run(
        ["mount", "-o", mounted_with, str(image), str(path)], check=False, capture_output=True, text=True
    )
    if mounted.returncode:
        pytest.skip(f"{lacks}: {mounted.stderr.strip()}")
    try:
        yield path
    finally:
        subprocess.run(["umount", "-l", str(path)], check=True)
