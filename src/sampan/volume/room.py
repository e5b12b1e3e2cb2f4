"""`size=` of the driver local: how much a volume may take, as a project quota on the file system of the volumes.

The limit is that of the directory `_data`. Snapshots do not count; one that is put back gets a limit of its own before
it takes the old content's place. The system calls are `linux/quota`.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Callable

from sampan.errors import NotImplementedHere
from sampan.linux.quota import bound, bound_of, check_quota, is_absent, unbound

_NEW = ".new"


def check_room(path: str, size: int) -> None:
    """Raises NotImplementedHere, naming what is missing, when a `size` is asked for that is not held below `path`."""
    if not size:
        return
    try:
        check_quota(path)
    except OSError as error:
        if not is_absent(error):
            raise
        raise NotImplementedHere(
            "quota size requested but no quota support: "
            f"the file system of {path} has no project quotas ({os.strerror(error.errno or 0)})",
            remedy="put the data root on xfs or ext4 (-O quota,project) mounted with prjquota, or keep the volume in "
            "memory: --opt type=tmpfs --opt device=tmpfs --opt o=size=BYTES",
        ) from error


def make_with_room(path: str, size: int, throw_away: Callable[[str], None]) -> None:
    """Make the directory `path`, whose content may take `size` bytes, or any number when that is 0. Raises OSError.

    Never is it there without its limit.
    """
    if not size:
        os.mkdir(path, 0o755)
        os.chmod(path, 0o755)
        return
    new = f"{path}{_NEW}"
    unbound(new)
    throw_away(new)
    os.mkdir(new, 0o755)
    bound(zlib.crc32(path.encode()), size, new)
    os.chmod(new, 0o755)
    os.rename(new, path)


def bound_alike(path: str, other: str) -> None:
    """Let an empty directory take as much as another may, beside it. Raises OSError."""
    if size := bound_of(other):
        bound(zlib.crc32(path.encode()), size, path)
