"""Running the present program from a binary that no container can write through (CVE-2019-5736).

Until execve, and for good with `--init` or a program that names /proc/self/exe as its interpreter, a container's
process runs the binary that its launcher runs. The launcher's own spawner sees to it; a command that launches by itself
calls run_sealed() first. All that is imported here is loaded twice for each start, so it is next to nothing: `posix` is
the part of `os` that is built into the interpreter, `_ctypes` the part of `ctypes` that calls.
"""

import posix
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

_OWN_EXECUTABLE = b"/proc/self/exe"
_MARK = b"_SAMPAN_SEALED"
# open_tree(2) and mount_setattr(2), numbered alike on every architecture.
_OPEN_TREE, _MOUNT_SETATTR = 428, 442
_AT_FDCWD, _AT_EMPTY_PATH = -100, 0x1000
_CLONE_CLOEXEC = 1 | posix.O_CLOEXEC
_READ_ONLY = (1).to_bytes(8, sys.byteorder) + bytes(24)  # struct mount_attr with MOUNT_ATTR_RDONLY set
_ST_RDONLY = 1


def run_sealed() -> None:
    """Execute this program once more, same arguments and environment, through sealed_executable(); or return, if it is.

    To be called before anything is done that must not happen twice. Ends the program when the second time the binary is
    not sealed either.
    """
    own = str(posix.getpid()).encode()
    marked = posix.environ.pop(_MARK, b"") == own
    if is_sealed():
        return
    if marked:
        sys.exit("the interpreter could not be sealed against writes from containers")
    fd = _read_only_bind()
    if fd < 0:
        from sampan.linux.executable import sealed_executable

        fd = sealed_executable()
    posix.execve(f"/proc/self/fd/{fd}", sys.orig_argv, {**posix.environ, _MARK: own})


def _read_only_bind() -> int:
    """A descriptor of the running binary on a read-only mount of no namespace, or -1 when it takes more."""
    call = _system_call()
    fd = call(_OPEN_TREE, _AT_FDCWD, posix.readlink(_OWN_EXECUTABLE), _CLONE_CLOEXEC)
    if fd < 0:
        return -1
    sealed = call(_MOUNT_SETATTR, fd, b"", _AT_EMPTY_PATH, _READ_ONLY, len(_READ_ONLY)) == 0
    bound, running = posix.fstat(fd), posix.stat(_OWN_EXECUTABLE)
    if sealed and (bound.st_dev, bound.st_ino) == (running.st_dev, running.st_ino):
        return fd
    posix.close(fd)
    return -1


def _system_call() -> "Callable[..., int]":
    """syscall(2), for numbers and bytes."""
    try:
        from _ctypes import call_function, dlopen, dlsym

        address = dlsym(dlopen(None, 0), "syscall")  # type: ignore[arg-type]  # None is the program itself
    except ImportError:  # another interpreter than CPython has `ctypes` alone
        import ctypes

        return ctypes.PyDLL(None).syscall
    return lambda *words: call_function(address, words)


def is_sealed() -> bool:
    """Whether the running binary is on a read-only mount, or a copy in memory."""
    if posix.readlink(_OWN_EXECUTABLE).startswith(b"/memfd:"):
        return True
    fd = posix.open(_OWN_EXECUTABLE, posix.O_PATH | posix.O_CLOEXEC)
    try:
        return bool(posix.fstatvfs(fd).f_flag & _ST_RDONLY)
    finally:
        posix.close(fd)
