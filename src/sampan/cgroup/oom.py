"""Being told when memory runs out in a group, and how often the out-of-memory killer took someone.

v1 signals an eventfd for memory.oom_control, v2 changes memory.events, which inotify sees. Both tell before the victim
is counted at times, so a reader asks for the count again when a process has ended.
"""

from __future__ import annotations

import errno
import os
from typing import Self

from sampan.cgroup.directory import Directory
from sampan.linux import inotify


class DescriptorWatch:
    """An OomWatch over one descriptor that is read empty by a read of a few thousand bytes."""

    __slots__ = ("_descriptor",)

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def fileno(self) -> int:
        """The descriptor to poll for reading; -1 when closed."""
        return self._descriptor

    def drain(self) -> None:
        """Take what made it readable."""
        try:
            while os.read(self._descriptor, 4096):
                pass
        except BlockingIOError:
            return

    def close(self) -> None:
        """Close it; idempotent."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def watch_v1(directory: Directory) -> DescriptorWatch:
    """An eventfd registered with cgroup.event_control (admin-guide/cgroup-v1/memory.rst, section 10).

    It fires too when the group is removed.
    """
    event = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
    try:
        control = directory.open("memory.oom_control", os.O_RDONLY)
        try:
            directory.write("cgroup.event_control", f"{event} {control}")
        finally:
            os.close(control)
    except BaseException:
        os.close(event)
        raise
    return DescriptorWatch(event)


def watch_v2(directory: Directory) -> DescriptorWatch:
    """An inotify descriptor on memory.events, which the kernel modifies for `high` and `max` too."""
    descriptor = inotify.inotify_init()
    try:
        file = os.path.join(directory.location, "memory.events")
        inotify.inotify_add_watch(descriptor, file, inotify.Change.MODIFY)
    except BaseException:
        os.close(descriptor)
        raise
    return DescriptorWatch(descriptor)


def kills(directory: Directory, file: str) -> int:
    """`oom_kill` of memory.oom_control (v1, since Linux 4.13) or memory.events (v2); 0 when the group is gone."""
    try:
        return directory.numbers(file).get("oom_kill", 0)
    except FileNotFoundError:
        return 0
    except OSError as error:
        if error.errno == errno.ENODEV:  # removed while its directory was held
            return 0
        raise
