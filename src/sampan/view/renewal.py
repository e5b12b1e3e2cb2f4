"""Putting the view's files into a container that runs: over what the kernel shows there, or in place of another's.

The work of a process of its own with one thread, as setns(2) demands, that may end at any moment: a container decides
what its own file systems do to whoever walks through them. Our server forks it; for lxcfs it is a program (`main`).
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys

from sampan.linux.mount import (
    AT_FDCWD,
    MountAttr,
    MountFlag,
    UmountFlag,
    mount_setattr,
    mountinfo,
    move_mount,
    open_tree,
    umount,
)
from sampan.linux.namespace import open_namespace, setns
from sampan.linux.openat import Resolve, openat2
from sampan.linux.statfs import Magic, filesystem_type

_NEWNS = 0x00020000
_WITHIN = int(Resolve.IN_ROOT | Resolve.NO_SYMLINKS | Resolve.NO_MAGICLINKS)
ATTRIBUTES = int(MountAttr.RDONLY | MountAttr.NOSUID | MountAttr.NODEV | MountAttr.NOEXEC)
SOURCE = "sampan-view"
LXCFS_TYPE = "fuse.lxcfs"
PATIENCE_S = 20
_KERNELS_OWN = frozenset({Magic.PROC, Magic.SYSFS})


def renew(pid: int, source: str, paths: tuple[str, ...]) -> None:
    """Lay what there is of these files below `source` over those of the container whose first process is `pid`.

    Those of `source` that are there already stay, those of another provider go, whether it is dead or not; what the
    container has mounted itself stays. Raises OSError when the container is gone.
    """
    served = os.stat(source).st_dev
    device = f"{os.major(served)}:{os.minor(served)}"
    theirs = _providers_devices(pid)
    missing = [path for path in paths if theirs.get(path, [])[-1:] != [device]]
    if not missing:
        return
    own = open_namespace("self", "mnt")
    there = open_namespace(pid, "mnt")
    root = os.open(f"/proc/{pid}/root", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    mounts: dict[str, int] = {}
    try:
        for path in missing:
            with contextlib.suppress(FileNotFoundError):  # this provider does not have it
                mounts[path] = open_tree(AT_FDCWD, f"{source}/{path}", clone=True)
                mount_setattr(mounts[path], set=ATTRIBUTES, propagation=int(MountFlag.PRIVATE))
        setns(there, _NEWNS)
        try:
            for path in missing:
                with contextlib.suppress(OSError):  # the others are none the worse for it
                    _lay(root, path, mounts.get(path), len(theirs.get(path, ())))
        finally:
            setns(own, _NEWNS)
    finally:
        for fd in (own, there, root, *mounts.values()):
            os.close(fd)


def _providers_devices(pid: int) -> dict[str, list[str]]:
    """Which file systems of providers lie over each path of a container, the uppermost last.

    Told by the kernel's list: whoever asked the files themselves would wait for a provider that hangs.
    """
    found: dict[str, list[str]] = {}
    for entry in mountinfo(pid):
        path = entry.target.removeprefix("/")
        if entry.fstype == LXCFS_TYPE or (entry.fstype == "fuse" and entry.source == SOURCE):
            found.setdefault(path, []).append(entry.device)
        else:
            found.pop(path, None)  # it is below something of the container's own
    return found


def _lay(root: int, path: str, mount: int | None, others: int) -> None:
    """Put a mount on a path of a root, where so many of other providers are to be taken away first."""
    directory, _, name = path.rpartition("/")
    parent = openat2(root, directory, os.O_PATH | os.O_DIRECTORY, 0, _WITHIN)
    try:
        os.fchdir(parent)
        for _ in range(others):
            umount(name, UmountFlag.DETACH | UmountFlag.NOFOLLOW)
        if mount is None:
            return
        target = openat2(parent, name, os.O_PATH, 0, _WITHIN)
        try:
            if filesystem_type(target) in _KERNELS_OWN:
                move_mount(mount, target)
        finally:
            os.close(target)
    finally:
        os.close(parent)


def renew_all(pids: list[int], source: str, paths: tuple[str, ...]) -> None:
    """Do it for several, within PATIENCE_S: then the kernel ends this process (SIGALRM)."""
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.alarm(PATIENCE_S)
    for pid in pids:
        with contextlib.suppress(OSError):  # it ended meanwhile
            renew(pid, source, paths)


def main() -> None:
    """The program: where the files are, their paths with commas between, then the pids."""
    source, paths, *pids = sys.argv[1:]
    renew_all([int(pid) for pid in pids], source, tuple(paths.split(",")))
