"""A stand-in for lxcfs: a FUSE file system of its type and of the same files, as `python -m` in any mount namespace.

A real one is not on every machine, and refuses to answer where /proc/1 may not be looked into.
"""

from __future__ import annotations

import os
import select
import sys

from sampan.cgroup.host import hierarchies
from sampan.linux import fuse
from sampan.linux.mount import (
    AT_FDCWD,
    fsconfig_create,
    fsconfig_set_flag,
    fsconfig_set_string,
    fsmount,
    fsopen,
    move_mount,
)
from sampan.view.files import Files
from sampan.view.filesystem import FileSystem
from sampan.view.reader import Readers

PATHS = (
    "proc/cpuinfo",
    "proc/meminfo",
    "proc/stat",
    "proc/uptime",
    "sys/devices/system/cpu/online",
)  # some are missing


def serve(target: str) -> None:
    """Mount at `target`, and answer for ever."""
    connection = fuse.open_connection()
    context = fsopen("fuse")
    told = {
        "source": "lxcfs",
        "subtype": "lxcfs",
        "fd": str(connection),
        "rootmode": "40555",
        "user_id": "0",
        "group_id": "0",
    }
    for key, value in told.items():
        fsconfig_set_string(context, key, value)
    fsconfig_set_flag(context, "allow_other")
    fsconfig_create(context)
    move_mount(fsmount(context, 0), (AT_FDCWD, target))
    system = FileSystem(PATHS, Files(Readers(hierarchies())).content)
    poll = select.poll()
    poll.register(connection, select.POLLIN)
    while poll.poll():
        while (request := fuse.receive(connection)) is not None:
            system.answer(connection, request)


if __name__ == "__main__":
    os.chdir("/")
    serve(sys.argv[1])
