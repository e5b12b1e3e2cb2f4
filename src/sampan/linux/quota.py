"""Project quotas: a number that files carry, directories hand down, and a file system counts the blocks of.

Only what bounds a directory is here: project ids (the FS_IOC_FSSETXATTR ioctl) and block limits (quotactl_fd(2), Linux
5.14). Nothing has to be kept but what the file system keeps: a number that has a limit, or blocks, is another's.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from sampan.linux.capability import get_capabilities, mask_of, set_capabilities
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
_ABSENT = {errno.EOPNOTSUPP, errno.ENOTTY, errno.ENOSYS, errno.ESRCH, errno.EINVAL, errno.EPERM}
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
FIRST_PROJECT = 0x5A000000  # no number below is ever given by `bound`, or lifted by `unbound`
_NUMBERS = 0x1000000


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
    return _blocks(fd, project)[0] * _BLOCK


def set_block_limit(fd: int, project: int, size: int) -> None:
    """Let files of the project take at most `size` bytes on the file system of `fd`; 0 lifts the limit. As above."""
    blocks = -(-size // _BLOCK)
    fields = (_VERSION, _OF_PROJECT, _SOFT_AND_HARD, project, blocks, blocks, *[0] * 15)
    buffer = ctypes.create_string_buffer(_LIMITS.pack(*fields), _LIMITS.size)
    syscall("quotactl_fd", fd, _SET_LIMITS, project, buffer)


def bound(number: int, size: int, *directories: str) -> None:
    """Let what will be in these empty directories take `size` bytes together.

    Their project is the first from `number` on, which may be anything, that has neither limit nor blocks. Raises
    OSError, of which `is_absent` tells that it is for want of project quotas.
    """
    fds = [os.open(path, _DIRECTORY) for path in directories]
    try:
        project = FIRST_PROJECT + number % _NUMBERS
        while any(_blocks(fds[0], project)):
            project += 1
        set_block_limit(fds[0], project, size)
        for fd in fds:
            set_project(fd, project)
    finally:
        for fd in fds:
            os.close(fd)


def bound_as(directory: str, other: str) -> None:
    """Let what will be in an empty directory count as what is in another, if that one is bounded. Raises OSError."""
    fds = [os.open(path, _DIRECTORY) for path in (directory, other)]
    try:
        if project := _bounding(fds[1]):
            set_project(fds[0], project)
    finally:
        for fd in fds:
            os.close(fd)


def bound_of(directory: str) -> int:
    """The bytes that `bound` allowed what is in a directory; 0 when it has no limit. Raises OSError when not there."""
    fd = os.open(directory, _DIRECTORY)
    try:
        project = _bounding(fd)
        return block_limit(fd, project) if project else 0
    finally:
        os.close(fd)


def unbound(directory: str) -> None:
    """Forget the limit of the project that a directory has; nothing happens when it has none or is not there."""
    with suppress(OSError):
        fd = os.open(directory, _DIRECTORY)
        try:
            if project := _bounding(fd):
                set_block_limit(fd, project, 0)
        finally:
            os.close(fd)


def check_quota(directory: str) -> None:
    """Raises OSError, of which `is_absent` tells, when nothing below a directory can be bounded."""
    fd = os.open(directory, _DIRECTORY)
    try:
        project_of(fd)
        block_limit(fd, FIRST_PROJECT)
    finally:
        os.close(fd)


@contextmanager
def held_to_limits() -> Iterator[None]:
    """Let limits hold for what this thread writes in the block: ext4 overlooks them with CAP_SYS_RESOURCE."""
    before = get_capabilities()
    set_capabilities(before.effective & ~mask_of(["CAP_SYS_RESOURCE"]), before.permitted, before.inheritable)
    try:
        yield
    finally:
        set_capabilities(*before)


def is_absent(error: OSError) -> bool:
    """Whether one of these calls failed because the file system, its mount or the kernel has no project quotas."""
    return error.errno in _ABSENT


def _bounding(fd: int) -> int:
    """The project of a directory that `bound` gave it; 0 when it has none, or another's."""
    try:
        project = project_of(fd)
    except OSError as error:
        if is_absent(error):
            return 0
        raise
    return project if project >= FIRST_PROJECT else 0


def _blocks(fd: int, project: int) -> tuple[int, int]:
    """How many blocks a project may have and has."""
    buffer = ctypes.create_string_buffer(_LIMITS.size)
    try:
        syscall("quotactl_fd", fd, _GET_QUOTA, project, buffer)
    except FileNotFoundError:  # xfs of a project that it never heard of
        return 0, 0
    fields = _LIMITS.unpack(buffer.raw)
    return fields[4], fields[8]
