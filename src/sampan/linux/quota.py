"""Project quotas: a number that files carry, directories hand down, and a file system counts the blocks of.

Only what bounds a directory is here: project ids (the FS_IOC_FSSETXATTR ioctl) and block limits (quotactl_fd(2), Linux
5.14). Who gets which number is not decided here.
"""

from __future__ import annotations

import ctypes
import fcntl
import struct

from sampan.linux.libc import syscall

_GET = 0x801C581F  # FS_IOC_FSGETXATTR
_SET = 0x401C5820  # FS_IOC_FSSETXATTR
_ATTRIBUTES = struct.Struct("=IIIII8x")  # struct fsxattr: xflags, extsize, nextents, projid, cowextsize
_INHERIT = 0x200  # FS_XFLAG_PROJINHERIT
_PROJECT = 2  # PRJQUOTA
_GET_QUOTA = 0x5803 << 8 | _PROJECT  # Q_XGETQUOTA
_SET_LIMITS = 0x5804 << 8 | _PROJECT  # Q_XSETQLIM
_LIMITS = struct.Struct("=bbHIQQQQQQiiHHiQQQiHh8x")  # struct fs_disk_quota
_VERSION, _OF_PROJECT = 1, 2  # FS_DQUOT_VERSION, FS_PROJ_QUOTA
_SOFT_AND_HARD = 4 | 8  # FS_DQ_BSOFT, FS_DQ_BHARD
_BLOCK = 512


def project_of(fd: int) -> int:
    """The project id that a file carries; 0 is none."""
    found: int = _ATTRIBUTES.unpack(fcntl.ioctl(fd, _GET, bytes(_ATTRIBUTES.size)))[3]
    return found


def set_project(fd: int, project: int) -> None:
    """Let an empty directory carry a project id, and all that will be made in it.

    Raises OSError: EOPNOTSUPP or ENOTTY where the file system has no projects.
    """
    flags, extent, extents, _, copied = _ATTRIBUTES.unpack(fcntl.ioctl(fd, _GET, bytes(_ATTRIBUTES.size)))
    fcntl.ioctl(fd, _SET, _ATTRIBUTES.pack(flags | _INHERIT, extent, extents, project, copied))


def block_limit(fd: int, project: int) -> int:
    """How many bytes files of the project may take on the file system of `fd`; 0 is any number.

    Raises OSError: ESRCH where quotas are not switched on, ENOSYS before Linux 5.14.
    """
    buffer = ctypes.create_string_buffer(_LIMITS.size)
    try:
        syscall("quotactl_fd", fd, _GET_QUOTA, project, buffer)
    except FileNotFoundError:  # xfs of a project that it never heard of
        return 0
    limit: int = _LIMITS.unpack(buffer.raw)[4]
    return limit * _BLOCK


def set_block_limit(fd: int, project: int, size: int) -> None:
    """Let files of the project take at most `size` bytes on the file system of `fd`; 0 lifts the limit. As above."""
    blocks = -(-size // _BLOCK)
    fields = (_VERSION, _OF_PROJECT, _SOFT_AND_HARD, project, blocks, blocks, *[0] * 15)
    buffer = ctypes.create_string_buffer(_LIMITS.pack(*fields), _LIMITS.size)
    syscall("quotactl_fd", fd, _SET_LIMITS, project, buffer)
