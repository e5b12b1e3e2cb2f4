"""`--storage-opt size=`: how much a container may write, as a project quota where the data root is.

A container's project id comes from its own id. The system calls are `linux/quota`.
"""

from __future__ import annotations

from sampan.errors import InvalidArgument, NotImplementedHere
from sampan.linux import quota
from sampan.sizes import read_size


def size_of(options: dict[str, str]) -> int:
    """The bytes that --storage-opt allows; 0 when it says nothing. Raises InvalidArgument."""
    for key in options:
        if key != "size":
            raise InvalidArgument(f"unknown storage option {key!r}", remedy="only size=BYTES is known")
    if "size" not in options:
        return 0
    try:
        size = read_size(options["size"])
    except ValueError:
        size = 0
    if size <= 0:
        raise InvalidArgument(f"invalid size: {options['size']!r}", remedy="write it as 10G or 500m")
    return size


def check_quota(directory: str) -> None:
    """Raises NotImplementedHere, naming what is missing, when nothing below `directory` can be bounded."""
    try:
        quota.check_quota(directory)
    except OSError as error:
        raise _absent(directory) from error


def bound(container_id: str, size: int, *directories: str) -> None:
    """Let what will be in these empty directories take `size` bytes together. Raises NotImplementedHere, OSError."""
    try:
        quota.bound(int(container_id[:6], 16), size, *directories)
    except OSError as error:
        if not quota.is_absent(error):
            raise
        raise _absent(directories[0]) from error


def _absent(directory: str) -> NotImplementedHere:
    return NotImplementedHere(
        f"--storage-opt size= needs project quotas, which the file system of {directory} does not have here",
        remedy="put the data root on xfs or ext4 (-O quota,project) mounted with prjquota, or leave the option out",
    )
