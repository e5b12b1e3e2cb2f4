"""The child's last steps, of a first process and of an exec alike: who it is, where, what it has open, its program.

They begin when the root is entered; `init` has the table in which they stand.
"""

from __future__ import annotations

import errno
import fcntl
import os
import signal
import socket
import stat
from contextlib import suppress

from sampan.errors import CommandNotExecutable, CommandNotFound
from sampan.linux import process, terminal
from sampan.linux.limit import prlimit
from sampan.linux.openat import make_directories_in_root, open_in_root
from sampan.runtime import reaper, users
from sampan.runtime.child import Child, Identity, foreign_ranges
from sampan.runtime.handshake import Channel, Disconnected, Say, StepFailed, failed_words, failure
from sampan.runtime.hooks import run_confined_hooks, state_document
from sampan.runtime.program import find_program, kind_of_failure
from sampan.runtime.security import load_hook_filter

FAILED_CODE = 127  # nobody sees it: the failure is told before
UMASK = 0o022
_FIRST_PRESERVED = 3
_NULL = os.makedev(1, 3)


def resolve_user(child: Child) -> None:
    """Find out who the program is to be, by the root's own files where names are asked for, and where its home is."""
    own = child.process
    if own.user_spec is None:
        more = users.resolve_groups(child.root_fd, own.extra_groups)
        child.identity = Identity(own.uid, own.gid, (*own.additional_gids, *more))
    else:
        child.identity = users.resolve(child.root_fd, own.user_spec, own.extra_groups)
    child.environment = own.environment
    if not any(entry.startswith("HOME=") and len(entry) > len("HOME=") for entry in own.environment):
        home = child.identity.home or users.home_of(child.root_fd, child.identity.uid)
        child.environment = (*own.environment, f"HOME={home}")


def enter_cwd(child: Child) -> None:
    """Go to the working directory, which is inside the root by the way it is opened (CVE-2024-21626)."""
    try:
        _change_directory(child)
    except PermissionError:
        return  # perhaps the program's user may what root may not (NFS, FUSE): enter_cwd_as_user decides
    child.cwd_open = True


def enter_cwd_as_user(child: Child) -> None:
    """Go to the working directory when root could not."""
    if not child.cwd_open:
        try:
            _change_directory(child)
        except PermissionError:
            raise CommandNotExecutable(_cwd_refusal(child.process.cwd, errno.EACCES)) from None


def attach_stdio(child: Child) -> None:
    """Put standard input, output and error at 0, 1 and 2; a terminal becomes the controlling one.

    A descriptor of -1 stands for the container's own /dev/null. Pipes and terminals are given to the program's user,
    who may want to open them again as /dev/stdout.
    """
    if child.stdio is not None:
        found = [fd if fd >= 0 else _null_of(child.root_fd) for fd in child.stdio]
        high = [_lift(fd, _FIRST_PRESERVED) for fd in found]
        for number, fd in enumerate(high):
            os.dup2(fd, number)
    for number in range(_FIRST_PRESERVED):
        _give_away(number, child.identity.uid)
    if child.process.terminal:
        terminal.make_controlling(0)


def set_execution_domain(child: Child) -> None:
    """The personality and the umask."""
    if child.plan.personality is not None:
        process.personality(child.plan.personality)
    os.umask(UMASK if child.process.umask is None else child.process.umask)


def look_for_program(child: Child) -> None:
    """Find the program, so that a start that cannot work fails at create."""
    argv = child.process.argv
    child.program = find_program(argv[0] if argv else "", child.environment)


def arrange_descriptors(child: Child) -> None:
    """Put the preserved descriptors at 3, 4, … and close all others, but what is to be heard and told still.

    The program's own limit of descriptors comes next, and those of its mounts would be in the way of its filter's.
    """
    first_free = _FIRST_PRESERVED + len(child.preserve)
    child.channel.move(first_free)
    if child.gate_fd >= 0:
        child.gate_fd = _lift(child.gate_fd, first_free)
    high = [_lift(fd, first_free) for fd in child.preserve]
    for number, fd in enumerate(high, _FIRST_PRESERVED):
        os.dup2(fd, number)
    for first, last in foreign_ranges({*range(first_free), child.channel.fileno(), max(child.gate_fd, 0)}):
        process.close_range(first, last)
    process.close_range(first_free, flags=process.CLOSE_RANGE_CLOEXEC)


def set_rlimits(child: Child) -> None:
    """Set the resource limits that a process may set for itself; the others are told to the parent with READY."""
    refused = []
    for rlimit in child.process.rlimits:
        try:
            prlimit(0, rlimit.resource, rlimit.soft, rlimit.hard)
        except PermissionError:
            refused.append(rlimit.resource)
    child.refused_rlimits = tuple(refused)


def tie_to_parent(child: Child) -> None:
    """Die with the parent, when asked to; after the last change of ids, which would undo it (prctl(2))."""
    if child.die_with_parent:
        process.set_parent_death_signal(signal.SIGKILL)


def wait_at_gate(child: Child) -> None:
    """Say that all is ready, and wait until the program may run."""
    marks = (f"{name} {began}" for name, began in child.marks)
    child.channel.tell(Say.READY, *(str(resource) for resource in child.refused_rlimits), *marks)
    if child.gate_fd < 0:
        child.channel.expect(Say.GO)
        return
    child.channel.close()
    with socket.socket(fileno=child.gate_fd) as gate:
        while True:
            child.channel = Channel(gate.accept()[0])
            try:
                child.channel.expect(Say.GO)
                return
            except Disconnected:
                child.channel.close()  # someone looked in; the gate stays shut


def run_start_hooks(child: Child) -> None:
    """Run startContainer hooks: inside the container, right before its program, and as confined as that is going to be.

    What they execute is the image's, so it is no more to be trusted.
    """
    hooks = child.plan.hooks.start_container
    if hooks and child.target_fd < 0:
        state = state_document(child.plan, "created", os.getpid())
        run_confined_hooks("startContainer", hooks, state, lambda: load_hook_filter(child))


def execute(child: Child) -> None:
    """execve(2), or become the reaper above the program."""
    if child.plan.init and child.target_fd < 0:
        reaper.supervise(lambda: _execute_or_tell(child))
    else:
        _execute(child)


def tell_failure(child: Child, error: BaseException) -> None:
    """Say FAILED to whoever listens still."""
    with suppress(Disconnected, OSError):
        child.channel.tell(Say.FAILED, *failed_words(failure(child.step, error)))


def _execute(child: Child) -> None:
    try:
        process.execve(child.program, child.process.argv, child.environment)
    except OSError as error:
        number = error.errno or 0
        text = f"exec {child.program}: {os.strerror(number).lower()}"
        raise StepFailed(child.step, number, text, kind_of_failure(number)) from None


def _execute_or_tell(child: Child) -> None:
    try:
        _execute(child)
    except BaseException as error:  # noqa: BLE001 -- the reaper's child: nothing may return from here
        tell_failure(child, error)
    finally:
        os._exit(FAILED_CODE)


def _change_directory(child: Child) -> None:
    cwd = child.process.cwd
    try:
        if child.process.create_cwd:
            fd = make_directories_in_root(child.root_fd, cwd, 0o755)
        else:
            fd = open_in_root(child.root_fd, cwd, os.O_PATH | os.O_DIRECTORY)
        os.fchdir(fd)
        os.close(fd)
    except PermissionError:
        raise
    except FileNotFoundError:
        raise CommandNotFound(_cwd_refusal(cwd, errno.ENOENT)) from None
    except OSError as error:
        raise CommandNotExecutable(_cwd_refusal(cwd, error.errno or 0)) from None


def _cwd_refusal(cwd: str, number: int) -> str:
    return f'chdir to cwd ("{cwd}") set in config.json failed: {os.strerror(number).lower()}'


def _null_of(root_fd: int) -> int:
    """The root's own /dev/null; without one, an empty pipe. By the host's, root in there could change the host's inode.

    Looked at before it is opened, and after: an image may have anything in its place.
    """
    with suppress(OSError):
        for flags in (os.O_PATH, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK):
            fd = open_in_root(root_fd, "dev/null", flags | os.O_NOFOLLOW | os.O_CLOEXEC)
            status = os.fstat(fd)
            if not stat.S_ISCHR(status.st_mode) or status.st_rdev != _NULL:
                break
            if flags & os.O_RDWR:
                os.set_blocking(fd, True)
                return fd
    empty, writer = os.pipe2(os.O_CLOEXEC)
    os.close(writer)
    return empty


def _lift(fd: int, lowest: int) -> int:
    """The descriptor itself, or a copy of it that is at least `lowest`; execve closes it."""
    return fd if fd >= lowest else fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, lowest)


def _give_away(fd: int, uid: int) -> None:
    """Make the program's user the owner of a pipe or terminal; what cannot be given stays usable as it is open."""
    with suppress(OSError):
        status = os.fstat(fd)
        kind = stat.S_IFMT(status.st_mode)
        ours = kind == stat.S_IFIFO or (kind == stat.S_IFCHR and status.st_rdev != _NULL and os.isatty(fd))
        if ours and status.st_uid != uid:
            os.fchown(fd, uid, -1)
