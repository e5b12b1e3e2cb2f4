"""Putting the view's files into a container that runs: over what the kernel shows there, in the place of what died.

The work of a process of its own with one thread, as setns(2) demands, that may end at any moment: a container decides
what its own file systems do to whoever walks through them.
"""

from __future__ import annotations

import contextlib
import errno
import os

from sampan.linux.mount import AT_FDCWD, MountAttr, MountFlag, UmountFlag, mount_setattr, move_mount, open_tree, umount
from sampan.linux.namespace import open_namespace, setns
from sampan.linux.openat import Resolve, openat2
from sampan.linux.statfs import Magic, filesystem_type

_NEWNS = 0x00020000
_WITHIN = int(Resolve.IN_ROOT | Resolve.NO_SYMLINKS | Resolve.NO_MAGICLINKS)
ATTRIBUTES = int(MountAttr.RDONLY | MountAttr.NOSUID | MountAttr.NODEV | MountAttr.NOEXEC)
_KERNELS_OWN = frozenset({Magic.PROC, Magic.SYSFS})


def renew(pid: int, source: str, paths: tuple[str, ...]) -> None:
    """Lay the files below `source` over those of the container whose first process is `pid`.

    What lives there already stays, what is dead goes. Raises OSError when the container is gone.
    """
    own = open_namespace("self", "mnt")
    there = open_namespace(pid, "mnt")
    root = os.open(f"/proc/{pid}/root", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    mounts = {}
    try:
        for path in paths:
            mounts[path] = open_tree(AT_FDCWD, f"{source}/{path}", clone=True)
            mount_setattr(mounts[path], set=ATTRIBUTES, propagation=int(MountFlag.PRIVATE))
        setns(there, _NEWNS)
        try:
            for path, mount in mounts.items():
                with contextlib.suppress(OSError):  # the others are none the worse for it
                    _lay(root, path, mount)
        finally:
            setns(own, _NEWNS)
    finally:
        for fd in (own, there, root, *mounts.values()):
            os.close(fd)


def _lay(root: int, path: str, mount: int) -> None:
    directory, _, name = path.rpartition("/")
    parent = openat2(root, directory, os.O_PATH | os.O_DIRECTORY, 0, _WITHIN)
    try:
        os.fchdir(parent)
        while _is_dead(parent, name):
            umount(name, UmountFlag.DETACH | UmountFlag.NOFOLLOW)
        target = openat2(parent, name, os.O_PATH, 0, _WITHIN)
        try:
            if filesystem_type(target) in _KERNELS_OWN:
                move_mount(mount, target)
        finally:
            os.close(target)
    finally:
        os.close(parent)


def _is_dead(parent: int, name: str) -> bool:
    """Whether what is mounted on top answers no more (ENOTCONN, of a FUSE connection without a server)."""
    fd = openat2(parent, name, os.O_PATH, 0, _WITHIN)
    try:
        filesystem_type(fd)
    except OSError as error:
        if error.errno != errno.ENOTCONN:
            raise
        return True
    finally:
        os.close(fd)
    return False
