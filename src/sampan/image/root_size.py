"""`--storage-opt size=`: how much a container may write, as a project quota where the data root is.

A container's project id comes from its own id; one that has a limit already is another's, and the next one is taken.
So nothing has to be kept but what the file system keeps. The system calls are `linux/quota`.
"""

from __future__ import annotations

import errno
import os
import re
from contextlib import suppress

from sampan.errors import InvalidArgument, NotImplementedHere
from sampan.linux.quota import block_limit, project_of, set_block_limit, set_project

_SIZE = re.compile(r"(\d+(?:\.\d+)?) ?([kmgtp]?)(?:i?b)?", re.IGNORECASE)
_UNITS = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40, "p": 1 << 50}
_FIRST = 0x5A000000
_ABSENT = {errno.EOPNOTSUPP, errno.ENOTTY, errno.ENOSYS, errno.ESRCH, errno.EINVAL, errno.EPERM, errno.ENOENT}
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


def size_of(options: dict[str, str]) -> int:
    """The bytes that --storage-opt allows; 0 when it says nothing. Raises InvalidArgument."""
    for key in options:
        if key != "size":
            raise InvalidArgument(f"unknown storage option {key!r}", remedy="only size=BYTES is known")
    if "size" not in options:
        return 0
    found = _SIZE.fullmatch(options["size"].strip())
    size = int(float(found[1]) * _UNITS[found[2].lower()]) if found else 0
    if size <= 0:
        raise InvalidArgument(f"invalid size: {options['size']!r}", remedy="write it as 10G or 500m")
    return size


def check_quota(directory: str) -> None:
    """Raises NotImplementedHere, naming what is missing, when nothing below `directory` can be bounded."""
    fd = os.open(directory, _DIRECTORY)
    try:
        project_of(fd)
        block_limit(fd, _FIRST)
    except OSError as error:
        raise _absent(directory, error) from error
    finally:
        os.close(fd)


def bound(container_id: str, size: int, *directories: str) -> None:
    """Let what will be in these empty directories take `size` bytes together. Raises NotImplementedHere."""
    fds = [os.open(path, _DIRECTORY) for path in directories]
    try:
        project = _FIRST | int(container_id[:6], 16)
        while block_limit(fds[0], project):
            project += 1
        set_block_limit(fds[0], project, size)
        for fd in fds:
            set_project(fd, project)
    except OSError as error:
        if error.errno not in _ABSENT:
            raise
        raise _absent(directories[0], error) from error
    finally:
        for fd in fds:
            os.close(fd)


def unbound(directory: str) -> None:
    """Forget the limit of the project that a directory has; nothing happens when it has none or is not there."""
    with suppress(OSError):
        fd = os.open(directory, _DIRECTORY)
        try:
            project = project_of(fd)
            if project >= _FIRST:
                set_block_limit(fd, project, 0)
        finally:
            os.close(fd)


def _absent(directory: str, error: OSError) -> NotImplementedHere:
    return NotImplementedHere(
        f"--storage-opt size= needs project quotas on the file system of {directory}: {os.strerror(error.errno or 0)}",
        remedy="put the data root on xfs or ext4 (-O quota,project) mounted with prjquota, or leave the option out",
    )
