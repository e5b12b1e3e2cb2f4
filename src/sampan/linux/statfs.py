"""Which kind of file system a descriptor is on (statfs(2)); used where a name could be a lie.

Only the type is told: free space and the like have os.fstatvfs.
"""

from __future__ import annotations

import ctypes
import enum

from sampan.linux.libc import check, libc

_SIZE = 256  # struct statfs is 120 bytes on 64-bit machines; its first word is the type on all of ours
_word = ctypes.c_long


class Magic(enum.IntEnum):
    """Types as in linux/magic.h."""

    CGROUP = 0x27E0EB
    CGROUP2 = 0x63677270
    DEVPTS = 0x1CD1
    OVERLAYFS = 0x794C7630
    PROC = 0x9FA0
    SYSFS = 0x62656572
    TMPFS = 0x01021994


def filesystem_type(fd: int) -> int:
    """The f_type of fstatfs(2), a Magic where it is known; `fd` may be O_PATH."""
    buffer = ctypes.create_string_buffer(_SIZE)
    check(libc.fstatfs(fd, buffer), "fstatfs", fd)
    return _word.from_buffer(buffer).value
