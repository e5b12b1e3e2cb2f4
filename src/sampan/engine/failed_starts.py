"""What a start says that failed in the container's own processes: Docker's words, and a remedy for what users meet.

The steps know what the kernel refused; what could be done about it is said here, where nothing is short of memory.
"""

from __future__ import annotations

import errno
from typing import NamedTuple

from sampan.errors import Kind, SampanError, of_kind
from sampan.image.layers import FEWER_LAYERS
from sampan.monitor.protocol import Failed


class _Known(NamedTuple):
    """A failure that is recognized by its step, its number (0 when no call failed) and a part of its text."""

    step: str
    number: int
    part: str
    remedy: str


_OTHER_TYPE = frozenset({errno.ENOTDIR, errno.EISDIR})
# Docker's daemon adds it, and it is what people search for.
_OTHER_TYPE_WORDS = (
    "Are you trying to mount a directory onto a file (or vice-versa)? "
    "Check if the specified host path exists and is the expected type"
)
_KNOWN = (
    _Known("look_for_program", 0, "no such file", "name a program that is in the image"),
    _Known("look_for_program", 0, "not a directory", "name a program that is in the image"),
    _Known("look_for_program", 0, "is a directory", "name a program, not a directory"),
    _Known(
        "execute",
        errno.ENOENT,
        "",
        "the file is there, but not what runs it: the program that its #! line names (with DOS line ends one that ends "
        "in \\r), or the loader of another C library",
    ),
    _Known("execute", errno.E2BIG, "", "arguments and environment have a bound: put what is long into a file"),
    _Known("execute", errno.ENOEXEC, "", "is it made for this kind of processor? A script begins with a #! line"),
    _Known("execute", errno.EACCES, "", "is it on a file system that is mounted noexec?"),
    _Known("enter_cwd", 0, "not a directory", "name a directory with -w"),
    _Known("enter_cwd", 0, "permission denied", "let the user enter it, or choose another -w"),
    _Known("mount_filesystems", errno.ENOTDIR, "", "mount a directory on a directory, a file on a file"),
    _Known("mount_filesystems", errno.EISDIR, "", "mount a directory on a directory, a file on a file"),
    _Known("mount_filesystems", errno.EROFS, "", "choose a target that is there, or where one can be made"),
    _Known("mount_filesystems", errno.ELOOP, "", "choose another target"),
    _Known("mount_filesystems", errno.ENAMETOOLONG, "", "a name has at most 255 bytes, a path 4095"),
    _Known("mount_filesystems", errno.EINVAL, "tmpfs", "man 5 tmpfs lists the options of a tmpfs"),
    _Known("write_sysctls", errno.EINVAL, "", "the kernel takes another kind of value: `sysctl -a` shows the host's"),
    _Known("make_sources", errno.ENOENT, "creating mount", "name a path of the host that is there, or can be made"),
    _Known("make_sources", errno.ENOENT, "bind source path", "make it again, or create the container without it"),
    _Known("make_sources", errno.ENOENT, "subpath", "name a path that is in it, or mount it as a whole"),
    _Known("make_sources", errno.ENOTDIR, "", "name a path of the host that is there: a part of this one is a file"),
    _Known("make_sources", errno.EINVAL, "too many lower directories", FEWER_LAYERS),
    _Known("set_limits", errno.EACCES, "oom_score_adj", "a lower score than the daemon's own takes CAP_SYS_RESOURCE"),
    _Known("set_limits", errno.EPERM, "", "ask for less; a process has at most /proc/sys/fs/nr_open files open"),
)


def failure(message: Failed) -> SampanError:
    """The error that a Failed packet tells of, in the words of Docker's runtime."""
    text = message.text
    if text.startswith("failed to initialize logging driver"):
        return of_kind(Kind[message.kind], f"failed to create task for container: {text}", remedy=message.remedy)
    if message.step == "mount_filesystems" and message.errno in _OTHER_TYPE:
        # "is a directory" would mean to clients that the program is one, by which they choose their exit code
        text = f"{text.replace('is a directory', 'not a file')}: {_OTHER_TYPE_WORDS}"
    is_bare = message.exec_id or message.step == "resolve_user"  # that is a look-up of Docker's daemon
    sentence = text if is_bare else f"unable to start container process: {text}"
    return of_kind(Kind[message.kind], sentence, remedy=message.remedy or _remedy(message))


def _remedy(message: Failed) -> str:
    for known in _KNOWN:
        if (known.step, known.number) == (message.step, message.errno) and known.part in message.text:
            return known.remedy
    return ""
