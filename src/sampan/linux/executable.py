"""The interpreter's own binary as a descriptor that nobody who sees a process made from it can write through.

A container whose pid 1, or whose exec'd process, still runs our binary can open it as /proc/PID/exe (CVE-2019-5736).
Executing it through such a descriptor first makes that harmless.
"""

from __future__ import annotations

import errno
import fcntl
import os

from sampan.linux.mount import AT_FDCWD, MountAttr, mount_setattr, open_tree

_OWN_EXECUTABLE = "/proc/self/exe"
_MFD_EXEC = 0x10
_NOT_HERE = frozenset({errno.ENOSYS, errno.EPERM, errno.EINVAL, errno.EOPNOTSUPP})
_SEALS = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE


def sealed_executable() -> int:
    """A descriptor (close-on-exec) of the running binary to execute as /proc/self/fd/N or with execveat.

    It is a read-only bind, so that opening /proc/PID/exe for writing gives EROFS to anyone; where the kernel or the
    caller's privileges do not allow that, a sealed copy in memory. A process that runs from such a bind gets the same.
    """
    try:
        return read_only_executable(_own_path())
    except OSError as error:
        if error.errno not in _NOT_HERE:
            raise
    own = os.open(_OWN_EXECUTABLE, os.O_PATH | os.O_CLOEXEC)
    if _is_out_of_reach(own):
        return own
    os.close(own)
    return copied_executable()


def _own_path() -> str:
    """A path to the running binary in the caller's own mount namespace, when there is one.

    After unshare(2) /proc/self/exe still leads into the mount namespace from before, and nothing there can be cloned.
    """
    try:
        path = os.readlink(_OWN_EXECUTABLE)
        return path if os.path.samestat(os.stat(path), os.stat(_OWN_EXECUTABLE)) else _OWN_EXECUTABLE
    except OSError:
        return _OWN_EXECUTABLE


def _is_out_of_reach(fd: int) -> bool:
    """Whether the file is on a read-only mount of no namespace, as read_only_executable makes it."""
    if not os.fstatvfs(fd).f_flag & os.ST_RDONLY:
        return False
    try:
        os.close(open_tree(fd, "", clone=True))
    except OSError as error:
        return error.errno == errno.EINVAL
    return False


def read_only_executable(path: str = _OWN_EXECUTABLE) -> int:
    """A read-only bind of a binary in no mount namespace: open_tree(2) and mount_setattr(2), needs CAP_SYS_ADMIN.

    The descriptor of open_tree keeps the bind in an anonymous namespace, and there mount_setattr(2) would let anyone
    with CAP_SYS_ADMIN make it writable again (seen on Linux 6.18). With a second descriptor in its place the bind
    belongs to no namespace at all, and nobody can change it or make another of it.
    """
    bind = open_tree(AT_FDCWD, path, clone=True)
    try:
        mount_setattr(bind, set=MountAttr.RDONLY)
        return os.open(f"/proc/self/fd/{bind}", os.O_PATH | os.O_CLOEXEC)
    finally:
        os.close(bind)


def copied_executable(path: str = _OWN_EXECUTABLE) -> int:
    """A copy of a binary in memory that is sealed against every change (memfd_create(2), fcntl(2))."""
    source = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        flags = os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING
        try:
            copy = os.memfd_create("sampan", flags | _MFD_EXEC)
        except OSError as error:
            if error.errno != errno.EINVAL:  # MFD_EXEC is of Linux 6.3
                raise
            copy = os.memfd_create("sampan", flags)
        try:
            os.fchmod(copy, 0o755)
            while os.sendfile(copy, source, None, 1 << 30):
                pass
            fcntl.fcntl(copy, fcntl.F_ADD_SEALS, _SEALS)
        except BaseException:
            os.close(copy)
            raise
        return copy
    finally:
        os.close(source)
